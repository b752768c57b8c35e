// Receiving IPv6 (RFC 8200). This host does not forward.
#include "ip/icmp.h"
#include "ip/input.h"
#include "wire/icmpv6.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extension.h"

namespace sluice::ip {
namespace {

using wire::Ipv6Chain;
using wire::Ipv6Header;

constexpr uint32_t kChainBytesMax = 512;  // in a first mbuf that is shorter than the packet

// RFC 4291 section 2.5 and 2.7: what cannot come from a link.
bool AddressesAcceptable(const Core& core, const Interface& interface, const Ipv6Header& header,
                         bool looped) {
  if (header.source.is_multicast() || header.destination.is_unspecified()) return false;
  if (looped) return true;
  if (header.source.is_loopback() || header.destination.is_loopback()) return false;
  // Interface-local and reserved scope.
  if (header.destination.is_multicast() && (header.destination.bytes()[1] & 0x0f) <= 1) {
    return false;
  }
  return core.local.Find(header.source, interface.index) == nullptr;
}

Verdict Walk(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
             const Ipv6Header& header, bool reassembled, Inbound* out);

// A whole packet's headers are in order: to whoever takes it.
Verdict Deliver(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                const Ipv6Header& header, const Ipv6Chain& chain, Inbound* out) {
  PacketInfo& info = out->info;
  // RFC 4861 section 7.1.1 and RFC 3810 section 5.2.13 alone let a host speak without an address.
  if (header.source.is_unspecified() && chain.next_header != kProtocolIcmpV6) {
    ++core.counters.Ip6InAddrErrors;
    return Drop(packet);
  }
  if (chain.next_header == wire::kIpv6NoNextHeader || chain.offset > packet->data_len) {
    ++core.counters.Ip6InDiscards;
    return Drop(packet);
  }
  info.protocol = chain.next_header;
  info.transport_checksum = TransportChecksumState(packet);
  info.network_header_bytes = chain.offset;
  DropFront(packet, chain.offset);
  if (!GatherTransportHeader(packet)) [[unlikely]] {
    ++core.counters.Ip6InDiscards;
    return Drop(packet);
  }
  ++core.counters.Ip6InDelivers;
  out->packet = packet;
  if (chain.next_header == kProtocolIcmpV6) return IcmpV6Input(core, now, interface, out);
  return Verdict::kDeliver;
}

// RFC 8200 section 4.5: the fragment header goes, what stood before it stays. False: nonsense.
bool MendHeaders(rte_mbuf* packet, const Reassembled& whole) {
  rte_pktmbuf_prepend(packet, whole.header_bytes);
  uint8_t* p = Data(packet);
  const auto first = Ipv6Header::Parse(FirstBytes(packet), packet->pkt_len);
  if (!first) return false;
  const Ipv6Chain chain = wire::WalkIpv6Chain(*first, FirstBytes(packet));
  if (chain.verdict != Ipv6Chain::Verdict::kFragment) return false;
  p[chain.next_header_field] = chain.fragment.next_header;
  std::memmove(p + wire::kIpv6FragmentHeaderBytes, p, chain.fragment_header_offset);
  DropFront(packet, wire::kIpv6FragmentHeaderBytes);
  const uint32_t payload = packet->pkt_len - wire::kIpv6HeaderBytes;
  if (payload > UINT16_MAX) return false;
  p = Data(packet);
  wire::Store16(p + 4, static_cast<uint16_t>(payload));
  if (whole.congestion_experienced) p[1] |= 0x30;  // the traffic class's low bits
  return true;
}

Verdict Reassemble(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                   const Ipv6Header& header, const Ipv6Chain& chain, Inbound* out) {
  ++core.counters.Ip6ReasmReqds;
  if (chain.offset >= packet->pkt_len || chain.offset > packet->data_len) {
    ++core.counters.Ip6ReasmFails;
    return Drop(packet);
  }
  DropFront(packet, chain.offset);
  const FragmentKey key{header.source, header.destination, chain.fragment.identification,
                        interface.index, 0};
  Fragment fragment;
  fragment.packet = packet;
  fragment.offset = chain.fragment.offset;
  fragment.header_bytes = chain.offset;
  fragment.protocol = chain.fragment.next_header;
  fragment.ecn = header.traffic_class & 3;
  fragment.more = chain.fragment.more_fragments;
  Reassembled whole;
  switch (
      core.reassembler.Add(now, core.config.reassembly_v6, key, fragment, core.counters, &whole)) {
    case Reassembler::Result::kHeld:
      return Verdict::kConsumed;
    case Reassembler::Result::kDropped:
      ++core.counters.Ip6ReasmFails;
      return Verdict::kConsumed;
    case Reassembler::Result::kComplete:
      break;
  }
  if (!MendHeaders(whole.packet, whole)) {
    ++core.counters.Ip6ReasmFails;
    return Drop(whole.packet);
  }
  // The first fragment may have ended within the chain.
  Gather(whole.packet, std::min(whole.packet->pkt_len, kChainBytesMax));
  const auto mended = Ipv6Header::Parse(FirstBytes(whole.packet), whole.packet->pkt_len);
  if (!mended) return Drop(whole.packet);
  ++core.counters.Ip6ReasmOKs;
  out->info.reassembled = true;
  return Walk(core, now, interface, whole.packet, *mended, true, out);
}

Verdict Walk(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
             const Ipv6Header& header, bool reassembled, Inbound* out) {
  PacketInfo& info = out->info;
  info.source = header.source;
  info.destination = header.destination;
  info.ttl = header.hop_limit;
  info.traffic_class = header.traffic_class;
  info.flow_label = header.flow_label;
  const Ipv6Chain chain = wire::WalkIpv6Chain(header, FirstBytes(packet));
  switch (chain.verdict) {
    case Ipv6Chain::Verdict::kPayload:
      return Deliver(core, now, interface, packet, header, chain, out);
    case Ipv6Chain::Verdict::kFragment:
      // A fragment inside what was fragments would never end.
      if (reassembled) break;
      return Reassemble(core, now, interface, packet, header, chain, out);
    case Ipv6Chain::Verdict::kParameterProblem:
      ++core.counters.Ip6InHdrErrors;
      info.network_header_bytes = 0;
      info.protocol = header.next_header;
      SendIcmpV6Error(core, now, packet, info,
                      wire::Icmpv6Header::ParameterProblem(chain.code, chain.pointer),
                      chain.report_multicast);
      return Drop(packet);
    case Ipv6Chain::Verdict::kDiscard:
      break;
  }
  ++core.counters.Ip6InHdrErrors;
  return Drop(packet);
}

}  // namespace

Verdict Ipv6Input(Core& core, Instant now, Interface& interface, rte_mbuf* packet, Inbound* out) {
  Counters& counters = core.counters;
  ++counters.Ip6InReceives;
  if (packet->next != nullptr) [[unlikely]] {
    Gather(packet, std::min(packet->pkt_len, kChainBytesMax));
  }
  const auto header = Ipv6Header::Parse(FirstBytes(packet), packet->pkt_len);
  if (!header || !interface.config.ipv6) [[unlikely]] {
    ++counters.Ip6InHdrErrors;
    return Drop(packet);
  }
  TrimTo(packet, static_cast<uint32_t>(wire::kIpv6HeaderBytes) + header->payload_bytes);
  PacketInfo& info = out->info;
  if (!AddressesAcceptable(core, interface, *header, info.looped)) [[unlikely]] {
    ++counters.Ip6InAddrErrors;
    return Drop(packet);
  }
  const LocalEntry* entry = core.local.Find(header->destination, interface.index);
  if (entry == nullptr) [[unlikely]] {
    if (!header->destination.is_multicast()) ++counters.Ip6InAddrErrors;
    return Drop(packet);
  }
  info.destination_kind = entry->kind;
  if (entry->kind == DestinationKind::kMulticast) [[unlikely]] {
    ++counters.Ip6InMcastPkts;
  } else if (info.link_broadcast || info.link_multicast) [[unlikely]] {
    ++counters.Ip6InAddrErrors;
    return Drop(packet);
  }
  return Walk(core, now, interface, packet, *header, false, out);
}

}  // namespace sluice::ip
