#include "table/receive_queue.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "base/packet.h"

namespace sluice::table {
namespace {

// Unread pieces that may each pin a whole mbuf; from then on small ones are copied together.
constexpr uint32_t kPinnedPieces = 8;
constexpr uint32_t kSmallPieceBytes = 512;

}  // namespace

bool ReceiveQueue::Push(rte_mbuf* packet, bool copy) {
  Reclaim();
  const uint32_t length = packet->pkt_len;
  bool small = packet->data_len < kSmallPieceBytes && descriptors() >= kPinnedPieces;
  Cursor mark = state_.write;
  if (!copy && !small && PushReferences(packet, 0, 0, 0)) {
    Publish(length);
    return true;
  }
  if (!PushCopies(packet)) {
    Undo(mark);
    return false;
  }
  Publish(length);
  rte_pktmbuf_free(packet);
  return true;
}

bool ReceiveQueue::PushDatagram(const DatagramHeader& header, rte_mbuf* packet, bool copy) {
  Reclaim();
  const uint32_t length = packet->pkt_len;
  const uint16_t error = header.error_origin != 0 ? kErrorReport : 0;
  Cursor mark = state_.write;
  if (!copy && packet->nb_segs == 1) {
    if (DatagramHeader* const at = StoreDatagram(packet, error)) {
      *at = header;
      Publish(length);
      return true;
    }
  } else if (!copy && packet->data_off >= sizeof(header) && RTE_MBUF_DIRECT(packet) &&
             rte_mbuf_refcnt_read(packet) == 1 && region_.MbufReference(packet) != kNone) {
    std::memcpy(packet->buf_addr, &header, sizeof(header));
    if (PushReferences(packet, kDatagramStart | error, length, kDatagramEnd)) {
      Publish(length);
      return true;
    }
  }
  if (!CopyDatagram(header, packet, error)) {
    Undo(mark);
    return false;
  }
  Publish(length);
  rte_pktmbuf_free(packet);
  return true;
}

// One descriptor for each mbuf of the chain, which is taken apart. All or nothing.
bool ReceiveQueue::PushReferences(rte_mbuf* packet, uint16_t first_flags, uint32_t total,
                                  uint16_t last_flags) {
  Cursor mark = state_.write;
  for (rte_mbuf* segment = packet; segment != nullptr; segment = segment->next) {
    // A clone's bytes belong to another mbuf: its own buffer cannot name them.
    uint32_t reference = RTE_MBUF_DIRECT(segment) ? region_.MbufReference(segment) : kNone;
    bool first = segment == packet;
    bool last = segment->next == nullptr;
    Descriptor descriptor{
        .buffer = reference,
        .length = segment->data_len,
        .total = first ? total : 0,
        .offset = segment->data_off,
        .flags = static_cast<uint16_t>((first ? first_flags : 0) | (last ? last_flags : 0))};
    if (reference == kNone || !RingPush(region_, producer_, consumer_, state_.write, descriptor)) {
      RingUndo(region_, producer_, state_.write, mark);
      return false;
    }
  }
  while (packet != nullptr) {
    rte_mbuf* next = packet->next;
    packet->next = nullptr;
    packet->nb_segs = 1;
    packet->pkt_len = packet->data_len;
    ++state_.mbufs_held;
    packet = next;
  }
  return true;
}

// The free part of the open buffer, a new one if it is full; nullptr at the limit.
uint8_t* ReceiveQueue::OpenRoom(uint32_t& room) {
  if (state_.open_buffer != kNone && state_.open_used == region_.storage_bytes()) {
    CloseOpenBuffer();
  }
  if (state_.open_buffer == kNone) {
    state_.open_buffer = region_.TakeBuffer();
    if (state_.open_buffer == kNone) return nullptr;
    state_.open_used = kHeadroom;
  }
  room = region_.storage_bytes() - state_.open_used;
  return region_.storage(state_.open_buffer) + state_.open_used;
}

// Pushes a descriptor for `length` bytes just written behind the used part of the open buffer.
bool ReceiveQueue::PushOpen(uint32_t length) {
  Descriptor descriptor{.buffer = state_.open_buffer, .length = length, .offset = state_.open_used};
  if (!RingPush(region_, producer_, consumer_, state_.write, descriptor)) {
    return false;
  }
  region_.AddReference(state_.open_buffer);
  state_.open_used = static_cast<uint16_t>(state_.open_used + length);
  return true;
}

bool ReceiveQueue::PushCopies(const rte_mbuf* packet) {
  for (; packet != nullptr; packet = packet->next) {
    const uint8_t* from = rte_pktmbuf_mtod(packet, const uint8_t*);
    uint32_t length = packet->data_len;
    while (length != 0) {
      uint32_t room;
      uint8_t* to = OpenRoom(room);
      if (to == nullptr) return false;
      uint32_t count = std::min(length, room);
      std::memcpy(to, from, count);
      if (!PushOpen(count)) return false;
      from += count;
      length -= count;
    }
  }
  return true;
}

// A datagram starts a buffer of its own, whose headroom takes the header.
bool ReceiveQueue::CopyDatagram(const DatagramHeader& header, const rte_mbuf* packet,
                                uint16_t flags) {
  CloseOpenBuffer();
  Descriptor descriptor{.total = packet->pkt_len,
                        .flags = static_cast<uint16_t>(kDatagramStart | flags)};
  uint32_t done = 0;
  do {
    descriptor.buffer = region_.TakeBuffer();
    if (descriptor.buffer == kNone) return false;
    uint8_t* storage = region_.storage(descriptor.buffer);
    if (done == 0) std::memcpy(storage, &header, sizeof(header));
    descriptor.offset = kHeadroom;
    descriptor.length = std::min(packet->pkt_len - done, region_.limits().buffer_bytes);
    const void* bytes = rte_pktmbuf_read(packet, done, descriptor.length, storage + kHeadroom);
    if (bytes != nullptr && bytes != storage + kHeadroom) {
      std::memcpy(storage + kHeadroom, bytes, descriptor.length);
    }
    done += descriptor.length;
    if (done == packet->pkt_len) descriptor.flags |= kDatagramEnd;
    if (!RingPush(region_, producer_, consumer_, state_.write, descriptor)) {
      region_.DropReference(descriptor.buffer);
      return false;
    }
    descriptor.flags = 0;
    descriptor.total = 0;
  } while (done < packet->pkt_len);
  return true;
}

// Gives back the buffers of what was pushed since `mark`, and the descriptors.
void ReceiveQueue::Undo(const Cursor& mark) {
  Cursor cursor = mark;
  uint32_t left;
  while (cursor.position != state_.write.position && RingSettle(region_, producer_, cursor, left)) {
    FreeDescriptor(RingAt(region_, cursor));
    RingStep(cursor);
  }
  RingUndo(region_, producer_, state_.write, mark);
}

void ReceiveQueue::Publish(uint32_t bytes) {
  RingPublish(producer_, state_.write);
  producer_.bytes.Release(producer_.bytes.load() + bytes);  // pairs with ReceiveQueueBytes
}

void ReceiveQueue::FreeDescriptor(const Descriptor& descriptor) {
  if (!Region::IsMbuf(descriptor.buffer)) {
    if (region_.HasBuffer(descriptor.buffer)) region_.DropReference(descriptor.buffer);
  } else if (region_.Storage(descriptor) != nullptr) {
    ReturnSegment(region_.MbufAt(descriptor.buffer));
    --state_.mbufs_held;
  }
}

void ReceiveQueue::CloseOpenBuffer() {
  if (state_.open_buffer == kNone) return;
  region_.DropReference(state_.open_buffer);
  state_.open_buffer = kNone;
}

void ReceiveQueue::Reclaim() {
  uint32_t head = consumer_.head.Acquire();  // pairs with the reader's release
  uint32_t taken = head - state_.reclaim.position;
  if (taken == 0 || taken > state_.write.position - state_.reclaim.position) return;
  ReturnedSegments returned;
  for (; taken != 0; --taken) {
    uint32_t left;
    if (!RingSettle(region_, producer_, state_.reclaim, left)) return;
    if (left != kNone) region_.ReturnBlock(left);
    const Descriptor descriptor = RingAt(region_, state_.reclaim);
    if ((descriptor.flags & kSendBack) != 0) return;
    if (!Region::IsMbuf(descriptor.buffer)) {
      FreeDescriptor(descriptor);
    } else if (region_.Storage(descriptor) != nullptr) {
      returned.Add(region_.MbufAt(descriptor.buffer));
      --state_.mbufs_held;
    }
    RingStep(state_.reclaim);
  }
  ReleaseIfDrained();
}

// Drained: the consumer will not look at the block again before the next first_position.
void ReceiveQueue::ReleaseIfDrained() {
  if (state_.reclaim.position != state_.write.position) return;
  region_.ReturnBlock(state_.write.block());
  state_.write.Leave();
  state_.reclaim.Leave();
  CloseOpenBuffer();
}

// Whether the application has taken something that is not reclaimed.
bool ReceiveQueue::TakenHas() const {
  const uint32_t taken = consumer_.head.Acquire() - state_.reclaim.position;  // as in Reclaim
  return taken != 0 && taken <= held();
}

bool ReceiveQueue::ReadReply(Reply& reply) {
  while (TakenHas()) {
    uint32_t left;
    if (!RingSettle(region_, producer_, state_.reclaim, left)) return false;
    if (left != kNone) region_.ReturnBlock(left);
    const Descriptor descriptor = RingAt(region_, state_.reclaim);
    if ((descriptor.flags & kSendBack) == 0) {
      const uint32_t before = state_.reclaim.position;
      Reclaim();
      if (state_.reclaim.position == before) return false;
      continue;
    }
    const uint8_t* storage = region_.Storage(descriptor);
    reply.payload = region_.Payload(descriptor);
    if (storage == nullptr || reply.payload.size() != descriptor.length ||
        descriptor.offset < sizeof(DatagramHeader)) {
      DropReply(false);
      continue;
    }
    std::memcpy(&reply.header, storage, sizeof(DatagramHeader));
    reply.packet = Region::IsMbuf(descriptor.buffer) ? region_.MbufAt(descriptor.buffer) : nullptr;
    reply.offset = descriptor.offset;
    return true;
  }
  return false;
}

void ReceiveQueue::DropReply(bool taken) {
  if (taken) {
    --state_.mbufs_held;
  } else {
    FreeDescriptor(RingAt(region_, state_.reclaim));
  }
  RingStep(state_.reclaim);
  ReleaseIfDrained();
}

void ReceiveQueue::Clear() {
  uint32_t left;
  while (state_.reclaim.position != state_.write.position &&
         RingSettle(region_, producer_, state_.reclaim, left)) {
    if (left != kNone) region_.ReturnBlock(left);
    FreeDescriptor(RingAt(region_, state_.reclaim));
    RingStep(state_.reclaim);
  }
  if (state_.write.in_block()) region_.ReturnBlock(state_.write.block());
  CloseOpenBuffer();
  state_ = ReceiveState{};
}

}  // namespace sluice::table
