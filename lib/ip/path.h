// A path is what must be known to send to a destination: interface, source, next hop, MTU. It is a
// value that a connection keeps beside itself. The stack's tables change rarely: a path remembers
// the generation it was made in, and Send makes it anew when that has passed.
#pragma once

#include <cstdint>

#include "ip/packet.h"
#include "wire/address.h"

namespace sluice::ip {

inline constexpr uint32_t kNoNeighbor = 0xffffffff;

struct Path {
  wire::IpAddress source;
  wire::IpAddress destination;
  wire::IpAddress next_hop;
  uint16_t interface = 0;        // 1-based; kLoopbackInterface where the destination is ourselves
  uint16_t bound_interface = 0;  // what the caller asked for; 0 for any
  uint16_t mtu = 0;              // bytes of the largest IP packet that the path takes, as known
  DestinationKind destination_kind = DestinationKind::kUnicast;
  bool v4 = false;  // the family of all three addresses
  // The port, or the loop, makes the checksum. Where it does not, the transport should sum what it
  // copies and pass Outbound::transport_sum.
  bool sums_tcp = false;
  bool sums_udp = false;
  // mbufs that one packet may consist of. (Longer ones are copied together if they fit into one
  // mbuf of the interface's pool, else dropped and counted.)
  uint16_t segments_max = 1;
  // Largest TCP payload, in bytes, of one packet with tso_segsz set; 0: the port cuts none.
  uint32_t segmentation_bytes = 0;
  // The stack's own: how to see that nothing has changed, and where the link address stands.
  uint16_t loop_interface = 0;  // where a packet to ourselves arrives
  uint32_t generation = 0;      // 0: never found
  uint32_t neighbor = kNoNeighbor;
  uint32_t neighbor_generation = 0;

  // IP payload bytes that fit one packet without extension headers.
  uint16_t payload_bytes_max() const { return static_cast<uint16_t>(mtu - (v4 ? 20 : 40)); }
};

enum class PathStatus : uint8_t {
  kOk,
  kNoRoute,      // ENETUNREACH
  kNoAddress,    // EADDRNOTAVAIL: the source is not ours, or there is none to choose
  kNoInterface,  // ENODEV: the interface asked for is not there; EINVAL: link-local without scope
};

enum class SendResult : uint8_t {
  kSent,       // in a transmit queue, or lost as the link is down
  kQueued,     // waits for the neighbour's link address
  kTooBig,     // EMSGSIZE: larger than path.mtu and not to be fragmented; path.mtu is current
  kNoRoute,    // the path is gone: ENETUNREACH
  kNoAddress,  // its source is no longer ours
  kNoBuffer,   // no mbuf for a header or a fragment: ENOBUFS
  kQueueFull,  // the interface's transmit queue is full: ENOBUFS
};

}  // namespace sluice::ip
