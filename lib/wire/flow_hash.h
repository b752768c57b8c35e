// Which engine owns a flow: a pure function of its addresses and ports, which engines, applications
// and network cards compute alike.
//
// It is receive-side scaling: a Toeplitz hash selects a bucket, and a table says whose bucket that
// is. The key repeats two bytes, which makes the hash symmetric (both directions of a flow, and
// both ends of a flow inside one host, have one owner) and cheap: a key of that period turns the
// hash into a function of the exclusive-or of the 16-bit words of addresses and ports (Woo and
// Park, "Scalable TCP Session Monitoring with Symmetric Receive-side Scaling").
//
//   FlowOwners owners(4);
//   uint8_t engine = owners.Of(FlowHash(FoldAddresses(a, b), a_port, b_port));
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "wire/address.h"

namespace sluice::wire {

// What a network card is to be given, cut to the length that it takes.
inline constexpr size_t kFlowHashKeyBytes = 64;
inline constexpr std::array<uint8_t, kFlowHashKeyBytes> kFlowHashKey = [] {
  std::array<uint8_t, kFlowHashKeyBytes> key{};
  for (size_t i = 0; i < key.size(); ++i) key[i] = i % 2 == 0 ? 0x6d : 0x5a;
  return key;
}();

namespace internal {

// What each byte of a folded word adds to the hash: the key from each of its set bits on.
using FlowHashTable = std::array<std::array<uint16_t, 256>, 2>;
inline constexpr FlowHashTable kFlowHashTable = [] {
  constexpr uint32_t kPeriod = 0x6d5a6d5a;
  FlowHashTable table{};
  for (int place = 0; place < 2; ++place) {
    for (int byte = 0; byte < 256; ++byte) {
      uint16_t sum = 0;
      for (int bit = 0; bit < 8; ++bit) {
        if ((byte & (0x80 >> bit)) == 0) continue;
        sum ^= static_cast<uint16_t>(kPeriod >> (16 - (place * 8 + bit)));
      }
      table[place][byte] = sum;
    }
  }
  return table;
}();

}  // namespace internal

// The exclusive-or of the 16-bit words of network-order bytes, `count` of them, which is even.
inline uint16_t FoldWords(const uint8_t* bytes, size_t count) {
  uint8_t high = 0, low = 0;
  for (size_t i = 0; i < count; i += 2) {
    high ^= bytes[i];
    low ^= bytes[i + 1];
  }
  return static_cast<uint16_t>(high << 8 | low);
}

// Of an IPv4 address its four bytes count, as they stand in the packet.
inline uint16_t FoldAddress(const IpAddress& address) {
  return address.is_v4() ? FoldWords(address.v4_bytes(), 4)
                         : FoldWords(address.bytes().data(), address.bytes().size());
}
inline uint16_t FoldAddresses(const IpAddress& a, const IpAddress& b) {
  return FoldAddress(a) ^ FoldAddress(b);
}

// The Toeplitz hash of a folded tuple: what rte_softrss and cards compute of the whole one.
constexpr uint32_t FlowHash(uint16_t folded) {
  const uint32_t half = internal::kFlowHashTable[0][folded >> 8] ^
                        uint32_t { internal::kFlowHashTable[1][folded & 0xff] };
  return half << 16 | half;
}
constexpr uint32_t FlowHash(uint16_t folded_addresses, uint16_t a_port, uint16_t b_port) {
  return FlowHash(static_cast<uint16_t>(folded_addresses ^ a_port ^ b_port));
}

// The redirection table: buckets dealt out to so many engines in turn.
class FlowOwners {
 public:
  static constexpr unsigned kBuckets = 64;  // and the most engines

  explicit constexpr FlowOwners(unsigned engines = 1) : engines_(engines) {
    for (unsigned i = 0; i < kBuckets; ++i) owners_[i] = static_cast<uint8_t>(i % engines);
  }

  constexpr unsigned engines() const { return engines_; }
  constexpr uint8_t Of(uint32_t flow_hash) const { return owners_[flow_hash % kBuckets]; }
  uint8_t Of(const IpAddress& a, uint16_t a_port, const IpAddress& b, uint16_t b_port) const {
    return Of(FlowHash(FoldAddresses(a, b), a_port, b_port));
  }
  // Of what has no ports: by the addresses alone.
  uint8_t Of(const IpAddress& a, const IpAddress& b) const {
    return Of(FlowHash(FoldAddresses(a, b)));
  }

 private:
  unsigned engines_;
  std::array<uint8_t, kBuckets> owners_{};
};

}  // namespace sluice::wire
