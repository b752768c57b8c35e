#include "base/random.h"

#include <catch2/catch.hpp>
#include <vector>

namespace sluice {
namespace {

TEST_CASE("the generator is xoshiro256++ seeded through SplitMix64, and repeats") {
  // SplitMix64 of seed 0 begins 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f,
  // 0xf88bb8a8724c81ec; the first output is rotl(s0 + s3, 23) + s0.
  const uint64_t s0 = 0xe220a8397b1dcdaf, s3 = 0xf88bb8a8724c81ec;
  const uint64_t sum = s0 + s3;
  Random a(0), b(0), c(1);
  const uint64_t first = a.Next64();
  CHECK(first == ((sum << 23) | (sum >> 41)) + s0);
  CHECK(first == b.Next64());
  CHECK(first != c.Next64());
}

TEST_CASE("Below stays below and reaches every value evenly") {
  Random random(7);
  CHECK(random.Below(0) == 0);
  CHECK(random.Below(1) == 0);
  std::vector<int> seen(10);
  for (int i = 0; i < 10000; ++i) ++seen.at(random.Below(10));
  for (int n : seen) CHECK((n > 850 && n < 1150));
  // The largest ranges are where a careless remainder is most biased.
  const uint64_t n = UINT64_MAX / 3 * 2;
  int low = 0;
  for (int i = 0; i < 10000; ++i) low += random.Below(n) < n / 2;
  CHECK((low > 4700 && low < 5300));
}

TEST_CASE("Chance") {
  Random random(9);
  int hits = 0;
  for (int i = 0; i < 10000; ++i) {
    hits += random.Chance(1, 4);
    CHECK_FALSE(random.Chance(0, 4));
    CHECK(random.Chance(4, 4));
  }
  CHECK((hits > 2300 && hits < 2700));
}

TEST_CASE("UniformDuration includes both ends") {
  Random random(11);
  bool low = false, high = false;
  for (int i = 0; i < 1000; ++i) {
    const Duration d = random.UniformDuration(Nanoseconds(-2), Nanoseconds(3));
    REQUIRE((d >= Nanoseconds(-2) && d <= Nanoseconds(3)));
    low |= d == Nanoseconds(-2);
    high |= d == Nanoseconds(3);
  }
  CHECK((low && high));
  CHECK(random.UniformDuration(Seconds(2), Seconds(1)) == Seconds(2));
}

}  // namespace
}  // namespace sluice
