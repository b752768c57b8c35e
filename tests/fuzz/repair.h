// Gives a frame the checksums it should have. A fuzzer finds them only by chance, and behind them
// lies what is worth fuzzing.
#pragma once

#include <optional>

#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extension.h"
#include "wire/udp.h"

namespace sluice::fuzz {

// Where the checksum field of a transport message stands.
inline std::optional<size_t> ChecksumField(uint8_t protocol) {
  switch (protocol) {
    case 1:   // ICMP
    case 2:   // IGMP
    case 58:  // ICMPv6
      return 2;
    case 6:
      return 16;
    case 17:
      return 6;
    default:
      return std::nullopt;
  }
}

// Calls visit(protocol, pseudo-header's sum or 0, transport message) if the IP packet holds a whole
// one.
template <typename Visitor>
void VisitTransport(wire::Bytes packet, Visitor&& visit) {
  const auto sum = [](const auto& ip, uint8_t protocol, wire::Bytes transport) {
    return wire::PseudoHeaderSum(ip.source, ip.destination, protocol,
                                 static_cast<uint32_t>(transport.size()));
  };
  if (const auto v4 = wire::Ipv4Header::Parse(packet)) {
    if (v4->is_fragment()) return;
    const wire::Bytes transport = packet.subspan(v4->size(), v4->payload_bytes());
    const bool bare = v4->protocol == 1 || v4->protocol == 2;
    visit(v4->protocol, bare ? 0 : sum(*v4, v4->protocol, transport), transport);
  } else if (const auto v6 = wire::Ipv6Header::Parse(packet)) {
    const wire::Ipv6Chain chain = wire::WalkIpv6Chain(*v6, packet);
    if (chain.verdict != wire::Ipv6Chain::Verdict::kPayload) return;
    const size_t end = wire::kIpv6HeaderBytes + v6->payload_bytes;
    const wire::Bytes transport = packet.subspan(chain.offset, end - chain.offset);
    visit(chain.next_header, sum(*v6, chain.next_header, transport), transport);
  }
}

inline void RepairPacket(wire::Bytes packet) {
  if (const auto v4 = wire::Ipv4Header::Parse(packet)) {
    const wire::Bytes header = packet.first(v4->size());
    wire::Store16(header.data() + wire::kIpv4ChecksumOffset, 0);
    wire::StoreIpv4Checksum(header);
  }
  VisitTransport(packet, [](uint8_t protocol, uint64_t pseudo, wire::Bytes transport) {
    const auto field = ChecksumField(protocol);
    if (!field || transport.size() < *field + 2) return;
    wire::Store16(transport.data() + *field, 0);
    const uint16_t checksum = wire::Checksum(pseudo + wire::Sum(transport));
    wire::Store16(transport.data() + *field,
                  protocol == 17 ? wire::UdpChecksumField(checksum) : checksum);
  });
}

inline void RepairFrame(wire::Bytes frame) {
  if (const auto header = wire::EthernetHeader::Parse(frame)) {
    RepairPacket(frame.subspan(header->size()));
  }
}

// Whether the transport message of an IP packet, if it holds a whole one, sums up.
inline bool TransportChecksumValid(wire::Bytes packet) {
  bool valid = true;
  VisitTransport(packet, [&](uint8_t protocol, uint64_t pseudo, wire::Bytes transport) {
    if (!ChecksumField(protocol)) return;
    valid = wire::ChecksumValid(pseudo + wire::Sum(transport));
  });
  return valid;
}

}  // namespace sluice::fuzz
