// ICMPv6 (RFC 4443): the eight bytes that its messages begin with. Neighbour discovery: ndp.h;
// multicast listeners: mld.h; the packet that an error quotes: quoted_packet.h.
#pragma once

#include <cstdint>
#include <optional>

#include "wire/bytes.h"
#include "wire/icmpv4.h"

namespace sluice::wire {

struct Icmpv6Type {
  static constexpr uint8_t kUnreachable = 1;
  static constexpr uint8_t kPacketTooBig = 2;
  static constexpr uint8_t kTimeExceeded = 3;
  static constexpr uint8_t kParameterProblem = 4;
  static constexpr uint8_t kEchoRequest = 128;
  static constexpr uint8_t kEchoReply = 129;
  static constexpr uint8_t kMldQuery = 130;
  static constexpr uint8_t kMldV1Report = 131;
  static constexpr uint8_t kMldV1Done = 132;
  static constexpr uint8_t kRouterSolicitation = 133;
  static constexpr uint8_t kRouterAdvertisement = 134;
  static constexpr uint8_t kNeighborSolicitation = 135;
  static constexpr uint8_t kNeighborAdvertisement = 136;
  static constexpr uint8_t kRedirect = 137;
  static constexpr uint8_t kMldV2Report = 143;
};

// Codes of kUnreachable.
struct Icmpv6Unreachable {
  static constexpr uint8_t kNoRoute = 0;
  static constexpr uint8_t kProhibited = 1;
  static constexpr uint8_t kBeyondScope = 2;
  static constexpr uint8_t kAddress = 3;
  static constexpr uint8_t kPort = 4;
  static constexpr uint8_t kPolicy = 5;
  static constexpr uint8_t kRejectRoute = 6;
};

// Codes of kParameterProblem.
struct Icmpv6Parameter {
  static constexpr uint8_t kErroneousField = 0;
  static constexpr uint8_t kUnknownNextHeader = 1;
  static constexpr uint8_t kUnknownOption = 2;
  static constexpr uint8_t kIncompleteChain = 3;  // RFC 7112
};

struct Icmpv6Header {
  uint8_t type = 0;
  uint8_t code = 0;
  uint16_t checksum = 0;
  uint32_t rest = 0;  // bytes 4 to 7, whose meaning is the type's

  static constexpr Icmpv6Header EchoRequest(uint16_t identifier, uint16_t sequence) {
    return {Icmpv6Type::kEchoRequest, 0, 0, uint32_t{identifier} << 16 | sequence};
  }
  static constexpr Icmpv6Header EchoReply(uint16_t identifier, uint16_t sequence) {
    return {Icmpv6Type::kEchoReply, 0, 0, uint32_t{identifier} << 16 | sequence};
  }
  static constexpr Icmpv6Header Unreachable(uint8_t code) {
    return {Icmpv6Type::kUnreachable, code, 0, 0};
  }
  static constexpr Icmpv6Header PacketTooBig(uint32_t mtu) {
    return {Icmpv6Type::kPacketTooBig, 0, 0, mtu};
  }
  static constexpr Icmpv6Header TimeExceeded(uint8_t code) {
    return {Icmpv6Type::kTimeExceeded, code, 0, 0};
  }
  static constexpr Icmpv6Header ParameterProblem(uint8_t code, uint32_t pointer) {
    return {Icmpv6Type::kParameterProblem, code, 0, pointer};
  }

  static std::optional<Icmpv6Header> Parse(ConstBytes message) {
    if (message.size() < kIcmpHeaderBytes) return std::nullopt;
    const uint8_t* p = message.data();
    return Icmpv6Header{p[0], p[1], Load16(p + kIcmpChecksumOffset), Load32(p + 4)};
  }
  constexpr size_t size() const { return kIcmpHeaderBytes; }
  void Emit(Bytes out) const {
    uint8_t* p = out.first(kIcmpHeaderBytes).data();
    p[0] = type;
    p[1] = code;
    Store16(p + kIcmpChecksumOffset, checksum);
    Store32(p + 4, rest);
  }

  // Of echo messages.
  constexpr uint16_t identifier() const { return static_cast<uint16_t>(rest >> 16); }
  constexpr uint16_t sequence() const { return static_cast<uint16_t>(rest); }
  constexpr uint32_t mtu() const { return rest; }      // of kPacketTooBig
  constexpr uint32_t pointer() const { return rest; }  // of kParameterProblem

  // RFC 4443 section 2.1: types below 128 are errors.
  constexpr bool is_error() const { return type < 128; }
  friend constexpr bool operator==(const Icmpv6Header&, const Icmpv6Header&) = default;
};

}  // namespace sluice::wire
