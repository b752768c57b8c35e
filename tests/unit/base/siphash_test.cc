#include "base/siphash.h"

#include <array>
#include <catch2/catch.hpp>

namespace sluice {
namespace {

// Key bytes 00..0f, message bytes 00, 01, ... : the first and some later vectors of the authors'
// reference, and the one worked through in appendix A of their paper (15 bytes).
constexpr SipKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};

uint64_t HashOfLength(size_t n) {
  std::array<uint8_t, 64> message{};
  for (size_t i = 0; i < n; ++i) message[i] = static_cast<uint8_t>(i);
  return SipHash(kKey, std::span(message).first(n));
}

TEST_CASE("SipHash-2-4 known answers") {
  CHECK(HashOfLength(0) == 0x726fdb47dd0e0e31);
  CHECK(HashOfLength(1) == 0x74f839c593dc67fd);
  CHECK(HashOfLength(8) == 0x93f5f5799a932462);
  CHECK(HashOfLength(15) == 0xa129ca6149be45e5);
  CHECK(HashOfLength(63) == 0x958a324ceb064572);
}

TEST_CASE("SipHashOf hashes the values' bytes side by side") {
  const uint32_t a = 0x03020100;
  const uint16_t b = 0x0504;
  const uint8_t c = 6;
  CHECK(SipHashOf(kKey, a, b, c) == HashOfLength(7));
  CHECK(SipHashOf(SipKey{}, a, b, c) != HashOfLength(7));
}

}  // namespace
}  // namespace sluice
