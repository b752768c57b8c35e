// What `sluice run` can find out about a configuration before the program starts, so that a mistake
// is one clear line at once instead of a program that fails when it opens its first socket.
//
// Example:
//   if (absl::Status status = CheckInterfaces(configuration); !status.ok()) ...
#pragma once

#include "absl/status/status.h"
#include "runtime/configuration.h"

namespace sluice::apps {

// Devices exist, DPDK has drivers for them, and this process may open them. Opens nothing.
absl::Status CheckInterfaces(const runtime::Configuration& configuration);

// Hugepages are there if the configuration insists on them.
absl::Status CheckMemory(const runtime::Configuration& configuration);

}  // namespace sluice::apps
