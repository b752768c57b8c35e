// What the engine hands to the port, held against what the port was said to do for it.
#include <cstring>

#include "fuzz.h"
#include "repair.h"
#include "stack_world.h"
#include "wire/tcp.h"

namespace sluice::fuzz {
namespace {

struct Transport {
  uint8_t protocol = 0;
  size_t offset = 0;        // in the packet
  uint64_t pseudo_sum = 0;  // without the length
};

// Where the transport header of an unfragmented packet stands.
Transport FindTransport(wire::ConstBytes packet) {
  if (const auto v4 = wire::Ipv4Header::Parse(packet)) {
    return {v4->protocol, v4->size(),
            wire::PseudoHeaderSum(v4->source, v4->destination, v4->protocol, 0)};
  }
  const auto v6 = wire::Ipv6Header::Parse(packet);
  Check(v6.has_value(), "an IP packet");
  const wire::Ipv6Chain chain = wire::WalkIpv6Chain(*v6, packet);
  return {chain.next_header, chain.offset,
          wire::PseudoHeaderSum(v6->source, v6->destination, chain.next_header, 0)};
}

}  // namespace

void World::Sent(const rte_mbuf* frame) {
  Check(frame->nb_segs <= capabilities_.tx_segments_max, "as many segments as the port takes");
  Packet bytes(rte_pktmbuf_pkt_len(frame));
  const void* at = rte_pktmbuf_read(frame, 0, static_cast<uint32_t>(bytes.size()), bytes.data());
  Check(at != nullptr, "the segments add up");
  if (at != bytes.data()) std::memcpy(bytes.data(), at, bytes.size());
  const wire::Bytes packet = CheckLink(bytes);
  if (packet.empty()) return;  // ARP
  CheckOffloads(frame, packet);
  CheckPacket(packet);
  Check(TransportChecksumValid(packet), "the transport's checksum is right");
  peer_.Saw(packet);
}

// The IP packet in a frame.
wire::Bytes World::CheckLink(wire::Bytes frame) {
  if (capabilities_.link == engine::LinkType::kIp) return frame;
  const auto header = wire::EthernetHeader::Parse(frame);
  Check(header && header->source == capabilities_.mac, "an Ethernet frame of ours");
  const wire::Bytes packet = frame.subspan(header->size());
  if (header->type == wire::kEtherTypeArp) {
    Check(packet.size() >= 28, "an ARP message");
    return {};
  }
  Check(!packet.empty(), "a packet in the frame");
  const bool v4 = (packet[0] >> 4) == 4;
  Check(header->type == (v4 ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6), "the frame's type");
  return packet;
}

// Does for the packet what the port would do.
void World::CheckOffloads(const rte_mbuf* frame, wire::Bytes packet) {
  const uint64_t flags = frame->ol_flags;
  const bool cut = (flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
  const uint64_t sums = flags & RTE_MBUF_F_TX_L4_MASK;
  Check(cut || packet.size() <= capabilities_.mtu, "within the MTU");
  if ((flags & RTE_MBUF_F_TX_IP_CKSUM) != 0) {
    Check(capabilities_.tx_ipv4_checksum, "the port sums IPv4 headers");
    const wire::Bytes header = packet.first(size_t{packet[0] & 0xfu} * 4);
    wire::Store16(header.data() + wire::kIpv4ChecksumOffset, 0);
    wire::StoreIpv4Checksum(header);
  }
  if (sums == 0 && !cut) return;
  Check(capabilities_.tx_tcp_checksum, "the port sums transport messages");
  Transport transport = FindTransport(packet);
  Check(frame->l3_len == transport.offset, "the length of the network header");
  const wire::Bytes message = packet.subspan(transport.offset);
  const bool tcp = cut || sums == RTE_MBUF_F_TX_TCP_CKSUM;
  Check(transport.protocol == (tcp ? 6 : 17), "the protocol to sum");
  const size_t field = tcp ? wire::kTcpChecksumOffset : wire::kUdpChecksumOffset;
  // What the port begins with: the pseudo-header's sum, without a length where it cuts.
  const uint64_t length = cut ? 0 : __builtin_bswap32(static_cast<uint32_t>(message.size()));
  const uint16_t expected = wire::Fold(transport.pseudo_sum + length);
  uint16_t found;
  std::memcpy(&found, message.data() + field, sizeof(found));
  Check(found == expected, "the pseudo-header's sum stands in the field");
  if (cut) {
    Check(capabilities_.tx_tcp_segmentation, "the port cuts");
    const size_t header_bytes = size_t{message[12]} >> 4 << 2;
    Check(frame->l4_len == header_bytes, "the length of the TCP header");
    Check(frame->tso_segsz > 0, "the size of a segment");
    Check(transport.offset + header_bytes + frame->tso_segsz <= capabilities_.mtu,
          "each segment is within the MTU");
    Check(message.size() - header_bytes <= capabilities_.tso_bytes_max, "what the port can cut");
  }
  RepairPacket(packet);
}

void World::CheckPacket(wire::ConstBytes packet) {
  if (const auto v4 = wire::Ipv4Header::Parse(packet)) {
    Check(v4->total_bytes == packet.size(), "an IPv4 packet");
    Check(wire::Ipv4ChecksumValid(packet.first(v4->size())), "with its checksum");
    Check(v4->ttl > 0, "which may travel");
    Check(!v4->source.is_multicast() && !v4->source.is_loopback(), "from a host");
    Check(!v4->destination.is_loopback(), "to a host");
    if (v4->protocol == 17 && !v4->is_fragment()) {
      const auto udp = wire::UdpHeader::Parse(packet.subspan(v4->size()));
      Check(udp && udp->total_bytes == packet.size() - v4->size(), "a UDP datagram");
    }
    return;
  }
  const auto v6 = wire::Ipv6Header::Parse(packet);
  Check(v6 && wire::kIpv6HeaderBytes + v6->payload_bytes == packet.size(), "an IPv6 packet");
  Check(v6->hop_limit > 0, "which may travel");
  Check(!v6->source.is_multicast() && !v6->source.is_loopback(), "from a host");
  Check(!v6->destination.is_loopback(), "to a host");
}

}  // namespace sluice::fuzz
