// What the internet layer says about a packet it hands up, and what transports say about one they
// hand down. The packet itself is an rte_mbuf; these are the facts beside it.
//
// Ownership: an Inbound that a function filled carries a packet which then belongs to the caller.
// One engine keeps a burst of Inbounds and one Outbound and uses them for packet after packet.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "wire/address.h"

namespace sluice::ip {

// The first bytes of a delivered packet that lie in its first mbuf, unless it is shorter: the
// largest TCP header.
inline constexpr uint32_t kTransportBytesTogether = 60;

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolIgmp = 2;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmpV6 = 58;

enum class DestinationKind : uint8_t {
  kUnicast,
  kMulticast,
  kBroadcast,  // 255.255.255.255 or the broadcast address of a subnet of ours
};

// What the port found out about the transport checksum.
enum class ChecksumState : uint8_t { kUnknown, kGood, kBad };

struct PacketInfo {
  wire::IpAddress source;
  wire::IpAddress destination;
  uint8_t protocol = 0;       // of the transport header: extension headers are behind us
  uint8_t ttl = 0;            // or hop limit
  uint8_t traffic_class = 0;  // DSCP and, in the low two bits, ECN (RFC 3168)
  DestinationKind destination_kind = DestinationKind::kUnicast;
  ChecksumState transport_checksum = ChecksumState::kUnknown;
  bool link_multicast = false;  // the frame was sent to a group or to all (RFC 1122 section 3.2.2)
  bool link_broadcast = false;
  bool looped = false;  // we sent it ourselves
  bool reassembled = false;
  uint16_t interface = 0;   // 1-based; where it arrived
  uint32_t flow_label = 0;  // IPv6
  // Bytes of IP header and extension headers that lie just before the packet's data:
  // rte_pktmbuf_prepend(packet, network_header_bytes) brings the whole IP packet back.
  uint16_t network_header_bytes = 0;
};

enum class IcmpErrorKind : uint8_t {
  kNetUnreachable,              // ENETUNREACH
  kHostUnreachable,             // EHOSTUNREACH
  kProtocolUnreachable,         // ENOPROTOOPT; hard for TCP (RFC 1122 section 4.2.3.9)
  kPortUnreachable,             // ECONNREFUSED; hard
  kAdministrativelyProhibited,  // EACCES for IPv6, EHOSTUNREACH for IPv4
  kPacketTooBig,                // EMSGSIZE; see IcmpError::mtu
  kTimeExceeded,                // EHOSTUNREACH; soft
  kParameterProblem,            // EPROTO
};

// Somebody reports that a packet of ours did not arrive. The transport finds its socket by
// (protocol, local, remote), and must check that the report is plausible (RFC 5927: for TCP that
// tcp_sequence is in flight) before it acts. An MTU that it believes goes to Stack::UpdatePathMtu.
struct IcmpError {
  IcmpErrorKind kind = IcmpErrorKind::kHostUnreachable;
  uint8_t type = 0;  // as received; as it would have been where `local` is set
  uint8_t code = 0;
  uint8_t protocol = 0;  // of the quoted packet
  bool local = false;    // our own finding (no neighbour answered), not a message from the network
  uint16_t interface = 0;
  wire::IpAddress reporter;
  wire::Endpoint source;       // of the quoted packet: our side
  wire::Endpoint destination;  // of the quoted packet: the peer
  uint32_t tcp_sequence = 0;   // where protocol is TCP
  uint32_t mtu = 0;      // bytes, where kind is kPacketTooBig; never below the family's minimum
  uint32_t pointer = 0;  // byte in error, where kind is kParameterProblem
};

// What came of one frame.
enum class Verdict : uint8_t {
  kConsumed,  // the stack used or dropped it, and freed it
  kDeliver,   // `packet` begins at the transport header and ends with its payload; see `info`
  kError,     // `error` is for a transport; `packet` begins at the quoted transport header
};

struct Inbound {
  rte_mbuf* packet = nullptr;  // the caller's, after kDeliver and kError
  // FlowMap::Hash of the packet's flow, for a transport that has looked at it before; 0: nobody
  // has.
  uint64_t flow_hash = 0;
  PacketInfo info;  // after kDeliver
  IcmpError error;  // after kError
};

// The choices of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER.
enum class Fragmentation : uint8_t {
  kAllowed,     // DONT: the path may fragment (DF clear), and so do we
  kWhenLarger,  // WANT: DF set on what fits the path MTU, the rest is fragmented here
  kForbidden,   // DO: DF set; larger than the path MTU is refused with kTooBig
  kProbe,       // PROBE: DF set; the path MTU is ignored, only the interface's counts
};

inline constexpr uint16_t kNoChecksum = 0xffff;

// How a transport packet is to leave. Its mbuf's data starts at the transport header. Where
// mbuf::tso_segsz is set, the packet is one for the port to cut (see Path::segmentation_bytes).
struct Outbound {
  uint8_t protocol = 0;
  uint8_t ttl = 0;            // 0: the interface's default; 1 for multicast
  uint8_t traffic_class = 0;  // DSCP and ECN
  Fragmentation fragmentation = Fragmentation::kForbidden;
  bool router_alert = false;   // RFC 2113, RFC 2711
  bool multicast_loop = true;  // give a copy to this host where it is in the group
  // `transport_sum` is the partial sum of the whole transport header, its checksum field taken as
  // zero, and payload, as wire/checksum.h makes it. Without it the stack reads the packet again.
  bool transport_sum_valid = false;
  uint16_t checksum_offset = kNoChecksum;  // of the checksum field in the transport header
  uint16_t transport_header_bytes = 0;     // what the port must know to sum or cut
  uint32_t flow_label = 0;                 // IPv6, 20 bits
  uint64_t transport_sum = 0;
};

// Checks the transport checksum of a delivered packet: by what the port found, else by reading it.
// TCP, ICMP and UDP over IPv6 always carry one; UDP over IPv4 with a zero field carries none
// (RFC 768), and the caller looks at that first.
bool VerifyTransportChecksum(const rte_mbuf* packet, const PacketInfo& info);

}  // namespace sluice::ip
