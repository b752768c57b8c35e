#include "runtime/inline_home.h"

#include <poll.h>

#include <algorithm>

namespace sluice::runtime {

using api::Waiter;
using api::WaitOutcome;
using api::WaitRequest;

namespace {

// A name for the calling thread that costs nothing to get.
const void* ThisThread() {
  static thread_local char name;
  return &name;
}

// How long Seize waits for the engines' holder.
constexpr Duration kSeizeWithin = Milliseconds(200);

}  // namespace

bool InlineHome::TryTake(Holder holder) {
  uint32_t nobody = kNobody;
  if (token_.load(std::memory_order_relaxed) != kNobody || seized_.load()) return false;
  if (!token_.compare_exchange_strong(nobody, holder)) return false;
  holder_.store(ThisThread(), std::memory_order_relaxed);
  return true;
}

void InlineHome::Release() {
  // Pairs with Doze and with the look that a guest takes after it parked: sequentially consistent,
  // so either they see the token free or this thread sees them.
  token_.store(kNobody, std::memory_order_seq_cst);
  if (dozing_.load(std::memory_order_seq_cst) != 0 && dozing_.exchange(0) != 0) {
    caretaker_word_.store(1);
    FutexWake(caretaker_word_);
  }
}

// Asks the caretaker for the token.
void InlineHome::Demand() {
  if (token_.load(std::memory_order_relaxed) != kCaretaker) return;
  if (wanted_.exchange(1) == 0 && leader_sleeps_.load()) parking_.Wake(Parking::kLeaderBerth);
}

bool InlineHome::PollOnce(Instant now) {
  polling_.store(true, std::memory_order_relaxed);
  bool worked = engines_.Poll(now);
  polling_.store(false, std::memory_order_relaxed);
  if (worked) {
    idle_since_ = now;
    nap_ = settings_.nap_min;
  }
  turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return worked;
}

bool InlineHome::TryPoll() {
  if (!TryTake(kProgram)) {
    Demand();
    return false;
  }
  Instant now = clock_.Now();
  bool worked = PollOnce(now);
  if (worked) parking_.WakeListeners();
  Release();
  return worked;
}

void InlineHome::Turn() {
  if (!TryPoll() && token_.load(std::memory_order_relaxed) != kNobody) {
    // Somebody else runs the engines, perhaps on this very core.
    syscall(SYS_sched_yield);
  }
}

void InlineHome::WakeEngine(uint8_t) { parking_.Wake(Parking::kLeaderBerth); }

void InlineHome::Signal(Waiter& waiter) {
  if (!parking_.Signal(waiter)) return;
  woke_turn_.store(turns_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  woke_by_.store(ThisThread(), std::memory_order_relaxed);
}

// Whether this thread has just woken another one, and nobody has run the engines since: that one is
// under way to do so. The caretaker does if it never comes.
bool InlineHome::GivesWay() {
  if (woke_by_.load(std::memory_order_relaxed) != ThisThread()) return false;
  woke_by_.store(nullptr, std::memory_order_relaxed);
  return settings_.caretaker &&
         woke_turn_.load(std::memory_order_relaxed) == turns_.load(std::memory_order_relaxed);
}

WaitOutcome InlineHome::Wait(Waiter& waiter, const WaitRequest& request) {
  return WaitFor(waiter, request, false);
}

WaitOutcome InlineHome::WaitForNews(const WaitRequest& request) {
  Waiter waiter;
  return WaitFor(waiter, request, true);
}

Instant InlineHome::NextDeadline() {
  while (!TryTake(kProgram)) {
    if (seized_.load()) return Instant::Never();
    Demand();
    syscall(SYS_sched_yield);
  }
  Instant deadline = engines_.NextDeadline();
  Release();
  return deadline;
}

bool InlineHome::Seize() {
  if (token_.load() != kNobody && holder_.load() == ThisThread()) {
    // A signal handler on top of this very thread's wait: between two turns all is in order.
    if (polling_.load()) return false;
    seized_.store(true);
    StopCaretaker();
    return true;
  }
  seized_.store(true);
  parking_.Wake(Parking::kLeaderBerth);
  StopCaretaker();
  for (Instant give_up = clock_.Now() + kSeizeWithin; clock_.Now() < give_up;) {
    uint32_t nobody = kNobody;
    if (token_.compare_exchange_strong(nobody, kProgram)) return true;
    syscall(SYS_sched_yield);
  }
  return false;
}

WaitOutcome InlineHome::WaitFor(Waiter& waiter, const WaitRequest& request, bool any_news) {
  if (GivesWay() && !any_news) return *WaitAsGuest(waiter, request, any_news, true);
  Instant spin_until;
  for (;;) {
    if (waiter.signaled.Acquire() == 1) return WaitOutcome::kLook;
    if (TryTake(kProgram)) {
      WaitOutcome outcome = Lead(waiter, request);
      left_with_work_ = outcome == WaitOutcome::kLook || outcome == WaitOutcome::kKernelReady;
      Release();
      return outcome;
    }
    Demand();
    Instant now = clock_.Now();
    if (now >= request.deadline) return WaitOutcome::kDeadline;
    if (spin_until == Instant()) spin_until = now + settings_.guest_spin;
    if (now < spin_until) {
      if (token_.load(std::memory_order_relaxed) == kCaretaker) {
        syscall(SYS_sched_yield);  // it may need this very core to hand the token over
      } else {
        Pause();
      }
      continue;
    }
    if (auto outcome = WaitAsGuest(waiter, request, any_news, false)) return *outcome;
  }
}

// Sleeps until signaled. Nothing: the token came free meanwhile; who gives way leaves it to others.
std::optional<WaitOutcome> InlineHome::WaitAsGuest(Waiter& waiter, const WaitRequest& request,
                                                   bool any_news, bool gives_way) {
  Parking::Stay stay(parking_, waiter, request);
  if (!stay.is_parked()) return WaitOutcome::kLook;
  if (any_news) {
    stay.SetListening();
    if (engines_.notices() != request.notices_seen) return WaitOutcome::kLook;
  }
  // After parking: pairs with Release of a caretaker that then looks for a guest to wake.
  if (token_.load(std::memory_order_relaxed) == kCaretaker) guest_wants_.store(true);
  if (!gives_way && token_.load(std::memory_order_seq_cst) == kNobody) return std::nullopt;
  return stay.Sleep(request, request.deadline);
}

WaitOutcome InlineHome::Lead(Waiter& waiter, const WaitRequest& request) {
  const Duration spin =
      engines_.must_nap() ? std::max(settings_.spin, settings_.spin_before_nap) : settings_.spin;
  Instant now = clock_.Now();
  if (left_with_work_) idle_since_ = now;
  for (;;) {
    bool worked = PollOnce(now);
    if (engines_.notices() != request.notices_seen) {
      parking_.WakeListeners();
      return WaitOutcome::kLook;
    }
    if (waiter.signaled.Acquire() != 0 || seized_.load(std::memory_order_relaxed)) {
      return WaitOutcome::kLook;
    }
    if (now >= request.deadline) return WaitOutcome::kDeadline;
    if (auto ready = LookAtDescriptor(request, now)) return *ready;
    if (!worked) {
      if (now - idle_since_ >= spin) {
        if (auto outcome = Sleep(waiter, request, now)) return *outcome;
      } else if (parking_.guests() != 0) {
        // A program of several threads: one that was just woken may be waiting for this very core.
        syscall(SYS_sched_yield);
      } else {
        Pause();
      }
    }
    now = clock_.Now();
  }
}

std::optional<WaitOutcome> InlineHome::LookAtDescriptor(const WaitRequest& request, Instant now) {
  if (request.kernel_descriptor < 0 || now - last_look_ < settings_.look_at_descriptor) {
    return std::nullopt;
  }
  last_look_ = now;
  pollfd descriptor = DescriptorOf(request);
  if (PollDescriptors({&descriptor, 1}, Duration(), nullptr) != SleepResult::kWoken) {
    return std::nullopt;
  }
  return WaitOutcome::kKernelReady;
}

// The leader's sleep. Nothing: poll again.
std::optional<WaitOutcome> InlineHome::Sleep(Waiter& waiter, const WaitRequest& request,
                                             Instant now) {
  Parking::Stay stay(parking_, waiter);
  if (!stay.is_parked()) return WaitOutcome::kLook;
  leader_sleeps_.store(true);
  // Pairs with Demand: either this sees the wish, or Demand sees that the caretaker sleeps.
  bool is_wanted = token_.load(std::memory_order_relaxed) == kCaretaker && wanted_.load() != 0;
  if (is_wanted || seized_.load() || !engines_.PrepareToSleep()) {
    leader_sleeps_.store(false);
    engines_.WakeUp();
    return std::nullopt;
  }
  std::span<const int> ports = engines_.wake_descriptors();
  descriptors_.resize(2 + ports.size());  // of a capacity that was reserved
  descriptors_[1] = DescriptorOf(request);
  for (size_t i = 0; i < ports.size(); ++i) descriptors_[2 + i] = {ports[i], POLLIN, 0};

  Instant until = std::min(request.deadline, engines_.NextDeadline());
  Duration timeout = until.is_never() ? Duration::Infinite() : until - now;
  if (engines_.must_nap()) {
    timeout = std::min(timeout, nap_);
    nap_ = std::min(nap_ * 2, settings_.nap_max);
  }
  SleepResult result = stay.Sleep(descriptors_, timeout, request.signal_mask);
  leader_sleeps_.store(false);
  engines_.WakeUp();
  if (result == SleepResult::kInterrupted) return WaitOutcome::kInterrupted;
  if (request.kernel_descriptor >= 0 && descriptors_[1].revents != 0) {
    return WaitOutcome::kKernelReady;
  }
  return std::nullopt;
}

}  // namespace sluice::runtime
