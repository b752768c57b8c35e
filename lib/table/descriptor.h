// What the rings of a socket carry: references to payload, and handles of accepted connections.
//
// A reference names a buffer of the region by index, or, where application and engine share an
// address space, an mbuf by its distance from a base that both know. It is never a pointer.
#pragma once

#include <cstdint>

#include "table/cell.h"
#include "table/index_pool.h"
#include "wire/address.h"

namespace sluice::table {

enum DescriptorFlag : uint16_t {
  kDatagramStart = 1 << 0,  // first buffer of a datagram; its DatagramHeader stands at offset 0
  kDatagramEnd = 1 << 1,    // last buffer of a datagram
  kErrorReport = 1 << 2,    // an entry of the error queue (IP_RECVERR)
  kUrgent = 1 << 3,         // the last byte is urgent data (RFC 6093)
  // Receive queue: whoever took this datagram wants it sent back to its peer, `length` bytes of it.
  // The application writes that into the descriptor before its head passes it.
  kSendBack = 1 << 4,
};

struct Descriptor {
  uint32_t buffer = 0xffffffff;  // BufferReference, or a slot index in a connection queue
  uint32_t length = 0;           // payload bytes; the generation in a connection queue
  uint32_t total = 0;            // kDatagramStart: bytes of the whole datagram
  uint16_t offset = 0;           // payload's first byte, from the start of the buffer's storage
  uint16_t flags = 0;
};
static_assert(sizeof(Descriptor) == 16);

// Seven descriptors and the link to the next block: what a ring is made of.
struct alignas(128) RingBlock {
  static constexpr uint32_t kSlots = 7;
  static constexpr uint32_t kStride = 8;  // the size of a block, in descriptors
  Descriptor slots[kSlots];
  // In a ring, `next` is the next block, kNone at the end.
  FreeLink link;
  uint32_t unused[2];
};
static_assert(sizeof(RingBlock) == RingBlock::kStride * sizeof(Descriptor));

// Stands at the start of the storage of a datagram's first buffer, in front of the payload.
// Received: who sent it, where it was sent to and how. To send: the destination, and what ancillary
// data override. Error queue: the ICMP message that was reported.
struct DatagramHeader {
  wire::Endpoint peer;       // source of a received, destination of a sent datagram
  wire::Endpoint local;      // the other end; `scope` is the interface; unspecified: engine chooses
  int64_t timestamp_ns = 0;  // when the engine took it in
  int16_t ttl = -1;          // or hop limit; -1: the socket's
  int16_t traffic_class = -1;  // or TOS; -1: the socket's
  uint16_t segment_bytes = 0;  // UDP_SEGMENT: 0 is one datagram
  uint8_t error_origin = 0;    // SO_EE_ORIGIN_*
  uint8_t error_type = 0;      // ICMP type
  uint8_t error_code = 0;      // ICMP code
  uint8_t error = 0;           // table::Result
  uint32_t error_info = 0;     // next-hop MTU
  wire::IpAddress offender;    // who sent the ICMP message
};
inline constexpr uint16_t kHeadroom = 128;
static_assert(sizeof(DatagramHeader) <= kHeadroom);

}  // namespace sluice::table
