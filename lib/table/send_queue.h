// The engine's end of a socket's send queue.
//
// The application pushes descriptors and counts their bytes; the engine reads them as often as it
// must (a segment may be sent again) and releases them once they are acknowledged or sent. What it
// reads is a stranger's: descriptors are checked each time, and a queue that turns out shorter than
// it was said to be makes Read fail.
//
//   SendQueue queue(region, entry, state);
//   queue.Read(offset, length, [&](std::span<const uint8_t> bytes) { ... });
//   queue.Release(acknowledged);
//
// Thread: the engine's only. Streams use Read and Release, datagrams PeekDatagram and PopDatagram.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>

#include "table/engine_lock.h"
#include "table/ring.h"

namespace sluice::table {

// The engine's notes on a send queue; private to it.
struct SendState {
  Cursor first;               // descriptor with the first unreleased byte
  uint32_t first_offset = 0;  // bytes of it that are released
  uint32_t released = 0;      // bytes ever released
  // A descriptor further on, where the last Read ended, and the distance of its first byte, counted
  // as `released` is. Nowhere while the queue is drained: see GiveBackIdleBlock.
  Cursor hint;
  uint32_t hint_bytes = 0;
};

class SendQueue {
 public:
  SendQueue(const Region& region, Entry& entry, SendState& state)
      : region_(region), entry_(entry), state_(state) {}

  // Bytes that were pushed and not yet released.
  uint32_t bytes() const {
    // Pairs with the application's release after the push (application_queues.h).
    return entry_.send_producer.bytes.Acquire() - state_.released;
  }

  // Calls sink(std::span<const uint8_t>) for `length` bytes that start `offset` bytes behind the
  // first unreleased one. Returns false if the queue does not hold them. A sink with a second
  // parameter, uint16_t, is told the DescriptorFlags of each piece that ends its descriptor.
  template <typename Sink>
  bool Read(uint32_t offset, uint32_t length, Sink&& sink);

  // Gives back the first `count` bytes. Returns false if the queue does not hold them.
  bool Release(uint32_t count);

  // The first datagram: its header (copied) and its payload piece by piece. Returns false if none
  // is complete; a malformed one is dropped and the next looked at.
  template <typename Sink>
  bool ReadDatagram(DatagramHeader& header, uint32_t& length, Sink&& sink);
  // The first datagram, if it lies in one buffer. Its header is copied; its payload stays in place
  // until it is dropped. False: ask ReadDatagram.
  struct Whole {
    std::span<const uint8_t> payload;
    uint32_t buffer = kNone;
  };
  bool ReadWhole(DatagramHeader& header, Whole& whole);
  // Drops the one that ReadWhole has just read. The application learns of it by Publish.
  void DropWhole(const Whole& whole) {
    region_.DropReference(whole.buffer);
    state_.released += static_cast<uint32_t>(whole.payload.size());
    RingStep(state_.first);
  }
  // Drops the first datagram. The application learns of it by Publish.
  void DropDatagram();
  void Publish() { PublishHead(); }
  void PopDatagram() {
    DropDatagram();
    PublishHead();
  }
  // Descriptors that were pushed and not yet dropped, as the application says.
  uint32_t descriptors() const {
    return entry_.send_producer.tail.Acquire() - state_.first.position;  // pairs with RingPublish
  }

  // Gives back the block, and the buffer with room left, of a queue that the last call found
  // drained, too, and nothing has passed since: both sides forget them. Takes the socket's
  // send_lock if that is free. False: worth another call in a while.
  bool GiveBackIdleBlock();

  // Frees all that is left; the application no longer pushes.
  void Clear();

 private:
  void FreeDescriptor(const Descriptor& descriptor);
  void AdvanceFirst();
  void DropOpenBuffer();
  void PublishHead() {
    entry_.send_consumer.head.Release(state_.first.position);
    entry_.send_consumer.bytes.Release(state_.released);
  }

  const Region& region_;
  Entry& entry_;
  SendState& state_;
};

template <typename Sink>
bool SendQueue::Read(uint32_t offset, uint32_t length, Sink&& sink) {
  uint32_t start = state_.released + offset;
  Cursor cursor = state_.first;
  uint32_t at = state_.released - state_.first_offset;  // first byte of the cursor's descriptor
  if (state_.hint.in_block() && static_cast<int32_t>(start - state_.hint_bytes) >= 0) {
    cursor = state_.hint;
    at = state_.hint_bytes;
  }
  uint32_t left;
  while (length != 0) {
    if (!RingHas(entry_.send_producer, cursor)) return false;
    if (!RingSettle(region_, entry_.send_producer, cursor, left)) return false;
    Descriptor descriptor = RingAt(region_, cursor);
    uint32_t skip = start - at;
    if (skip < descriptor.length) {
      std::span<const uint8_t> payload = region_.Payload(descriptor);
      if (payload.empty()) return false;
      payload = payload.subspan(skip, std::min<size_t>(length, payload.size() - skip));
      if constexpr (std::is_invocable_v<Sink, std::span<const uint8_t>, uint16_t>) {
        const bool to_end = skip + payload.size() == descriptor.length;
        sink(payload, static_cast<uint16_t>(to_end ? descriptor.flags : 0));
      } else {
        sink(payload);
      }
      length -= static_cast<uint32_t>(payload.size());
      start += static_cast<uint32_t>(payload.size());
    }
    state_.hint = cursor;
    state_.hint_bytes = at;
    at += descriptor.length;
    RingStep(cursor);
  }
  return true;
}

inline bool SendQueue::ReadWhole(DatagramHeader& header, Whole& whole) {
  if (!RingHas(entry_.send_producer, state_.first)) return false;
  uint32_t left;
  if (!RingSettle(region_, entry_.send_producer, state_.first, left)) return false;
  if (left != kNone) region_.ReturnBlock(left);
  const Descriptor descriptor = RingAt(region_, state_.first);
  constexpr uint16_t kWhole = kDatagramStart | kDatagramEnd;
  if ((descriptor.flags & kWhole) != kWhole || !region_.HasBuffer(descriptor.buffer)) return false;
  const uint32_t room = region_.storage_bytes();
  if (descriptor.offset > room || descriptor.length > room - descriptor.offset) return false;
  uint8_t* const storage = region_.storage(descriptor.buffer);
  Cursor next = state_.first;
  RingStep(next);
  if (!next.at_end()) {  // the next one's, if there is one
    const uint32_t buffer = RingAt(region_, next).buffer;
    const uint8_t* const ahead = region_.storage(region_.HasBuffer(buffer) ? buffer : 0);
    __builtin_prefetch(ahead);
    __builtin_prefetch(ahead + kHeadroom);
  }
  whole = {{storage + descriptor.offset, descriptor.length}, descriptor.buffer};
  std::memcpy(&header, storage, sizeof(header));
  return true;
}

template <typename Sink>
bool SendQueue::ReadDatagram(DatagramHeader& header, uint32_t& length, Sink&& sink) {
  uint32_t left;
  while (RingHas(entry_.send_producer, state_.first)) {
    Cursor cursor = state_.first;
    if (!RingSettle(region_, entry_.send_producer, cursor, left)) return false;
    Descriptor descriptor = RingAt(region_, cursor);
    const uint8_t* storage = region_.Storage(descriptor);
    if ((descriptor.flags & kDatagramStart) == 0 || storage == nullptr) {
      PopDatagram();
      continue;
    }
    std::memcpy(&header, storage, sizeof(header));
    length = 0;
    bool whole = false;
    for (int pieces = 0; pieces < 64; ++pieces) {  // 65,507 bytes in buffers of 1 KiB and more
      std::span<const uint8_t> payload = region_.Payload(descriptor);
      if (payload.size() != descriptor.length) break;
      if (!payload.empty()) sink(payload);
      length += descriptor.length;
      if ((descriptor.flags & kDatagramEnd) != 0) {
        whole = true;
        break;
      }
      RingStep(cursor);
      if (!RingHas(entry_.send_producer, cursor)) break;
      if (!RingSettle(region_, entry_.send_producer, cursor, left)) break;
      descriptor = RingAt(region_, cursor);
    }
    if (whole) return true;
    PopDatagram();
    return false;  // the pieces handed out belong to nothing: the caller drops them
  }
  return false;
}

}  // namespace sluice::table
