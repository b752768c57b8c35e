// What the payloads hold: a fixed sequence of pseudo-random bytes that repeats after a prime number
// of bytes. Each connection begins elsewhere in it, so bytes that are lost, doubled, swapped or
// another connection's differ from what is expected.
//
// Sending needs no copy and checking is one memcmp: any part up to kContiguous bytes lies in one
// piece.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace sluice::perf {

class Pattern {
 public:
  static constexpr uint64_t kPeriod = 65521;
  static constexpr size_t kContiguous = 65536;

  Pattern() : bytes_(kPeriod + kContiguous) {
    uint64_t state = 0x9E3779B97F4A7C15;
    for (size_t i = 0; i < bytes_.size(); ++i) {
      state = state * 6364136223846793005 + 1442695040888963407;
      bytes_[i] = i < kPeriod ? static_cast<char>(state >> 56) : bytes_[i - kPeriod];
    }
  }

  // The bytes from `offset` on in the stream of connection `id`; kContiguous of them.
  const char* At(uint64_t id, uint64_t offset) const {
    return bytes_.data() + (id * 7919 + offset) % kPeriod;
  }

  // Whether `count` bytes, received from `offset` on, are those of connection `id`.
  bool Matches(const char* bytes, size_t count, uint64_t id, uint64_t offset) const {
    while (count > 0) {
      const size_t piece = std::min(count, kContiguous);
      if (memcmp(bytes, At(id, offset), piece) != 0) return false;
      bytes += piece;
      offset += piece;
      count -= piece;
    }
    return true;
  }

 private:
  std::vector<char> bytes_;
};

inline const Pattern& ThePattern() {
  static const Pattern pattern;
  return pattern;
}

}  // namespace sluice::perf
