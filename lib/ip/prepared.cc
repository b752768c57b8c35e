#include "ip/prepared.h"

#include <algorithm>

#include "ip/core.h"
#include "ip/output.h"
#include "ip/stack.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

namespace sluice::ip {
namespace {

// What every packet must be told anew goes by Send: identifications, groups, options, the loop.
bool IsPlain(const Interface& interface, const Outbound& outbound, const Path& path) {
  if (path.destination_kind != DestinationKind::kUnicast || interface.is_loopback()) return false;
  if (outbound.router_alert || outbound.checksum_offset == kNoChecksum) return false;
  if (path.v4 && outbound.fragmentation == Fragmentation::kAllowed) return false;
  return interface.up && !(interface.config.vlan_id != 0 && interface.config.tx_vlan_insert);
}

uint8_t HopLimitOf(const Core& core, const Interface& interface, const Outbound& outbound) {
  if (outbound.ttl != 0) return outbound.ttl;
  return interface.hop_limit != 0 ? interface.hop_limit : core.config.hop_limit;
}

void WriteNetworkHeader(const Outbound& outbound, const Path& path, uint8_t hop_limit,
                        Prepared* prepared) {
  const wire::Bytes out{prepared->headers.data() + Prepared::kBytes - prepared->network_bytes,
                        prepared->network_bytes};
  if (path.v4) {
    wire::Ipv4Header header;
    header.source = path.source;
    header.destination = path.destination;
    header.dont_fragment = true;
    header.traffic_class = outbound.traffic_class;
    header.ttl = hop_limit;
    header.protocol = outbound.protocol;
    header.total_bytes = 0;
    header.Emit(out);
    prepared->network_sum = wire::Sum(out);
    return;
  }
  wire::Ipv6Header header;
  header.source = path.source;
  header.destination = path.destination;
  header.flow_label = outbound.flow_label;
  header.traffic_class = outbound.traffic_class;
  header.next_header = outbound.protocol;
  header.hop_limit = hop_limit;
  header.Emit(out);
}

void ChooseOffloads(const InterfaceConfig& can, const Outbound& outbound, Prepared* prepared) {
  const bool sums = outbound.protocol == kProtocolUdp   ? can.tx_udp_checksum
                    : outbound.protocol == kProtocolTcp ? can.tx_tcp_checksum
                                                        : false;
  rte_mbuf fields{};
  fields.l2_len = static_cast<uint64_t>(prepared->header_bytes - prepared->network_bytes) & 0x7f;
  fields.l3_len = prepared->network_bytes;
  if (prepared->v4 && can.tx_ipv4_checksum) {
    prepared->port_sums_network = true;
    fields.ol_flags |= RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
  }
  if (sums) {
    prepared->port_sums_transport = true;
    fields.l4_len = outbound.transport_header_bytes;
    fields.ol_flags |= prepared->v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
    fields.ol_flags |=
        outbound.protocol == kProtocolUdp ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM;
  }
  prepared->ol_flags = fields.ol_flags;
  prepared->tx_offload = fields.tx_offload;
}

}  // namespace

bool Stack::Prepare(const Outbound& outbound, const Path& path, Prepared* prepared) const {
  prepared->generation = 0;
  if (path.generation != generation_) return false;
  const Interface& interface = *core_->interfaces[path.interface];
  if (!IsPlain(interface, outbound, path)) return false;
  Prepared made;
  uint8_t link_bytes = 0;
  const uint8_t* link_header = nullptr;
  if (interface.ethernet) {
    if (path.neighbor == kNoNeighbor) return false;
    const Neighbor& neighbor = core_->neighbors[path.neighbor];
    if (neighbor.generation != path.neighbor_generation || !neighbor.has_link_address()) {
      return false;
    }
    link_bytes = neighbor.link_header_bytes;
    link_header = neighbor.link_header.data();
    made.neighbor = path.neighbor;
    made.neighbor_generation = path.neighbor_generation;
  }
  made.interface = path.interface;
  made.v4 = path.v4;
  made.network_bytes = path.v4 ? wire::kIpv4HeaderBytesMin : wire::kIpv6HeaderBytes;
  made.header_bytes = static_cast<uint16_t>(link_bytes + made.network_bytes);
  made.payload_bytes_max = path.payload_bytes_max();
  made.pseudo_sum = wire::PseudoHeaderSum(path.source, path.destination, outbound.protocol, 0);
  ChooseOffloads(interface.config, outbound, &made);
  WriteNetworkHeader(outbound, path, HopLimitOf(*core_, interface, outbound), &made);
  if (link_bytes != 0) {
    std::memcpy(made.headers.data() + Prepared::kBytes - made.header_bytes, link_header,
                link_bytes);
  }
  made.generation = path.generation;
  *prepared = made;
  return true;
}

bool Stack::Ready(const Prepared& prepared) const {
  if (prepared.generation != generation_ || prepared.generation == 0) return false;
  if (!core_->interfaces[prepared.interface]->up) return false;
  if (prepared.neighbor == kNoNeighbor) return true;
  const Neighbor& neighbor = core_->neighbors[prepared.neighbor];
  return neighbor.generation == prepared.neighbor_generation && neighbor.is_settled();
}

size_t Stack::SendPrepared(uint16_t interface_index, bool v4, std::span<rte_mbuf* const> packets) {
  Interface& interface = *core_->interfaces[interface_index];
  (v4 ? core_->counters.IpOutRequests : core_->counters.Ip6OutRequests) += packets.size();
  const size_t sent = std::min(packets.size(), interface.transmit.room());
  uint64_t bytes = 0;
  for (rte_mbuf* packet : packets.first(sent)) {
    bytes += packet->pkt_len;
    interface.transmit.Push(packet);
  }
  interface.counters.tx_bytes += bytes;
  interface.counters.tx_packets += sent;
  for (rte_mbuf* packet : packets.subspan(sent)) {
    ++core_->counters.TransmitQueueFull;
    ++interface.counters.tx_dropped;
    rte_pktmbuf_free(packet);
  }
  return sent;
}

}  // namespace sluice::ip
