// Ethernet II with up to two VLAN tags (IEEE 802.1Q, 802.1ad).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "wire/address.h"
#include "wire/bytes.h"

namespace sluice::wire {

inline constexpr size_t kEthernetHeaderBytes = 14;
inline constexpr size_t kVlanTagBytes = 4;

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeArp = 0x0806;
inline constexpr uint16_t kEtherTypeVlan = 0x8100;
inline constexpr uint16_t kEtherTypeServiceVlan = 0x88a8;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;

struct VlanTag {
  uint16_t type = kEtherTypeVlan;
  uint16_t control = 0;  // priority, drop eligibility, identifier

  constexpr uint16_t id() const { return control & 0x0fff; }
  friend constexpr bool operator==(const VlanTag&, const VlanTag&) = default;
};

struct EthernetHeader {
  MacAddress destination;
  MacAddress source;
  uint16_t type = 0;            // of what follows the tags
  uint8_t tag_count = 0;        // 0..2
  std::array<VlanTag, 2> tags;  // outermost first

  // Refuses frames too short for their header, and IEEE 802.3 length fields where Ethernet II has a
  // type.
  static std::optional<EthernetHeader> Parse(ConstBytes frame);

  size_t size() const { return kEthernetHeaderBytes + tag_count * kVlanTagBytes; }
  // Writes size() bytes.
  void Emit(Bytes out) const;

  // The VLAN the frame is in: that of the innermost tag, or 0. A priority tag is in VLAN 0 too.
  uint16_t vlan_id() const { return tag_count == 0 ? 0 : tags[tag_count - 1].id(); }

  friend constexpr bool operator==(const EthernetHeader&, const EthernetHeader&) = default;
};

inline std::optional<EthernetHeader> EthernetHeader::Parse(ConstBytes frame) {
  if (frame.size() < kEthernetHeaderBytes) return std::nullopt;
  EthernetHeader header;
  std::memcpy(header.destination.bytes.data(), frame.data(), 6);
  std::memcpy(header.source.bytes.data(), frame.data() + 6, 6);
  header.type = Load16(frame.data() + 12);
  while ((header.type == kEtherTypeVlan || header.type == kEtherTypeServiceVlan) &&
         header.tag_count < header.tags.size()) {
    const size_t at = header.size();
    if (frame.size() < at + kVlanTagBytes) return std::nullopt;
    header.tags[header.tag_count++] = {header.type, Load16(frame.data() + at)};
    header.type = Load16(frame.data() + at + 2);
  }
  constexpr uint16_t kSmallestType = 0x0600;
  if (header.type < kSmallestType) return std::nullopt;
  return header;
}

inline void EthernetHeader::Emit(Bytes out) const {
  uint8_t* p = out.first(size()).data();
  std::memcpy(p, destination.bytes.data(), 6);
  std::memcpy(p + 6, source.bytes.data(), 6);
  p += 12;
  for (int i = 0; i < tag_count; ++i, p += kVlanTagBytes) {
    Store16(p, tags[i].type);
    Store16(p + 2, tags[i].control);
  }
  Store16(p, type);
}

}  // namespace sluice::wire
