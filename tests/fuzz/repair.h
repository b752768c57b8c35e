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

// `pseudo` is the pseudo-header's sum, or 0.
inline void RepairTransport(uint8_t protocol, uint64_t pseudo, wire::Bytes transport) {
  const auto field = ChecksumField(protocol);
  if (!field || transport.size() < *field + 2) return;
  wire::Store16(transport.data() + *field, 0);
  const uint16_t checksum = wire::Checksum(pseudo + wire::Sum(transport));
  wire::Store16(transport.data() + *field,
                protocol == 17 ? wire::UdpChecksumField(checksum) : checksum);
}

inline void RepairPacket(wire::Bytes packet) {
  if (const auto v4 = wire::Ipv4Header::Parse(packet)) {
    const wire::Bytes header = packet.first(v4->size());
    wire::Store16(header.data() + wire::kIpv4ChecksumOffset, 0);
    wire::StoreIpv4Checksum(header);
    if (v4->is_fragment()) return;
    const wire::Bytes transport = packet.subspan(v4->size(), v4->payload_bytes());
    const bool bare = v4->protocol == 1 || v4->protocol == 2;
    RepairTransport(v4->protocol,
                    bare ? 0
                         : wire::PseudoHeaderSum(v4->source, v4->destination, v4->protocol,
                                                 static_cast<uint32_t>(transport.size())),
                    transport);
  } else if (const auto v6 = wire::Ipv6Header::Parse(packet)) {
    const wire::Ipv6Chain chain = wire::WalkIpv6Chain(*v6, packet);
    if (chain.verdict != wire::Ipv6Chain::Verdict::kPayload) return;
    const size_t end = wire::kIpv6HeaderBytes + v6->payload_bytes;
    const wire::Bytes transport = packet.subspan(chain.offset, end - chain.offset);
    RepairTransport(chain.next_header,
                    wire::PseudoHeaderSum(v6->source, v6->destination, chain.next_header,
                                          static_cast<uint32_t>(transport.size())),
                    transport);
  }
}

inline void RepairFrame(wire::Bytes frame) {
  if (const auto header = wire::EthernetHeader::Parse(frame)) {
    RepairPacket(frame.subspan(header->size()));
  }
}

}  // namespace sluice::fuzz
