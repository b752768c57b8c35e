#include "api/number_range.h"

#include <sys/mman.h>

#include <bit>

#include "api/lock.h"

namespace sluice::api {
namespace {

// Words of a level that has `bits` bits.
constexpr size_t WordsFor(uint32_t bits) { return bits / 64 + 1; }

}  // namespace

bool NumberRange::Map(int first, uint32_t count) {
  size_t words = count;
  for (uint32_t level = 0, bits = count; level < kLevels; ++level, bits = bits / 64 + 1) {
    words += WordsFor(bits);
  }
  void* memory = mmap(nullptr, words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  bytes_ = words * sizeof(uint64_t);
  names_ = static_cast<uint64_t*>(memory);
  uint64_t* next = names_ + count;
  for (uint32_t level = 0, bits = count; level < kLevels; ++level, bits = bits / 64 + 1) {
    bits_[level] = next;
    next += WordsFor(bits);
  }
  first_ = static_cast<uint32_t>(first);
  count_ = count;
  used_.store(0);
  return true;
}

void NumberRange::Unmap() {
  if (names_ != nullptr) munmap(names_, bytes_);
  names_ = nullptr;
  first_ = count_ = 0;
  used_.store(0);
}

// The first clear bit of a level from `from` on. The levels end with a clear bit each, so that
// there always is one.
uint32_t NumberRange::FindFree(unsigned level, uint32_t from) const {
  uint32_t word = from / 64;
  uint64_t clear = ~bits_[level][word] & ~uint64_t{0} << (from % 64);
  if (clear == 0) {
    if (level + 1 == kLevels) return kNone;
    word = FindFree(level + 1, word + 1);
    if (word == kNone) return kNone;
    clear = ~bits_[level][word];
  }
  return word * 64 + static_cast<uint32_t>(std::countr_zero(clear));
}

void NumberRange::Mark(uint32_t position) {
  if (position >= used_.load()) used_.store(position + 1);
  for (uint64_t* level : bits_) {
    uint64_t& word = level[position / 64];
    word |= uint64_t{1} << (position % 64);
    if (word != ~uint64_t{0}) return;
    position /= 64;
  }
}

int NumberRange::Take(int lowest) {
  const uint32_t from = lowest > first() ? static_cast<uint32_t>(lowest) - first_ : 0;
  if (from >= count_) return -1;
  LockHolder holder(lock_);
  const uint32_t position = FindFree(0, from);
  if (position >= count_) return -1;
  Mark(position);
  return static_cast<int>(first_ + position);
}

void NumberRange::Claim(int number) {
  LockHolder holder(lock_);
  Mark(static_cast<uint32_t>(number) - first_);
}

void NumberRange::Return(int number) {
  uint32_t position = static_cast<uint32_t>(number) - first_;
  LockHolder holder(lock_);
  for (uint64_t* level : bits_) {
    uint64_t& word = level[position / 64];
    const bool was_full = word == ~uint64_t{0};
    word &= ~(uint64_t{1} << (position % 64));
    if (!was_full) return;
    position /= 64;
  }
}

}  // namespace sluice::api
