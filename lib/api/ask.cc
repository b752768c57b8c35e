#include "api/ask.h"

#include <algorithm>
#include <cstring>

#include "api/wait.h"

namespace sluice::api {
namespace {

using table::Reply;
using table::Result;

constexpr int kTurnsBeforeSleep = 32;
constexpr int kPushAttempts = 1 << 16;

bool Push(uint8_t lane, const table::Command& command) {
  auto& commands = state.region.commands(lane);
  for (int attempt = 0; attempt < kPushAttempts; ++attempt) {
    if (commands.Push(command)) {
      // The engine says that it sleeps and then looks at the queue once more; we the other way.
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (state.region.lane(lane).engine_sleeps.load() != 0) state.home->WakeEngine(lane);
      return true;
    }
    state.home->WakeEngine(lane);
    Turn();
  }
  return false;
}

// A reply slot of one's own; kNoReply if all stay taken.
uint16_t ClaimReply(uint8_t lane) {
  auto replies = state.region.replies(lane);
  for (int attempt = 0; attempt < kPushAttempts; ++attempt) {
    for (uint16_t i = 0; i < table::kReplySlots; ++i) {
      uint32_t expected = Reply::kFree;
      if (replies[i].state.load() == Reply::kFree &&
          replies[i].state.CompareExchange(expected, Reply::kWaiting)) {
        return i;
      }
    }
    Turn();
  }
  return table::kNoReply;
}

// Sleeps until the reply is there. Other threads that take the lane's notices signal us.
void AwaitReply(uint8_t lane, uint16_t slot, Reply& reply) {
  for (int turn = 0; turn < kTurnsBeforeSleep; ++turn) {
    if (reply.state.Acquire() == Reply::kDone) return;
    Turn();
  }
  Waiter waiter;
  LaneWaiters& waiters = state.lane_waiters[lane];
  {
    LockHolder holder(waiters.lock);
    waiters.waiters[slot] = &waiter;
    waiters.waiting.fetch_or(uint64_t{1} << slot);
  }
  for (;;) {
    WaitRequest request{.notices_seen = NoticesSeen()};
    DispatchEvents();
    waiter.signaled.Exchange(0);
    if (reply.state.Acquire() == Reply::kDone) break;  // pairs with the engine's release
    state.home->Wait(waiter, request);
  }
  LockHolder holder(waiters.lock);
  waiters.waiting.fetch_and(~(uint64_t{1} << slot));
  waiters.waiters[slot] = nullptr;
}

}  // namespace

void SignalAnswered(uint32_t lane) {
  LaneWaiters& waiters = state.lane_waiters[lane];
  uint64_t waiting = waiters.waiting.load(std::memory_order_relaxed);
  for (uint32_t slot = 0; waiting != 0; ++slot, waiting >>= 1) {
    if ((waiting & 1) != 0 && state.region.replies(lane)[slot].state.Acquire() == Reply::kDone) {
      state.home->Signal(*waiters.waiters[slot]);
    }
  }
}

Result Ask(uint8_t lane, table::Command command, Answer* answer) {
  if (lane >= state.lanes) return Result::kBadHandle;
  command.reply = ClaimReply(lane);
  if (command.reply == table::kNoReply) return Result::kNoBuffers;
  Reply& reply = state.region.replies(lane)[command.reply];
  if (!Push(lane, command)) {
    reply.state.Release(Reply::kFree);
    return Result::kNoBuffers;
  }
  AwaitReply(lane, command.reply, reply);
  const Result result = reply.result.load();
  if (answer != nullptr) {
    answer->value = reply.value.load();
    answer->length = std::min<uint32_t>(reply.length.load(), sizeof(answer->payload));
    std::memcpy(answer->payload, reply.payload, answer->length);
  }
  reply.state.Release(Reply::kFree);  // pairs with the next claim
  return result;
}

Result Ask(const OpenSocket& socket, table::Command command, Answer* answer) {
  command.handle = socket.handle;
  return Ask(socket.entry->engine.load(), command, answer);
}

void Tell(uint8_t lane, table::Command command) {
  if (lane < state.lanes) Push(lane, command);
}

}  // namespace sluice::api
