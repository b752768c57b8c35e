// Asks running processes for their socket tables. Each process under Sluice listens on a UNIX
// socket named after its pid; it answers the line "ss" with one JSON document and closes.
//
// Example:
//   for (int pid : RunningPids("/run/sluice")) {
//     absl::StatusOr<nlohmann::json> document = FetchSnapshot("/run/sluice", pid);
//   }
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::apps {

// Pids that have a socket in the directory, smallest first; some may have died since.
std::vector<int> RunningPids(const std::string& run_directory);

// NotFound if no such process runs under Sluice; otherwise waits a few seconds at most.
absl::StatusOr<nlohmann::json> FetchSnapshot(const std::string& run_directory, int pid);

}  // namespace sluice::apps
