// Receiving ICMP: echo requests are answered, errors made fit for the transports.
#include <algorithm>

#include "ip/group_report.h"
#include "ip/icmp.h"
#include "ip/input.h"
#include "ip/mbuf_bytes.h"
#include "ip/ndp.h"
#include "ip/output.h"
#include "ip/path_mtu.h"
#include "wire/checksum.h"
#include "wire/quoted_packet.h"

namespace sluice::ip {
namespace {

using wire::Icmpv4Header;
using wire::Icmpv4Type;
using wire::Icmpv4Unreachable;
using wire::Icmpv6Header;
using wire::Icmpv6Type;
using wire::Icmpv6Unreachable;

// Of an error message: enough for a header with options or extension headers, and the ports.
constexpr uint32_t kErrorBytesRead = 160;

// Turns a request into its reply and sends it back to where it came from.
void SendEchoReply(Core& core, Instant now, Inbound* in, uint8_t reply_type) {
  rte_mbuf* packet = in->packet;
  const PacketInfo& info = in->info;
  // Several engines have put the request together.
  if (info.reassembled && !core.config.is_speaker) {
    rte_pktmbuf_free(packet);
    return;
  }
  uint8_t* p = Data(packet);
  const uint16_t before = wire::Load16(p);
  p[0] = reply_type;
  packet->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  packet->tx_offload = 0;
  Outbound outbound;
  outbound.protocol = info.protocol;
  outbound.traffic_class = info.traffic_class;  // RFC 1122 section 3.2.2.6 (DISCUSSION)
  outbound.fragmentation = Fragmentation::kAllowed;
  if (info.protocol == kProtocolIcmp) {
    uint8_t* field = p + wire::kIcmpChecksumOffset;
    const uint16_t updated = wire::UpdateChecksum(wire::Load16(field), before, wire::Load16(p));
    // Of a message that is zero throughout the update gives 0, where only all ones is right. Where
    // 0 is right, all ones is as good.
    wire::Store16(field, updated == 0 ? 0xffff : updated);
  } else {
    outbound.checksum_offset = wire::kIcmpChecksumOffset;
  }
  const bool scoped = info.source.is_v6() && info.source.is_link_local();
  const bool unicast = info.destination_kind == DestinationKind::kUnicast;
  Path path;
  if (FindPath(core, info.source, unicast ? info.destination : wire::IpAddress(),
               scoped ? info.interface : 0, &path) != PathStatus::kOk) {
    rte_pktmbuf_free(packet);
    return;
  }
  Send(core, now, packet, outbound, path);
}

// What all errors have in common. False: it is not about a packet of ours, or cut too short.
bool ReadQuotation(const Core& core, Inbound* in, IcmpError* error) {
  const auto quoted =
      wire::QuotedPacket::Parse(FirstBytes(in->packet).subspan(wire::kIcmpHeaderBytes));
  if (!quoted || quoted->source.is_v4() != in->info.source.is_v4()) return false;
  const bool has_ports = quoted->protocol == kProtocolTcp || quoted->protocol == kProtocolUdp;
  if (has_ports && !quoted->has_ports) return false;
  // RFC 1122 section 3.2.2: an error about a packet that we cannot have sent is dropped.
  const LocalEntry* entry = core.local.Find(quoted->source, in->info.interface);
  const bool loopback = quoted->source.is_v4() && quoted->source.is_loopback();
  if (!(loopback && in->info.looped) &&
      (entry == nullptr || entry->kind != DestinationKind::kUnicast)) {
    return false;
  }
  error->protocol = quoted->protocol;
  error->reporter = in->info.source;
  error->interface = in->info.interface;
  error->source = {quoted->source, quoted->source_port, 0};
  error->destination = {quoted->destination, quoted->destination_port, 0};
  if (quoted->source.is_v6() && quoted->destination.is_link_local()) {
    error->destination.scope = in->info.interface;
  }
  error->tcp_sequence = quoted->tcp_sequence.value();
  DropFront(in->packet, static_cast<uint16_t>(wire::kIcmpHeaderBytes + quoted->transport_offset));
  return true;
}

// RFC 1122 section 3.2.2.1. False: of no use to anyone.
bool ClassifyUnreachable(const Icmpv4Header& header, uint16_t quoted_bytes, IcmpError* error) {
  switch (header.code) {
    case Icmpv4Unreachable::kFragmentationNeeded:
      error->kind = IcmpErrorKind::kPacketTooBig;
      error->mtu = PlausiblePathMtuV4(header.mtu(), quoted_bytes);
      return error->mtu != 0;
    case Icmpv4Unreachable::kNet:
    case 6:   // destination network unknown
    case 11:  // network unreachable for type of service
      error->kind = IcmpErrorKind::kNetUnreachable;
      return true;
    case Icmpv4Unreachable::kProtocol:
      error->kind = IcmpErrorKind::kProtocolUnreachable;
      return true;
    case Icmpv4Unreachable::kPort:
      error->kind = IcmpErrorKind::kPortUnreachable;
      return true;
    case Icmpv4Unreachable::kNetProhibited:
    case Icmpv4Unreachable::kHostProhibited:
    case Icmpv4Unreachable::kProhibited:
      error->kind = IcmpErrorKind::kAdministrativelyProhibited;
      return true;
    default:
      error->kind = IcmpErrorKind::kHostUnreachable;
      return header.code <= 15;
  }
}

Verdict ErrorV4(Core& core, const Icmpv4Header& header, Inbound* in) {
  IcmpError error;
  error.type = header.type;
  error.code = header.code;
  const wire::ConstBytes bytes = FirstBytes(in->packet);
  constexpr size_t kTotalBytesAt = wire::kIcmpHeaderBytes + 2;
  const uint16_t quoted_bytes =
      bytes.size() >= kTotalBytesAt + 2 ? wire::Load16(bytes.data() + kTotalBytesAt) : 0;
  bool useful = true;
  switch (header.type) {
    case Icmpv4Type::kUnreachable:
      ++core.counters.IcmpInDestUnreachs;
      useful = ClassifyUnreachable(header, quoted_bytes, &error);
      break;
    case Icmpv4Type::kTimeExceeded:
      ++core.counters.IcmpInTimeExcds;
      error.kind = IcmpErrorKind::kTimeExceeded;
      break;
    default:
      ++core.counters.IcmpInParmProbs;
      error.kind = IcmpErrorKind::kParameterProblem;
      error.pointer = header.pointer();
      break;
  }
  if (!useful || !ReadQuotation(core, in, &error)) {
    ++core.counters.IcmpInErrors;
    return Drop(in->packet);
  }
  in->error = error;
  return Verdict::kError;
}

IcmpErrorKind KindOfUnreachableV6(uint8_t code) {
  switch (code) {
    case Icmpv6Unreachable::kNoRoute:
    case Icmpv6Unreachable::kRejectRoute:
      return IcmpErrorKind::kNetUnreachable;
    case Icmpv6Unreachable::kProhibited:
    case Icmpv6Unreachable::kPolicy:
      return IcmpErrorKind::kAdministrativelyProhibited;
    case Icmpv6Unreachable::kPort:
      return IcmpErrorKind::kPortUnreachable;
    default:
      return IcmpErrorKind::kHostUnreachable;
  }
}

Verdict ErrorV6(Core& core, const Icmpv6Header& header, Inbound* in) {
  IcmpError error;
  error.type = header.type;
  error.code = header.code;
  bool useful = true;
  switch (header.type) {
    case Icmpv6Type::kUnreachable:
      ++core.counters.Icmp6InDestUnreachs;
      error.kind = KindOfUnreachableV6(header.code);
      break;
    case Icmpv6Type::kPacketTooBig:
      ++core.counters.Icmp6InPktTooBigs;
      error.kind = IcmpErrorKind::kPacketTooBig;
      error.mtu = header.mtu();
      // RFC 8201 section 4: less than the minimum is a lie.
      useful = header.mtu() >= kPathMtuMinV6;
      break;
    case Icmpv6Type::kTimeExceeded:
      ++core.counters.Icmp6InTimeExcds;
      error.kind = IcmpErrorKind::kTimeExceeded;
      break;
    case Icmpv6Type::kParameterProblem:
      ++core.counters.Icmp6InParmProblems;
      // RFC 4443 section 3.4: an unknown next header is what "protocol unreachable" is to IPv4.
      error.kind = header.code == wire::Icmpv6Parameter::kUnknownNextHeader
                       ? IcmpErrorKind::kProtocolUnreachable
                       : IcmpErrorKind::kParameterProblem;
      error.pointer = header.pointer();
      break;
    default:
      useful = false;  // RFC 4443 section 2.4(a): unknown errors go to the transport; none cares
      break;
  }
  if (!useful || !ReadQuotation(core, in, &error)) {
    ++core.counters.Icmp6InErrors;
    return Drop(in->packet);
  }
  in->error = error;
  return Verdict::kError;
}

// Messages other than echo must lie in the first mbuf as far as they are read.
bool GatherMessage(rte_mbuf* packet, uint32_t bytes_max) {
  if (packet->next == nullptr) [[likely]]
    return true;
  return Gather(packet, std::min(packet->pkt_len, bytes_max));
}

}  // namespace

Verdict IcmpV4Input(Core& core, Instant now, Interface&, Inbound* in) {
  Counters& counters = core.counters;
  ++counters.IcmpInMsgs;
  rte_mbuf* packet = in->packet;
  const bool gathered = GatherMessage(packet, kErrorBytesRead);
  const auto header = Icmpv4Header::Parse(FirstBytes(packet));
  if (!header || !gathered) {
    ++counters.IcmpInErrors;
    return Drop(packet);
  }
  if (!wire::ChecksumValid(SumPacket(packet))) {
    ++counters.IcmpInCsumErrors;
    return Drop(packet);
  }
  switch (header->type) {
    case Icmpv4Type::kEchoRequest:
      ++counters.IcmpInEchos;
      // RFC 1122 section 3.2.2.6: what was sent to all or to a group may be left unanswered.
      if (!core.config.echo_reply || in->info.destination_kind != DestinationKind::kUnicast) break;
      ++counters.IcmpOutMsgs;
      ++counters.IcmpOutEchoReps;
      SendEchoReply(core, now, in, Icmpv4Type::kEchoReply);
      return Verdict::kConsumed;
    case Icmpv4Type::kUnreachable:
    case Icmpv4Type::kTimeExceeded:
    case Icmpv4Type::kParameterProblem:
      return ErrorV4(core, *header, in);
    case Icmpv4Type::kEchoReply:
      ++counters.IcmpInEchoReps;
      break;
    case Icmpv4Type::kRedirect:
      // Whoever is on the link could steer our traffic with them: counted, not believed.
      ++counters.IcmpInRedirects;
      break;
    default:
      break;
  }
  return Drop(packet);
}

Verdict IcmpV6Input(Core& core, Instant now, Interface& interface, Inbound* in) {
  Counters& counters = core.counters;
  ++counters.Icmp6InMsgs;
  rte_mbuf* packet = in->packet;
  constexpr uint32_t kDiscoveryBytesMax = 1500;
  const bool gathered =
      packet->data_len >= wire::kIcmpHeaderBytes || GatherMessage(packet, wire::kIcmpHeaderBytes);
  const auto header = Icmpv6Header::Parse(FirstBytes(packet));
  if (!header || !gathered) {
    ++counters.Icmp6InErrors;
    return Drop(packet);
  }
  const uint64_t sum =
      SumPacket(packet) + wire::PseudoHeaderSum(in->info.source, in->info.destination,
                                                kProtocolIcmpV6, packet->pkt_len);
  // What we looped to ourselves was never summed.
  if (!in->info.looped && !wire::ChecksumValid(sum)) {
    ++counters.Icmp6InCsumErrors;
    return Drop(packet);
  }
  if (header->type == Icmpv6Type::kEchoRequest) {
    ++counters.Icmp6InEchos;
    if (!core.config.echo_reply || in->info.source.is_unspecified()) return Drop(packet);
    ++counters.Icmp6OutMsgs;
    ++counters.Icmp6OutEchoReplies;
    SendEchoReply(core, now, in, Icmpv6Type::kEchoReply);
    return Verdict::kConsumed;
  }
  if (!GatherMessage(packet, header->is_error() ? kErrorBytesRead : kDiscoveryBytesMax)) {
    ++counters.Icmp6InErrors;
    return Drop(packet);
  }
  if (header->is_error()) return ErrorV6(core, *header, in);
  switch (header->type) {
    case Icmpv6Type::kEchoReply:
      ++counters.Icmp6InEchoReplies;
      break;
    case Icmpv6Type::kMldQuery:
    case Icmpv6Type::kMldV1Report:
      MldInput(core, now, interface, in);
      break;
    default:
      NdpInput(core, now, interface, in);
      break;
  }
  return Drop(packet);
}

}  // namespace sluice::ip
