// Opens many TCP connections at once, without blocking and with a bound on those under way.
//
//   OpenStreams(settings, epoll, fds);   // all connected, in the epoll set for EPOLLIN
#pragma once

#include <cstdint>
#include <vector>

#include "load.h"

namespace sluice::perf {

// A nonblocking socket on the way to the server, from the `index`-th source address in turn.
// -1 with errno set if it failed at once.
int StartConnect(const LoadSettings& settings, uint32_t index);

// The error that a nonblocking connect ended with; 0: it is connected.
int ConnectError(int fd);

// Appends one descriptor for each connection; event.data.u32 in the epoll set is its place. False,
// with a message, if any connection fails or SIGTERM comes.
bool OpenStreams(const LoadSettings& settings, int epoll, std::vector<int>& fds);

}  // namespace sluice::perf
