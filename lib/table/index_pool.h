// A lock-free pool of indices 0 .. capacity-1, any thread or process to any: a LIFO of freed ones
// (a tag in the upper half of the head defeats ABA), and below it those never used, so that
// formatting a region touches none of its storage.
//
// The links live in the items themselves, where an application may scribble: a link out of range
// ends the list and is counted, and the items behind it are lost to that region only. Beside its
// link an item says how many lie below it, so that counting costs no atomic operation of its own.
#pragma once

#include <cstdint>

#include "table/cell.h"

namespace sluice::table {

inline constexpr uint32_t kNone = 0xffffffff;

// What an item holds while it is free.
struct FreeLink {
  Cell<uint32_t> next;   // index + 1 of the item below; 0: the last
  Cell<uint32_t> below;  // how many lie below
};

struct alignas(64) IndexPool {
  Cell<uint64_t> head;   // tag << 32 | (index + 1), 0 in the lower half: empty
  Cell<uint32_t> fresh;  // lowest index never handed out
  uint32_t capacity = 0;
  Cell<uint32_t> exhausted;  // requests refused: a limit counter
  Cell<uint32_t> corrupt;    // links found out of range

  // `link(i)` gives item i's FreeLink.
  template <typename Link>
  uint32_t Take(Link&& link) {
    uint64_t old = head.Acquire();  // pairs with the exchange in ReturnChain
    while (static_cast<uint32_t>(old) != 0) {
      uint32_t index = static_cast<uint32_t>(old) - 1;
      uint32_t next = link(index).next.load();
      if (next > capacity) {
        corrupt.Add(1);
        next = 0;
      }
      if (head.CompareExchange(old, Following(old) | next)) return index;
    }
    return TakeFresh();
  }

  // Several at once, for the price of one: as many as there are, up to `count`. Returns how many.
  template <typename Link>
  uint32_t TakeChain(uint32_t* indices, uint32_t count, Link&& link) {
    uint32_t taken = 0;
    uint64_t old = head.Acquire();  // pairs with the exchange in ReturnChain
    while (count != 0 && static_cast<uint32_t>(old) != 0) {
      // Links of items that others take meanwhile say anything: then the exchange fails.
      uint32_t next = static_cast<uint32_t>(old);
      taken = 0;
      while (next != 0 && next <= capacity && taken < count) {
        indices[taken++] = next - 1;
        next = link(next - 1).next.load();
      }
      const bool bad = next > capacity;
      if (head.CompareExchange(old, Following(old) | (bad ? 0 : next))) {
        if (bad) corrupt.Add(1);
        break;
      }
      taken = 0;
    }
    for (; taken < count; ++taken) {
      indices[taken] = TakeFresh();
      if (indices[taken] == kNone) break;
    }
    return taken;
  }

  template <typename Link>
  void Return(uint32_t index, Link&& link) {
    ReturnChain(&index, 1, link);
  }

  // Several at once, for the price of one.
  template <typename Link>
  void ReturnChain(const uint32_t* indices, uint32_t count, Link&& link) {
    for (uint32_t i = 0; i + 1 < count; ++i) link(indices[i]).next.store(indices[i + 1] + 1);
    FreeLink& last = link(indices[count - 1]);
    uint64_t old = head.Acquire();
    do {
      const uint32_t top = static_cast<uint32_t>(old);
      const uint32_t below = top == 0 || top > capacity ? 0 : link(top - 1).below.load() + 1;
      last.next.store(top);
      for (uint32_t i = 0; i < count; ++i) link(indices[i]).below.store(below + count - 1 - i);
    } while (!head.CompareExchange(old, Following(old) | (indices[0] + 1)));
  }

  // How many are handed out. Exact while nobody takes or returns.
  template <typename Link>
  uint32_t Used(Link&& link) const {
    const uint32_t top = static_cast<uint32_t>(head.Acquire());
    const uint32_t ever = fresh.load();
    const uint32_t free = top == 0 || top > capacity ? 0 : link(top - 1).below.load() + 1;
    return free < ever ? ever - free : 0;
  }

 private:
  // The tag of the head that follows `old`.
  static uint64_t Following(uint64_t old) { return ((old >> 32) + 1) << 32; }

  uint32_t TakeFresh() {
    uint32_t index = fresh.load();
    while (index < capacity) {
      if (fresh.CompareExchange(index, index + 1)) return index;
    }
    exhausted.atomic().fetch_add(1, std::memory_order_relaxed);
    return kNone;
  }
};

// Indices that one thread keeps at hand: it takes and returns most of them without an atomic
// operation, and gives them back to the pool many at a time. Private memory of that thread's side.
class IndexCache {
 public:
  // Of a small pool it keeps nothing: there every index counts.
  explicit IndexCache(uint32_t capacity) : limit_(capacity < kSmallPool ? 0 : kMost) {}

  uint32_t size() const { return count_; }

  template <typename Link>
  uint32_t Take(IndexPool& pool, Link&& link) {
    return count_ != 0 ? indices_[--count_] : pool.Take(link);
  }
  template <typename Link>
  void Return(uint32_t index, IndexPool& pool, Link&& link) {
    if (count_ == limit_) {
      // The older half: what was used last is likely to be in the processor's cache.
      const uint32_t half = (limit_ + 1) / 2;
      if (half != 0) pool.ReturnChain(indices_, half, link);
      for (uint32_t i = half; i < count_; ++i) indices_[i - half] = indices_[i];
      count_ -= half;
    }
    if (limit_ == 0) return pool.Return(index, link);
    indices_[count_++] = index;
  }
  template <typename Link>
  void Flush(IndexPool& pool, Link&& link) {
    if (count_ != 0) pool.ReturnChain(indices_, count_, link);
    count_ = 0;
  }

 private:
  static constexpr uint32_t kMost = 32, kSmallPool = 4096;

  uint32_t limit_;
  uint32_t count_ = 0;
  uint32_t indices_[kMost];
};

}  // namespace sluice::table
