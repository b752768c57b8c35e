// TCP options: maximum segment size (RFC 9293 section 3.7.1), window scale and timestamps (RFC
// 7323), selective acknowledgment (RFC 2018).
//
//   TcpOptions options = TcpOptions::Parse(segment.subspan(20, header.header_bytes - 20));
//   header.header_bytes = 20 + options.size();
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/sequence.h"
#include "wire/bytes.h"

namespace sluice::wire {

struct SackBlock {
  Sequence begin;  // first byte
  Sequence end;    // first byte behind
  friend constexpr bool operator==(const SackBlock&, const SackBlock&) = default;
};

struct TcpTimestamps {
  uint32_t value = 0;
  uint32_t echo_reply = 0;
  friend constexpr bool operator==(const TcpTimestamps&, const TcpTimestamps&) = default;
};

struct TcpOptions {
  static constexpr uint8_t kWindowScaleMax = 14;  // RFC 7323 section 2.3
  static constexpr int kSackBlocksMax = 4;

  bool has_mss = false;
  bool has_window_scale = false;
  bool has_timestamps = false;
  bool sack_permitted = false;
  bool malformed = false;  // an option's length did not fit: nothing behind it was read
  uint8_t window_scale = 0;
  uint8_t sack_count = 0;
  uint16_t mss = 0;  // bytes
  TcpTimestamps timestamps;
  std::array<SackBlock, kSackBlocksMax> sack;

  // Takes what is well formed. Unknown options are skipped by their length (MUST-6); an illegal
  // length ends the parsing (MUST-7). Window scales above 14 count as 14.
  static TcpOptions Parse(ConstBytes bytes) {
    // RFC 7323 appendix A: nearly every segment carries just this.
    constexpr uint32_t kTimestampsOnly = 0x0101080a;
    if (bytes.size() == 12 && Load32(bytes.data()) == kTimestampsOnly) {
      TcpOptions options;
      options.has_timestamps = true;
      options.timestamps = {Load32(bytes.data() + 4), Load32(bytes.data() + 8)};
      return options;
    }
    return bytes.empty() ? TcpOptions() : ParseAny(bytes);
  }

  // Bytes that Emit writes: a multiple of 4. At most 40 fit a header: with timestamps that is room
  // for three SACK blocks, without for four.
  size_t size() const;
  // In the usual layout, aligned and padded with no-operations.
  void Emit(Bytes out) const;

  friend constexpr bool operator==(const TcpOptions&, const TcpOptions&) = default;

 private:
  static TcpOptions ParseAny(ConstBytes bytes);
};

}  // namespace sluice::wire
