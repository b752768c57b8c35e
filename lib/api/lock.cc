#include "api/lock.h"

#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace sluice::api {
namespace {

constexpr int kSpins = 200;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

void Lock::AcquireSlowly(table::Cell<uint32_t>& word) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (word.load() == kFree) {
      uint32_t expected = kFree;
      if (word.atomic().compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) {
        return;
      }
    }
    Pause();
  }
  for (;;) {
    uint32_t seen = word.load();
    if (seen == table::kLockOfEngine) {
      ::sched_yield();  // for a few stores; it wakes nobody
    } else if (seen == kContended ||
               word.atomic().compare_exchange_strong(seen, kContended, std::memory_order_acquire)) {
      if (seen == kFree) return;
      kernel::FutexWait(reinterpret_cast<uint32_t*>(&word.atomic()), kContended);
    }
  }
}

void Lock::EndForBrokenPromise() {
  constexpr std::string_view kText =
      "sluice: a second thread makes socket calls, although the configuration says 'callers: one'; "
      "take that line out\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText.data(), kText.size());
  std::abort();
}

}  // namespace sluice::api
