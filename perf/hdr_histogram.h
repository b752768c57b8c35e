// A histogram of latencies that keeps three significant digits over its whole range.
//
// The layout is that of Gil Tene's HDR histogram: values below 2 * 1024 have a counter each; every
// further doubling has 1024 counters, so no counter is wider than a thousandth of what it counts.
// Recording is an index computation and an increment: no allocation, no search.
//
//   HdrHistogram histogram(10'000'000'000);  // up to ten seconds, in ns
//   histogram.Record(1234);
//   histogram.ValueAtPercentile(99.9);
//
// One thread. The unit is the caller's; the programs here record nanoseconds and print
// microseconds.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::perf {

class HdrHistogram {
 public:
  // Values above `highest` are counted as `highest`, and as overflows.
  explicit HdrHistogram(uint64_t highest)
      : highest_(highest), counts_(IndexOf(highest) + 1, 0), minimum_(highest) {}

  void Record(uint64_t value, uint64_t count = 1) {
    if (value > highest_) {
      overflows_ += count;
      value = highest_;
    }
    counts_[IndexOf(value)] += count;
    total_ += count;
    sum_ += static_cast<double>(value) * static_cast<double>(count);
    minimum_ = std::min(minimum_, value);
    maximum_ = std::max(maximum_, value);
  }

  // Adds all that `other` has counted; both must have the same highest value.
  void Add(const HdrHistogram& other) {
    for (size_t i = 0; i < std::min(counts_.size(), other.counts_.size()); ++i) {
      counts_[i] += other.counts_[i];
    }
    total_ += other.total_;
    sum_ += other.sum_;
    overflows_ += other.overflows_;
    if (other.total_ == 0) return;
    minimum_ = std::min(minimum_, other.minimum_);
    maximum_ = std::max(maximum_, other.maximum_);
  }

  uint64_t total() const { return total_; }
  uint64_t overflows() const { return overflows_; }
  uint64_t minimum() const { return total_ == 0 ? 0 : minimum_; }
  uint64_t maximum() const { return maximum_; }
  double mean() const { return total_ == 0 ? 0 : sum_ / static_cast<double>(total_); }

  // The least recorded value (to three digits) that `percent` of all values do not exceed. 0 if
  // nothing was recorded.
  uint64_t ValueAtPercentile(double percent) const {
    if (total_ == 0) return 0;
    const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
    // A rank that rounding has lifted just over a whole number is that number.
    const double rank = std::ceil(share * static_cast<double>(total_) - 1e-6);
    const uint64_t wanted = std::max<uint64_t>(1, static_cast<uint64_t>(rank));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= wanted) return std::clamp(HighestOf(i), minimum_, maximum_);
    }
    return maximum_;
  }

  // Calls visit(value, count) for each counter that is not zero, in ascending order. `value` is the
  // largest that the counter counts.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] != 0) visit(std::min(HighestOf(i), maximum_), counts_[i]);
    }
  }

 private:
  static constexpr int kHalfBits = 10;  // 1024 counters a doubling: under 0.1 % wide
  static constexpr uint64_t kHalf = uint64_t{1} << kHalfBits;

  // How far the value is shifted right so that its leading bit stands at kHalfBits.
  static int ShiftOf(uint64_t value) {
    return std::max(0, static_cast<int>(std::bit_width(value)) - (kHalfBits + 1));
  }
  static size_t IndexOf(uint64_t value) {
    const int shift = ShiftOf(value);
    return static_cast<size_t>(shift) * kHalf + static_cast<size_t>(value >> shift);
  }
  static uint64_t HighestOf(size_t index) {
    if (index < 2 * kHalf) return index;
    const auto shift = static_cast<int>(index / kHalf) - 1;
    const uint64_t leading = index - static_cast<uint64_t>(shift) * kHalf;
    return ((leading + 1) << shift) - 1;
  }

  uint64_t highest_;
  std::vector<uint64_t> counts_;
  uint64_t total_ = 0;
  uint64_t overflows_ = 0;
  uint64_t minimum_;
  uint64_t maximum_ = 0;
  double sum_ = 0;
};

}  // namespace sluice::perf
