// SipHash-2-4 (Aumasson and Bernstein): a keyed 64-bit hash that a peer who does not know the key
// can neither predict nor collide. It makes initial sequence numbers (RFC 6528), ephemeral ports
// (RFC 6056), SYN cookies and flow-table hashes out of one secret key.
//
//   SipKey key = ...;  // 128 random bits, from the embedder, once
//   uint64_t h = SipHash(key, bytes);
//   uint64_t h = SipHashOf(key, local, remote);  // values without padding
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace sluice {

struct SipKey {
  uint64_t k0 = 0;
  uint64_t k1 = 0;
  friend constexpr bool operator==(const SipKey&, const SipKey&) = default;
};

inline uint64_t SipHash(const SipKey& key, std::span<const uint8_t> bytes) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t v0 = key.k0 ^ 0x736f6d6570736575;
  uint64_t v1 = key.k1 ^ 0x646f72616e646f6d;
  uint64_t v2 = key.k0 ^ 0x6c7967656e657261;
  uint64_t v3 = key.k1 ^ 0x7465646279746573;
  auto round = [&] {
    v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
    v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
    v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
  };
  auto absorb = [&](uint64_t word) {
    v3 ^= word;
    round(), round();
    v0 ^= word;
  };

  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    absorb(word);
  }
  uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
  for (size_t shift = 0; i < bytes.size(); ++i, shift += 8) last |= uint64_t{bytes[i]} << shift;
  absorb(last);
  v2 ^= 0xff;
  round(), round(), round(), round();
  return v0 ^ v1 ^ v2 ^ v3;
}

// Hash of values laid side by side. Values with padding do not compile: their hash would be chance.
template <typename... Values>
uint64_t SipHashOf(const SipKey& key, const Values&... values) {
  static_assert((std::has_unique_object_representations_v<Values> && ...));
  uint8_t bytes[(sizeof(Values) + ... + 0)];
  size_t at = 0;
  ((std::memcpy(bytes + at, &values, sizeof(Values)), at += sizeof(Values)), ...);
  return SipHash(key, bytes);
}

}  // namespace sluice
