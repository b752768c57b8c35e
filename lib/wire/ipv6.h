// The fixed IPv6 header (RFC 8200 section 3). Extension headers: ipv6_extension.h.
#pragma once

#include <cstdint>
#include <optional>

#include "wire/address.h"
#include "wire/bytes.h"

namespace sluice::wire {

inline constexpr size_t kIpv6HeaderBytes = 40;

struct Ipv6Header {
  IpAddress source;
  IpAddress destination;
  uint32_t flow_label = 0;     // 20 bits
  uint16_t payload_bytes = 0;  // of everything after this header, extension headers included
  uint8_t traffic_class = 0;
  uint8_t next_header = 0;
  uint8_t hop_limit = 0;

  // `packet` begins at the header; `packet_bytes` is how much of the packet there is, where not all
  // of it is in that span. Refuses other versions, a payload length beyond the packet, and
  // IPv4-mapped addresses: an IpAddress of that form means IPv4, and on the wire it has no place
  // (RFC 4942 section 2.2).
  static std::optional<Ipv6Header> Parse(ConstBytes packet, size_t packet_bytes);
  static std::optional<Ipv6Header> Parse(ConstBytes packet) { return Parse(packet, packet.size()); }
  // The beginning of a packet, as ICMPv6 quotes it: any payload length is right.
  static std::optional<Ipv6Header> ParseQuoted(ConstBytes packet) {
    return Parse(packet, kIpv6HeaderBytes + UINT16_MAX);
  }

  constexpr size_t size() const { return kIpv6HeaderBytes; }
  void Emit(Bytes out) const;

  friend constexpr bool operator==(const Ipv6Header&, const Ipv6Header&) = default;
};

inline std::optional<Ipv6Header> Ipv6Header::Parse(ConstBytes packet, size_t packet_bytes) {
  if (packet.size() < kIpv6HeaderBytes) return std::nullopt;
  const uint8_t* p = packet.data();
  const uint32_t first = Load32(p);
  if (first >> 28 != 6) return std::nullopt;
  Ipv6Header header;
  header.payload_bytes = Load16(p + 4);
  if (kIpv6HeaderBytes + header.payload_bytes > packet_bytes) return std::nullopt;
  header.traffic_class = static_cast<uint8_t>(first >> 20);
  header.flow_label = first & 0xfffff;
  header.next_header = p[6];
  header.hop_limit = p[7];
  header.source = IpAddress::FromV6Bytes(p + 8);
  header.destination = IpAddress::FromV6Bytes(p + 24);
  if (header.source.is_v4() || header.destination.is_v4()) return std::nullopt;
  return header;
}

inline void Ipv6Header::Emit(Bytes out) const {
  uint8_t* p = out.first(kIpv6HeaderBytes).data();
  Store32(p, uint32_t{6} << 28 | uint32_t{traffic_class} << 20 | (flow_label & 0xfffff));
  Store16(p + 4, payload_bytes);
  p[6] = next_header;
  p[7] = hop_limit;
  std::memcpy(p + 8, source.bytes().data(), 16);
  std::memcpy(p + 24, destination.bytes().data(), 16);
}

}  // namespace sluice::wire
