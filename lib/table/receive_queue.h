// The engine's end of a socket's receive queue.
//
// Payload goes in as references to received mbufs where the application can reach them, else (or
// when small pieces pile up, or mbufs run low) as copies in buffers of the region. What the
// application has taken comes back by Reclaim: the engine alone frees mbufs, buffers and blocks of
// this queue, and gives the last block back when the queue is found drained.
//
// Thread: the engine's only.
#pragma once

#include <rte_mbuf_core.h>

#include <cstdint>
#include <span>

#include "table/ring.h"

namespace sluice::table {

// The engine's notes on a receive queue; private to it.
struct ReceiveState {
  Cursor write;
  Cursor reclaim;                // first descriptor whose buffer is still held
  uint32_t open_buffer = kNone;  // buffer that small pieces are copied into
  uint16_t open_used = 0;        // bytes of its storage in use
  uint16_t mbufs_held = 0;       // modulo 2^16
};

class ReceiveQueue {
 public:
  ReceiveQueue(const Region& region, Entry& entry, ReceiveState& state)
      : ReceiveQueue(region, entry.receive_producer, entry.receive_consumer, state) {}
  // The error queue of a socket that is no listener lives in its connection ring.
  static ReceiveQueue ErrorQueue(const Region& region, Entry& entry, ReceiveState& state) {
    return ReceiveQueue(region, entry.connection_producer, entry.connection_consumer, state);
  }

  // Bytes pushed and not yet taken by the application.
  uint32_t bytes() const { return producer_.bytes.load() - consumer_.bytes.load(); }
  uint32_t descriptors() const { return producer_.tail.load() - consumer_.head.load(); }
  uint32_t mbufs_held() const { return state_.mbufs_held; }

  // Appends the bytes of a packet (a chain is one piece after the other) to a stream. On success
  // the queue owns the packet. On failure (no block, no buffer) nothing has changed and the caller
  // still owns it. `copy` asks for copies although mbufs are shared: when mbufs run low.
  bool Push(rte_mbuf* packet, bool copy);
  // Appends one datagram with its header, likewise.
  bool PushDatagram(const DatagramHeader& header, rte_mbuf* packet, bool copy);
  // The same in two steps, for runs: datagrams are stored one by one, and the application learns of
  // all at once by PublishStored, before anything else is done with the queue. Returns where the
  // header is to be written; nullptr: this packet cannot be lent as it is, and nothing has changed.
  DatagramHeader* StoreDatagram(rte_mbuf* packet, uint16_t flags = 0);
  void PublishStored(uint32_t bytes) { Publish(bytes); }
  // Frees what the application has taken, up to the first datagram that is to be sent back. Cheap
  // when there is nothing.
  void Reclaim();
  // Descriptors that have not been reclaimed, taken or not.
  uint32_t held() const { return state_.write.position - state_.reclaim.position; }

  // A datagram that the application took and wants sent back (kSendBack).
  struct Reply {
    DatagramHeader header;       // as it was received, or as the application left it
    std::span<uint8_t> payload;  // what is to be sent, in place
    rte_mbuf* packet = nullptr;  // in which it lies; nullptr: in a buffer of the region
    uint16_t offset = 0;         // of the payload in the packet
  };
  // The oldest. False: there is none. A malformed one is dropped.
  bool ReadReply(Reply& reply);
  // Ends the one that was read. `taken`: its packet is the caller's now.
  void DropReply(bool taken);
  // Frees everything; the application no longer reads.
  void Clear();

 private:
  bool TakenHas() const;
  void ReleaseIfDrained();
  bool PushReferences(rte_mbuf* packet, uint16_t first_flags, uint32_t total, uint16_t last_flags);
  bool PushCopies(const rte_mbuf* packet);
  bool CopyDatagram(const DatagramHeader& header, const rte_mbuf* packet, uint16_t flags);
  uint8_t* OpenRoom(uint32_t& room);
  bool PushOpen(uint32_t length);
  void Undo(const Cursor& mark);
  void Publish(uint32_t bytes);
  void CloseOpenBuffer();
  void FreeDescriptor(const Descriptor& descriptor);

  ReceiveQueue(const Region& region, RingProducer& producer, RingConsumer& consumer,
               ReceiveState& state)
      : region_(region), producer_(producer), consumer_(consumer), state_(state) {}

  const Region& region_;
  RingProducer& producer_;
  RingConsumer& consumer_;
  ReceiveState& state_;
};

// The header goes into the packet's own headroom, which must be nobody else's.
inline DatagramHeader* ReceiveQueue::StoreDatagram(rte_mbuf* packet, uint16_t flags) {
  if (packet->nb_segs != 1 || packet->data_off < sizeof(DatagramHeader) ||
      !RTE_MBUF_DIRECT(packet) || packet->refcnt != 1) {
    return nullptr;
  }
  const uint32_t reference = region_.MbufReference(packet);
  if (reference == kNone ||
      !RingPush(region_, producer_, consumer_, state_.write,
                {.buffer = reference,
                 .length = packet->pkt_len,
                 .total = packet->pkt_len,
                 .offset = packet->data_off,
                 .flags = static_cast<uint16_t>(kDatagramStart | kDatagramEnd | flags)})) {
    return nullptr;
  }
  ++state_.mbufs_held;
  return static_cast<DatagramHeader*>(packet->buf_addr);
}

}  // namespace sluice::table
