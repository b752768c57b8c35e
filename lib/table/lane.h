// A lane joins the threads of an application and one engine: commands and doorbells one way,
// events the other, and the words that say who sleeps.
//
// Doorbells and events carry slot indices. A slot stands in either queue at most once (its
// doorbell_pending and event_pending say so), so queues as long as the table can never be full.
#pragma once

#include <cstdint>

#include "table/bounded_queue.h"
#include "table/cell.h"
#include "table/command.h"

namespace sluice::table {

inline constexpr uint32_t kReplySlots = 64;
inline constexpr uint32_t kCommandSlots = 256;

struct alignas(64) Lane {
  // 1 while the engine sleeps or is about to: the application then wakes it after a push. Written
  // by the engine; both sides put a full fence between their write and their look at the other's.
  alignas(64) Cell<uint32_t> engine_sleeps;
  // Counts pushes that the application should notice: events, and answers. A futex word.
  Cell<uint32_t> notices;
  // Application threads that sleep on `notices`. Written by them.
  alignas(64) Cell<uint32_t> application_sleepers;
  // 1: somebody waits for news of any socket, whatever the event masks say. Written by the
  // application.
  Cell<uint32_t> announce_all;
};

}  // namespace sluice::table
