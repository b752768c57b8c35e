// The short way in for what nearly every frame is: TCP or UDP in a whole IPv4 datagram without
// options, in one mbuf, untagged, from another host to an address of ours. All checks of the long
// way (input.cc, ipv4_input.cc) hold for it; what fails one of them goes the long way, which counts
// why.
#include "ip/input.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"

namespace sluice::ip {
namespace {

using wire::kEthernetHeaderBytes;

constexpr size_t kHeaderBytes = kEthernetHeaderBytes + wire::kIpv4HeaderBytesMin;

template <typename Word>
Word LoadAs(const uint8_t* from) {
  Word word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

// In the two words that addresses are compared by: what was stored in smaller pieces would have to
// reach memory before it could be loaded.
wire::IpAddress Mapped(const uint8_t* from) {
  const std::array<uint64_t, 2> words{0, uint64_t{LoadAs<uint32_t>(from)} << 32 | 0xffff0000};
  return std::bit_cast<wire::IpAddress>(words);
}

constexpr uint32_t AsLoaded(std::array<uint8_t, 4> bytes) { return std::bit_cast<uint32_t>(bytes); }

// To our own address, from a station, without a tag; then IPv4, and a header of five words.
bool LinkIsPlain(const Interface& interface, const rte_mbuf* packet, const uint8_t* frame) {
  constexpr uint32_t kType = AsLoaded({0x08, 0x00, 0x45, 0x00});
  constexpr uint32_t kTypeMask = AsLoaded({0xff, 0xff, 0xff, 0x00});
  constexpr uint64_t kGroup = std::bit_cast<uint64_t>(std::array<uint8_t, 8>{0, 0, 0, 0, 0, 0, 1});
  constexpr uint64_t kMac =
      std::bit_cast<uint64_t>(std::array<uint8_t, 8>{255, 255, 255, 255, 255, 255, 0, 0});
  const auto addresses = LoadAs<uint64_t>(frame);  // the destination, and the source's beginning
  uint64_t own = 0;
  std::memcpy(&own, interface.mac.bytes.data(), interface.mac.bytes.size());
  return (((addresses ^ own) & kMac) | (addresses & kGroup) |
          ((LoadAs<uint32_t>(frame + 12) ^ kType) & kTypeMask) | interface.config.vlan_id |
          (packet->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)) == 0;
}

// The header checksum is right or need not be looked at.
bool HeaderSumIsGood(const rte_mbuf* packet, const uint8_t* header) {
  const uint64_t said = packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
  if (said == RTE_MBUF_F_RX_IP_CKSUM_GOOD || said == RTE_MBUF_F_RX_IP_CKSUM_NONE) return true;
  return said == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN &&
         wire::Ipv4ChecksumValid({header, wire::kIpv4HeaderBytesMin});
}

// From a host that is not us, to us (RFC 1122 section 3.2.1.3).
bool AddressesArePlain(const Core& core, const uint8_t* header) {
  constexpr uint8_t kThisNetwork = 0, kLoopback = 127, kFirstGroup = 224;
  const uint8_t source = header[12];
  const uint8_t destination = header[16];
  if (source == kThisNetwork || source == kLoopback || source >= kFirstGroup ||
      destination == kLoopback || destination >= kFirstGroup) {
    return false;
  }
  const LocalEntry* entry = core.local.FindV4(LoadAs<uint32_t>(header + 16));
  return entry != nullptr && entry->kind == DestinationKind::kUnicast &&
         core.local.FindV4(LoadAs<uint32_t>(header + 12)) == nullptr;
}

}  // namespace

bool PlainInput(Core& core, const Interface& interface, rte_mbuf* packet, Inbound* out) {
  const uint8_t* frame = Data(packet);
  if (packet->nb_segs != 1 || packet->data_len < kHeaderBytes ||
      !LinkIsPlain(interface, packet, frame)) {
    return false;
  }
  const uint8_t* header = frame + kEthernetHeaderBytes;
  constexpr uint16_t kDontFragment = 0x4000;
  const uint32_t total = wire::Load16(header + 2);
  const uint8_t protocol = header[9];
  if ((wire::Load16(header + 6) & ~kDontFragment) != 0 || total < wire::kIpv4HeaderBytesMin ||
      total + kEthernetHeaderBytes > packet->data_len ||
      (protocol != kProtocolTcp && protocol != kProtocolUdp) || !AddressesArePlain(core, header) ||
      !HeaderSumIsGood(packet, header)) {
    return false;
  }
  PacketInfo& info = out->info;
  info.source = Mapped(header + 12);
  info.destination = Mapped(header + 16);
  info.protocol = protocol;
  info.ttl = header[8];
  info.traffic_class = header[1];
  info.destination_kind = DestinationKind::kUnicast;
  info.flow_label = 0;
  info.transport_checksum = TransportChecksumState(packet);
  info.network_header_bytes = wire::kIpv4HeaderBytesMin;
  ++core.counters.IpInReceives;
  ++core.counters.IpInDelivers;
  const auto bytes = static_cast<uint16_t>(total - wire::kIpv4HeaderBytesMin);
  packet->data_off = static_cast<uint16_t>(packet->data_off + kHeaderBytes);
  packet->data_len = bytes;  // Ethernet pads short frames
  packet->pkt_len = bytes;
  out->packet = packet;
  return true;
}

}  // namespace sluice::ip
