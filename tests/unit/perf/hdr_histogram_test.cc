// The histogram against what sorting all values says.
#include "hdr_histogram.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

namespace sluice::perf {
namespace {

constexpr uint64_t kHighest = 10'000'000'000;

uint64_t Exact(std::vector<uint64_t> values, double percent) {
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(percent / 100.0 * static_cast<double>(values.size()) - 1e-6);
  return values[std::max<size_t>(1, static_cast<size_t>(rank)) - 1];
}

TEST_CASE("an empty histogram answers zero") {
  HdrHistogram histogram(kHighest);
  CHECK(histogram.total() == 0);
  CHECK(histogram.minimum() == 0);
  CHECK(histogram.maximum() == 0);
  CHECK(histogram.mean() == 0);
  CHECK(histogram.ValueAtPercentile(99) == 0);
}

TEST_CASE("one value is every percentile") {
  const uint64_t value = GENERATE(0, 1, 2047, 2048, 2049, 123456789, kHighest);
  HdrHistogram histogram(kHighest);
  histogram.Record(value);
  for (double percent : {0.0, 50.0, 99.99, 100.0}) {
    CHECK(histogram.ValueAtPercentile(percent) == value);
  }
  CHECK(histogram.minimum() == value);
  CHECK(histogram.maximum() == value);
}

TEST_CASE("small values are counted exactly") {
  HdrHistogram histogram(kHighest);
  for (uint64_t value = 1; value <= 1000; ++value) histogram.Record(value);
  CHECK(histogram.ValueAtPercentile(50) == 500);
  CHECK(histogram.ValueAtPercentile(99.9) == 999);
  CHECK(histogram.ValueAtPercentile(100) == 1000);
  CHECK(histogram.mean() == Approx(500.5));
}

TEST_CASE("every counter is at most a thousandth wide") {
  for (uint64_t value = 1; value < kHighest; value = value * 9 / 8 + 1) {
    HdrHistogram histogram(kHighest);
    histogram.Record(value, 3);
    histogram.Record(kHighest);  // so that the answer is not clamped to the maximum
    const uint64_t answer = histogram.ValueAtPercentile(50);
    CHECK(answer >= value);
    CHECK(static_cast<double>(answer - value) <= static_cast<double>(value) / 1000);
  }
}

TEST_CASE("percentiles agree with sorting") {
  const unsigned seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> draw(10, 2);
  HdrHistogram histogram(kHighest);
  std::vector<uint64_t> values;
  for (int i = 0; i < 20000; ++i) {
    values.push_back(std::min(kHighest, static_cast<uint64_t>(draw(random))));
    histogram.Record(values.back());
  }
  for (double percent : {1.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto exact = static_cast<double>(Exact(values, percent));
    CHECK(static_cast<double>(histogram.ValueAtPercentile(percent)) ==
          Approx(exact).epsilon(0.001).margin(1));
  }
}

TEST_CASE("what is too large counts as the largest, and as an overflow") {
  HdrHistogram histogram(1000);
  histogram.Record(1001, 2);
  CHECK(histogram.overflows() == 2);
  CHECK(histogram.total() == 2);
  CHECK(histogram.maximum() == 1000);
}

TEST_CASE("adding two is recording all in one") {
  HdrHistogram one(kHighest), two(kHighest), both(kHighest), empty(kHighest);
  for (uint64_t value : {5, 70, 900000}) one.Record(value), both.Record(value);
  for (uint64_t value : {3, 70000}) two.Record(value), both.Record(value);
  one.Add(two);
  one.Add(empty);
  CHECK(one.total() == both.total());
  CHECK(one.minimum() == 3);
  CHECK(one.maximum() == 900000);
  CHECK(one.mean() == Approx(both.mean()));
  for (double percent : {10.0, 50.0, 90.0}) {
    CHECK(one.ValueAtPercentile(percent) == both.ValueAtPercentile(percent));
  }
  uint64_t seen = 0, previous = 0;
  one.ForEach([&](uint64_t value, uint64_t count) {
    CHECK(value >= previous);
    previous = value;
    seen += count;
  });
  CHECK(seen == 5);
}

}  // namespace
}  // namespace sluice::perf
