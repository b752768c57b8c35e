// Many datagrams in one call: under one lock and with one doorbell. Both functions take what goes
// without waiting and without explaining itself, and stop at the first datagram that asks for more:
// the caller gives that one to the ordinary functions, which wait, report errors and know every
// flag.
#pragma once

#include <sys/socket.h>

#include <span>

#include "api/descriptors.h"

namespace sluice::api {

// Receives into the first of `messages`, as recvmsg with `flags` would (MSG_DONTWAIT, MSG_TRUNC and
// MSG_CMSG_CLOEXEC are known). Returns how many were filled.
unsigned ReceiveBatch(const OpenSocket& socket, std::span<mmsghdr> messages, int flags);

// Sends the first of `messages`. Returns how many are queued.
unsigned SendBatch(const OpenSocket& socket, std::span<mmsghdr> messages, int flags);

}  // namespace sluice::api
