// Sending ICMP errors.
#include <algorithm>

#include "ip/icmp.h"
#include "ip/link.h"
#include "ip/mbuf_bytes.h"
#include "ip/output.h"
#include "wire/checksum.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extension.h"

namespace sluice::ip {
namespace {

// RFC 1812 section 4.3.2.3: as much as fits a packet of 576 bytes. RFC 4443 section 2.4(c): of the
// minimum IPv6 MTU.
constexpr uint32_t kErrorBytesMaxV4 = 576;
constexpr uint32_t kErrorBytesMaxV6 = 1280;

bool IsIcmpError(const rte_mbuf* packet, const PacketInfo& info) {
  if (info.protocol != kProtocolIcmp && info.protocol != kProtocolIcmpV6) return false;
  if (packet->data_len == 0) return true;  // cannot be told: be silent
  const uint8_t type = Data(packet)[0];
  if (info.protocol == kProtocolIcmp) return wire::Icmpv4Header{.type = type}.is_error();
  return wire::Icmpv6Header{.type = type}.is_error() || type == wire::Icmpv6Type::kRedirect;
}

// What may be answered with an error: RFC 1122 section 3.2.2, RFC 4443 section 2.4(e).
bool MayReport(const rte_mbuf* packet, const PacketInfo& info, bool about_multicast) {
  if (info.source.is_unspecified() || info.source.is_multicast()) return false;
  if (!about_multicast && (info.destination_kind != DestinationKind::kUnicast ||
                           info.link_multicast || info.link_broadcast)) {
    return false;
  }
  return !IsIcmpError(packet, info);
}

// Room for the header and a quotation of at most `quote_max` bytes, filled in from the packet.
rte_mbuf* Quote(Core& core, const Interface& interface, const rte_mbuf* packet,
                const PacketInfo& info, uint32_t quote_max) {
  rte_mbuf* message = NewPacket(core, interface);
  if (message == nullptr) return nullptr;
  const uint32_t headers = info.network_header_bytes;
  uint32_t quoted = std::min(headers + packet->pkt_len, quote_max);
  quoted = std::min<uint32_t>(quoted, rte_pktmbuf_tailroom(message) - wire::kIcmpHeaderBytes);
  uint8_t* to = Data(message) + wire::kIcmpHeaderBytes;
  const uint32_t from_headers = std::min(headers, quoted);
  std::memcpy(to, Data(packet) - headers, from_headers);
  CopyBytes(packet, 0, to + from_headers, quoted - from_headers);
  message->data_len = static_cast<uint16_t>(wire::kIcmpHeaderBytes + quoted);
  message->pkt_len = message->data_len;
  return message;
}

// The way back, from the address that was spoken to if it is one of ours.
bool FindReturnPath(Core& core, const PacketInfo& info, Path* path) {
  const bool scoped = info.source.is_v6() && info.source.is_link_local();
  const uint16_t interface = scoped ? info.interface : 0;
  if (info.destination_kind == DestinationKind::kUnicast &&
      FindPath(core, info.source, info.destination, interface, path) == PathStatus::kOk) {
    return true;
  }
  return FindPath(core, info.source, wire::IpAddress(), interface, path) == PathStatus::kOk;
}

bool RateAllows(Core& core, Instant now) {
  if (core.icmp_errors.Take(now)) return true;
  ++core.counters.IcmpOutRateLimitGlobal;
  return false;
}

}  // namespace

void SendIcmpV4Error(Core& core, Instant now, const rte_mbuf* packet, const PacketInfo& info,
                     const wire::Icmpv4Header& header) {
  Path path;
  if (!MayReport(packet, info, false) || !FindReturnPath(core, info, &path) ||
      !RateAllows(core, now)) {
    return;
  }
  const Interface& interface = *core.interfaces[path.interface];
  rte_mbuf* message =
      Quote(core, interface, packet, info, kErrorBytesMaxV4 - 20 - wire::kIcmpHeaderBytes);
  if (message == nullptr) return;
  const wire::Bytes bytes{Data(message), message->data_len};
  header.Emit(bytes);
  wire::Store16(bytes.data() + wire::kIcmpChecksumOffset, wire::Checksum(wire::Sum(bytes)));
  Outbound outbound;
  outbound.protocol = kProtocolIcmp;
  outbound.fragmentation = Fragmentation::kAllowed;
  outbound.traffic_class = 0xc0;  // RFC 1812 section 4.3.2.5: internetwork control
  ++core.counters.IcmpOutMsgs;
  switch (header.type) {
    case wire::Icmpv4Type::kUnreachable:
      ++core.counters.IcmpOutDestUnreachs;
      break;
    case wire::Icmpv4Type::kTimeExceeded:
      ++core.counters.IcmpOutTimeExcds;
      break;
    default:
      ++core.counters.IcmpOutParmProbs;
      break;
  }
  Send(core, now, message, outbound, path);
}

void SendIcmpV6Error(Core& core, Instant now, const rte_mbuf* packet, const PacketInfo& info,
                     const wire::Icmpv6Header& header, bool about_multicast) {
  Path path;
  if (!MayReport(packet, info, about_multicast) || !FindReturnPath(core, info, &path) ||
      !RateAllows(core, now)) {
    return;
  }
  const Interface& interface = *core.interfaces[path.interface];
  rte_mbuf* message = Quote(core, interface, packet, info,
                            kErrorBytesMaxV6 - wire::kIpv6HeaderBytes - wire::kIcmpHeaderBytes);
  if (message == nullptr) return;
  header.Emit({Data(message), message->data_len});
  Outbound outbound;
  outbound.protocol = kProtocolIcmpV6;
  outbound.fragmentation = Fragmentation::kAllowed;
  outbound.checksum_offset = wire::kIcmpChecksumOffset;
  ++core.counters.Icmp6OutMsgs;
  switch (header.type) {
    case wire::Icmpv6Type::kUnreachable:
      ++core.counters.Icmp6OutDestUnreachs;
      break;
    case wire::Icmpv6Type::kTimeExceeded:
      ++core.counters.Icmp6OutTimeExcds;
      break;
    default:
      ++core.counters.Icmp6OutParmProblems;
      break;
  }
  Send(core, now, message, outbound, path);
}

uint16_t NextHeaderField(const rte_mbuf* packet, const PacketInfo& info) {
  const wire::ConstBytes headers{Data(packet) - info.network_header_bytes,
                                 info.network_header_bytes};
  const auto header = wire::Ipv6Header::ParseQuoted(headers);
  if (!header) return 0;
  return wire::WalkIpv6Chain(*header, headers).next_header_field;
}

}  // namespace sluice::ip
