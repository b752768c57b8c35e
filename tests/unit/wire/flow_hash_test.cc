#include "wire/flow_hash.h"

#include <catch2/catch.hpp>
#include <span>
#include <vector>

#include "base/random.h"

namespace sluice::wire {
namespace {

// The Toeplitz hash as Microsoft's "RSS Hashing Functions" and rte_softrss_be write it: for each
// set bit of the input, the 32 bits of the key from there on.
uint32_t Toeplitz(std::span<const uint8_t> input, std::span<const uint8_t> key) {
  uint32_t hash = 0;
  for (size_t bit = 0; bit < input.size() * 8; ++bit) {
    if ((input[bit / 8] >> (7 - bit % 8) & 1) == 0) continue;
    for (size_t i = 0; i < 32; ++i) {
      const size_t at = bit + i;
      if ((key[at / 8] >> (7 - at % 8) & 1) != 0) hash ^= uint32_t{1} << (31 - i);
    }
  }
  return hash;
}

std::vector<uint8_t> TupleOf(const Endpoint& source, const Endpoint& destination) {
  std::vector<uint8_t> tuple;
  for (const Endpoint* e : {&source, &destination}) {
    const auto& bytes = e->address.bytes();
    tuple.insert(tuple.end(), bytes.begin() + (e->address.is_v4() ? 12 : 0), bytes.end());
  }
  for (const Endpoint* e : {&source, &destination}) {
    tuple.push_back(static_cast<uint8_t>(e->port >> 8));
    tuple.push_back(static_cast<uint8_t>(e->port));
  }
  return tuple;
}

Endpoint Draw(Random& random, bool v4) {
  std::array<uint8_t, 16> bytes;
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.Next32());
  bytes[0] = 0x20;
  const IpAddress address = v4 ? IpAddress::V4(random.Next32()) : IpAddress::V6(bytes);
  return {address, static_cast<uint16_t>(random.Next32()), 0};
}

uint32_t HashOf(const Endpoint& a, const Endpoint& b) {
  return FlowHash(FoldAddresses(a.address, b.address), a.port, b.port);
}

TEST_CASE("the reference agrees with Microsoft's verification suite") {
  constexpr uint8_t kKey[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
  CHECK(Toeplitz(TupleOf({IpAddress::V4(66, 9, 149, 187), 2794, 0},
                         {IpAddress::V4(161, 142, 100, 80), 1766, 0}),
                 kKey) == 0x51ccc178);
  CHECK(Toeplitz(TupleOf({*ParseIp("3ffe:2501:200:1fff::7"), 2794, 0},
                         {*ParseIp("3ffe:2501:200:3::1"), 1766, 0}),
                 kKey) == 0x40207d3d);
}

TEST_CASE("the short way gives the Toeplitz hash of the whole tuple") {
  const uint64_t seed = 20240117;
  Random random(seed);
  for (int i = 0; i < 1000; ++i) {
    const bool v4 = i % 2 == 0;
    const Endpoint a = Draw(random, v4), b = Draw(random, v4);
    INFO("seed " << seed << ", draw " << i);
    REQUIRE(HashOf(a, b) == Toeplitz(TupleOf(a, b), kFlowHashKey));
    REQUIRE(HashOf(a, b) == HashOf(b, a));
  }
}

TEST_CASE("what has no ports goes by the addresses") {
  const IpAddress a = IpAddress::V4(192, 0, 2, 1), b = IpAddress::V4(192, 0, 2, 77);
  std::vector<uint8_t> tuple = TupleOf({a, 0, 0}, {b, 0, 0});
  tuple.resize(8);
  CHECK(FlowHash(FoldAddresses(a, b)) == Toeplitz(tuple, kFlowHashKey));
  CHECK(FlowOwners(4).Of(a, b) == FlowOwners(4).Of(b, a));
}

TEST_CASE("every engine gets its share of one client's connections") {
  for (unsigned engines = 1; engines <= 8; ++engines) {
    const FlowOwners owners(engines);
    std::vector<unsigned> flows(engines);
    constexpr unsigned kFlows = 28000;
    for (unsigned port = 32768; port < 32768 + kFlows; ++port) {
      ++flows[owners.Of(IpAddress::V4(10, 0, 0, 1), static_cast<uint16_t>(port),
                        IpAddress::V4(10, 0, 0, 2), 80)];
    }
    for (unsigned share : flows) {
      CHECK(share > kFlows / engines * 7 / 10);
      CHECK(share < kFlows / engines * 13 / 10);
    }
  }
}

}  // namespace
}  // namespace sluice::wire
