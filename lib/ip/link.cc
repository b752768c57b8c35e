#include "ip/link.h"

#include <algorithm>
#include <cstring>

#include "ip/mbuf_bytes.h"
#include "ip/resolve.h"
#include "wire/ethernet.h"

namespace sluice::ip {
namespace {

// A copy of a packet of too many mbufs in one of them; nullptr if it does not fit. Takes `packet`.
rte_mbuf* CopyTogether(Core& core, const Interface& interface, rte_mbuf* packet) {
  rte_mbuf* copy = nullptr;
  if (interface.config.pool != nullptr) copy = rte_pktmbuf_alloc(interface.config.pool);
  if (copy == nullptr) {
    ++core.counters.BuffersExhausted;
  } else if (packet->pkt_len > rte_pktmbuf_tailroom(copy)) {
    ++core.counters.TransmitSegmentsFull;
    rte_pktmbuf_free(copy);
    copy = nullptr;
  } else {
    CopyBytes(packet, 0, Data(copy), packet->pkt_len);
    copy->data_len = static_cast<uint16_t>(packet->pkt_len);
    copy->pkt_len = packet->pkt_len;
    copy->ol_flags = packet->ol_flags;
    copy->tx_offload = packet->tx_offload;
    copy->vlan_tci = packet->vlan_tci;
  }
  rte_pktmbuf_free(packet);
  return copy;
}

SendResult Transmit(Core& core, Interface& interface, rte_mbuf* packet) {
  if (!interface.up) [[unlikely]] {
    ++core.counters.InterfaceDownDrops;
    ++interface.counters.tx_dropped;
    rte_pktmbuf_free(packet);
    return SendResult::kSent;
  }
  if (packet->nb_segs > interface.config.tx_segments_max) [[unlikely]] {
    packet = CopyTogether(core, interface, packet);
    if (packet == nullptr) {
      ++interface.counters.tx_dropped;
      return SendResult::kNoBuffer;
    }
  }
  if (interface.config.vlan_id != 0 && interface.config.tx_vlan_insert) {
    packet->vlan_tci = interface.config.vlan_id;
    packet->ol_flags |= RTE_MBUF_F_TX_VLAN;
  }
  const uint32_t bytes = packet->pkt_len;
  if (!interface.transmit.Push(packet)) [[unlikely]] {
    ++core.counters.TransmitQueueFull;
    ++interface.counters.tx_dropped;
    rte_pktmbuf_free(packet);
    return SendResult::kQueueFull;
  }
  ++interface.counters.tx_packets;
  interface.counters.tx_bytes += bytes;
  return SendResult::kSent;
}

// `header` before the packet, and away.
SendResult TransmitWith(Core& core, Interface& interface, rte_mbuf* packet, const uint8_t* header,
                        uint8_t header_bytes) {
  char* at = rte_pktmbuf_prepend(packet, header_bytes);
  if (at == nullptr) [[unlikely]] {
    ++core.counters.BuffersExhausted;
    rte_pktmbuf_free(packet);
    return SendResult::kNoBuffer;
  }
  std::memcpy(at, header, header_bytes);
  packet->l2_len = header_bytes;
  return Transmit(core, interface, packet);
}

SendResult SendToNeighbor(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                          Path& path) {
  if (path.neighbor == kNoNeighbor ||
      core.neighbors[path.neighbor].generation != path.neighbor_generation) [[unlikely]] {
    path.neighbor = core.neighbors.FindOrCreate(path.interface, path.next_hop, core.counters);
    if (path.neighbor == kNoNeighbor) {
      rte_pktmbuf_free(packet);
      return SendResult::kNoBuffer;
    }
    path.neighbor_generation = core.neighbors[path.neighbor].generation;
  }
  Neighbor& neighbor = core.neighbors[path.neighbor];
  if (neighbor.state != NeighborState::kReachable) [[unlikely]] {
    neighbor.probe_source = path.source;
    const NeighborAction action =
        core.neighbors.Use(now, path.neighbor, core.timings[path.interface]);
    if (!neighbor.has_link_address()) {
      packet->port = path.interface;
      core.neighbors.Enqueue(path.neighbor, packet, core.counters);
      if (action == NeighborAction::kSolicit) SolicitNeighbor(core, now, path.neighbor, false);
      return SendResult::kQueued;
    }
  }
  return SendToLink(core, interface, packet, neighbor);
}

}  // namespace

uint8_t WriteLinkHeader(const Interface& interface, const wire::MacAddress& destination,
                        uint16_t ether_type, uint8_t* to) {
  std::memcpy(to, destination.bytes.data(), 6);
  std::memcpy(to + 6, interface.mac.bytes.data(), 6);
  uint8_t length = 12;
  if (interface.config.vlan_id != 0 && !interface.config.tx_vlan_insert) {
    to[12] = wire::kEtherTypeVlan >> 8;
    to[13] = wire::kEtherTypeVlan & 0xff;
    to[14] = static_cast<uint8_t>(interface.config.vlan_id >> 8);
    to[15] = static_cast<uint8_t>(interface.config.vlan_id);
    length = 16;
  }
  to[length] = static_cast<uint8_t>(ether_type >> 8);
  to[length + 1] = static_cast<uint8_t>(ether_type);
  return static_cast<uint8_t>(length + 2);
}

rte_mbuf* NewPacket(Core& core, const Interface& interface) {
  rte_mbuf* packet =
      interface.config.pool != nullptr ? rte_pktmbuf_alloc(interface.config.pool) : nullptr;
  if (packet == nullptr) ++core.counters.BuffersExhausted;
  return packet;
}

SendResult SendToLink(Core& core, Interface& interface, rte_mbuf* packet,
                      const Neighbor& neighbor) {
  return TransmitWith(core, interface, packet, neighbor.link_header.data(),
                      neighbor.link_header_bytes);
}

wire::MacAddress GroupMac(const wire::IpAddress& destination) {
  if (!destination.is_multicast()) return wire::MacAddress::Broadcast();
  const auto& b = destination.bytes();
  if (destination.is_v4()) {
    return {{0x01, 0x00, 0x5e, static_cast<uint8_t>(b[13] & 0x7f), b[14], b[15]}};
  }
  return {{0x33, 0x33, b[12], b[13], b[14], b[15]}};
}

SendResult Loop(Core& core, uint16_t interface, rte_mbuf* packet) {
  packet->port = interface;
  packet->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  if (!core.loop.Push(packet)) {
    ++core.counters.LoopQueueFull;
    rte_pktmbuf_free(packet);
    return SendResult::kQueueFull;
  }
  return SendResult::kSent;
}

SendResult SendFrame(Core& core, Interface& interface, rte_mbuf* packet,
                     const wire::MacAddress& destination, uint16_t ether_type) {
  uint8_t header[kLinkHeaderBytesMax];
  const uint8_t length = WriteLinkHeader(interface, destination, ether_type, header);
  return TransmitWith(core, interface, packet, header, length);
}

SendResult SendIpPacket(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                        Path& path) {
  if (interface.ethernet) [[likely]] {
    if (path.destination_kind == DestinationKind::kUnicast) [[likely]] {
      return SendToNeighbor(core, now, interface, packet, path);
    }
    return SendFrame(core, interface, packet, GroupMac(path.destination),
                     path.destination.is_v4() ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6);
  }
  if (interface.is_loopback()) return Loop(core, path.loop_interface, packet);
  packet->l2_len = 0;
  return Transmit(core, interface, packet);
}

}  // namespace sluice::ip
