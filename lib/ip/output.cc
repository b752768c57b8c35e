#include "ip/output.h"

#include <algorithm>

#include "ip/link.h"
#include "ip/mbuf_bytes.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extension.h"

namespace sluice::ip {
namespace {

using wire::Fold;
using wire::PseudoHeaderSum;

SendResult ResultOf(PathStatus status) {
  switch (status) {
    case PathStatus::kNoAddress:
      return SendResult::kNoAddress;
    case PathStatus::kOk:
    case PathStatus::kNoRoute:
    case PathStatus::kNoInterface:
      break;
  }
  return SendResult::kNoRoute;
}

bool PortSums(const Interface& interface, uint8_t protocol) {
  return (protocol == kProtocolTcp && interface.config.tx_tcp_checksum) ||
         (protocol == kProtocolUdp && interface.config.tx_udp_checksum);
}

uint8_t* ChecksumField(rte_mbuf* packet, const Outbound& outbound) {
  return Data(packet) + outbound.checksum_offset;
}

// For whoever finishes the sum, a port or nobody (the loop): the pseudo header's part of it. It is
// never zero, which in UDP would say that there is no checksum.
void StorePseudoHeaderSum(rte_mbuf* packet, const Outbound& outbound, const Path& path,
                          uint32_t bytes) {
  const uint16_t sum =
      Fold(PseudoHeaderSum(path.source, path.destination, outbound.protocol, bytes));
  std::memcpy(ChecksumField(packet, outbound), &sum, sizeof(sum));
}

void AskPortForChecksum(rte_mbuf* packet, const Outbound& outbound, const Path& path) {
  const bool cut = packet->tso_segsz != 0;
  // DPDK's contract: with segmentation the pseudo header counts no length.
  StorePseudoHeaderSum(packet, outbound, path, cut ? 0 : packet->pkt_len);
  packet->ol_flags |=
      outbound.protocol == kProtocolTcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
  if (cut) packet->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
  packet->ol_flags |= path.v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
  packet->l4_len = outbound.transport_header_bytes;
}

uint8_t HopLimit(const Core& core, const Interface& interface, const Outbound& outbound,
                 const Path& path) {
  if (outbound.ttl != 0) return outbound.ttl;
  if (path.destination_kind == DestinationKind::kMulticast) return 1;
  return interface.hop_limit != 0 ? interface.hop_limit : core.config.hop_limit;
}

// A copy of a packet to a group or to all for our own sockets.
void LoopCopy(Core& core, const Interface& interface, const rte_mbuf* packet) {
  rte_mbuf* copy = NewPacket(core, interface);
  if (copy == nullptr) return;
  if (packet->pkt_len > rte_pktmbuf_tailroom(copy)) {
    ++core.counters.TransmitSegmentsFull;
    rte_pktmbuf_free(copy);
    return;
  }
  CopyBytes(packet, 0, Data(copy), packet->pkt_len);
  copy->data_len = static_cast<uint16_t>(packet->pkt_len);
  copy->pkt_len = packet->pkt_len;
  Loop(core, interface.index, copy);
}

// RFC 1122 section 3.3.7: the sender hears its own multicast and broadcast if it listens.
bool WantsCopy(const Core& core, const Interface& interface, const Outbound& outbound,
               const Path& path) {
  if (!interface.ethernet && interface.is_loopback()) return false;
  if (path.destination.is_limited_broadcast()) return true;
  if (path.destination_kind == DestinationKind::kMulticast && !outbound.multicast_loop) {
    return false;
  }
  return core.local.Find(path.destination, interface.index) != nullptr;
}

void CountOut(Core& core, const Path& path) {
  ++(path.v4 ? core.counters.IpOutRequests : core.counters.Ip6OutRequests);
}

SendResult Discard(Core& core, rte_mbuf* packet, const Path& path, SendResult result) {
  ++(path.v4 ? core.counters.IpOutDiscards : core.counters.Ip6OutDiscards);
  rte_pktmbuf_free(packet);
  return result;
}

}  // namespace

void StoreTransportChecksum(rte_mbuf* packet, const Outbound& outbound, const Path& path) {
  if (outbound.checksum_offset == kNoChecksum) return;
  uint8_t* field = ChecksumField(packet, outbound);
  uint64_t sum = outbound.transport_sum;
  if (!outbound.transport_sum_valid) {
    wire::Store16(field, 0);
    sum = SumPacket(packet);
  }
  sum += PseudoHeaderSum(path.source, path.destination, outbound.protocol, packet->pkt_len);
  const uint16_t checksum = wire::Checksum(sum);
  // RFC 768: a sum of zero is sent as all ones, for zero means that there is none.
  wire::Store16(field, checksum == 0 && outbound.protocol == kProtocolUdp ? 0xffff : checksum);
}

bool PrependIpv4(const Interface& interface, rte_mbuf* packet, const Outbound& outbound,
                 const Path& path, uint8_t ttl, const PieceOfPacket& piece) {
  wire::Ipv4Header header;
  if (outbound.router_alert) header.options = wire::kIpv4RouterAlertOption;
  const auto bytes = static_cast<uint16_t>(header.size());
  char* at = rte_pktmbuf_prepend(packet, bytes);
  if (at == nullptr) [[unlikely]]
    return false;
  header.source = path.source;
  header.destination = path.destination;
  header.total_bytes = static_cast<uint16_t>(packet->pkt_len);
  header.identification = piece.identification;
  header.fragment_offset = piece.offset;
  header.more_fragments = piece.more;
  header.dont_fragment = piece.dont_fragment;
  header.traffic_class = outbound.traffic_class;
  header.ttl = ttl;
  header.protocol = outbound.protocol;
  const wire::Bytes out{reinterpret_cast<uint8_t*>(at), bytes};
  header.Emit(out);
  packet->l3_len = bytes;
  if (interface.config.tx_ipv4_checksum) {
    packet->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
  } else if (interface.index != kLoopbackInterface) {
    wire::StoreIpv4Checksum(out);
  }
  return true;
}

bool PrependIpv6(rte_mbuf* packet, const Outbound& outbound, const Path& path, uint8_t ttl,
                 uint8_t next_header) {
  wire::Ipv6Header header;
  if (outbound.router_alert) {
    char* options = rte_pktmbuf_prepend(packet, wire::kIpv6RouterAlertBytes);
    if (options == nullptr) [[unlikely]]
      return false;
    wire::EmitIpv6RouterAlert(next_header,
                              {reinterpret_cast<uint8_t*>(options), wire::kIpv6RouterAlertBytes});
    next_header = wire::kIpv6HopByHop;
  }
  header.payload_bytes = static_cast<uint16_t>(packet->pkt_len);
  char* at = rte_pktmbuf_prepend(packet, wire::kIpv6HeaderBytes);
  if (at == nullptr) [[unlikely]]
    return false;
  header.source = path.source;
  header.destination = path.destination;
  header.flow_label = outbound.flow_label;
  header.traffic_class = outbound.traffic_class;
  header.next_header = next_header;
  header.hop_limit = ttl;
  header.Emit({reinterpret_cast<uint8_t*>(at), wire::kIpv6HeaderBytes});
  packet->l3_len =
      wire::kIpv6HeaderBytes + (outbound.router_alert ? wire::kIpv6RouterAlertBytes : 0);
  return true;
}

SendResult SendWithCopy(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                        const Outbound& outbound, Path& path) {
  if (path.destination_kind != DestinationKind::kUnicast) [[unlikely]] {
    if (WantsCopy(core, interface, outbound, path)) LoopCopy(core, interface, packet);
  }
  return SendIpPacket(core, now, interface, packet, path);
}

namespace {

// The header of a datagram that may not be fragmented, so needs no identification (RFC 6864 section
// 4.1), its checksum included unless the port makes that.
void WritePlainIpv4(uint8_t* at, const rte_mbuf* packet, const Outbound& outbound, const Path& path,
                    uint8_t ttl, bool sum) {
  const uint32_t first = uint32_t{0x45} << 24 | uint32_t{outbound.traffic_class} << 16 |
                         (packet->pkt_len + wire::kIpv4HeaderBytesMin);
  constexpr uint32_t kDontFragment = 0x4000;
  const uint32_t third = uint32_t{ttl} << 24 | uint32_t{outbound.protocol} << 16;
  wire::Store32(at, first);
  wire::Store32(at + 4, kDontFragment);
  wire::Store32(at + 8, third);
  std::memcpy(at + 12, path.source.v4_bytes(), 4);
  std::memcpy(at + 16, path.destination.v4_bytes(), 4);
  if (!sum) return;
  const uint64_t host_order =
      uint64_t{first} + kDontFragment + third + path.source.v4() + path.destination.v4();
  wire::Store16(at + wire::kIpv4ChecksumOffset, static_cast<uint16_t>(~Fold(host_order)));
}

void WritePlainIpv6(uint8_t* at, const rte_mbuf* packet, const Outbound& outbound, const Path& path,
                    uint8_t hop_limit) {
  wire::Store32(at, uint32_t{6} << 28 | uint32_t{outbound.traffic_class} << 20 |
                        (outbound.flow_label & 0xfffff));
  wire::Store32(at + 4, packet->pkt_len << 16 | uint32_t{outbound.protocol} << 8 | hop_limit);
  std::memcpy(at + 8, path.source.bytes().data(), 16);
  std::memcpy(at + 24, path.destination.bytes().data(), 16);
}

// Whether the packet is what nearly all are: whole, without options, to a neighbour that is known
// to be there, by a port that has room for it.
bool IsPlain(const Interface& interface, const rte_mbuf* packet, const Outbound& outbound,
             const Path& path, const Neighbor& neighbor, uint32_t network_bytes) {
  const bool forbidden = outbound.fragmentation == Fragmentation::kForbidden ||
                         outbound.fragmentation == Fragmentation::kWhenLarger;
  const bool tagged_by_port = interface.config.vlan_id != 0 && interface.config.tx_vlan_insert;
  return neighbor.generation == path.neighbor_generation && neighbor.is_settled() && forbidden &&
         !outbound.router_alert && path.destination_kind == DestinationKind::kUnicast &&
         packet->tso_segsz == 0 && packet->pkt_len + network_bytes <= path.mtu && interface.up &&
         !tagged_by_port && packet->nb_segs <= interface.config.tx_segments_max &&
         interface.transmit.room() != 0 &&
         rte_pktmbuf_headroom(packet) >= network_bytes + neighbor.link_header_bytes &&
         outbound.checksum_offset != kNoChecksum;
}

// All that Send does, for such a packet, in one go. False: it is none, and nothing has happened.
bool SendPlain(Core& core, Interface& interface, rte_mbuf* packet, const Outbound& outbound,
               const Path& path) {
  if (path.neighbor == kNoNeighbor) return false;
  const Neighbor& neighbor = core.neighbors[path.neighbor];
  const uint32_t network_bytes = path.v4 ? wire::kIpv4HeaderBytesMin : wire::kIpv6HeaderBytes;
  if (!IsPlain(interface, packet, outbound, path, neighbor, network_bytes)) [[unlikely]]
    return false;
  if (PortSums(interface, outbound.protocol)) {
    AskPortForChecksum(packet, outbound, path);
  } else {
    StoreTransportChecksum(packet, outbound, path);
  }
  const uint32_t link_bytes = neighbor.link_header_bytes;
  uint8_t* at = Data(packet) - network_bytes;
  const uint8_t ttl = HopLimit(core, interface, outbound, path);
  if (path.v4) {
    WritePlainIpv4(at, packet, outbound, path, ttl, !interface.config.tx_ipv4_checksum);
    if (interface.config.tx_ipv4_checksum) {
      packet->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
    }
    ++core.counters.IpOutRequests;
  } else {
    WritePlainIpv6(at, packet, outbound, path, ttl);
    ++core.counters.Ip6OutRequests;
  }
  at -= link_bytes;
  if (link_bytes == wire::kEthernetHeaderBytes) [[likely]] {
    std::memcpy(at, neighbor.link_header.data(), wire::kEthernetHeaderBytes);
  } else {
    std::memcpy(at, neighbor.link_header.data(), link_bytes);
  }
  const uint32_t headers = network_bytes + link_bytes;
  packet->data_off = static_cast<uint16_t>(packet->data_off - headers);
  packet->data_len = static_cast<uint16_t>(packet->data_len + headers);
  packet->pkt_len += headers;
  packet->tx_offload = rte_mbuf_tx_offload(link_bytes, network_bytes, packet->l4_len, 0, 0, 0, 0);
  interface.transmit.Push(packet);
  ++interface.counters.tx_packets;
  interface.counters.tx_bytes += packet->pkt_len;
  return true;
}

}  // namespace

SendResult Send(Core& core, Instant now, rte_mbuf* packet, const Outbound& outbound, Path& path) {
  if (path.generation != core.generation) [[unlikely]] {
    const PathStatus status = Refresh(core, &path);
    if (status != PathStatus::kOk) {
      ++(path.v4 ? core.counters.IpOutNoRoutes : core.counters.Ip6OutNoRoutes);
      return Discard(core, packet, path, ResultOf(status));
    }
  }
  Interface& interface = *core.interfaces[path.interface];
  if (SendPlain(core, interface, packet, outbound, path)) [[likely]]
    return SendResult::kSent;
  CountOut(core, path);
  const uint8_t ttl = HopLimit(core, interface, outbound, path);
  // The path may have moved to a port that does not cut: then the packet is too big, and the
  // transport cuts it for the path as it is now.
  if (packet->tso_segsz != 0 && !interface.config.tx_tcp_segmentation) packet->tso_segsz = 0;
  const bool cut = packet->tso_segsz != 0;
  const uint32_t header_bytes =
      path.v4 ? 20u + (outbound.router_alert ? 4 : 0)
              : 40u + (outbound.router_alert ? wire::kIpv6RouterAlertBytes : 0);
  const bool probe = outbound.fragmentation == Fragmentation::kProbe;
  const uint16_t mtu =
      probe && !interface.is_loopback() ? (path.v4 ? interface.mtu : interface.mtu_v6) : path.mtu;
  if (packet->pkt_len + header_bytes > (cut ? 65535u : mtu)) [[unlikely]] {
    if (cut || probe || outbound.fragmentation == Fragmentation::kForbidden) {
      ++(path.v4 ? core.counters.IpFragFails : core.counters.Ip6FragFails);
      return Discard(core, packet, path, SendResult::kTooBig);
    }
    return SendFragments(core, now, interface, packet, outbound, path, ttl, mtu);
  }
  if (outbound.checksum_offset != kNoChecksum) [[likely]] {
    if (interface.is_loopback()) {
      StorePseudoHeaderSum(packet, outbound, path, packet->pkt_len);
    } else if (PortSums(interface, outbound.protocol) || cut) {
      AskPortForChecksum(packet, outbound, path);
    } else {
      StoreTransportChecksum(packet, outbound, path);
    }
  }
  bool written;
  if (path.v4) {
    // RFC 6864 section 4.1: what cannot be fragmented needs no identification.
    PieceOfPacket whole;
    whole.dont_fragment = outbound.fragmentation != Fragmentation::kAllowed;
    if (!whole.dont_fragment) whole.identification = NextIdentification(core, path);
    written = PrependIpv4(interface, packet, outbound, path, ttl, whole);
  } else {
    written = PrependIpv6(packet, outbound, path, ttl, outbound.protocol);
  }
  if (!written) [[unlikely]]
    return Discard(core, packet, path, SendResult::kNoBuffer);
  return SendWithCopy(core, now, interface, packet, outbound, path);
}

uint16_t NextIdentification(Core& core, const Path& path) {
  // RFC 7739 section 5.3: a counter for each pair of addresses, so that nobody can learn from one
  // peer's numbers how many packets another gets.
  const uint64_t hash = SipHashOf(core.config.key, path.source.bytes(), path.destination.bytes());
  return core.identifications[hash % core.identifications.size()]++;
}

}  // namespace sluice::ip
