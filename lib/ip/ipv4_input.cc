// Receiving IPv4 (RFC 791, RFC 1122 section 3.2.1). This host does not forward.
#include "ip/group_report.h"
#include "ip/icmp.h"
#include "ip/input.h"
#include "wire/ipv4.h"

namespace sluice::ip {
namespace {

using wire::Ipv4Header;

bool HeaderChecksumGood(const rte_mbuf* packet, const Ipv4Header& header) {
  switch (packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
    case RTE_MBUF_F_RX_IP_CKSUM_GOOD:
    case RTE_MBUF_F_RX_IP_CKSUM_NONE:
      return true;
    case RTE_MBUF_F_RX_IP_CKSUM_BAD:
      return false;
    default:
      return wire::Ipv4ChecksumValid({Data(packet), header.size()});
  }
}

// RFC 1122 section 3.2.1.3: addresses that no packet from a link can rightly have; as its source,
// ours among them.
bool AddressesAcceptable(const Core& core, const Interface& interface, const Ipv4Header& header,
                         bool looped) {
  if (looped) return true;
  if (header.destination.v4() >> 24 == 127) return false;
  const uint32_t source = header.source.v4();
  constexpr uint32_t kFirstMulticast = 0xe0000000;
  if (source >= kFirstMulticast || source >> 24 == 127) return false;
  // Hosts without an address yet may speak IGMP (RFC 3376 section 4.2.13).
  if (source >> 24 == 0) return source == 0 && header.protocol == kProtocolIgmp;
  return core.local.Find(header.source, interface.index) == nullptr;
}

enum class Addressed : uint8_t { kToUs, kToOthers, kToOtherGroup };

// Section 3.2.1.3: whether the packet is for this host, and as what.
Addressed Classify(const Core& core, const Interface& interface, const wire::IpAddress& destination,
                   PacketInfo* info) {
  if (const LocalEntry* entry = core.local.Find(destination, interface.index)) [[likely]] {
    info->destination_kind = entry->kind;
    return Addressed::kToUs;
  }
  if (destination.is_limited_broadcast()) {
    info->destination_kind = DestinationKind::kBroadcast;
    return Addressed::kToUs;
  }
  info->destination_kind = DestinationKind::kUnicast;
  if (info->looped && destination.is_loopback()) return Addressed::kToUs;
  return destination.is_multicast() ? Addressed::kToOtherGroup : Addressed::kToOthers;
}

// A whole datagram, its data at the header, to whoever takes it.
Verdict Deliver(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                const Ipv4Header& header, Inbound* out) {
  PacketInfo& info = out->info;
  info.source = header.source;
  info.destination = header.destination;
  info.protocol = header.protocol;
  info.ttl = header.ttl;
  info.traffic_class = header.traffic_class;
  info.flow_label = 0;
  info.transport_checksum = TransportChecksumState(packet);
  info.network_header_bytes = static_cast<uint16_t>(header.size());
  if (info.destination_kind != DestinationKind::kUnicast) [[unlikely]] {
    ++(info.destination_kind == DestinationKind::kMulticast ? core.counters.IpInMcastPkts
                                                            : core.counters.IpInBcastPkts);
  }
  DropFront(packet, info.network_header_bytes);
  if (!GatherTransportHeader(packet)) [[unlikely]] {
    ++core.counters.IpInDiscards;
    return Drop(packet);
  }
  ++core.counters.IpInDelivers;
  out->packet = packet;
  switch (header.protocol) {
    case kProtocolIcmp:
      return IcmpV4Input(core, now, interface, out);
    case kProtocolIgmp:
      IgmpInput(core, now, interface, out);
      return Drop(packet);
    default:
      return Verdict::kDeliver;
  }
}

// The header of a whole that was put together, made of the first fragment's.
void MendHeader(rte_mbuf* packet, const Reassembled& whole) {
  uint8_t* p = Data(packet);
  wire::Store16(p + 2, static_cast<uint16_t>(packet->pkt_len));
  wire::Store16(p + 6, 0);
  if (whole.congestion_experienced) p[1] |= 3;  // RFC 3168 section 5.3
  wire::Store16(p + wire::kIpv4ChecksumOffset, 0);
  wire::StoreIpv4Checksum({p, whole.header_bytes});
}

Verdict Reassemble(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                   const Ipv4Header& header, Inbound* out) {
  ++core.counters.IpReasmReqds;
  const uint32_t payload = static_cast<uint32_t>(header.payload_bytes());
  const uint32_t payload_max = 65535 - static_cast<uint32_t>(header.size());
  if (payload == 0 || (header.more_fragments && payload % 8 != 0) ||
      header.fragment_offset + payload > payload_max) {
    ++core.counters.IpReasmFails;
    return Drop(packet);
  }
  DropFront(packet, static_cast<uint16_t>(header.size()));
  const FragmentKey key{header.source, header.destination, header.identification, interface.index,
                        header.protocol};
  Fragment fragment;
  fragment.packet = packet;
  fragment.offset = header.fragment_offset;
  fragment.header_bytes = static_cast<uint16_t>(header.size());
  fragment.protocol = header.protocol;
  fragment.ecn = header.traffic_class & 3;
  fragment.more = header.more_fragments;
  Reassembled whole;
  switch (
      core.reassembler.Add(now, core.config.reassembly_v4, key, fragment, core.counters, &whole)) {
    case Reassembler::Result::kHeld:
      return Verdict::kConsumed;
    case Reassembler::Result::kDropped:
      ++core.counters.IpReasmFails;
      return Verdict::kConsumed;
    case Reassembler::Result::kComplete:
      break;
  }
  if (whole.packet->pkt_len + whole.header_bytes > 65535) {
    ++core.counters.IpReasmFails;
    return Drop(whole.packet);
  }
  rte_pktmbuf_prepend(whole.packet, whole.header_bytes);
  MendHeader(whole.packet, whole);
  const auto mended = Ipv4Header::Parse(FirstBytes(whole.packet), whole.packet->pkt_len);
  if (!mended) return Drop(whole.packet);
  ++core.counters.IpReasmOKs;
  out->info.reassembled = true;
  return Deliver(core, now, interface, whole.packet, *mended, out);
}

}  // namespace

Verdict Ipv4Input(Core& core, Instant now, Interface& interface, rte_mbuf* packet, Inbound* out) {
  Counters& counters = core.counters;
  ++counters.IpInReceives;
  if (packet->next != nullptr) [[unlikely]] {
    Gather(packet, std::min<uint32_t>(packet->pkt_len, wire::kIpv4HeaderBytesMax));
  }
  const auto header = Ipv4Header::Parse(FirstBytes(packet), packet->pkt_len);
  if (!header) [[unlikely]] {
    ++counters.IpInHdrErrors;
    return Drop(packet);
  }
  if (!HeaderChecksumGood(packet, *header)) [[unlikely]] {
    ++counters.IpInCsumErrors;
    return Drop(packet);
  }
  TrimTo(packet, header->total_bytes);  // Ethernet pads short frames
  PacketInfo& info = out->info;
  if (!AddressesAcceptable(core, interface, *header, info.looped)) [[unlikely]] {
    ++counters.IpInAddrErrors;
    return Drop(packet);
  }
  switch (Classify(core, interface, header->destination, &info)) {
    case Addressed::kToUs:
      break;
    case Addressed::kToOthers:
      ++counters.IpInAddrErrors;
      return Drop(packet);
    case Addressed::kToOtherGroup:
      return Drop(packet);
  }
  // RFC 1122 section 3.3.6: what the link sent to all must be addressed to more than one.
  if (info.destination_kind == DestinationKind::kUnicast &&
      (info.link_broadcast || info.link_multicast)) [[unlikely]] {
    ++counters.IpInAddrErrors;
    return Drop(packet);
  }
  if (!header->options.empty()) [[unlikely]] {
    // RFC 7126 section 4.3: source routes serve attackers alone; a host drops them.
    const auto options = wire::ParseIpv4Options(header->options);
    if (!options || options->source_route) {
      ++counters.IpInHdrErrors;
      return Drop(packet);
    }
  }
  if (header->is_fragment()) [[unlikely]] {
    return Reassemble(core, now, interface, packet, *header, out);
  }
  return Deliver(core, now, interface, packet, *header, out);
}

}  // namespace sluice::ip
