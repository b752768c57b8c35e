#include "wire/checksum.h"

#include <catch2/catch.hpp>
#include <vector>

#include "base/random.h"
#include "hex.h"

namespace sluice::wire {
namespace {

// RFC 1071 word by word, in network order.
uint16_t NaiveChecksum(ConstBytes bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

std::vector<uint8_t> RandomBytes(Random& random, size_t n) {
  std::vector<uint8_t> bytes(n);
  // Runs of 0xff are where carries are lost.
  const bool ones = random.Chance(1, 3);
  for (uint8_t& b : bytes) b = ones ? 0xff : static_cast<uint8_t>(random.Next32());
  return bytes;
}

TEST_CASE("the example of RFC 1071 section 3") {
  CHECK(Fold(Sum(Hex("0001 f203 f4f5 f6f7"))) == __builtin_bswap16(0xddf2));
  CHECK(Checksum(Sum(Hex("0001 f203 f4f5 f6f7"))) == 0x220d);
}

TEST_CASE("every variant agrees with the naive sum at every alignment") {
  for (const ChecksumVariant& variant : ChecksumVariants()) {
    CAPTURE(variant.name);
    if (!variant.supported) continue;
    Random random(41);
    for (int round = 0; round < 3000; ++round) {
      const size_t n = random.Below(random.Chance(1, 10) ? 9000 : 300);
      const size_t lead = random.Below(65);
      const auto bytes = RandomBytes(random, lead + n);
      const ConstBytes piece = ConstBytes(bytes).subspan(lead);
      REQUIRE(Checksum(variant.sum(piece.data(), n)) == NaiveChecksum(piece));

      const size_t to = random.Below(65);
      std::vector<uint8_t> copy(to + n + 1, 0x5a);
      REQUIRE(Checksum(variant.copy_and_sum(copy.data() + to, piece.data(), n)) ==
              NaiveChecksum(piece));
      REQUIRE(std::equal(piece.begin(), piece.end(), copy.begin() + static_cast<long>(to)));
      REQUIRE(copy.back() == 0x5a);
      REQUIRE((to == 0 || copy[to - 1] == 0x5a));
    }
  }
}

TEST_CASE("long runs of ones lose no carry") {
  const std::vector<uint8_t> ones(65535, 0xff);
  for (const ChecksumVariant& variant : ChecksumVariants()) {
    if (variant.supported) CHECK(Checksum(variant.sum(ones.data(), 65535)) == NaiveChecksum(ones));
  }
  uint64_t sum = 0;
  for (int i = 0; i < 100000; ++i) sum += Sum(ConstBytes(ones).first(65534));
  CHECK(ChecksumValid(sum));
}

TEST_CASE("pieces at any offset add up to the whole") {
  Random random(43);
  for (int round = 0; round < 2000; ++round) {
    const auto bytes = RandomBytes(random, random.Below(500));
    uint64_t sum = 0;
    for (size_t at = 0; at < bytes.size();) {
      const size_t n = std::min(bytes.size() - at, 1 + random.Below(150));
      sum += AtOffset(at, Sum(ConstBytes(bytes).subspan(at, n)));
      at += n;
    }
    REQUIRE(Checksum(sum) == NaiveChecksum(bytes));
  }
}

TEST_CASE("the pseudo-header is added as if it stood before the packet") {
  const auto v4 = Hex("c0000201 c0000202 0011 0009  1234 5678 0009 0000 61");
  CHECK(Checksum(PseudoHeaderSum(IpAddress::V4(192, 0, 2, 1), IpAddress::V4(192, 0, 2, 2), 17, 9) +
                 Sum(ConstBytes(v4).subspan(12))) == NaiveChecksum(v4));
  const auto source = *ParseIp("2001:db8::1"), destination = *ParseIp("2001:db8:1:2:3:4:5:6");
  auto v6 =
      Hex("20010db8000000000000000000000001 20010db8000100020003000400050006 00012345 0000003a");
  CHECK(Checksum(PseudoHeaderSum(source, destination, 58, 0x12345)) == NaiveChecksum(v6));
}

TEST_CASE("a changed word changes the checksum as if it were made anew (RFC 1624)") {
  Random random(47);
  for (int round = 0; round < 5000; ++round) {
    auto bytes = RandomBytes(random, 20);
    bytes[0] |= 1;  // all zero has two checksums
    const uint16_t before = Checksum(Sum(bytes));
    const uint32_t old_word = Load32(bytes.data() + 8), new_word = random.Next32();
    Store32(bytes.data() + 8, new_word);
    REQUIRE(UpdateChecksum32(before, old_word, new_word) == Checksum(Sum(bytes)));
    const uint16_t high = static_cast<uint16_t>(random.Next32());
    const uint16_t was = Load16(bytes.data() + 4);
    const uint16_t then = Checksum(Sum(bytes));
    Store16(bytes.data() + 4, high);
    REQUIRE(UpdateChecksum(then, was, high) == Checksum(Sum(bytes)));
  }
  // The example of RFC 1624 section 4.
  CHECK(UpdateChecksum(0xdd2f, 0x5555, 0x3285) == 0x0000);
}

TEST_CASE("a stored checksum makes the whole valid, a flipped bit does not") {
  auto header = Hex("45000073 00004000 40110000 c0a80001 c0a800c7");
  Store16(header.data() + 10, Checksum(Sum(header)));
  CHECK(Load16(header.data() + 10) == 0xb861);
  CHECK(ChecksumValid(Sum(header)));
  for (size_t bit = 0; bit < header.size() * 8; ++bit) {
    header[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    CHECK_FALSE(ChecksumValid(Sum(header)));
    header[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
}

}  // namespace
}  // namespace sluice::wire
