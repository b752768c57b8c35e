#include "ip/input.h"

#include "ip/arp.h"
#include "ip/mbuf_bytes.h"
#include "wire/ethernet.h"

namespace sluice::ip {
namespace {

Verdict IpInput(Core& core, Instant now, Interface& interface, rte_mbuf* packet, Inbound* out) {
  if (packet->data_len == 0) {
    ++core.counters.LinkInErrors;
    return Drop(packet);
  }
  switch (Data(packet)[0] >> 4) {
    case 4:
      return Ipv4Input(core, now, interface, packet, out);
    case 6:
      return Ipv6Input(core, now, interface, packet, out);
    default:
      ++core.counters.LinkInUnknownProtocols;
      return Drop(packet);
  }
}

// Without the call that a comparison of six bytes would be.
bool IsSameMac(const wire::MacAddress& a, const wire::MacAddress& b) {
  uint32_t a_low, b_low;
  uint16_t a_high, b_high;
  std::memcpy(&a_low, a.bytes.data(), 4);
  std::memcpy(&b_low, b.bytes.data(), 4);
  std::memcpy(&a_high, a.bytes.data() + 4, 2);
  std::memcpy(&b_high, b.bytes.data() + 4, 2);
  return a_low == b_low && a_high == b_high;
}

// The VLAN that the frame is in, whether its tag still stands in it or was taken by the port.
uint16_t VlanOf(const rte_mbuf* packet, const wire::EthernetHeader& header) {
  if (header.tag_count != 0) return header.vlan_id();
  return (packet->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ? packet->vlan_tci & 0x0fff : 0;
}

Verdict EthernetInput(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                      Inbound* out) {
  const auto header = wire::EthernetHeader::Parse(FirstBytes(packet));
  if (!header || header->source.is_multicast()) [[unlikely]] {
    ++core.counters.LinkInErrors;
    return Drop(packet);
  }
  // One tag at most: a second one is another network's.
  if (VlanOf(packet, *header) != interface.config.vlan_id || header->tag_count > 1) [[unlikely]] {
    ++core.counters.LinkInOtherVlan;
    return Drop(packet);
  }
  if (!IsSameMac(header->destination, interface.mac)) [[unlikely]] {
    if (!header->destination.is_multicast()) {
      ++core.counters.LinkInOtherHost;
      return Drop(packet);
    }
    out->info.link_broadcast = header->destination.is_broadcast();
    out->info.link_multicast = !out->info.link_broadcast;
  }
  DropFront(packet, static_cast<uint16_t>(header->size()));
  switch (header->type) {
    case wire::kEtherTypeIpv4:
      return Ipv4Input(core, now, interface, packet, out);
    case wire::kEtherTypeIpv6:
      return Ipv6Input(core, now, interface, packet, out);
    case wire::kEtherTypeArp:
      ArpInput(core, now, interface, packet);
      return Drop(packet);
    default:
      ++core.counters.LinkInUnknownProtocols;
      return Drop(packet);
  }
}

}  // namespace

Verdict Input(Core& core, Instant now, uint16_t index, rte_mbuf* packet, Inbound* out) {
  const bool looped = index == kLoopbackInterface;
  Interface* interface = core.FindInterface(looped ? packet->port : index);
  if (interface == nullptr || !interface->up) [[unlikely]] {
    ++core.counters.InterfaceDownDrops;
    return Drop(packet);
  }
  out->flow_hash = 0;
  PacketInfo& info = out->info;
  info.interface = interface->index;
  info.looped = looped;
  info.reassembled = false;
  info.link_multicast = false;
  info.link_broadcast = false;
  ++interface->counters.rx_packets;
  interface->counters.rx_bytes += packet->pkt_len;
  if (!looped && interface->ethernet) [[likely]] {
    if (PlainInput(core, *interface, packet, out)) [[likely]]
      return Verdict::kDeliver;
    return EthernetInput(core, now, *interface, packet, out);
  }
  return IpInput(core, now, *interface, packet, out);
}

}  // namespace sluice::ip
