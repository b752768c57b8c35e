// ICMP for IPv4 (RFC 792, RFC 1191): the eight bytes that all messages of interest begin with. What
// follows them is echoed data, or the quoted packet (quoted_packet.h).
#pragma once

#include <cstdint>
#include <optional>

#include "wire/bytes.h"

namespace sluice::wire {

inline constexpr size_t kIcmpHeaderBytes = 8;
inline constexpr size_t kIcmpChecksumOffset = 2;

struct Icmpv4Type {
  static constexpr uint8_t kEchoReply = 0;
  static constexpr uint8_t kUnreachable = 3;
  static constexpr uint8_t kRedirect = 5;
  static constexpr uint8_t kEchoRequest = 8;
  static constexpr uint8_t kTimeExceeded = 11;
  static constexpr uint8_t kParameterProblem = 12;
};

// Codes of kUnreachable.
struct Icmpv4Unreachable {
  static constexpr uint8_t kNet = 0;
  static constexpr uint8_t kHost = 1;
  static constexpr uint8_t kProtocol = 2;
  static constexpr uint8_t kPort = 3;
  static constexpr uint8_t kFragmentationNeeded = 4;
  static constexpr uint8_t kSourceRouteFailed = 5;
  static constexpr uint8_t kNetProhibited = 9;
  static constexpr uint8_t kHostProhibited = 10;
  static constexpr uint8_t kProhibited = 13;
};

// Codes of kTimeExceeded, in ICMPv6 too.
struct IcmpTimeExceeded {
  static constexpr uint8_t kInTransit = 0;
  static constexpr uint8_t kReassembly = 1;
};

struct Icmpv4Header {
  uint8_t type = 0;
  uint8_t code = 0;
  uint16_t checksum = 0;
  uint32_t rest = 0;  // bytes 4 to 7, whose meaning is the type's

  static constexpr Icmpv4Header EchoRequest(uint16_t identifier, uint16_t sequence) {
    return {Icmpv4Type::kEchoRequest, 0, 0, uint32_t{identifier} << 16 | sequence};
  }
  static constexpr Icmpv4Header EchoReply(uint16_t identifier, uint16_t sequence) {
    return {Icmpv4Type::kEchoReply, 0, 0, uint32_t{identifier} << 16 | sequence};
  }
  // `mtu` for kFragmentationNeeded.
  static constexpr Icmpv4Header Unreachable(uint8_t code, uint16_t mtu = 0) {
    return {Icmpv4Type::kUnreachable, code, 0, mtu};
  }
  static constexpr Icmpv4Header TimeExceeded(uint8_t code) {
    return {Icmpv4Type::kTimeExceeded, code, 0, 0};
  }
  static constexpr Icmpv4Header ParameterProblem(uint8_t pointer) {
    return {Icmpv4Type::kParameterProblem, 0, 0, uint32_t{pointer} << 24};
  }

  static std::optional<Icmpv4Header> Parse(ConstBytes message) {
    if (message.size() < kIcmpHeaderBytes) return std::nullopt;
    const uint8_t* p = message.data();
    return Icmpv4Header{p[0], p[1], Load16(p + kIcmpChecksumOffset), Load32(p + 4)};
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
  // Of kFragmentationNeeded; 0 from a router older than RFC 1191.
  constexpr uint16_t mtu() const { return static_cast<uint16_t>(rest); }
  // Of kParameterProblem.
  constexpr uint8_t pointer() const { return static_cast<uint8_t>(rest >> 24); }
  // Of kRedirect: the gateway, in host order.
  constexpr uint32_t gateway() const { return rest; }

  // Messages that quote the packet they are about. They are never answered with an error
  // (RFC 1122 section 3.2.2).
  constexpr bool is_error() const {
    return type == Icmpv4Type::kUnreachable || type == 4 || type == Icmpv4Type::kRedirect ||
           type == Icmpv4Type::kTimeExceeded || type == Icmpv4Type::kParameterProblem;
  }
  friend constexpr bool operator==(const Icmpv4Header&, const Icmpv4Header&) = default;
};

}  // namespace sluice::wire
