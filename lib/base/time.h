// Instants and durations as types.
//
// The protocol core never reads a clock: the engine reads it once a loop and passes an `Instant`
// down. Both types are 64-bit counts of nanoseconds; an Instant counts from an epoch that whoever
// drives the engine chooses (boot for a real engine, zero for a simulation).
//
//   Instant deadline = now + Milliseconds(200);
//   if (now >= deadline) ...
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace sluice {

class Duration {
 public:
  constexpr Duration() = default;
  static constexpr Duration FromNanoseconds(int64_t ns) { return Duration(ns); }
  static constexpr Duration Infinite() { return Duration(std::numeric_limits<int64_t>::max()); }

  constexpr int64_t nanoseconds() const { return ns_; }
  constexpr int64_t microseconds() const { return ns_ / 1000; }
  constexpr int64_t milliseconds() const { return ns_ / 1000000; }
  constexpr double seconds() const { return static_cast<double>(ns_) / 1e9; }
  constexpr bool is_infinite() const { return *this == Infinite(); }

  constexpr Duration& operator+=(Duration other) { return *this = *this + other; }
  constexpr Duration& operator-=(Duration other) { return *this = *this - other; }
  friend constexpr Duration operator+(Duration a, Duration b) {
    return a.is_infinite() || b.is_infinite() ? Infinite() : Duration(a.ns_ + b.ns_);
  }
  friend constexpr Duration operator-(Duration a, Duration b) {
    return a.is_infinite() ? Infinite() : Duration(a.ns_ - b.ns_);
  }
  friend constexpr Duration operator*(Duration a, int64_t k) { return Duration(a.ns_ * k); }
  friend constexpr Duration operator/(Duration a, int64_t k) { return Duration(a.ns_ / k); }
  friend constexpr int64_t operator/(Duration a, Duration b) { return a.ns_ / b.ns_; }
  friend constexpr auto operator<=>(Duration, Duration) = default;

 private:
  explicit constexpr Duration(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

constexpr Duration Nanoseconds(int64_t n) { return Duration::FromNanoseconds(n); }
constexpr Duration Microseconds(int64_t n) { return Duration::FromNanoseconds(n * 1000); }
constexpr Duration Milliseconds(int64_t n) { return Duration::FromNanoseconds(n * 1000000); }
constexpr Duration Seconds(int64_t n) { return Duration::FromNanoseconds(n * 1000000000); }

class Instant {
 public:
  constexpr Instant() = default;
  static constexpr Instant FromNanoseconds(int64_t ns) { return Instant(ns); }
  // Later than every instant that can be reached: the deadline of what has none.
  static constexpr Instant Never() { return Instant(std::numeric_limits<int64_t>::max()); }

  constexpr int64_t nanoseconds() const { return ns_; }
  constexpr int64_t microseconds() const { return ns_ / 1000; }
  constexpr int64_t milliseconds() const { return ns_ / 1000000; }
  constexpr bool is_never() const { return *this == Never(); }

  constexpr Instant& operator+=(Duration d) { return *this = *this + d; }
  friend constexpr Instant operator+(Instant t, Duration d) {
    return t.is_never() || d.is_infinite() ? Never() : Instant(t.ns_ + d.nanoseconds());
  }
  friend constexpr Instant operator-(Instant t, Duration d) {
    return t.is_never() ? Never() : Instant(t.ns_ - d.nanoseconds());
  }
  friend constexpr Duration operator-(Instant a, Instant b) {
    return a.is_never() ? Duration::Infinite() : Duration::FromNanoseconds(a.ns_ - b.ns_);
  }
  friend constexpr auto operator<=>(Instant, Instant) = default;

 private:
  explicit constexpr Instant(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

}  // namespace sluice
