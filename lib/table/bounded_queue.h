// A bounded queue of small values in a region: any number of producers, one consumer at a time,
// no locks. Each cell carries a sequence number that says whose turn it is. Full is an answer.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "table/cell.h"

namespace sluice::table {

template <typename T>
class BoundedQueue {
  static_assert(std::is_trivially_copyable_v<T>);
  struct Slot {
    Cell<uint32_t> sequence;
    T value;
  };

 public:
  // Bytes of a queue that holds `capacity` values (rounded up to a power of two).
  static constexpr size_t BytesNeeded(uint32_t capacity) {
    return sizeof(BoundedQueue) + sizeof(Slot) * std::bit_ceil(capacity);
  }

  // Formats the queue in place; `this` stands at the start of BytesNeeded(capacity) zeroed bytes.
  void Format(uint32_t capacity) {
    mask_ = std::bit_ceil(capacity) - 1;
    tail_.store(0);
    head_.store(0);
    for (uint32_t i = 0; i <= mask_; ++i) slots()[i].sequence.store(i);
  }

  // Returns false when the queue is full. `mask` is the caller's own copy of the capacity - 1.
  bool Push(const T& value) {
    uint32_t position = tail_.load();
    for (;;) {
      Slot& slot = slots()[position & mask_];
      int32_t turn = static_cast<int32_t>(slot.sequence.Acquire() - position);
      if (turn < 0) return false;
      if (turn > 0) {
        position = tail_.load();
        continue;
      }
      if (tail_.CompareExchange(position, position + 1)) {
        slot.value = value;
        slot.sequence.Release(position + 1);  // pairs with the Acquire in Pop
        return true;
      }
    }
  }

  // `mask` comes from the consumer's own memory, so that a scribbled queue cannot lead it astray.
  bool Pop(T& value, uint32_t mask) {
    uint32_t position = head_.load();
    Slot& slot = slots()[position & mask];
    if (slot.sequence.Acquire() != position + 1) return false;
    value = slot.value;
    head_.store(position + 1);
    slot.sequence.Release(position + mask + 1);  // pairs with the Acquire in Push
    return true;
  }

  bool empty(uint32_t mask) const {
    uint32_t position = head_.load();
    return slots()[position & mask].sequence.Acquire() != position + 1;
  }
  uint32_t mask() const { return mask_; }

 private:
  Slot* slots() { return reinterpret_cast<Slot*>(this + 1); }
  const Slot* slots() const { return reinterpret_cast<const Slot*>(this + 1); }

  alignas(64) Cell<uint32_t> tail_;
  uint32_t mask_ = 0;
  alignas(64) Cell<uint32_t> head_;
};

}  // namespace sluice::table
