// Numbers from a range of our own, above all that the kernel may give out: taking and returning one
// costs no system call. The lowest free number comes first, as POSIX has it for descriptors.
//
// Bits in levels: one of the lowest level says that a number is in use, one of a higher level that
// 64 below it are. Memory is taken where numbers are used. Also what each number names stands here.
//
//   NumberRange range;
//   range.Map(1 << 20, 4096);
//   int number = range.Take(0);   // 1048576
//   range.Return(number);
//
// Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "table/cell.h"

namespace sluice::api {

class NumberRange {
 public:
  static constexpr uint32_t kCountMax = 1u << 25;

  // The numbers from `first` on, all free. False and errno: no memory. Thread: nobody uses it yet.
  bool Map(int first, uint32_t count);
  void Unmap();

  bool Has(int number) const { return static_cast<uint32_t>(number) - first_ < count_; }
  int first() const { return static_cast<int>(first_); }
  uint32_t count() const { return count_; }
  // One above the highest number that was ever taken: where walks may stop.
  int end() const { return static_cast<int>(first_ + used_.load()); }

  // The lowest free number that is at least `lowest`; -1: there is none.
  int Take(int lowest);
  // Takes this one, whether it was free or not.
  void Claim(int number);
  void Return(int number);
  // A forked child: another thread may have held the lock.
  void Unlock() { lock_.store(0); }

  // What the number, one of the range, names.
  uint64_t& word(int number) const { return names_[static_cast<uint32_t>(number) - first_]; }

 private:
  static constexpr unsigned kLevels = 5;  // 64^5 numbers and more
  static constexpr uint32_t kNone = 0xffffffff;

  uint32_t FindFree(unsigned level, uint32_t from) const;
  void Mark(uint32_t position);

  uint32_t first_ = 0;
  uint32_t count_ = 0;
  uint64_t* names_ = nullptr;
  uint64_t* bits_[kLevels] = {};
  size_t bytes_ = 0;
  table::Cell<uint32_t> used_;
  table::Cell<uint32_t> lock_;
};

}  // namespace sluice::api
