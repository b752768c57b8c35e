#include "table/send_queue.h"

#include <rte_mbuf.h>

namespace sluice::table {

void SendQueue::FreeDescriptor(const Descriptor& descriptor) {
  // Applications send from buffers of the region only.
  if (!Region::IsMbuf(descriptor.buffer) && region_.HasBuffer(descriptor.buffer)) {
    region_.DropReference(descriptor.buffer);
  }
}

// Steps over the first descriptor, whose buffer has been freed, and frees blocks that are left
// behind. Both happen only when the next block is entered: until then the application writes here.
void SendQueue::AdvanceFirst() {
  RingStep(state_.first);
  if (static_cast<int32_t>(state_.hint.position - state_.first.position) <= 0) {
    state_.hint.Leave();
  }
}

bool SendQueue::Release(uint32_t count) {
  bool held = true;
  while (count != 0) {
    uint32_t left;
    if (!RingHas(entry_.send_producer, state_.first) ||
        !RingSettle(region_, entry_.send_producer, state_.first, left)) {
      held = false;
      break;
    }
    if (left != kNone) region_.ReturnBlock(left);
    Descriptor descriptor = RingAt(region_, state_.first);
    uint32_t rest =
        descriptor.length > state_.first_offset ? descriptor.length - state_.first_offset : 0;
    if (count < rest) {
      state_.first_offset += count;
      state_.released += count;
      break;
    }
    count -= rest;
    state_.released += rest;
    state_.first_offset = 0;
    FreeDescriptor(descriptor);
    AdvanceFirst();
  }
  PublishHead();
  return held;
}

void SendQueue::DropDatagram() {
  uint32_t left;
  while (RingHas(entry_.send_producer, state_.first) &&
         RingSettle(region_, entry_.send_producer, state_.first, left)) {
    if (left != kNone) region_.ReturnBlock(left);
    Descriptor descriptor = RingAt(region_, state_.first);
    FreeDescriptor(descriptor);
    state_.released += descriptor.length;
    AdvanceFirst();
    if ((descriptor.flags & kDatagramEnd) != 0) break;
  }
}

void SendQueue::DropOpenBuffer() {
  if (region_.HasBuffer(entry_.open_buffer)) region_.DropReference(entry_.open_buffer);
  entry_.open_buffer = kNone;
}

bool SendQueue::GiveBackIdleBlock() {
  if (!state_.first.in_block() || RingHas(entry_.send_producer, state_.first)) return true;
  // While the queue is drained the hint is nowhere, and its position free for this note.
  if (state_.hint.position != state_.first.position) {
    state_.hint.position = state_.first.position;
    return false;
  }
  if (!TryEngineLock(entry_.send_lock)) return false;
  // Nobody pushes now, and who pushed before has published.
  Cursor& write = entry_.send_cursor;
  const bool drained = !RingHas(entry_.send_producer, state_.first) &&
                       write.position == state_.first.position && write.place == state_.first.place;
  if (drained) {
    write.Leave();
    DropOpenBuffer();
  }
  EngineUnlock(entry_.send_lock);
  if (!drained) return true;
  region_.ReturnBlock(state_.first.block());
  state_.first.Leave();
  return true;
}

void SendQueue::Clear() {
  uint32_t left;
  while (RingHas(entry_.send_producer, state_.first) &&
         RingSettle(region_, entry_.send_producer, state_.first, left)) {
    if (left != kNone) region_.ReturnBlock(left);
    FreeDescriptor(RingAt(region_, state_.first));
    AdvanceFirst();
  }
  if (state_.first.in_block()) region_.ReturnBlock(state_.first.block());
  DropOpenBuffer();
  state_ = SendState{};
}

}  // namespace sluice::table
