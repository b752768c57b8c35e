#include "wire/arp.h"

namespace sluice::wire {
namespace {

constexpr uint16_t kHardwareEthernet = 1;
constexpr uint16_t kProtocolIpv4 = 0x0800;
constexpr uint16_t kAddressLengths = 6 << 8 | 4;

}  // namespace

std::optional<ArpPacket> ArpPacket::Parse(ConstBytes bytes) {
  if (bytes.size() < kArpBytes) return std::nullopt;
  const uint8_t* p = bytes.data();
  if (Load16(p) != kHardwareEthernet || Load16(p + 2) != kProtocolIpv4 ||
      Load16(p + 4) != kAddressLengths) {
    return std::nullopt;
  }
  const uint16_t operation = Load16(p + 6);
  if (operation != 1 && operation != 2) return std::nullopt;
  ArpPacket packet;
  packet.operation = static_cast<ArpOperation>(operation);
  std::memcpy(packet.sender_mac.bytes.data(), p + 8, 6);
  packet.sender_ip = IpAddress::FromV4Bytes(p + 14);
  std::memcpy(packet.target_mac.bytes.data(), p + 18, 6);
  packet.target_ip = IpAddress::FromV4Bytes(p + 24);
  return packet;
}

void ArpPacket::Emit(Bytes out) const {
  uint8_t* p = out.first(kArpBytes).data();
  Store16(p, kHardwareEthernet);
  Store16(p + 2, kProtocolIpv4);
  Store16(p + 4, kAddressLengths);
  Store16(p + 6, static_cast<uint16_t>(operation));
  std::memcpy(p + 8, sender_mac.bytes.data(), 6);
  std::memcpy(p + 14, sender_ip.v4_bytes(), 4);
  std::memcpy(p + 18, target_mac.bytes.data(), 6);
  std::memcpy(p + 24, target_ip.v4_bytes(), 4);
}

}  // namespace sluice::wire
