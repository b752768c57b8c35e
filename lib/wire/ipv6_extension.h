// IPv6 extension headers (RFC 8200 section 4): a bounded walk over the chain, and the few that we
// write.
//
//   Ipv6Chain chain = WalkIpv6Chain(header, packet);
//   switch (chain.verdict) {
//     case Ipv6Chain::Verdict::kPayload: ...  // chain.next_header at chain.offset
//     case Ipv6Chain::Verdict::kFragment: ...  // to reassembly; walk the whole packet again
//     case Ipv6Chain::Verdict::kParameterProblem: ...  // ICMPv6 with chain.code and chain.pointer
//     case Ipv6Chain::Verdict::kDiscard: ...
//   }
#pragma once

#include <cstdint>
#include <optional>

#include "wire/bytes.h"
#include "wire/ipv6.h"

namespace sluice::wire {

inline constexpr uint8_t kIpv6HopByHop = 0;
inline constexpr uint8_t kIpv6Routing = 43;
inline constexpr uint8_t kIpv6Fragment = 44;
inline constexpr uint8_t kIpv6NoNextHeader = 59;
inline constexpr uint8_t kIpv6DestinationOptions = 60;

constexpr bool IsIpv6Extension(uint8_t next_header) {
  return next_header == kIpv6HopByHop || next_header == kIpv6Routing ||
         next_header == kIpv6Fragment || next_header == kIpv6DestinationOptions;
}

inline constexpr size_t kIpv6FragmentHeaderBytes = 8;

// RFC 8200 section 4.5.
struct Ipv6FragmentHeader {
  uint8_t next_header = 0;
  bool more_fragments = false;
  uint16_t offset = 0;  // in bytes, a multiple of 8
  uint32_t identification = 0;

  static std::optional<Ipv6FragmentHeader> Parse(ConstBytes bytes);
  constexpr size_t size() const { return kIpv6FragmentHeaderBytes; }
  void Emit(Bytes out) const;

  // A whole packet in one "fragment": it is never put with others (RFC 6946, RFC 8200 section 4.5).
  bool is_atomic() const { return !more_fragments && offset == 0; }
  friend constexpr bool operator==(const Ipv6FragmentHeader&, const Ipv6FragmentHeader&) = default;
};

// Where the chain of a packet leads. All offsets count from the first byte of the IPv6 header.
struct Ipv6Chain {
  enum class Verdict : uint8_t {
    kPayload,   // the headers are in order; `next_header` (perhaps 59, none) lies at `offset`
    kFragment,  // one part of several; see `fragment` and what follows it
    kParameterProblem,  // discard and report `code`, `pointer`
    kDiscard,           // discard in silence
  };
  // Headers walked over at most. A longer chain is discarded (RFC 8504 section 5.3 allows limits).
  static constexpr int kHeadersMax = 8;

  Verdict verdict = Verdict::kPayload;
  uint8_t next_header = 0;
  uint16_t offset = 0;
  // Where the number of `next_header` stands: the pointer of a report that nobody here knows it.
  uint16_t next_header_field = 6;
  bool router_alert = false;  // RFC 2711

  // After kParameterProblem (RFC 4443 section 3.4).
  uint8_t code = 0;
  uint32_t pointer = 0;
  // Option type 10: report even what was sent to a multicast address (RFC 8200 section 4.2).
  bool report_multicast = false;

  // After kFragment: the fragment's payload is packet[offset ..), in front of
  // fragment_header_offset is what every fragment repeats, and the byte at next_header_field names
  // the fragment header there.
  Ipv6FragmentHeader fragment;
  uint16_t fragment_header_offset = 0;
};

namespace internal {
Ipv6Chain WalkIpv6Extensions(const Ipv6Header& header, ConstBytes packet);
}

// `packet` begins at the IPv6 header, of which `header` was parsed. It need hold no more than the
// chain: a chain that is not wholly in it is discarded.
inline Ipv6Chain WalkIpv6Chain(const Ipv6Header& header, ConstBytes packet) {
  if (!IsIpv6Extension(header.next_header)) {
    Ipv6Chain chain;
    chain.next_header = header.next_header;
    chain.offset = kIpv6HeaderBytes;
    return chain;
  }
  return internal::WalkIpv6Extensions(header, packet);
}

// Hop-by-hop options with a router alert (RFC 2711) for MLD, padded.
inline constexpr size_t kIpv6RouterAlertBytes = 8;
void EmitIpv6RouterAlert(uint8_t next_header, Bytes out);

}  // namespace sluice::wire
