// A small lock in a word: among the threads of one process, for short sections without system
// calls. It spins a little, then sleeps on a futex. No engine ever takes one.
//
//   LockHolder holder(entry.send_lock);
#pragma once

#include <cstdint>

#include "api/kernel.h"
#include "table/cell.h"

namespace sluice::api {

class Lock {
 public:
  static constexpr uint32_t kFree = 0, kHeld = 1, kContended = 2;

  static void Acquire(table::Cell<uint32_t>& word) {
    uint32_t expected = kFree;
    if (word.atomic().compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) return;
    AcquireSlowly(word);
  }
  static void Release(table::Cell<uint32_t>& word) {
    if (word.atomic().exchange(kFree, std::memory_order_release) == kContended) {
      kernel::FutexWakeOne(reinterpret_cast<uint32_t*>(&word.atomic()));
    }
  }

 private:
  static void Pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  static void AcquireSlowly(table::Cell<uint32_t>& word) {
    for (int spin = 0; spin < 200; ++spin) {
      if (word.load() == kFree) {
        uint32_t expected = kFree;
        if (word.atomic().compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) {
          return;
        }
      }
      Pause();
    }
    while (word.atomic().exchange(kContended, std::memory_order_acquire) != kFree) {
      kernel::FutexWait(reinterpret_cast<uint32_t*>(&word.atomic()), kContended);
    }
  }
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
