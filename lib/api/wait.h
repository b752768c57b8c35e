// Waiting for sockets: noticing what the engines announce, and sleeping until they do.
//
//   BlockingWait wait(socket, table::kEventIn, timeout_ns);
//   for (;;) {
//     ... try; return if it worked ...
//     if (int error = wait.Sleep()) return error;
//   }
#pragma once

#include <cstdint>

#include "api/descriptors.h"
#include "api/watch.h"
#include "base/time.h"

namespace sluice::api {

// Level-triggered readiness, without what the application has taken note of already (urgent data).
uint32_t ReadinessOf(const OpenSocket& socket);
// The same for a watcher that wants `mask`: where it lacks kEventOut, asks the engine to tell.
uint32_t ReadinessFor(const OpenSocket& socket, uint32_t mask);
// Asks the engine to tell once there is room to send, then says whether there is by now.
bool AwaitRoom(const OpenSocket& socket);

// Links and unlinks, and tells the engine what is wanted. After WatchSocket returns, whatever the
// engine does is announced: so look at the queues after it.
void WatchSocket(const OpenSocket& socket, Watcher& watcher);
void UnwatchSocket(uint32_t index, Watcher& watcher);
void ChangeWatch(const OpenSocket& socket, Watcher& watcher, uint32_t mask);
// The application itself has changed what a socket is ready for.
void FireSocket(uint32_t index, uint32_t events);

// The lanes' notices, added up: what a WaitRequest compares.
uint32_t NoticesSeen();

// What the caller's deadline is.
inline Instant DeadlineAfter(int64_t timeout_ns) {
  return timeout_ns <= 0 ? Instant::Never() : state.home->Now() + Nanoseconds(timeout_ns);
}

// A thread that waits for one socket. Costs nothing until the first Sleep.
class BlockingWait {
 public:
  // A timeout of 0 is none.
  BlockingWait(const OpenSocket& socket, uint32_t mask, int64_t timeout_ns)
      : socket_(socket), mask_(mask), timeout_ns_(timeout_ns) {}
  ~BlockingWait() {
    if (watcher_.waiter != nullptr) UnwatchSocket(socket_.handle.index, watcher_);
  }

  // Returns 0 when it is worth trying again (the first time at once: what happened before the
  // watch began must not be missed), EAGAIN after the time-out, EINTR after a signal.
  int Sleep();

 private:
  const OpenSocket& socket_;
  uint32_t mask_;
  int64_t timeout_ns_;
  Instant deadline_ = Instant::Never();
  Waiter waiter_;
  ThreadWatcher watcher_;
};

}  // namespace sluice::api
