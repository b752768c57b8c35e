// Sequence numbers modulo 2^32 (RFC 9293 section 3.4): comparison is by signed distance, so it is
// meaningful only between numbers less than 2^31 apart, as all numbers of one window are.
#pragma once

#include <cstdint>

namespace sluice {

class Sequence {
 public:
  constexpr Sequence() = default;
  explicit constexpr Sequence(uint32_t value) : value_(value) {}

  constexpr uint32_t value() const { return value_; }

  constexpr Sequence& operator+=(uint32_t n) { return *this = *this + n; }
  constexpr Sequence& operator-=(uint32_t n) { return *this = *this - n; }
  friend constexpr Sequence operator+(Sequence s, uint32_t n) { return Sequence(s.value_ + n); }
  friend constexpr Sequence operator-(Sequence s, uint32_t n) { return Sequence(s.value_ - n); }
  // Signed distance from b to a.
  friend constexpr int32_t operator-(Sequence a, Sequence b) {
    return static_cast<int32_t>(a.value_ - b.value_);
  }
  friend constexpr bool operator==(Sequence, Sequence) = default;
  friend constexpr bool operator<(Sequence a, Sequence b) { return a - b < 0; }
  friend constexpr bool operator>(Sequence a, Sequence b) { return a - b > 0; }
  friend constexpr bool operator<=(Sequence a, Sequence b) { return a - b <= 0; }
  friend constexpr bool operator>=(Sequence a, Sequence b) { return a - b >= 0; }

 private:
  uint32_t value_ = 0;
};

constexpr Sequence Max(Sequence a, Sequence b) { return a < b ? b : a; }
constexpr Sequence Min(Sequence a, Sequence b) { return a < b ? a : b; }

}  // namespace sluice
