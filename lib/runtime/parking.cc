#include "runtime/parking.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <bit>

#include "runtime/clock.h"
#include "runtime/internal_descriptors.h"

namespace sluice::runtime {

using api::WaitOutcome;
using api::WaitRequest;

namespace {

// Numbers that a program's select() and its tables of small descriptors are unlikely to want.
constexpr int kLowestDescriptor = 512;
constexpr Duration kNapWithoutDescriptor = Milliseconds(1);

int MakeEventDescriptor() {
  int low = static_cast<int>(syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (low < 0) return -1;
  int high = static_cast<int>(syscall(SYS_fcntl, low, F_DUPFD_CLOEXEC, kLowestDescriptor));
  if (high >= 0) syscall(SYS_close, low);  // else the limit of descriptors is below that
  int made = high >= 0 ? high : low;
  MarkInternal(made, true);
  return made;
}

// Whether a futex is not enough: only ppoll takes descriptors and masks.
bool NeedsPoll(const WaitRequest& request) {
  return request.kernel_descriptor >= 0 || request.signal_mask != nullptr;
}

}  // namespace

Parking::Parking(uint32_t berths) : count_(berths), berths_(new Berth[berths]) {
  taken_[0].store(1);  // the leader's, which is never handed out
  EnsureDescriptor(berths_[kLeaderBerth]);
}

Parking::~Parking() {
  for (uint32_t i = 0; i < count_; ++i) {
    int descriptor = berths_[i].descriptor.load();
    if (descriptor < 0) continue;
    MarkInternal(descriptor, false);
    syscall(SYS_close, descriptor);
  }
}

bool Parking::EnsureDescriptor(Berth& berth) {
  if (berth.descriptor.load() >= 0) return true;
  int made = MakeEventDescriptor();
  berth.descriptor.store(made);  // the berth is this thread's: no second maker
  return made >= 0;
}

uint32_t Parking::Take() {
  for (size_t i = 0; i < taken_.size(); ++i) {
    uint64_t old = taken_[i].load(std::memory_order_relaxed);
    while (~old != 0) {
      uint64_t bit = uint64_t{1} << std::countr_one(old);
      if (i * 64 + std::countr_zero(bit) >= count_) return kNoBerth;
      if (taken_[i].compare_exchange_weak(old, old | bit)) {
        return static_cast<uint32_t>(i * 64 + std::countr_zero(bit));
      }
    }
  }
  return kNoBerth;
}

void Parking::Return(uint32_t berth) { taken_[berth / 64].fetch_and(~(uint64_t{1} << berth % 64)); }

bool Parking::Signal(api::Waiter& waiter) {
  uint32_t old = waiter.signaled.Exchange(1);
  if (old < kNoted || old - kNoted >= count_) return false;
  return Wake(old - kNoted) && old - kNoted != kLeaderBerth;
}

bool Parking::Wake(uint32_t index) {
  Berth& berth = berths_[index];
  if (berth.word.exchange(1) != 0) return false;
  if (!berth.rings.load()) {
    FutexWake(berth.word);
    return true;
  }
  uint64_t one = 1;
  // Full would mean that it is readable already.
  [[maybe_unused]] long written = syscall(SYS_write, berth.descriptor.load(), &one, sizeof one);
  return true;
}

template <typename Visitor>
void Parking::ForEachGuest(Visitor&& visit) const {
  for (size_t i = 0; i < taken_.size(); ++i) {
    uint64_t bits = taken_[i].load(std::memory_order_seq_cst);
    if (i == 0) bits &= ~uint64_t{1};
    for (; bits != 0; bits &= bits - 1) {
      if (!visit(static_cast<uint32_t>(i * 64 + std::countr_zero(bits)))) return;
    }
  }
}

bool Parking::WakeOne() {
  if (guests() == 0) return false;
  bool woken = false;
  ForEachGuest([&](uint32_t berth) {
    if (berths_[berth].word.load() != 0) return true;
    Wake(berth);
    woken = true;
    return false;
  });
  return woken;
}

void Parking::WakeExpired(Instant now) {
  if (guests() == 0) return;
  ForEachGuest([&](uint32_t berth) {
    if (berths_[berth].deadline_ns.load() <= now.nanoseconds()) Wake(berth);
    return true;
  });
}

void Parking::WakeListeners() {
  if (listeners_.load(std::memory_order_seq_cst) == 0) return;
  ForEachGuest([&](uint32_t berth) {
    if (berths_[berth].listens.load()) Wake(berth);
    return true;
  });
}

Instant Parking::EarliestDeadline() const {
  int64_t earliest = Instant::Never().nanoseconds();
  if (guests() == 0) return Instant::Never();
  ForEachGuest([&](uint32_t berth) {
    earliest = std::min(earliest, berths_[berth].deadline_ns.load());
    return true;
  });
  return Instant::FromNanoseconds(earliest);
}

Parking::Stay::Stay(Parking& parking, api::Waiter& waiter, const api::WaitRequest& request)
    : parking_(parking), waiter_(waiter), berth_(parking.Take()) {
  if (berth_ == kNoBerth) return;
  parking_.guests_.fetch_add(1);
  Park(NeedsPoll(request));
}

Parking::Stay::Stay(Parking& parking, api::Waiter& waiter)
    : parking_(parking), waiter_(waiter), berth_(kLeaderBerth) {
  Park(true);
}

void Parking::Stay::Park(bool with_descriptor) {
  Berth& berth = parking_.berths_[berth_];
  berth.deadline_ns.store(Instant::Never().nanoseconds());
  berth.rings.store(with_descriptor && parking_.EnsureDescriptor(berth));
  berth.word.store(0);
  uint32_t awake = 0;
  parked_ = waiter_.signaled.CompareExchange(awake, kNoted + berth_);
}

Parking::Stay::~Stay() {
  if (parked_) {
    uint32_t noted = kNoted + berth_;
    waiter_.signaled.CompareExchange(noted, 0);  // fails if it is signaled: let it stay so
  }
  if (berth_ == kNoBerth) return;
  Berth& berth = parking_.berths_[berth_];
  if (berth.listens.exchange(false)) parking_.listeners_.fetch_sub(1);
  berth.word.store(1);  // nobody sleeps here: late wakes need not ring
  if (berth_ == kLeaderBerth) return;
  parking_.Return(berth_);
  parking_.guests_.fetch_sub(1);
}

void Parking::Stay::SetDeadline(Instant deadline) {
  parking_.berths_[berth_].deadline_ns.store(deadline.nanoseconds());
}

WaitOutcome Parking::Stay::Sleep(const WaitRequest& request, Instant deadline) {
  SleepResult result = SleepResult::kWoken;
  if (NeedsPoll(request)) {
    pollfd descriptors[2] = {{}, DescriptorOf(request)};
    Duration timeout = deadline.is_never() ? Duration::Infinite() : deadline - SystemClock().Now();
    result = Sleep(descriptors, timeout, request.signal_mask);
    if (descriptors[1].revents != 0) return WaitOutcome::kKernelReady;
  } else {
    Berth& berth = parking_.berths_[berth_];
    while (berth.word.load() == 0 && result == SleepResult::kWoken) {
      result = FutexWait(berth.word, 0, deadline);
    }
  }
  if (result == SleepResult::kInterrupted) return WaitOutcome::kInterrupted;
  return result == SleepResult::kTimedOut && SystemClock().Now() >= deadline
             ? WaitOutcome::kDeadline
             : WaitOutcome::kLook;
}

void Parking::Stay::SetListening() {
  parking_.berths_[berth_].listens.store(true);
  parking_.listeners_.fetch_add(1);
}

SleepResult Parking::Stay::Sleep(std::span<pollfd> descriptors, Duration timeout,
                                 const sigset_t* mask) {
  Berth& berth = parking_.berths_[berth_];
  descriptors[0] = {.fd = berth.descriptor.load(), .events = POLLIN, .revents = 0};
  // Without a descriptor of its own (the process has no number left) nobody can ring: nap instead.
  if (descriptors[0].fd < 0) timeout = std::min(timeout, kNapWithoutDescriptor);
  if (berth.word.load() != 0) timeout = Duration();  // woken before: still look at the others
  SleepResult result = PollDescriptors(descriptors, timeout, mask);
  if ((descriptors[0].revents & POLLIN) != 0) {
    uint64_t count;
    [[maybe_unused]] long drained = syscall(SYS_read, descriptors[0].fd, &count, sizeof count);
  }
  return berth.word.load() != 0 && result == SleepResult::kTimedOut ? SleepResult::kWoken : result;
}

}  // namespace sluice::runtime
