// The locks of an entry belong to the application's threads (lib/api/lock.h). An engine waits for
// none of them, but it may take one that is free for the time of a few stores. Who comes meanwhile
// does not sleep but looks again: an engine makes no system call to wake anybody.
#pragma once

#include <atomic>
#include <cstdint>

#include "table/cell.h"

namespace sluice::table {

// What a lock's word may say.
inline constexpr uint32_t kLockFree = 0, kLockHeld = 1, kLockContended = 2, kLockOfEngine = 3;

inline bool TryEngineLock(Cell<uint32_t>& word) {
  uint32_t expected = kLockFree;
  return word.load() == kLockFree && word.CompareExchange(expected, kLockOfEngine);
}
inline void EngineUnlock(Cell<uint32_t>& word) { word.Release(kLockFree); }

}  // namespace sluice::table
