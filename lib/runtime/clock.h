// The time that engines and waiting threads go by.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>

#include "base/time.h"

namespace sluice::runtime {

class Clock {
 public:
  virtual ~Clock() = default;
  // Any thread. Never goes back, as seen from one thread.
  virtual Instant Now() = 0;
};

// CLOCK_MONOTONIC, which the C library reads without entering the kernel. Its instants are those
// that futexes take as absolute deadlines.
class SystemClock final : public Clock {
 public:
  Instant Now() override {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return Instant::FromNanoseconds(int64_t{t.tv_sec} * 1000000000 + t.tv_nsec);
  }
};

// The time that a program sets, or that a function of the program's tells. A function that goes
// back is held at the latest time it told.
class ProgramClock final : public Clock {
 public:
  using Function = uint64_t (*)(void* context);  // nanoseconds

  explicit ProgramClock(Function function = nullptr, void* context = nullptr)
      : function_(function), context_(context) {}

  Instant Now() override {
    if (function_ != nullptr) Raise(static_cast<int64_t>(function_(context_)));
    return Instant::FromNanoseconds(now_ns_.load(std::memory_order_acquire));
  }
  // False: there is a function, or the time would go back.
  bool AdvanceTo(Instant now) { return function_ == nullptr && Raise(now.nanoseconds()); }

 private:
  bool Raise(int64_t ns) {
    int64_t old = now_ns_.load(std::memory_order_relaxed);
    while (old < ns) {
      // Release: what the program did before it set the time is seen by who reads the time.
      if (now_ns_.compare_exchange_weak(old, ns, std::memory_order_release)) return true;
    }
    return old == ns;
  }

  Function function_;
  void* context_;
  std::atomic<int64_t> now_ns_{0};
};

}  // namespace sluice::runtime
