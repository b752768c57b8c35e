// A hierarchical timing wheel for hundreds of thousands of timers.
//
// Nine levels of 64 buckets; a bucket of level 0 is one tick of 16.4 us, one of level n is 64 of
// level n-1, so every instant has a place and nothing overflows. A timer lies at the level of the
// highest bits in which its tick differs from the wheel's, and falls towards level 0 as its time
// comes near. Lists of level 0 are sorted: timers fire in the order of their deadlines to the
// nanosecond, equal ones in the order they were scheduled, and never early.
//
// Timers are embedded in what they belong to; the wheel allocates nothing. A timer must be
// cancelled before it dies, and must not move while scheduled. One thread.
//
//   struct Connection { Timer retransmit{kRetransmit}; };
//   wheel.Schedule(connection.retransmit, now + rto);
//   wheel.Advance(now, 64, [&](Timer& timer) {
//     Connection& c = OwnerOf<&Connection::retransmit>(timer);
//   });
//
// The clock may start anywhere, stand still, jump ahead or run backwards: a timer fires in the
// first Advance whose `now` has reached its deadline.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace sluice {

class TimerWheel;

// A list link; what a bucket's head has in common with a timer.
struct TimerLink {
  TimerLink* next = nullptr;
  TimerLink* previous = nullptr;
};

class Timer : private TimerLink {
 public:
  // `tag` is the owner's: it says in a callback which of its timers this is.
  explicit Timer(uint32_t tag = 0) : tag_(tag) {}
  ~Timer() { assert(!is_scheduled()); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool is_scheduled() const { return next != nullptr; }
  // Never() unless scheduled.
  Instant deadline() const { return deadline_; }
  uint32_t tag() const { return tag_; }

 private:
  friend class TimerWheel;

  Instant deadline_ = Instant::Never();
  uint32_t tag_;
  uint16_t bucket_ = 0;
};
static_assert(sizeof(Timer) <= 40);

class TimerWheel {
 public:
  explicit TimerWheel(Instant start = Instant());
  ~TimerWheel() { assert(size_ == 0); }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Sets the timer's deadline, whether it was scheduled or not; Never() cancels it. Moving a
  // deadline to a later time leaves the timer in its bucket until that comes up: two stores.
  void Schedule(Timer& timer, Instant deadline);

  // No effect on a timer that is not scheduled.
  void Cancel(Timer& timer);

  // The earliest deadline, exactly; Never() if there is none. Remembered between calls; finding it
  // anew costs a walk through the first bucket, so ask before sleeping rather than once a packet.
  Instant NextDeadline();

  // False: no timer is due. For every turn of a loop: where the earliest timer is cancelled all the
  // time, it looks for the next no more often than one would have been due.
  bool MayBeDue(Instant now) const { return bound_ <= now && size_ != 0; }

  // Fires timers whose deadline is at or before `now`, earliest first, at most `budget`; returns
  // how many. Each is no longer scheduled when `fire(Timer&)` is called, which may schedule and
  // cancel any timer, this one included, and may destroy the owner. Besides, at most 16 * budget
  // timers are moved between levels. Where either bound left due timers behind, NextDeadline() <=
  // now still holds and the next call goes on with them.
  template <typename Fire>
  unsigned Advance(Instant now, unsigned budget, Fire&& fire) {
    if (size_ == 0) {
      SkipTo(now);
      return 0;
    }
    uint64_t moves = uint64_t{budget} * 16;
    unsigned fired = 0;
    while (fired < budget) {
      Timer* timer = PopDue(now, moves);
      if (timer == nullptr) break;
      ++fired;
      fire(*timer);
    }
    if (fired < budget && moves != 0) bound_ = EarliestPossible();
    return fired;
  }

  size_t size() const { return size_; }

 private:
  static constexpr int kTickShift = 14;  // 2^14 ns
  static constexpr int kLevelBits = 6;
  static constexpr int kSlots = 1 << kLevelBits;
  static constexpr int kLevels = (64 - kTickShift + kLevelBits - 1) / kLevelBits;

  static uint64_t TickOf(Instant t);
  static Timer& TimerOf(TimerLink* link) { return *static_cast<Timer*>(link); }

  // NextDeadline, or the start of the bucket that it lies in: where thousands of timers wait far
  // off, a walk through their bucket for every turn would be dear.
  Instant EarliestPossible() const;
  // First tick of bucket `slot` of `level`, seen from the wheel's present tick.
  uint64_t StartOf(int level, int slot) const;
  // The earliest occupied bucket. False if the wheel is empty.
  bool FirstBucket(int& level, int& slot) const;

  void Link(Timer& timer);
  void Unlink(Timer& timer);
  Timer* PopDue(Instant now, uint64_t& moves);
  // Spreads the bucket that the wheel has just come to over the lower levels. False if `moves` ran
  // out.
  bool Cascade(uint64_t& moves);
  // The earliest deadline in a bucket above level 0; timers that were moved to a time after the
  // bucket go where they now belong. Never() if that leaves none.
  Instant SettleBucket(int level, int slot);
  void SkipTo(Instant now);
  void Forget(Instant deadline) {
    if (deadline <= next_) next_known_ = false;
  }

  uint64_t tick_;          // never goes back, and passes no timer
  int cascade_level_ = 0;  // level whose present bucket is being spread; 0 if none
  bool next_known_ = true;
  Instant next_ = Instant::Never();   // valid if next_known_
  Instant bound_ = Instant::Never();  // no timer is due before it
  size_t size_ = 0;
  uint32_t occupied_levels_ = 0;
  uint64_t occupied_[kLevels] = {};
  TimerLink buckets_[kLevels * kSlots];
};

namespace internal {
template <typename Member>
struct MemberPointer;
template <typename Owner_, typename Member>
struct MemberPointer<Member Owner_::*> {
  using Owner = Owner_;
};
}  // namespace internal

// The object whose member `Member` the timer is.
template <auto Member>
auto& OwnerOf(Timer& timer) {
  using Owner = typename internal::MemberPointer<decltype(Member)>::Owner;
  constexpr uintptr_t kSomewhere = 1 << 20;
  const uintptr_t offset =
      reinterpret_cast<uintptr_t>(&(reinterpret_cast<Owner*>(kSomewhere)->*Member)) - kSomewhere;
  return *reinterpret_cast<Owner*>(reinterpret_cast<uintptr_t>(&timer) - offset);
}

}  // namespace sluice
