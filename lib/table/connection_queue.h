// The engine's end of a listener's connection queue: handles of connections ready for accept.
// Thread: the engine's only.
#pragma once

#include "table/handle.h"
#include "table/ring.h"

namespace sluice::table {

// The engine's notes on a connection queue; private to it.
struct ConnectionState {
  Cursor write;
  Cursor reclaim;
};

class ConnectionQueue {
 public:
  ConnectionQueue(const Region& region, Entry& listener, ConnectionState& state)
      : region_(region), entry_(listener), state_(state) {}

  uint32_t length() const { return ConnectionQueueLength(entry_); }

  // Appends a connection; false when no block is to be had. The backlog is the caller's concern.
  bool Push(Handle connection) {
    Reclaim();
    Descriptor descriptor{.buffer = connection.index, .length = connection.generation};
    if (!RingPush(region_, entry_.connection_producer, entry_.connection_consumer, state_.write,
                  descriptor)) {
      return false;
    }
    RingPublish(entry_.connection_producer, state_.write);
    return true;
  }

  // Frees the blocks that the application has left behind.
  void Reclaim() {
    uint32_t head = entry_.connection_consumer.head.Acquire();  // pairs with ReadConnection
    if (head - state_.reclaim.position > state_.write.position - state_.reclaim.position) return;
    while (state_.reclaim.position != head && Step()) {
    }
    if (state_.reclaim.position == state_.write.position && state_.write.in_block()) {
      region_.ReturnBlock(state_.write.block());
      state_.write.Leave();
      state_.reclaim.Leave();
    }
  }

  // Calls visit(Handle) for each connection that waits. All stay in the queue, which only the
  // application takes from; of those that are gone by then it finds stale handles.
  template <typename Visit>
  void ForEachWaiting(Visit&& visit) {
    Reclaim();
    Cursor cursor = state_.reclaim;
    uint32_t left;
    while (cursor.position != state_.write.position &&
           RingSettle(region_, entry_.connection_producer, cursor, left)) {
      const Descriptor& descriptor = RingAt(region_, cursor);
      visit(Handle{descriptor.buffer, descriptor.length});
      RingStep(cursor);
    }
  }

  // Gives back what the queue of a listener that closes holds. The application no longer reads.
  void Clear() {
    Reclaim();
    while (state_.reclaim.position != state_.write.position && Step()) {
    }
    if (state_.write.in_block()) region_.ReturnBlock(state_.write.block());
    state_ = ConnectionState{};
  }

 private:
  bool Step() {
    uint32_t left;
    if (!RingSettle(region_, entry_.connection_producer, state_.reclaim, left)) return false;
    if (left != kNone) region_.ReturnBlock(left);
    RingStep(state_.reclaim);
    return true;
  }

  const Region& region_;
  Entry& entry_;
  ConnectionState& state_;
};

}  // namespace sluice::table
