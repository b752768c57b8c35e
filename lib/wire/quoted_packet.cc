#include "wire/quoted_packet.h"

#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extension.h"

namespace sluice::wire {
namespace {

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;
constexpr size_t kQuotedTransportBytes = 8;  // RFC 792: at least these are quoted

void ReadPorts(ConstBytes bytes, QuotedPacket& quoted) {
  if (quoted.protocol != kTcp && quoted.protocol != kUdp) return;
  if (bytes.size() < quoted.transport_offset + kQuotedTransportBytes) return;
  const uint8_t* p = bytes.data() + quoted.transport_offset;
  quoted.has_ports = true;
  quoted.source_port = Load16(p);
  quoted.destination_port = Load16(p + 2);
  if (quoted.protocol == kTcp) quoted.tcp_sequence = Sequence(Load32(p + 4));
}

std::optional<QuotedPacket> ParseV4(ConstBytes bytes) {
  const auto header = Ipv4Header::ParseQuoted(bytes);
  if (!header) return std::nullopt;
  QuotedPacket quoted;
  quoted.source = header->source;
  quoted.destination = header->destination;
  quoted.protocol = header->protocol;
  quoted.transport_offset = static_cast<uint16_t>(header->size());
  if (header->fragment_offset == 0) ReadPorts(bytes, quoted);
  return quoted;
}

std::optional<QuotedPacket> ParseV6(ConstBytes bytes) {
  const auto header = Ipv6Header::ParseQuoted(bytes);
  if (!header) return std::nullopt;
  // Our own packets have nothing in their chain that would be in error, but a first fragment may be
  // quoted: its payload begins with the transport header.
  const Ipv6Chain chain = WalkIpv6Chain(*header, bytes);
  const bool fragment = chain.verdict == Ipv6Chain::Verdict::kFragment;
  if (!fragment && chain.verdict != Ipv6Chain::Verdict::kPayload) return std::nullopt;
  QuotedPacket quoted;
  quoted.source = header->source;
  quoted.destination = header->destination;
  quoted.protocol = chain.next_header;
  quoted.transport_offset = chain.offset;
  if (!fragment || chain.fragment.offset == 0) ReadPorts(bytes, quoted);
  return quoted;
}

}  // namespace

std::optional<QuotedPacket> QuotedPacket::Parse(ConstBytes bytes) {
  if (bytes.empty()) return std::nullopt;
  return bytes[0] >> 4 == 6 ? ParseV6(bytes) : ParseV4(bytes);
}

}  // namespace sluice::wire
