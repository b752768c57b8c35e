// Numbers in network order at any alignment.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

namespace sluice::wire {

using ConstBytes = std::span<const uint8_t>;
using Bytes = std::span<uint8_t>;

static_assert(std::endian::native == std::endian::little);

inline uint16_t Load16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof(v));
  return __builtin_bswap16(v);
}
inline uint32_t Load32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof(v));
  return __builtin_bswap32(v);
}
inline void Store16(uint8_t* p, uint16_t v) {
  v = __builtin_bswap16(v);
  std::memcpy(p, &v, sizeof(v));
}
inline void Store32(uint8_t* p, uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(p, &v, sizeof(v));
}

}  // namespace sluice::wire
