// A socket table entry as JSON, with every field of it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "table/command.h"
#include "table/entry.h"

namespace sluice::observe {

// `devices`: names by interface index. The entry may change while it is read: each field is whole,
// but two fields may be of different moments.
nlohmann::json SocketJson(const table::Entry& entry, uint32_t slot,
                          const std::vector<std::string>& devices);

nlohmann::json TcpJson(const table::TcpInformation& information);

}  // namespace sluice::observe
