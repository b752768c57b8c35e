// A field of a region that one side writes and the other reads.
//
// Plain loads and stores are relaxed: ordering comes from the few fields that publish others, which
// name their pairing where they are used. `Acquire` and `Release` are for those.
#pragma once

#include <atomic>
#include <type_traits>

namespace sluice::table {

// The thread that alone makes all calls and runs all engines of this process, as its program has
// promised (`callers: one` in sluice.yaml(5)); nullptr: there may be others. Then nothing that both
// sides write must be atomic, and no fence is needed: on one core those cost more than all loads
// and stores of a message together. Set while no call is under way. The threads that Sluice itself
// starts only read cells.
inline constinit const void* only_thread = nullptr;

inline bool IsOneThread() { return only_thread != nullptr; }

// Orders what was stored before against what is loaded after it, for other threads.
inline void FullFence() {
  if (IsOneThread()) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
}

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
  T Exchange(T value) {
    if (!IsOneThread()) return value_.exchange(value);
    const T old = load();
    store(value);
    return old;
  }
  bool CompareExchange(T& expected, T desired) {
    if (!IsOneThread()) return value_.compare_exchange_strong(expected, desired);
    const T old = load();
    if (old == expected) {
      store(desired);
      return true;
    }
    expected = old;
    return false;
  }
  T SetBits(T bits) { return IsOneThread() ? Exchange(load() | bits) : value_.fetch_or(bits); }
  T ClearBits(T bits) {
    const T rest = static_cast<T>(~bits);
    return IsOneThread() ? Exchange(load() & rest) : value_.fetch_and(rest);
  }
  T Add(T n) { return IsOneThread() ? Exchange(load() + n) : value_.fetch_add(n); }
  T Subtract(T n) { return IsOneThread() ? Exchange(load() - n) : value_.fetch_sub(n); }
  std::atomic<T>& atomic() { return value_; }

 private:
  std::atomic<T> value_{};
};

}  // namespace sluice::table
