// Errors that happened to a socket by themselves (reset, refused, unreachable).
#pragma once

#include <signal.h>

#include "api/descriptors.h"
#include "api/kernel.h"
#include "api/twins.h"

namespace sluice::api {

// Whether an error waits, of the socket or a twin.
inline bool HasError(const OpenSocket& socket) {
  return socket.entry->error.load() != 0 || (HasTwins(socket) && TwinsHaveError(socket));
}

// Takes the error that waits, as SO_ERROR does: an errno, or 0.
inline int TakeError(const OpenSocket& socket) {
  if (!HasError(socket)) return 0;
  uint32_t error = socket.entry->error.Exchange(0);
  if (error == 0) error = TakeErrorOfTwins(socket);
  LockHolder holder(socket.side->watch.lock);
  socket.side->watch.seen_ready &= ~uint32_t{table::kEventErr};  // the next one will be news
  return ErrnoOf(static_cast<table::Result>(error));
}

// EPIPE, and the signal unless the caller does not want it.
inline int BrokenPipe(int flags) {
  if ((flags & MSG_NOSIGNAL) == 0) kernel::ThreadKill(SIGPIPE);
  return EPIPE;
}

}  // namespace sluice::api
