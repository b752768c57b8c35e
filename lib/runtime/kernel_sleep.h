// The few system calls by which threads sleep and wake each other. They enter the kernel directly:
// under the preload library the C library's names lead back into Sluice.
#pragma once

#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <span>

#include "base/time.h"

namespace sluice::runtime {

enum class SleepResult : uint8_t { kWoken, kTimedOut, kInterrupted };

inline timespec ToTimespec(int64_t ns) {
  return {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

// Sleeps while `word` is `value`, until the deadline on CLOCK_MONOTONIC. Any signal handler ends
// the sleep: the kernel would resume a sleep without a deadline by itself after a handler with
// SA_RESTART, and whether to resume is for the caller to say, so there is always a deadline.
inline SleepResult FutexWait(std::atomic<uint32_t>& word, uint32_t value, Instant deadline) {
  timespec until = ToTimespec(deadline.nanoseconds());
  long status = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, value, &until, nullptr,
                        FUTEX_BITSET_MATCH_ANY);
  if (status == 0 || errno == EAGAIN) return SleepResult::kWoken;
  return errno == ETIMEDOUT ? SleepResult::kTimedOut : SleepResult::kInterrupted;
}

inline void FutexWake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// ppoll; the timeout is relative, infinite sleeps without one.
inline SleepResult PollDescriptors(std::span<pollfd> descriptors, Duration timeout,
                                   const sigset_t* mask) {
  if (timeout < Duration()) timeout = Duration();
  timespec t = ToTimespec(timeout.nanoseconds());
  constexpr size_t kKernelSignalBytes = 8;
  long ready = syscall(SYS_ppoll, descriptors.data(), descriptors.size(),
                       timeout.is_infinite() ? nullptr : &t, mask, kKernelSignalBytes);
  if (ready > 0) return SleepResult::kWoken;
  return ready == 0 ? SleepResult::kTimedOut : SleepResult::kInterrupted;
}

// One iteration of a spinning thread.
inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace sluice::runtime
