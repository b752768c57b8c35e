// The TCP header (RFC 9293 section 3.1). Its options: tcp_options.h.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>

#include "base/sequence.h"
#include "wire/bytes.h"

namespace sluice::wire {

inline constexpr size_t kTcpHeaderBytesMin = 20;
inline constexpr size_t kTcpHeaderBytesMax = 60;
inline constexpr size_t kTcpOptionsBytesMax = 40;
inline constexpr size_t kTcpSequenceOffset = 4;
inline constexpr size_t kTcpChecksumOffset = 16;

inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpSyn = 0x02;
inline constexpr uint8_t kTcpRst = 0x04;
inline constexpr uint8_t kTcpPsh = 0x08;
inline constexpr uint8_t kTcpAck = 0x10;
inline constexpr uint8_t kTcpUrg = 0x20;
inline constexpr uint8_t kTcpEce = 0x40;  // RFC 3168
inline constexpr uint8_t kTcpCwr = 0x80;

struct TcpHeader {
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  Sequence sequence;
  Sequence acknowledgment;
  uint8_t flags = 0;                          // kTcp*
  uint8_t header_bytes = kTcpHeaderBytesMin;  // options included; a multiple of 4
  uint16_t window = 0;                        // as it stands, not scaled
  uint16_t checksum = 0;
  uint16_t urgent_pointer = 0;

  // `segment` begins at the header. Refuses a data offset below 5 words, and a header that does not
  // lie in the span.
  static std::optional<TcpHeader> Parse(ConstBytes segment);

  // Without options: those lie in segment[20 .. header_bytes).
  size_t size() const { return kTcpHeaderBytesMin; }
  // Writes 20 bytes; the options go behind them with TcpOptions::Emit.
  void Emit(Bytes out) const;

  constexpr bool fin() const { return (flags & kTcpFin) != 0; }
  constexpr bool syn() const { return (flags & kTcpSyn) != 0; }
  constexpr bool rst() const { return (flags & kTcpRst) != 0; }
  constexpr bool psh() const { return (flags & kTcpPsh) != 0; }
  constexpr bool ack() const { return (flags & kTcpAck) != 0; }
  constexpr bool urg() const { return (flags & kTcpUrg) != 0; }
  constexpr bool ece() const { return (flags & kTcpEce) != 0; }
  constexpr bool cwr() const { return (flags & kTcpCwr) != 0; }

  friend constexpr bool operator==(const TcpHeader&, const TcpHeader&) = default;
};

inline std::optional<TcpHeader> TcpHeader::Parse(ConstBytes segment) {
  if (segment.size() < kTcpHeaderBytesMin) return std::nullopt;
  const uint8_t* p = segment.data();
  TcpHeader header;
  header.header_bytes = static_cast<uint8_t>((p[12] >> 4) * 4);
  if (header.header_bytes < kTcpHeaderBytesMin || header.header_bytes > segment.size()) {
    return std::nullopt;
  }
  header.source_port = Load16(p);
  header.destination_port = Load16(p + 2);
  header.sequence = Sequence(Load32(p + 4));
  header.acknowledgment = Sequence(Load32(p + 8));
  // RFC 9293 section 3.1: the reserved bits are ignored.
  header.flags = p[13];
  header.window = Load16(p + 14);
  header.checksum = Load16(p + kTcpChecksumOffset);
  header.urgent_pointer = Load16(p + 18);
  return header;
}

inline void TcpHeader::Emit(Bytes out) const {
  assert(header_bytes % 4 == 0 && header_bytes >= kTcpHeaderBytesMin &&
         header_bytes <= kTcpHeaderBytesMax);
  uint8_t* p = out.first(kTcpHeaderBytesMin).data();
  Store16(p, source_port);
  Store16(p + 2, destination_port);
  Store32(p + 4, sequence.value());
  Store32(p + 8, acknowledgment.value());
  p[12] = static_cast<uint8_t>(header_bytes / 4 << 4);
  p[13] = flags;
  Store16(p + 14, window);
  Store16(p + kTcpChecksumOffset, checksum);
  Store16(p + 18, urgent_pointer);
}

}  // namespace sluice::wire
