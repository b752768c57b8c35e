// ARP for IPv4 over Ethernet (RFC 826).
#pragma once

#include <cstdint>
#include <optional>

#include "wire/address.h"
#include "wire/bytes.h"

namespace sluice::wire {

inline constexpr size_t kArpBytes = 28;

enum class ArpOperation : uint16_t { kRequest = 1, kReply = 2 };

struct ArpPacket {
  ArpOperation operation = ArpOperation::kRequest;
  MacAddress sender_mac;
  IpAddress sender_ip = IpAddress::AnyV4();
  MacAddress target_mac;
  IpAddress target_ip = IpAddress::AnyV4();

  // Refuses other hardware and protocol types and other operations. Bytes after the packet
  // (Ethernet pads short frames) are ignored.
  static std::optional<ArpPacket> Parse(ConstBytes bytes);

  constexpr size_t size() const { return kArpBytes; }
  void Emit(Bytes out) const;

  // RFC 5227 section 1.1: a probe asks whether somebody has the address, an announcement says that
  // the sender does.
  bool is_probe() const {
    return operation == ArpOperation::kRequest && sender_ip == IpAddress::AnyV4();
  }
  bool is_announcement() const { return sender_ip == target_ip; }

  friend constexpr bool operator==(const ArpPacket&, const ArpPacket&) = default;
};

}  // namespace sluice::wire
