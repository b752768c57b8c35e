#include "wire/ipv6_extension.h"

#include "wire/icmpv6.h"

namespace sluice::wire {
namespace {

using Verdict = Ipv6Chain::Verdict;

constexpr uint8_t kPad1 = 0;
constexpr uint8_t kPadN = 1;
constexpr uint8_t kRouterAlert = 5;

// One walk: the chain as far as it is known, and the packet it lies in.
class Walk {
 public:
  Walk(const Ipv6Header& header, ConstBytes packet)
      : packet_(packet),
        end_(kIpv6HeaderBytes + header.payload_bytes),
        multicast_(header.destination.is_multicast()) {
    chain_.next_header = header.next_header;
    chain_.offset = kIpv6HeaderBytes;
  }

  Ipv6Chain Run() {
    for (int i = 0; i < Ipv6Chain::kHeadersMax; ++i) {
      if (!IsIpv6Extension(chain_.next_header)) return chain_;
      if (!Step()) return chain_;
    }
    if (IsIpv6Extension(chain_.next_header)) Discard();
    return chain_;
  }

 private:
  // Each handles the extension header at chain_.offset. False: the verdict is final.
  bool Step();
  bool Options(ConstBytes header);
  bool UnknownOption(uint8_t type, uint32_t at);
  bool Routing(ConstBytes header);
  bool Fragment();

  bool Discard() {
    chain_.verdict = Verdict::kDiscard;
    return false;
  }
  bool Problem(uint8_t code, size_t pointer) {
    chain_.verdict = Verdict::kParameterProblem;
    chain_.code = code;
    chain_.pointer = static_cast<uint32_t>(pointer);
    return false;
  }
  size_t available() const {
    const size_t end = packet_.size() < end_ ? packet_.size() : end_;
    return end < chain_.offset ? 0 : end - chain_.offset;
  }

  ConstBytes packet_;
  size_t end_;
  bool multicast_;
  Ipv6Chain chain_;
};

bool Walk::Step() {
  // RFC 8200 section 4.1: hop-by-hop options come only immediately after the IPv6 header; elsewhere
  // the value is one that is not recognised.
  if (chain_.next_header == kIpv6HopByHop && chain_.offset != kIpv6HeaderBytes) {
    return Problem(Icmpv6Parameter::kUnknownNextHeader, chain_.next_header_field);
  }
  if (available() < 8) return Discard();
  if (chain_.next_header == kIpv6Fragment) return Fragment();

  const uint8_t* p = packet_.data() + chain_.offset;
  const size_t bytes = (p[1] + size_t{1}) * 8;
  if (bytes > available()) return Discard();
  const ConstBytes header = packet_.subspan(chain_.offset, bytes);
  if (!(chain_.next_header == kIpv6Routing ? Routing(header) : Options(header))) return false;
  chain_.next_header = header[0];
  chain_.next_header_field = chain_.offset;
  chain_.offset = static_cast<uint16_t>(chain_.offset + bytes);
  return true;
}

bool Walk::Options(ConstBytes header) {
  const bool hop_by_hop = chain_.next_header == kIpv6HopByHop;
  for (size_t at = 2; at < header.size();) {
    const uint8_t type = header[at];
    if (type == kPad1) {
      ++at;
      continue;
    }
    if (at + 2 > header.size() || at + 2 + header[at + 1] > header.size()) {
      // The length is an erroneous field: it points behind the header that holds it.
      const size_t length_at = at + 1 < header.size() ? at + 1 : at;
      return Problem(Icmpv6Parameter::kErroneousField, chain_.offset + length_at);
    }
    if (type == kRouterAlert && hop_by_hop) {
      chain_.router_alert = true;
    } else if (type != kPadN) {
      if (!UnknownOption(type, static_cast<uint32_t>(chain_.offset + at))) return false;
    }
    at += size_t{2} + header[at + 1];
  }
  return true;
}

// RFC 8200 section 4.2: the two highest bits say what to do with an option that is not recognised.
bool Walk::UnknownOption(uint8_t type, uint32_t at) {
  switch (type >> 6) {
    case 0:
      return true;
    case 1:
      return Discard();
    case 2:
      chain_.report_multicast = true;
      return Problem(Icmpv6Parameter::kUnknownOption, at);
    default:
      return multicast_ ? Discard() : Problem(Icmpv6Parameter::kUnknownOption, at);
  }
}

// RFC 8200 section 4.4: no type is recognised here (type 0 is deprecated by RFC 5095), so the
// header is ignored if no segments are left, and an error if some are.
bool Walk::Routing(ConstBytes header) {
  if (header[3] == 0) return true;
  return Problem(Icmpv6Parameter::kErroneousField, chain_.offset + 2);
}

bool Walk::Fragment() {
  const auto fragment = Ipv6FragmentHeader::Parse(packet_.subspan(chain_.offset));
  if (!fragment) return Discard();
  chain_.fragment_header_offset = chain_.offset;
  chain_.fragment = *fragment;
  const uint16_t header_at = chain_.offset;
  chain_.offset = static_cast<uint16_t>(chain_.offset + kIpv6FragmentHeaderBytes);
  if (fragment->is_atomic()) {
    chain_.next_header = fragment->next_header;
    chain_.next_header_field = header_at;
    return true;
  }
  const size_t payload = end_ - chain_.offset;
  // RFC 8200 section 4.5: all fragments but the last are multiples of 8 bytes long ...
  if (fragment->more_fragments && payload % 8 != 0) {
    return Problem(Icmpv6Parameter::kErroneousField, 4);
  }
  // ... and the whole packet must not be longer than a payload length can say.
  if (fragment->offset + payload > UINT16_MAX) {
    return Problem(Icmpv6Parameter::kErroneousField, header_at + size_t{2});
  }
  chain_.next_header = fragment->next_header;
  chain_.verdict = Verdict::kFragment;
  return false;
}

}  // namespace

namespace internal {

Ipv6Chain WalkIpv6Extensions(const Ipv6Header& header, ConstBytes packet) {
  return Walk(header, packet).Run();
}

}  // namespace internal

std::optional<Ipv6FragmentHeader> Ipv6FragmentHeader::Parse(ConstBytes bytes) {
  if (bytes.size() < kIpv6FragmentHeaderBytes) return std::nullopt;
  const uint16_t offset_and_flag = Load16(bytes.data() + 2);
  return Ipv6FragmentHeader{bytes[0], (offset_and_flag & 1) != 0,
                            static_cast<uint16_t>(offset_and_flag & 0xfff8),
                            Load32(bytes.data() + 4)};
}

void Ipv6FragmentHeader::Emit(Bytes out) const {
  uint8_t* p = out.first(kIpv6FragmentHeaderBytes).data();
  p[0] = next_header;
  p[1] = 0;
  Store16(p + 2, static_cast<uint16_t>((offset & 0xfff8) | (more_fragments ? 1 : 0)));
  Store32(p + 4, identification);
}

void EmitIpv6RouterAlert(uint8_t next_header, Bytes out) {
  // RFC 2711 section 2.1: value 0, the packet contains a multicast listener discovery message.
  const uint8_t header[kIpv6RouterAlertBytes] = {next_header, 0, kRouterAlert, 2, 0, 0, kPadN, 0};
  std::memcpy(out.first(sizeof(header)).data(), header, sizeof(header));
}

}  // namespace sluice::wire
