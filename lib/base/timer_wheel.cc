#include "base/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace sluice {

TimerWheel::TimerWheel(Instant start) : tick_(TickOf(start)) {
  for (TimerLink& head : buckets_) head.next = head.previous = &head;
}

// Ticks are unsigned; flipping the sign bit keeps the order of instants before the epoch.
uint64_t TimerWheel::TickOf(Instant t) {
  return (static_cast<uint64_t>(t.nanoseconds()) ^ (uint64_t{1} << 63)) >> kTickShift;
}

uint64_t TimerWheel::StartOf(int level, int slot) const {
  const int shift = level * kLevelBits;
  return (tick_ >> (shift + kLevelBits) << (shift + kLevelBits)) | static_cast<uint64_t>(slot)
                                                                       << shift;
}

// All timers of one level share the wheel's higher bits, and lie behind those of the level below;
// so the lowest level and its lowest bucket come first.
bool TimerWheel::FirstBucket(int& level, int& slot) const {
  if (occupied_levels_ == 0) return false;
  level = std::countr_zero(occupied_levels_);
  slot = std::countr_zero(occupied_[level]);
  return true;
}

void TimerWheel::Link(Timer& timer) {
  // What is overdue waits in the present bucket, in front.
  const uint64_t tick = std::max(TickOf(timer.deadline_), tick_);
  const uint64_t difference = tick ^ tick_;
  const int level = difference == 0 ? 0 : (std::bit_width(difference) - 1) / kLevelBits;
  const int slot = static_cast<int>((tick >> (level * kLevelBits)) & (kSlots - 1));

  TimerLink* head = &buckets_[level * kSlots + slot];
  TimerLink* after = head->previous;
  if (level == 0) {
    while (after != head && TimerOf(after).deadline_ > timer.deadline_) after = after->previous;
  }
  timer.previous = after;
  timer.next = after->next;
  after->next->previous = &timer;
  after->next = &timer;
  timer.bucket_ = static_cast<uint16_t>(level * kSlots + slot);
  occupied_[level] |= uint64_t{1} << slot;
  occupied_levels_ |= 1u << level;
}

void TimerWheel::Unlink(Timer& timer) {
  timer.previous->next = timer.next;
  timer.next->previous = timer.previous;
  timer.next = timer.previous = nullptr;
  const TimerLink* head = &buckets_[timer.bucket_];
  if (head->next != head) return;
  const int level = timer.bucket_ / kSlots;
  occupied_[level] &= ~(uint64_t{1} << (timer.bucket_ % kSlots));
  if (occupied_[level] == 0) occupied_levels_ &= ~(1u << level);
}

void TimerWheel::Schedule(Timer& timer, Instant deadline) {
  if (deadline.is_never()) return Cancel(timer);
  if (timer.is_scheduled()) {
    const Instant before = timer.deadline_;
    Forget(before);
    // Level 0 is kept sorted, so only a timer above it can stay where it is.
    if (deadline >= before && timer.bucket_ >= kSlots) {
      timer.deadline_ = deadline;
      return;
    }
    Unlink(timer);
  } else {
    ++size_;
  }
  timer.deadline_ = deadline;
  bound_ = std::min(bound_, deadline);
  if (next_known_) next_ = std::min(next_, deadline);
  Link(timer);
}

void TimerWheel::Cancel(Timer& timer) {
  if (!timer.is_scheduled()) return;
  Forget(timer.deadline_);
  Unlink(timer);
  timer.deadline_ = Instant::Never();
  --size_;
}

void TimerWheel::SkipTo(Instant now) { tick_ = std::max(tick_, TickOf(now)); }

bool TimerWheel::Cascade(uint64_t& moves) {
  if (cascade_level_ == 0) return true;
  const int slot = static_cast<int>((tick_ >> (cascade_level_ * kLevelBits)) & (kSlots - 1));
  TimerLink* head = &buckets_[cascade_level_ * kSlots + slot];
  while (head->next != head) {
    if (moves == 0) return false;
    --moves;
    Timer& timer = TimerOf(head->next);
    Unlink(timer);
    Link(timer);
  }
  cascade_level_ = 0;
  return true;
}

Timer* TimerWheel::PopDue(Instant now, uint64_t& moves) {
  if (next_known_ && now < next_) return nullptr;
  int level, slot;
  while (Cascade(moves) && FirstBucket(level, slot)) {
    if (level == 0) {
      Timer& timer = TimerOf(buckets_[slot].next);
      if (timer.deadline_ > now) {
        SkipTo(std::min(now, timer.deadline_));
        return nullptr;
      }
      tick_ = std::max(tick_, StartOf(0, slot));
      Cancel(timer);
      return &timer;
    }
    const uint64_t start = StartOf(level, slot);
    if (start > TickOf(now)) {
      SkipTo(now);
      return nullptr;
    }
    tick_ = start;
    cascade_level_ = level;
  }
  if (size_ == 0) SkipTo(now);
  return nullptr;
}

Instant TimerWheel::SettleBucket(int level, int slot) {
  const int shift = level * kLevelBits;
  const uint64_t end = StartOf(level, slot) + (uint64_t{1} << shift);
  TimerLink* head = &buckets_[level * kSlots + slot];
  Instant earliest = Instant::Never();
  for (TimerLink* link = head->next; link != head;) {
    Timer& timer = TimerOf(link);
    link = link->next;
    if (TickOf(timer.deadline_) < end) {
      earliest = std::min(earliest, timer.deadline_);
    } else {
      Unlink(timer);
      Link(timer);
    }
  }
  return earliest;
}

Instant TimerWheel::EarliestPossible() const {
  if (next_known_) return next_;
  if (cascade_level_ != 0) return bound_;
  int level, slot;
  if (!FirstBucket(level, slot)) return Instant::Never();
  if (level == 0) return TimerOf(buckets_[slot].next).deadline_;
  const uint64_t start = StartOf(level, slot) << kTickShift;
  return Instant::FromNanoseconds(static_cast<int64_t>(start ^ (uint64_t{1} << 63)));
}

Instant TimerWheel::NextDeadline() {
  if (next_known_) return next_;
  uint64_t no_limit = UINT64_MAX;
  Cascade(no_limit);
  next_ = Instant::Never();
  int level, slot;
  // Each round either finds a deadline or empties a bucket into later ones.
  while (next_.is_never() && FirstBucket(level, slot)) {
    next_ = level == 0 ? TimerOf(buckets_[slot].next).deadline_ : SettleBucket(level, slot);
  }
  next_known_ = true;
  return next_;
}

}  // namespace sluice
