// Deterministic random numbers: xoshiro256++ (Blackman and Vigna), seeded through SplitMix64.
//
// The same seed gives the same numbers for ever, so that a failing test prints one number and can
// be replayed. Not for secrets: keys of the stack come from the embedder, see siphash.h. One
// thread.
//
//   Random random(seed);
//   if (random.Chance(1, 100)) DropPacket();
#pragma once

#include <cstdint>

#include "base/time.h"

namespace sluice {

class Random {
 public:
  explicit constexpr Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }

  constexpr uint64_t Next64() {
    const uint64_t result = Rotate(state_[0] + state_[3], 23) + state_[0];
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }
  constexpr uint32_t Next32() { return static_cast<uint32_t>(Next64() >> 32); }

  // Uniform in [0, n), without bias (Lemire's multiplication); 0 where n is 0.
  constexpr uint64_t Below(uint64_t n) {
    if (n == 0) return 0;
    Wide product = Wide(Next64()) * n;
    if (static_cast<uint64_t>(product) < n) {
      const uint64_t threshold = -n % n;
      // Each round ends with a probability above one half.
      while (static_cast<uint64_t>(product) < threshold) product = Wide(Next64()) * n;
    }
    return static_cast<uint64_t>(product >> 64);
  }

  // True in `numerator` of `denominator` cases.
  constexpr bool Chance(uint64_t numerator, uint64_t denominator) {
    return Below(denominator) < numerator;
  }

  // Uniform in [low, high], both included; low where high < low.
  constexpr Duration UniformDuration(Duration low, Duration high) {
    if (high <= low) return low;
    const auto span =
        static_cast<uint64_t>(high.nanoseconds()) - static_cast<uint64_t>(low.nanoseconds());
    const uint64_t offset = span == UINT64_MAX ? Next64() : Below(span + 1);
    return Duration::FromNanoseconds(
        static_cast<int64_t>(static_cast<uint64_t>(low.nanoseconds()) + offset));
  }

 private:
  __extension__ using Wide = unsigned __int128;
  static constexpr uint64_t Rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  uint64_t state_[4] = {};
};

}  // namespace sluice
