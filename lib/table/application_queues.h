// The application's ends of a socket's queues. Each direction belongs to one thread at a time: the
// caller holds the entry's send_lock or receive_lock (see lib/api) around every call.
//
//   SendWriter writer(region, entry);
//   uint32_t taken = writer.Write(bytes);          // copies; fewer than asked when it is full
//   if (taken != 0 && RingDoorbell(region, index)) wake the engine;
#pragma once

#include <sys/uio.h>

#include <cstdint>
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
  bool Push(const Descriptor& descriptor) {
    return RingPush(region_, entry_.send_producer, entry_.send_consumer, entry_.send_cursor,
                    descriptor);
  }
  bool WriteInOneBuffer(const DatagramHeader& header, const iovec& piece, uint32_t length);
  void Publish(uint32_t bytes);
  void DropOpenBuffer();

  const Region& region_;
  Entry& entry_;
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
