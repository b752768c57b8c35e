// TCP_INFO, truthfully.
#pragma once

#include "table/command.h"

namespace sluice::tcp {

struct Connection;
struct Core;

void Describe(Core& core, const Connection& c, table::TcpInformation* information);
// States as Linux numbers them.
inline constexpr uint8_t kLinuxClose = 7;
inline constexpr uint8_t kLinuxListen = 10;

}  // namespace sluice::tcp
