#include "ip/resolve.h"

#include "ip/arp.h"
#include "ip/link.h"
#include "ip/mbuf_bytes.h"
#include "ip/ndp.h"
#include "wire/ethernet.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"
#include "wire/quoted_packet.h"

namespace sluice::ip {
namespace {

// RFC 4861 section 7.2.2: the packets that wait are reported as undeliverable. RFC 1122 section
// 2.3.2.2 wants the same of ARP.
void NeighborFailed(Core& core, uint32_t index) {
  ++core.counters.NeighborFailures;
  while (rte_mbuf* packet = core.neighbors.Dequeue(index)) {
    if (core.unreachable.Push(packet)) continue;
    ++core.counters.UnreachableQueueFull;
    rte_pktmbuf_free(packet);
  }
  const Neighbor& neighbor = core.neighbors[index];
  const uint16_t interface = neighbor.interface;
  const wire::IpAddress address = neighbor.address;
  core.neighbors.Remove(index);
  RouterFailed(core, interface, address);
}

}  // namespace

void SolicitNeighbor(Core& core, Instant now, uint32_t index, bool unicast) {
  const Neighbor& neighbor = core.neighbors[index];
  Interface& interface = *core.interfaces[neighbor.interface];
  if (neighbor.address.is_v4()) {
    SendArpRequest(core, interface, neighbor.probe_source, neighbor.address,
                   unicast ? neighbor.mac : wire::MacAddress::Broadcast());
  } else {
    SendNeighborSolicitation(core, now, interface, neighbor, unicast);
  }
}

void NeighborResolved(Core& core, uint32_t index) {
  Neighbor& neighbor = core.neighbors[index];
  Interface& interface = *core.interfaces[neighbor.interface];
  neighbor.link_header_bytes =
      WriteLinkHeader(interface, neighbor.mac,
                      neighbor.address.is_v4() ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6,
                      neighbor.link_header.data());
  // Bounded by the neighbour's queue.
  while (rte_mbuf* packet = core.neighbors.Dequeue(index)) {
    SendToLink(core, interface, packet, neighbor);
  }
}

void RunNeighborTimers(Core& core, Instant now) {
  uint32_t cursor = 0;
  uint32_t index = 0;
  // Bounded by the table: each entry comes up at most once.
  for (;;) {
    switch (core.neighbors.NextDue(now, &cursor, core.timings.data(), &index)) {
      case NeighborAction::kNone:
        return;
      case NeighborAction::kSolicit:
        SolicitNeighbor(core, now, index, false);
        break;
      case NeighborAction::kSolicitUnicast:
        SolicitNeighbor(core, now, index, true);
        break;
      case NeighborAction::kFailed:
        NeighborFailed(core, index);
        break;
    }
  }
}

bool TakeUnreachable(Core& core, Inbound* out) {
  while (rte_mbuf* packet = core.unreachable.Take()) {
    const auto quoted = wire::QuotedPacket::Parse(FirstBytes(packet));
    // A packet of ours always has a whole header in its first mbuf, later fragments have no ports.
    if (!quoted || (!quoted->has_ports &&
                    (quoted->protocol == kProtocolTcp || quoted->protocol == kProtocolUdp))) {
      rte_pktmbuf_free(packet);
      continue;
    }
    const bool v4 = quoted->source.is_v4();
    IcmpError& error = out->error;
    error = IcmpError{};
    error.kind = IcmpErrorKind::kHostUnreachable;
    error.type = v4 ? wire::Icmpv4Type::kUnreachable : wire::Icmpv6Type::kUnreachable;
    error.code = v4 ? wire::Icmpv4Unreachable::kHost : wire::Icmpv6Unreachable::kAddress;
    error.protocol = quoted->protocol;
    error.local = true;
    error.interface = packet->port;
    error.reporter = quoted->source;
    error.source = {quoted->source, quoted->source_port, 0};
    error.destination = {quoted->destination, quoted->destination_port, 0};
    error.tcp_sequence = quoted->tcp_sequence.value();
    DropFront(packet, quoted->transport_offset);
    out->packet = packet;
    return true;
  }
  return false;
}

}  // namespace sluice::ip
