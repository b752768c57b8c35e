// How a thread of the application waits, and who runs the engine meanwhile. lib/api calls it;
// lib/runtime has one implementation for each home: inline (whoever waits runs the engine under a
// token), threads (engines run by themselves), manual (the program calls sluice_poll).
//
// A caller that must wait does so in a loop:
//   mark `waiter` with the sockets it waits for (their event_mask, the API's waiter lists);
//   for (;;) {
//     seen = lane.notices;  drain the lane's event queue and signal the waiters concerned;
//     if (what I wait for is so, or the deadline has passed, or a signal came) break;
//     home.Wait(waiter, {.notices_seen = seen, .deadline = ..., .kernel_descriptor = ...});
//   }
// Wait may return early at any time; the loop looks again.
#pragma once

#include <signal.h>

#include <cstdint>

#include "base/time.h"
#include "table/cell.h"

namespace sluice::api {

// One thread's reason to sleep. `signaled`: 1 signaled, anything else waiting (0, or where the home
// has noted that it sleeps). It lives on the waiting thread's stack or in an epoll set, for as long
// as anybody may signal it.
struct Waiter {
  table::Cell<uint32_t> signaled;
};

struct WaitRequest {
  uint32_t notices_seen = 0;  // return when the lane's notices differ (if this thread leads)
  Instant deadline = Instant::Never();
  int kernel_descriptor = -1;  // return when it is readable (a kernel epoll or one descriptor)
  short kernel_events = 0;     // poll events for it; 0: POLLIN
  const sigset_t* signal_mask = nullptr;  // ppoll's mask while asleep
};

enum class WaitOutcome : uint8_t {
  kLook,         // something may have changed: notices, the waiter was signaled, the engine turned
  kKernelReady,  // the kernel descriptor is ready
  kDeadline,     // the deadline has passed
  kInterrupted,  // a signal handler ran (EINTR)
};

class Home {
 public:
  virtual ~Home() = default;

  virtual Instant Now() = 0;
  // Runs one turn of the engine if this home lets callers do so and nobody else does it now. Never
  // sleeps. For calls that do not block but should see what has arrived (poll with timeout 0), and
  // while a command awaits its answer.
  virtual void Turn() = 0;
  // Sleeps, or leads the engine, until there may be reason to look again.
  virtual WaitOutcome Wait(Waiter& waiter, const WaitRequest& request) = 0;
  // Signals a waiter of any thread; cheap if it does not sleep.
  virtual void Signal(Waiter& waiter) = 0;
  // A doorbell or command found the engine of this lane asleep.
  virtual void WakeEngine(uint8_t lane) = 0;
};

}  // namespace sluice::api
