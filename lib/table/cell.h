// A field of a region that one side writes and the other reads.
//
// Plain loads and stores are relaxed: ordering comes from the few fields that publish others, which
// name their pairing where they are used. `Acquire` and `Release` are for those.
#pragma once

#include <atomic>
#include <type_traits>

namespace sluice::table {

template <typename T>
class Cell {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  static_assert(std::atomic<T>::is_always_lock_free);

 public:
  Cell() = default;
  explicit Cell(T value) : value_(value) {}
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  T load() const { return value_.load(std::memory_order_relaxed); }
  void store(T value) { value_.store(value, std::memory_order_relaxed); }
  T Acquire() const { return value_.load(std::memory_order_acquire); }
  void Release(T value) { value_.store(value, std::memory_order_release); }

  // For the few fields that both sides write; sequentially consistent unless said otherwise.
  T Exchange(T value) { return value_.exchange(value); }
  bool CompareExchange(T& expected, T desired) {
    return value_.compare_exchange_strong(expected, desired);
  }
  T SetBits(T bits) { return value_.fetch_or(bits); }
  T ClearBits(T bits) { return value_.fetch_and(static_cast<T>(~bits)); }
  T Add(T n) { return value_.fetch_add(n); }
  T Subtract(T n) { return value_.fetch_sub(n); }
  std::atomic<T>& atomic() { return value_; }

 private:
  std::atomic<T> value_{};
};

}  // namespace sluice::table
