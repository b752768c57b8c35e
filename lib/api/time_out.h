// The forms in which callers give time-outs, as deadlines.
#pragma once

#include <sys/time.h>
#include <time.h>

#include <algorithm>
#include <cstdint>

#include "api/state.h"
#include "base/time.h"

namespace sluice::api {

inline constexpr int64_t kNsPerSecond = 1'000'000'000;

inline bool IsValid(const timespec* t) {
  return t == nullptr || (t->tv_sec >= 0 && t->tv_nsec >= 0 && t->tv_nsec < kNsPerSecond);
}

// How long a caller wants to wait at most. Reads the clock only if that is neither 0 nor for ever.
struct TimeOut {
  int64_t ns = -1;  // -1: for ever

  static TimeOut FromMilliseconds(int ms) { return {ms < 0 ? -1 : int64_t{ms} * 1'000'000}; }
  static TimeOut From(const timespec* t) {
    if (t == nullptr) return {-1};
    constexpr int64_t kMaxSeconds = int64_t{1} << 32;
    return {std::min<int64_t>(t->tv_sec, kMaxSeconds) * kNsPerSecond + t->tv_nsec};
  }
  bool is_zero() const { return ns == 0; }
  Instant Deadline() const {
    return ns < 0 ? Instant::Never() : state.home->Now() + Nanoseconds(ns);
  }
};

}  // namespace sluice::api
