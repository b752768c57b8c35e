// The program that `sluice run` is to start: found as the shell would find it, and looked at for
// what would keep a preloaded library out of it.
//
// Example:
//   absl::StatusOr<std::string> path = FindProgram("redis-server");
//   if (path.ok()) status = CheckPreloadable(*path);
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice::apps {

// The executable file that `name` means, by PATH unless it has a slash.
absl::StatusOr<std::string> FindProgram(const std::string& name);

// Whether the dynamic loader will load our library into it: the file, or the interpreter of a
// script, must be a dynamically linked ELF executable of this machine and not change its user, its
// group or its capabilities, since the loader then ignores LD_PRELOAD.
absl::Status CheckPreloadable(const std::string& path);

}  // namespace sluice::apps
