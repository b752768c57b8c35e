// Records of one kind, named by index. They never move; memory is taken in chunks and kept, so that
// a steady state allocates nothing. Bounded.
//
//   Slab<Connection> connections(65536);
//   uint32_t i = connections.Take();  // kNone: all are in use
//   connections[i].state = ...;
//   connections.Return(i);
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace sluice::tcp {

inline constexpr uint32_t kNone = 0xffffffff;

template <typename T>
class Slab {
 public:
  explicit Slab(uint32_t records_max) : max_(records_max) {
    chunks_.reserve((records_max + kChunk - 1) / kChunk);
  }

  // A record in its initial state.
  uint32_t Take() {
    if (free_.empty() && !Grow()) return kNone;
    const uint32_t index = free_.back();
    free_.pop_back();
    new (&At(index)) T();
    in_use_[index / 64] |= uint64_t{1} << (index % 64);
    ++used_;
    return index;
  }
  void Return(uint32_t index) {
    assert(IsUsed(index));
    At(index).~T();
    in_use_[index / 64] &= ~(uint64_t{1} << (index % 64));
    free_.push_back(index);
    --used_;
  }

  T& operator[](uint32_t index) { return At(index); }
  const T& operator[](uint32_t index) const { return const_cast<Slab*>(this)->At(index); }

  uint32_t used() const { return used_; }
  bool full() const { return used_ == max_; }
  bool IsUsed(uint32_t index) const {
    return index < fresh_ && (in_use_[index / 64] >> (index % 64) & 1) != 0;
  }
  // Calls visit(index, record) for each record in use; visit may return it.
  template <typename Visit>
  void ForEach(Visit&& visit) {
    for (uint32_t i = 0; i < fresh_; ++i) {
      if (IsUsed(i)) visit(i, At(i));
    }
  }

 private:
  static constexpr uint32_t kChunk = 256;
  struct Storage {
    alignas(T) unsigned char bytes[sizeof(T)];
  };

  T& At(uint32_t index) {
    return *std::launder(reinterpret_cast<T*>(chunks_[index / kChunk][index % kChunk].bytes));
  }
  bool Grow() {
    if (fresh_ >= max_) return false;
    if (fresh_ % kChunk == 0) {
      chunks_.push_back(std::make_unique_for_overwrite<Storage[]>(kChunk));
      free_.reserve(chunks_.size() * kChunk);
      in_use_.resize(chunks_.size() * kChunk / 64);
    }
    const uint32_t end = std::min(fresh_ + kChunk, max_);
    // Lowest on top, so that few pages are touched.
    for (uint32_t i = end; i > fresh_; --i) free_.push_back(i - 1);
    fresh_ = end;
    return true;
  }

  uint32_t max_;
  uint32_t fresh_ = 0;
  uint32_t used_ = 0;
  std::vector<std::unique_ptr<Storage[]>> chunks_;
  std::vector<uint32_t> free_;
  std::vector<uint64_t> in_use_;  // a bit for each record
};

}  // namespace sluice::tcp
