#include "runtime/manual_home.h"

#include <poll.h>

#include <algorithm>

namespace sluice::runtime {

using api::Waiter;
using api::WaitOutcome;
using api::WaitRequest;

bool ManualHome::RunEngines() {
  if (running_.test_and_set(std::memory_order_acquire)) {
    syscall(SYS_sched_yield);  // another thread is at it
    return false;
  }
  bool worked = engines_.Poll(clock_.Now());
  running_.clear(std::memory_order_release);
  return worked;
}

bool ManualHome::Poll() {
  bool worked = RunEngines();
  engines_.Dispatch();
  parking_.WakeListeners();
  parking_.WakeExpired(clock_.Now());
  return worked;
}

Instant ManualHome::NextDeadline() {
  while (running_.test_and_set(std::memory_order_acquire)) syscall(SYS_sched_yield);
  Instant timer = engines_.NextDeadline();
  running_.clear(std::memory_order_release);
  return std::min(timer, parking_.EarliestDeadline());
}

WaitOutcome ManualHome::Wait(Waiter& waiter, const WaitRequest& request) {
  return WaitFor(waiter, request, false);
}

WaitOutcome ManualHome::WaitForNews(const WaitRequest& request) {
  Waiter waiter;
  return WaitFor(waiter, request, true);
}

void ManualHome::Seize() {
  while (running_.test_and_set(std::memory_order_acquire)) syscall(SYS_sched_yield);
}

WaitOutcome ManualHome::WaitFor(Waiter& waiter, const WaitRequest& request, bool any_news) {
  Parking::Stay stay(parking_, waiter, request);
  if (!stay.is_parked()) return WaitOutcome::kLook;
  if (any_news) stay.SetListening();
  stay.SetDeadline(request.deadline);
  // After parking. Pairs with Poll: either this sees what it announced and the time it read, or
  // Dispatch and WakeExpired see this thread.
  if (engines_.notices() != request.notices_seen) return WaitOutcome::kLook;
  if (clock_.Now() >= request.deadline) return WaitOutcome::kDeadline;
  WaitOutcome outcome = stay.Sleep(request, Instant::Never());
  if (outcome != WaitOutcome::kLook) return outcome;
  return clock_.Now() >= request.deadline ? WaitOutcome::kDeadline : WaitOutcome::kLook;
}

}  // namespace sluice::runtime
