// The UNIX socket that two memif ends meet at. Set-up only.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace sluice::dpdk {

// Readies `path` for a memif server: removes a socket that a server which died left there. An error
// if a server answers there, if something that is no socket has the name, or if the directory is
// missing.
absl::Status ClearServerSocket(const std::string& path);

// Whether the descriptor is a connection to the memif server at `path`, at whose other end somebody
// still is.
bool IsConnected(int descriptor, const std::string& path);

}  // namespace sluice::dpdk
