// The UDP header (RFC 768).
#pragma once

#include <cstdint>
#include <optional>

#include "wire/bytes.h"

namespace sluice::wire {

inline constexpr size_t kUdpHeaderBytes = 8;
inline constexpr size_t kUdpChecksumOffset = 6;

struct UdpHeader {
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t total_bytes = kUdpHeaderBytes;  // of header and payload
  uint16_t checksum = 0;                   // 0: none (IPv4 only, RFC 8200 section 8.1)

  // `datagram` begins at the header; `datagram_bytes` is how much of it there is, where not all is
  // in that span. Refuses lengths below 8 or beyond the datagram. What follows total_bytes does not
  // belong to it.
  static std::optional<UdpHeader> Parse(ConstBytes datagram, size_t datagram_bytes) {
    if (datagram.size() < kUdpHeaderBytes) return std::nullopt;
    const uint8_t* p = datagram.data();
    const UdpHeader header{Load16(p), Load16(p + 2), Load16(p + 4), Load16(p + kUdpChecksumOffset)};
    if (header.total_bytes < kUdpHeaderBytes || header.total_bytes > datagram_bytes) {
      return std::nullopt;
    }
    return header;
  }
  static std::optional<UdpHeader> Parse(ConstBytes datagram) {
    return Parse(datagram, datagram.size());
  }

  constexpr size_t size() const { return kUdpHeaderBytes; }
  void Emit(Bytes out) const {
    uint8_t* p = out.first(kUdpHeaderBytes).data();
    Store16(p, source_port);
    Store16(p + 2, destination_port);
    Store16(p + 4, total_bytes);
    Store16(p + kUdpChecksumOffset, checksum);
  }

  friend constexpr bool operator==(const UdpHeader&, const UdpHeader&) = default;
};

// RFC 768: a computed checksum of zero is sent as all ones, since zero means that there is none.
constexpr uint16_t UdpChecksumField(uint16_t checksum) { return checksum == 0 ? 0xffff : checksum; }

}  // namespace sluice::wire
