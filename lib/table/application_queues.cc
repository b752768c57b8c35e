#include "table/application_queues.h"

#include <algorithm>
#include <cstring>

namespace sluice::table {

void SendWriter::Publish(uint32_t bytes) {
  RingPublish(entry_.send_producer, entry_.send_cursor);
  // Pairs with SendQueue::bytes: who sees the count sees the descriptors.
  entry_.send_producer.bytes.Release(entry_.send_producer.bytes.load() + bytes);
}

void SendWriter::DropOpenBuffer() {
  if (entry_.open_buffer != kNone) region_.DropReference(entry_.open_buffer);
  entry_.open_buffer = kNone;
}

uint32_t SendWriter::Write(std::span<const uint8_t> bytes) {
  uint32_t wanted = static_cast<uint32_t>(std::min<size_t>(bytes.size(), Room()));
  // While nothing waits, each write has its buffer to itself, and an idle socket holds none.
  // Behind a backlog small writes share one.
  const bool share = SendQueueBytes(entry_) != 0;
  uint32_t done = 0;
  while (done < wanted) {
    if (entry_.open_buffer == kNone) {
      entry_.open_buffer = region_.TakeBuffer();
      if (entry_.open_buffer == kNone) break;
      entry_.open_used = kHeadroom;
    }
    uint32_t count = std::min(wanted - done, region_.storage_bytes() - entry_.open_used);
    std::memcpy(region_.storage(entry_.open_buffer) + entry_.open_used, bytes.data() + done, count);
    Descriptor descriptor{.buffer = entry_.open_buffer,
                          .length = count,
                          .offset = static_cast<uint16_t>(entry_.open_used)};
    bool keep = share && entry_.open_used + count < region_.storage_bytes();
    if (keep) region_.AddReference(entry_.open_buffer);
    if (!Push(descriptor)) {
      if (keep) region_.DropReference(entry_.open_buffer);
      DropOpenBuffer();
      break;
    }
    entry_.open_used += count;
    if (!keep) entry_.open_buffer = kNone;  // the descriptor has our reference now
    done += count;
  }
  if (done != 0) Publish(done);
  return done;
}

bool SendWriter::WriteBuffer(uint32_t buffer, uint16_t offset, uint32_t length, uint16_t flags) {
  if (Room() == 0) return false;
  if (!Push({.buffer = buffer, .length = length, .offset = offset, .flags = flags})) return false;
  Publish(length);
  return true;
}

bool SendWriter::WriteInOneBuffer(const DatagramHeader& header, const iovec& piece,
                                  uint32_t length) {
  const uint32_t buffer = region_.TakeBuffer();
  if (buffer == kNone) return false;
  if (!PushWhole(buffer, header, header.peer, piece, length)) {
    region_.DropReference(buffer);
    return false;
  }
  Publish(length);
  return true;
}

bool SendWriter::WriteDatagram(const DatagramHeader& header, std::span<const iovec> pieces,
                               uint32_t length) {
  // One datagram always fits into an empty queue, however large it is.
  if (SendQueueBytes(entry_) != 0 && SendSpaceBytes(entry_) < length) return false;
  if (pieces.size() == 1 && length <= region_.limits().buffer_bytes) [[likely]] {
    return WriteInOneBuffer(header, pieces[0], length);
  }
  const Cursor mark = entry_.send_cursor;
  Descriptor descriptor{.total = length, .flags = kDatagramStart};
  uint32_t done = 0;
  size_t piece = 0, piece_offset = 0;
  bool whole = true;
  do {
    descriptor.buffer = region_.TakeBuffer();
    if (descriptor.buffer == kNone) {
      whole = false;
      break;
    }
    uint8_t* storage = region_.storage(descriptor.buffer);
    if (done == 0) std::memcpy(storage, &header, sizeof(header));
    descriptor.offset = kHeadroom;
    descriptor.length = std::min(length - done, region_.limits().buffer_bytes);
    for (uint32_t filled = 0; filled < descriptor.length;) {
      const iovec& from = pieces[piece];
      uint32_t count = static_cast<uint32_t>(
          std::min<size_t>(descriptor.length - filled, from.iov_len - piece_offset));
      if (count != 0) {
        std::memcpy(storage + kHeadroom + filled,
                    static_cast<const uint8_t*>(from.iov_base) + piece_offset, count);
      }
      filled += count;
      piece_offset += count;
      if (piece_offset == from.iov_len) {
        ++piece;
        piece_offset = 0;
      }
    }
    done += descriptor.length;
    if (done == length) descriptor.flags |= kDatagramEnd;
    if (!Push(descriptor)) {
      region_.DropReference(descriptor.buffer);
      whole = false;
      break;
    }
    descriptor.flags = 0;
    descriptor.total = 0;
  } while (done < length);
  if (whole) {
    Publish(length);
    return true;
  }
  Cursor cursor = mark;
  uint32_t left;
  while (cursor.position != entry_.send_cursor.position &&
         RingSettle(region_, entry_.send_producer, cursor, left)) {
    region_.DropReference(RingAt(region_, cursor).buffer);
    RingStep(cursor);
  }
  RingUndo(region_, entry_.send_producer, entry_.send_cursor, mark);
  return false;
}

// Visits up to `count` bytes from the front of a stream, taking them unless `peek`.
template <typename Visit>
uint32_t ReceiveReader::Walk(uint32_t count, bool peek, Visit&& visit) {
  uint32_t done = 0;
  Cursor cursor = cursor_;
  uint32_t offset = offset_;
  uint32_t left;
  while (done < count && RingHas(producer_, cursor) &&
         RingSettle(region_, producer_, cursor, left)) {
    const Descriptor descriptor = RingAt(region_, cursor);
    std::span<const uint8_t> payload = region_.Payload(descriptor);
    uint32_t available = static_cast<uint32_t>(payload.size()) - offset;
    uint32_t step = std::min(count - done, available);
    visit(payload.subspan(offset, step));
    done += step;
    offset += step;
    if (offset == payload.size()) {
      RingStep(cursor);
      offset = 0;
    }
  }
  if (peek) return done;
  cursor_ = cursor;
  offset_ = offset;
  consumer_.bytes.store(consumer_.bytes.load() + done);
  consumer_.head.Release(cursor.position);  // pairs with Reclaim: the buffers may go
  return done;
}

uint32_t ReceiveReader::Read(std::span<uint8_t> into, bool peek) {
  uint8_t* to = into.data();
  return Walk(static_cast<uint32_t>(std::min<size_t>(into.size(), 1u << 30)), peek,
              [&to](std::span<const uint8_t> bytes) {
                std::memcpy(to, bytes.data(), bytes.size());
                to += bytes.size();
              });
}

uint32_t ReceiveReader::Discard(uint32_t count) {
  return Walk(count, false, [](std::span<const uint8_t>) {});
}

std::span<const uint8_t> ReceiveReader::Front() {
  uint32_t left;
  if (empty() || !RingSettle(region_, producer_, cursor_, left)) return {};
  return std::span<const uint8_t>(region_.Payload(RingAt(region_, cursor_))).subspan(offset_);
}

bool ReceiveReader::ReadDatagram(DatagramHeader& header, std::span<const iovec> pieces,
                                 uint32_t& length, uint16_t& flags, bool peek) {
  if (empty()) return false;
  Descriptor whole;
  if (const DatagramHeader* const front = pieces.size() == 1 ? FrontWhole(whole) : nullptr) {
    header = *front;
    length = whole.total;
    flags = whole.flags;
    const std::span<const uint8_t> payload = region_.Payload(whole);
    const size_t count = std::min(payload.size(), pieces[0].iov_len);
    if (count != 0) std::memcpy(pieces[0].iov_base, payload.data(), count);
    if (peek) return true;
    TakeWhole();
    PublishTaken(static_cast<uint32_t>(payload.size()));
    return true;
  }
  header = {};
  length = 0;
  Cursor cursor = cursor_;
  uint32_t left, taken = 0;
  size_t piece = 0, piece_offset = 0;
  flags = 0;
  do {
    if (!RingSettle(region_, producer_, cursor, left)) return false;
    const Descriptor descriptor = RingAt(region_, cursor);
    if ((descriptor.flags & kDatagramStart) != 0) {
      std::memcpy(&header, region_.Storage(descriptor), sizeof(header));
      length = descriptor.total;
    }
    flags |= descriptor.flags;
    std::span<const uint8_t> payload = region_.Payload(descriptor);
    taken += static_cast<uint32_t>(payload.size());
    while (!payload.empty() && piece < pieces.size()) {
      size_t count = std::min(payload.size(), pieces[piece].iov_len - piece_offset);
      if (count != 0) {
        std::memcpy(static_cast<uint8_t*>(pieces[piece].iov_base) + piece_offset, payload.data(),
                    count);
      }
      payload = payload.subspan(count);
      piece_offset += count;
      if (piece_offset == pieces[piece].iov_len) {
        ++piece;
        piece_offset = 0;
      }
    }
    RingStep(cursor);
  } while ((flags & kDatagramEnd) == 0 && RingHas(producer_, cursor));
  if (peek) return true;
  cursor_ = cursor;
  consumer_.bytes.store(consumer_.bytes.load() + taken);
  consumer_.head.Release(cursor.position);  // pairs with Reclaim
  return true;
}

Handle ReadConnection(const Region& region, Entry& listener) {
  Cursor& cursor = listener.connection_cursor;
  uint32_t left;
  if (!RingHas(listener.connection_producer, cursor) ||
      !RingSettle(region, listener.connection_producer, cursor, left)) {
    return {};
  }
  const Descriptor& descriptor = RingAt(region, cursor);
  Handle connection{descriptor.buffer, descriptor.length};
  RingStep(cursor);
  listener.connection_consumer.head.Release(cursor.position);  // pairs with Reclaim
  return connection;
}

bool RingDoorbell(const Region& region, uint32_t index) {
  Entry& entry = region.entry(index);
  uint32_t engine = entry.engine.load();
  // What was pushed is visible before these looks: an engine that has yet to clear the flag will
  // see it, and one that has cleared it is rung again.
  FullFence();
  if (entry.doorbell_pending.load() == 0 && entry.doorbell_pending.Exchange(1) == 0) {
    region.doorbells(engine).Push(index);
    // The engine says that it sleeps and then looks at the queue once more; we the other way round.
    FullFence();
  }
  return region.lane(engine).engine_sleeps.load() != 0;
}

}  // namespace sluice::table
