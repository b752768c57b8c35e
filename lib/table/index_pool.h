// A lock-free pool of indices 0 .. capacity-1, any thread or process to any: a LIFO of freed ones
// (a tag in the upper half of the head defeats ABA), and below it those never used, so that
// formatting a region touches none of its storage.
//
// The links live in the items themselves, where an application may scribble: a link out of range
// ends the list and is counted, and the items behind it are lost to that region only.
#pragma once

#include <cstdint>

#include "table/cell.h"

namespace sluice::table {

inline constexpr uint32_t kNone = 0xffffffff;

struct alignas(64) IndexPool {
  Cell<uint64_t> head;   // tag << 32 | (index + 1), 0 in the lower half: empty
  Cell<uint32_t> fresh;  // lowest index never handed out
  uint32_t capacity = 0;
  Cell<uint32_t> used;
  Cell<uint32_t> exhausted;  // requests refused: a limit counter
  Cell<uint32_t> corrupt;    // links found out of range

  // `link(i)` gives the Cell<uint32_t>& that holds item i's link while it is free.
  template <typename Link>
  uint32_t Take(Link&& link) {
    uint64_t old = head.Acquire();  // pairs with the exchange in Return
    while (static_cast<uint32_t>(old) != 0) {
      uint32_t index = static_cast<uint32_t>(old) - 1;
      uint32_t next = link(index).load();
      if (next > capacity) {
        corrupt.Add(1);
        next = 0;
      }
      uint64_t desired = ((old >> 32) + 1) << 32 | next;
      if (head.CompareExchange(old, desired)) {
        used.atomic().fetch_add(1, std::memory_order_relaxed);
        return index;
      }
    }
    return TakeFresh();
  }

  template <typename Link>
  void Return(uint32_t index, Link&& link) {
    uint64_t old = head.load();
    uint64_t desired;
    do {
      link(index).store(static_cast<uint32_t>(old));
      desired = ((old >> 32) + 1) << 32 | (index + 1);
    } while (!head.CompareExchange(old, desired));
    used.atomic().fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  uint32_t TakeFresh() {
    uint32_t index = fresh.load();
    while (index < capacity) {
      if (fresh.CompareExchange(index, index + 1)) {
        used.atomic().fetch_add(1, std::memory_order_relaxed);
        return index;
      }
    }
    exhausted.atomic().fetch_add(1, std::memory_order_relaxed);
    return kNone;
  }
};

}  // namespace sluice::table
