// Rings of descriptors: one producer, one consumer, no locks, and no storage while they are empty.
//
// A ring is a chain of blocks. The producer fills a block slot by slot, links the next one behind
// it, and publishes by `tail`; the consumer follows. Two rules keep both sides in step:
//   - the link of a block is written before the tail that leads past it;
//   - a producer without a block (a new ring, or one that was found drained and gave its block
//     back) says in `first_position` and `first_block` where the next descriptor will stand. A
//     consumer that stands at that position goes there and forgets its old block.
// Who frees blocks is settled by the owner of the ring: always the engine (see send_queue.h and
// receive_queue.h). Positions count modulo 2^32.
#pragma once

#include <cstdint>

#include "table/entry.h"
#include "table/region.h"

namespace sluice::table {

// Writes a descriptor at the producer's cursor without publishing it. Returns false, having changed
// nothing, when no block is to be had.
inline bool RingPush(const Region& region, RingProducer& producer, const RingConsumer& consumer,
                     Cursor& cursor, const Descriptor& descriptor) {
  if (cursor.at_end()) {
    uint32_t block = region.TakeBlock();
    if (block == kNone) return false;
    if (!cursor.in_block()) {
      producer.first_position.store(cursor.position);
      producer.first_block.store(block);
    } else {
      region.block(cursor.block()).link.next.store(block);
      // Keep the mark behind the consumer, so that it is not met again when positions wrap.
      uint32_t head = consumer.head.load();
      if (static_cast<int32_t>(head - producer.first_position.load()) > (1 << 30)) {
        producer.first_position.store(head - 1);
      }
    }
    cursor.Enter(block);
  }
  region.descriptor(cursor.place++) = descriptor;
  ++cursor.position;
  return true;
}

// Publishes what was pushed up to the cursor.
inline void RingPublish(RingProducer& producer, const Cursor& cursor) {
  producer.tail.Release(cursor.position);  // pairs with RingHas
}

// Takes back what was pushed since `mark` was the cursor and not published.
inline void RingUndo(const Region& region, RingProducer& producer, Cursor& cursor,
                     const Cursor& mark) {
  bool keep = mark.in_block();
  uint32_t block = keep ? mark.block() : producer.first_block.load();
  while (cursor.position != mark.position && region.HasBlock(block)) {
    uint32_t next = block == cursor.block() ? kNone : region.block(block).link.next.load();
    if (!keep) region.ReturnBlock(block);
    keep = false;
    block = next;
  }
  cursor = mark;
}

// Whether a descriptor stands at the cursor.
inline bool RingHas(const RingProducer& producer, const Cursor& cursor) {
  return producer.tail.Acquire() != cursor.position;  // pairs with RingPublish
}

// Moves the cursor into the block where its descriptor stands; call only after RingHas. Returns
// false if the other side left no such block. `left` is the block it moved out of, or kNone.
inline bool RingSettle(const Region& region, const RingProducer& producer, Cursor& cursor,
                       uint32_t& left) {
  left = kNone;
  uint32_t next;
  if (producer.first_position.load() == cursor.position) {
    next = producer.first_block.load();
    if (cursor.stands_at_start(next)) return true;
  } else if (!cursor.at_end()) {
    return true;
  } else if (cursor.in_block()) {
    left = cursor.block();
    next = region.block(left).link.next.load();
  } else {
    return false;
  }
  if (!region.HasBlock(next)) return false;
  cursor.Enter(next);
  return true;
}

inline Descriptor& RingAt(const Region& region, const Cursor& cursor) {
  return region.descriptor(cursor.place);
}

inline void RingStep(Cursor& cursor) {
  ++cursor.place;
  ++cursor.position;
}

}  // namespace sluice::table
