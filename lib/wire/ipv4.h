// The IPv4 header (RFC 791) and its options.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>

#include "wire/address.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

namespace sluice::wire {

inline constexpr size_t kIpv4HeaderBytesMin = 20;
inline constexpr size_t kIpv4HeaderBytesMax = 60;
inline constexpr size_t kIpv4ChecksumOffset = 10;

struct Ipv4Header {
  IpAddress source = IpAddress::AnyV4();
  IpAddress destination = IpAddress::AnyV4();
  uint16_t total_bytes = 0;  // of header and payload
  uint16_t identification = 0;
  uint16_t fragment_offset = 0;  // in bytes, a multiple of 8
  bool dont_fragment = false;
  bool more_fragments = false;
  uint8_t traffic_class = 0;  // DSCP and ECN
  uint8_t ttl = 0;
  uint8_t protocol = 0;
  uint16_t checksum = 0;  // parsed and emitted as it stands; see the functions below
  ConstBytes options;     // in the packet that was parsed; a multiple of 4 bytes

  // `packet` begins at the header; `packet_bytes` is how much of the packet there is, where not all
  // of it is in that span. Refuses other versions, header lengths below 20, a header that does not
  // lie in the span, and a total length that is less than the header's or more than the packet's.
  // What follows total_bytes is padding of the link, for the caller to trim.
  static std::optional<Ipv4Header> Parse(ConstBytes packet, size_t packet_bytes);
  static std::optional<Ipv4Header> Parse(ConstBytes packet) { return Parse(packet, packet.size()); }
  // The beginning of a packet, as ICMP quotes it: any total length not below the header's is right.
  static std::optional<Ipv4Header> ParseQuoted(ConstBytes packet) {
    return Parse(packet, UINT16_MAX);
  }

  size_t size() const { return kIpv4HeaderBytesMin + options.size(); }
  // Writes size() bytes.
  void Emit(Bytes out) const;

  bool is_fragment() const { return more_fragments || fragment_offset != 0; }
  size_t payload_bytes() const { return total_bytes - size(); }

  friend bool operator==(const Ipv4Header& a, const Ipv4Header& b);
};

inline bool operator==(const Ipv4Header& a, const Ipv4Header& b) {
  return a.source == b.source && a.destination == b.destination && a.total_bytes == b.total_bytes &&
         a.identification == b.identification && a.fragment_offset == b.fragment_offset &&
         a.dont_fragment == b.dont_fragment && a.more_fragments == b.more_fragments &&
         a.traffic_class == b.traffic_class && a.ttl == b.ttl && a.protocol == b.protocol &&
         a.checksum == b.checksum && std::ranges::equal(a.options, b.options);
}

// `header` is exactly the header, options included.
inline bool Ipv4ChecksumValid(ConstBytes header) { return ChecksumValid(Sum(header)); }
// Fills in the checksum of an emitted header whose checksum field is zero.
inline void StoreIpv4Checksum(Bytes header) {
  Store16(header.data() + kIpv4ChecksumOffset, Checksum(Sum(header)));
}

// What a host needs to know of a header's options.
struct Ipv4Options {
  bool router_alert = false;  // RFC 2113
  bool source_route = false;  // loose or strict
};
// nullopt if an option's length does not fit; `error_offset`, if given, is then where that option
// begins, counted from the start of the IPv4 header (for ICMP Parameter Problem).
std::optional<Ipv4Options> ParseIpv4Options(ConstBytes options, uint8_t* error_offset = nullptr);

// The options that every fragment carries (RFC 791 section 3.1: the copied flag), padded to a
// multiple of 4 bytes. Returns how many bytes of `out`, which has room for options.size().
size_t CopyFragmentOptions(ConstBytes options, Bytes out);

inline constexpr uint8_t kIpv4RouterAlertOption[4] = {0x94, 4, 0, 0};

inline std::optional<Ipv4Header> Ipv4Header::Parse(ConstBytes packet, size_t packet_bytes) {
  if (packet.size() < kIpv4HeaderBytesMin) return std::nullopt;
  const uint8_t* p = packet.data();
  // RFC 1122 section 3.2.1.1: another version is discarded.
  if (p[0] >> 4 != 4) return std::nullopt;
  const size_t header_bytes = (p[0] & 0x0f) * size_t{4};
  if (header_bytes < kIpv4HeaderBytesMin || header_bytes > packet.size()) return std::nullopt;
  Ipv4Header header;
  header.total_bytes = Load16(p + 2);
  if (header.total_bytes < header_bytes || header.total_bytes > packet_bytes) return std::nullopt;
  header.traffic_class = p[1];
  header.identification = Load16(p + 4);
  const uint16_t fragment = Load16(p + 6);
  header.dont_fragment = (fragment & 0x4000) != 0;
  header.more_fragments = (fragment & 0x2000) != 0;
  header.fragment_offset = static_cast<uint16_t>(fragment << 3);
  header.ttl = p[8];
  header.protocol = p[9];
  header.checksum = Load16(p + kIpv4ChecksumOffset);
  header.source = IpAddress::FromV4Bytes(p + 12);
  header.destination = IpAddress::FromV4Bytes(p + 16);
  header.options = packet.subspan(kIpv4HeaderBytesMin, header_bytes - kIpv4HeaderBytesMin);
  return header;
}

inline void Ipv4Header::Emit(Bytes out) const {
  assert(options.size() % 4 == 0 && size() <= kIpv4HeaderBytesMax && fragment_offset % 8 == 0);
  uint8_t* p = out.first(size()).data();
  p[0] = static_cast<uint8_t>(0x40 | size() / 4);
  p[1] = traffic_class;
  Store16(p + 2, total_bytes);
  Store16(p + 4, identification);
  Store16(p + 6, static_cast<uint16_t>((dont_fragment ? 0x4000 : 0) |
                                       (more_fragments ? 0x2000 : 0) | fragment_offset >> 3));
  p[8] = ttl;
  p[9] = protocol;
  Store16(p + kIpv4ChecksumOffset, checksum);
  std::memcpy(p + 12, source.v4_bytes(), 4);
  std::memcpy(p + 16, destination.v4_bytes(), 4);
  if (!options.empty()) std::memcpy(p + kIpv4HeaderBytesMin, options.data(), options.size());
}

}  // namespace sluice::wire
