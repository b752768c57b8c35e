// A small lock in a word: among the threads of one process, for short sections without system
// calls. It spins a little, then sleeps on a futex. An engine takes one only if it is free, for a
// moment (table/engine_lock.h). Where one thread
// alone makes all calls (table::only_thread) it is a note that costs a store, and the place where a
// program that does not keep that promise is caught.
//
//   LockHolder holder(entry.send_lock);
#pragma once

#include <cstdint>

#include "api/kernel.h"
#include "table/cell.h"
#include "table/engine_lock.h"

namespace sluice::api {

class Lock {
 public:
  static constexpr uint32_t kFree = table::kLockFree, kHeld = table::kLockHeld,
                            kContended = table::kLockContended;

  static void Acquire(table::Cell<uint32_t>& word) {
    if (table::IsOneThread()) {
      if (table::only_thread != __builtin_thread_pointer()) [[unlikely]]
        EndForBrokenPromise();
      return word.store(kHeld);
    }
    uint32_t expected = kFree;
    if (word.atomic().compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) return;
    AcquireSlowly(word);
  }
  static void Release(table::Cell<uint32_t>& word) {
    if (table::IsOneThread()) return word.store(kFree);
    if (word.atomic().exchange(kFree, std::memory_order_release) == kContended) {
      kernel::FutexWakeOne(reinterpret_cast<uint32_t*>(&word.atomic()));
    }
  }

 private:
  // Says on standard error what is wrong, and aborts.
  [[noreturn]] static void EndForBrokenPromise();
  static void AcquireSlowly(table::Cell<uint32_t>& word);
};

class LockHolder {
 public:
  explicit LockHolder(table::Cell<uint32_t>& word) : word_(&word) { Lock::Acquire(word); }
  ~LockHolder() { Unlock(); }
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;
  void Unlock() {
    if (word_ != nullptr) Lock::Release(*word_);
    word_ = nullptr;
  }

 private:
  table::Cell<uint32_t>* word_;
};

}  // namespace sluice::api
