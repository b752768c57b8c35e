#include "ip/aim.h"

#include "ip/mbuf_bytes.h"
#include "ip/packet.h"
#include "wire/bytes.h"
#include "wire/ethernet.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extension.h"
#include "wire/quoted_packet.h"

namespace sluice::ip {
namespace {

using wire::ConstBytes;
using wire::FlowHash;
using wire::FlowOwners;
using wire::FoldWords;

// Enough for every header that is looked at, and the start of a packet that an error quotes.
constexpr uint32_t kHeaderBytesMax = 256;

// ICMPv6 errors are below 128; from MLD's queries to redirects, and MLDv2's reports, come the
// messages of the link itself.
constexpr uint8_t kFirstInformationalV6 = 128, kFirstOfLinkV6 = 130, kLastOfLinkV6 = 137;
constexpr uint8_t kMldV2Report = 143;

bool HasPorts(uint8_t protocol) { return protocol == kProtocolTcp || protocol == kProtocolUdp; }

// An error report goes to the owner of the flow that it quotes.
Aim OfQuoted(const FlowOwners& owners, ConstBytes quoted, bool too_big, uint16_t addresses) {
  const auto packet = wire::QuotedPacket::Parse(quoted);
  if (!packet) return Aim::At(owners.Of(FlowHash(addresses)));
  // Datagrams leave by the engine of their socket, whoever owns the flow: all learn the path MTU.
  if (too_big && packet->protocol == kProtocolUdp) return Aim::AtAll();
  if (!packet->has_ports) return Aim::At(owners.Of(packet->source, packet->destination));
  return Aim::At(owners.Of(packet->source, packet->source_port, packet->destination,
                           packet->destination_port));
}

Aim OfIcmpV4(const FlowOwners& owners, ConstBytes message, uint16_t addresses) {
  constexpr uint8_t kFragmentationNeeded = 4;
  if (message.size() < 8) return Aim::Nowhere();
  const uint8_t type = message[0];
  switch (type) {
    case wire::Icmpv4Type::kUnreachable:
    case wire::Icmpv4Type::kTimeExceeded:
    case wire::Icmpv4Type::kParameterProblem:
      return OfQuoted(owners, message.subspan(8),
                      type == wire::Icmpv4Type::kUnreachable && message[1] == kFragmentationNeeded,
                      addresses);
    default:
      return Aim::At(owners.Of(FlowHash(addresses)));
  }
}

Aim OfIcmpV6(const FlowOwners& owners, ConstBytes message, uint16_t addresses) {
  if (message.size() < 8) return Aim::Nowhere();
  const uint8_t type = message[0];
  if (type < kFirstInformationalV6) {
    return OfQuoted(owners, message.subspan(8), type == wire::Icmpv6Type::kPacketTooBig, addresses);
  }
  if ((type >= kFirstOfLinkV6 && type <= kLastOfLinkV6) || type == kMldV2Report) {
    return Aim::AtAll();
  }
  return Aim::At(owners.Of(FlowHash(addresses)));
}

// `transport` begins at the transport header.
Aim OfTransport(const FlowOwners& owners, uint8_t protocol, ConstBytes transport,
                uint16_t addresses) {
  if (HasPorts(protocol)) [[likely]] {
    if (transport.size() < 4) return Aim::Nowhere();
    return Aim::At(
        owners.Of(FlowHash(static_cast<uint16_t>(addresses ^ FoldWords(transport.data(), 4)))));
  }
  switch (protocol) {
    case kProtocolIcmp:
      return OfIcmpV4(owners, transport, addresses);
    case kProtocolIcmpV6:
      return OfIcmpV6(owners, transport, addresses);
    case kProtocolIgmp:
      return Aim::AtAll();
    default:
      return Aim::At(owners.Of(FlowHash(addresses)));
  }
}

Aim OfIpv4(const FlowOwners& owners, ConstBytes packet) {
  if (packet.size() < wire::kIpv4HeaderBytesMin) return Aim::Nowhere();
  const size_t header_bytes = (packet[0] & 0x0f) * size_t{4};
  if (header_bytes < wire::kIpv4HeaderBytesMin || header_bytes > packet.size()) {
    return Aim::Nowhere();
  }
  constexpr uint16_t kFragmentBits = 0x3fff;  // more fragments, and the offset
  if ((wire::Load16(packet.data() + 6) & kFragmentBits) != 0) [[unlikely]]
    return Aim::AtAll();
  return OfTransport(owners, packet[9], packet.subspan(header_bytes),
                     FoldWords(packet.data() + 12, 8));
}

Aim OfIpv6(const FlowOwners& owners, ConstBytes packet) {
  if (packet.size() < wire::kIpv6HeaderBytes) return Aim::Nowhere();
  wire::Ipv6Header header;
  header.payload_bytes = wire::Load16(packet.data() + 4);
  header.next_header = packet[6];
  const wire::Ipv6Chain chain = wire::WalkIpv6Chain(header, packet);
  switch (chain.verdict) {
    case wire::Ipv6Chain::Verdict::kPayload:
      return OfTransport(owners, chain.next_header, packet.subspan(chain.offset),
                         FoldWords(packet.data() + 8, 32));
    case wire::Ipv6Chain::Verdict::kFragment:
      return Aim::AtAll();
    case wire::Ipv6Chain::Verdict::kParameterProblem:
    case wire::Ipv6Chain::Verdict::kDiscard:
      break;
  }
  return Aim::Nowhere();
}

Aim OfIp(const FlowOwners& owners, ConstBytes packet) {
  if (packet.empty()) return Aim::Nowhere();
  switch (packet[0] >> 4) {
    case 4:
      return OfIpv4(owners, packet);
    case 6:
      return OfIpv6(owners, packet);
    default:
      return Aim::Nowhere();
  }
}

Aim OfFrame(const FlowOwners& owners, ConstBytes frame) {
  const auto header = wire::EthernetHeader::Parse(frame);
  if (!header) return Aim::Nowhere();
  const ConstBytes packet = frame.subspan(header->size());
  switch (header->type) {
    case wire::kEtherTypeIpv4:
      return packet.empty() ? Aim::Nowhere() : OfIpv4(owners, packet);
    case wire::kEtherTypeIpv6:
      return packet.empty() ? Aim::Nowhere() : OfIpv6(owners, packet);
    case wire::kEtherTypeArp:
      return Aim::AtAll();
    default:
      return Aim::Nowhere();
  }
}

}  // namespace

Aim AimOf(const FlowOwners& owners, const rte_mbuf* frame, bool ethernet) {
  ConstBytes bytes = FirstBytes(frame);
  uint8_t gathered[kHeaderBytesMax];
  if (frame->next != nullptr && bytes.size() < kHeaderBytesMax) [[unlikely]] {
    bytes = {gathered, CopyBytes(frame, 0, gathered, kHeaderBytesMax)};
  }
  return ethernet ? OfFrame(owners, bytes) : OfIp(owners, bytes);
}

}  // namespace sluice::ip
