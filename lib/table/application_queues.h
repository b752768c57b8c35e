// The application's ends of a socket's queues. Each direction belongs to one thread at a time: the
// caller holds the entry's send_lock or receive_lock (see lib/api) around every call.
//
//   SendWriter writer(region, entry);
//   uint32_t taken = writer.Write(bytes);          // copies; fewer than asked when it is full
//   if (taken != 0 && RingDoorbell(region, index)) wake the engine;
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <span>

#include "table/handle.h"
#include "table/ring.h"

namespace sluice::table {

class SendWriter {
 public:
  SendWriter(const Region& region, Entry& entry) : region_(region), entry_(entry) {}

  // Appends to a stream as much as the send buffer and the region hold; returns how much.
  uint32_t Write(std::span<const uint8_t> bytes);

  // Appends one datagram, whole or not at all. False: the send buffer is full or the region has no
  // buffer left (SendSpaceBytes tells which).
  bool WriteDatagram(const DatagramHeader& header, std::span<const iovec> pieces, uint32_t length);

  // Appends `length` bytes that stand at `offset` of a buffer the caller took from the region, and
  // gives the caller's reference to the queue. False: no room; the caller still holds it.
  // `flags`: kUrgent, or none.
  bool WriteBuffer(uint32_t buffer, uint16_t offset, uint32_t length, uint16_t flags = 0);

  // Of a stream.
  uint32_t Room() const { return StreamSpaceBytes(entry_); }

 private:
  friend class DatagramRun;
  bool Push(const Descriptor& descriptor) {
    return RingPush(region_, entry_.send_producer, entry_.send_consumer, entry_.send_cursor,
                    descriptor);
  }
  bool WriteInOneBuffer(const DatagramHeader& header, const iovec& piece, uint32_t length);
  // Fills a buffer and pushes it, unpublished. False: no block; the caller keeps the buffer.
  bool PushWhole(uint32_t buffer, const DatagramHeader& header, const wire::Endpoint& peer,
                 const iovec& piece, uint32_t length) {
    uint8_t* const storage = region_.storage(buffer);
    auto* const at = new (storage) DatagramHeader(header);
    at->peer = peer;
    if (length != 0) std::memcpy(storage + kHeadroom, piece.iov_base, length);
    return Push({.buffer = buffer,
                 .length = length,
                 .total = length,
                 .offset = kHeadroom,
                 .flags = kDatagramStart | kDatagramEnd});
  }
  void Publish(uint32_t bytes);
  void DropOpenBuffer();

  const Region& region_;
  Entry& entry_;
};

// Datagrams that are sent together: buffers are taken many at a time, and the engine learns of all
// at once, when the run is published or ends.
//
//   DatagramRun run(region, entry, count);
//   for (...) {
//     if (run.Write(header, peer, piece, length)) continue;
//     run.Publish();
//     if (!writer.WriteDatagram(header, pieces, length)) break;
//     run.LookForRoom();
//   }
class DatagramRun {
 public:
  // `expected`: how many will be written, more or less.
  DatagramRun(const Region& region, Entry& entry, size_t expected)
      : writer_(region, entry), expected_(expected) {
    LookForRoom();
  }
  ~DatagramRun() {
    Publish();
    while (count_ != 0) writer_.region_.DropReference(spare_[--count_]);
  }
  DatagramRun(const DatagramRun&) = delete;
  DatagramRun& operator=(const DatagramRun&) = delete;

  // Appends a datagram to `peer`; all else is as `header` says. False: it does not fit as things
  // stood when the run was published last, and nothing has happened.
  bool Write(const DatagramHeader& header, const wire::Endpoint& peer, const iovec& piece,
             uint32_t length) {
    if (length > room_ || length > writer_.region_.limits().buffer_bytes) return false;
    if (count_ == 0 && !TakeBuffers()) return false;
    if (!writer_.PushWhole(spare_[count_ - 1], header, peer, piece, length)) return false;
    --count_;
    room_ -= length;
    bytes_ += length;
    has_written_ = true;
    return true;
  }
  void Publish() {
    if (has_written_) writer_.Publish(bytes_);
    has_written_ = false;
    bytes_ = 0;
  }
  // The send buffer has changed: by time, or by what somebody else has written.
  void LookForRoom() { room_ = SendSpaceBytes(writer_.entry_); }

 private:
  static constexpr size_t kMost = 32;

  bool TakeBuffers() {
    const size_t wanted = expected_ < kMost ? expected_ : kMost;
    if (wanted == 0) return false;
    count_ = writer_.region_.TakeBuffers({spare_, wanted});
    expected_ -= wanted;
    return count_ != 0;
  }
  SendWriter writer_;
  size_t expected_;
  uint32_t room_ = 0;
  uint32_t bytes_ = 0;  // written and not published
  bool has_written_ = false;
  uint32_t count_ = 0;
  uint32_t spare_[kMost];
};

class ReceiveReader {
 public:
  ReceiveReader(const Region& region, Entry& entry)
      : ReceiveReader(region, entry.receive_producer, entry.receive_consumer, entry.receive_cursor,
                      entry.receive_offset) {}
  // The error queue of a socket that is no listener. `offset` is a zero of the caller's.
  static ReceiveReader ErrorQueue(const Region& region, Entry& entry, uint32_t& offset) {
    return ReceiveReader(region, entry.connection_producer, entry.connection_consumer,
                         entry.connection_cursor, offset);
  }

  bool empty() const { return !RingHas(producer_, cursor_); }

  // Copies up to into.size() bytes of a stream; returns how many. `peek` leaves them.
  uint32_t Read(std::span<uint8_t> into, bool peek);
  // Takes bytes without copying (MSG_TRUNC on a stream, zero copy). Returns how many.
  uint32_t Discard(uint32_t count);

  // The bytes that stand first in a stream, as they lie in their buffer. Empty: nothing there.
  // They stay valid until Discard has taken them all.
  std::span<const uint8_t> Front();

  // The first datagram where it lies, if it does so in one piece: its header, and what names its
  // payload. nullptr: ask ReadDatagram. It stays until PublishTaken.
  const DatagramHeader* FrontWhole(Descriptor& descriptor) {
    uint32_t left;
    if (empty() || !RingSettle(region_, producer_, cursor_, left)) return nullptr;
    descriptor = RingAt(region_, cursor_);
    constexpr uint16_t kWhole = kDatagramStart | kDatagramEnd;
    if ((descriptor.flags & kWhole) != kWhole) return nullptr;
    return reinterpret_cast<const DatagramHeader*>(region_.Storage(descriptor));
  }
  std::span<const uint8_t> PayloadOf(const Descriptor& d) const { return region_.Payload(d); }
  // Steps over the one that FrontWhole has shown.
  void TakeWhole() { RingStep(cursor_); }
  // Gives the engine what was taken: so many bytes of payload.
  void PublishTaken(uint32_t bytes) {
    consumer_.bytes.store(consumer_.bytes.load() + bytes);
    consumer_.head.Release(cursor_.position);  // pairs with Reclaim
  }

  // The first datagram. False: none. Copies what the pieces hold, `length` tells its true size.
  bool ReadDatagram(DatagramHeader& header, std::span<const iovec> pieces, uint32_t& length,
                    uint16_t& flags, bool peek);

 private:
  ReceiveReader(const Region& region, RingProducer& producer, RingConsumer& consumer,
                Cursor& cursor, uint32_t& offset)
      : region_(region),
        producer_(producer),
        consumer_(consumer),
        cursor_(cursor),
        offset_(offset) {}
  template <typename Visit>
  uint32_t Walk(uint32_t count, bool peek, Visit&& visit);

  const Region& region_;
  RingProducer& producer_;
  RingConsumer& consumer_;
  Cursor& cursor_;
  uint32_t& offset_;
};

// Takes the next accepted connection; is_none(): the queue is empty.
Handle ReadConnection(const Region& region, Entry& listener);

// Tells the engine that a socket's queues have changed. Returns whether it sleeps and must be
// woken.
bool RingDoorbell(const Region& region, uint32_t index);

}  // namespace sluice::table
