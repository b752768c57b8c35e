// Which engine a frame is for: by hand-made headers.
#include "ip/aim.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/plain_pool.h"
#include "ip/packet.h"
#include "wire/arp.h"
#include "wire/ethernet.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extension.h"

namespace sluice::ip {
namespace {

using wire::Endpoint;
using wire::IpAddress;

using Packet = std::vector<uint8_t>;

const wire::FlowOwners kOwners(5);
const Endpoint kHere{IpAddress::V4(192, 0, 2, 1), 4711, 0};
const Endpoint kThere{IpAddress::V4(198, 51, 100, 7), 80, 0};
const Endpoint kHere6{*wire::ParseIp("2001:db8::1"), 4711, 0};
const Endpoint kThere6{*wire::ParseIp("2001:db8:7::7"), 80, 0};

Packet operator+(Packet a, const Packet& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Packet V4(uint8_t protocol, const Packet& payload, uint16_t fragment_offset = 0,
          bool more = false) {
  wire::Ipv4Header header;
  header.source = kThere.address;
  header.destination = kHere.address;
  header.protocol = protocol;
  header.ttl = 64;
  header.total_bytes = static_cast<uint16_t>(20 + payload.size());
  header.fragment_offset = fragment_offset;
  header.more_fragments = more;
  Packet packet(20);
  header.Emit(packet);
  return packet + payload;
}

Packet V6(uint8_t next_header, const Packet& payload) {
  wire::Ipv6Header header;
  header.source = kThere6.address;
  header.destination = kHere6.address;
  header.next_header = next_header;
  header.hop_limit = 255;
  header.payload_bytes = static_cast<uint16_t>(payload.size());
  Packet packet(40);
  header.Emit(packet);
  return packet + payload;
}

Packet Ports(const Endpoint& from, const Endpoint& to) {
  return Packet{static_cast<uint8_t>(from.port >> 8), static_cast<uint8_t>(from.port),
                static_cast<uint8_t>(to.port >> 8), static_cast<uint8_t>(to.port)} +
         Packet(16);
}

Packet Framed(uint16_t type, const Packet& payload, int tags = 0) {
  wire::EthernetHeader header;
  header.type = type;
  header.tag_count = static_cast<uint8_t>(tags);
  Packet frame(header.size());
  header.Emit(frame);
  return frame + payload;
}

// A packet that we sent, as a router quotes it.
Packet Quoted(bool v4, uint8_t protocol) {
  wire::Ipv4Header header4;
  header4.source = kHere.address;
  header4.destination = kThere.address;
  header4.protocol = protocol;
  header4.total_bytes = 40;
  wire::Ipv6Header header6;
  header6.source = kHere6.address;
  header6.destination = kThere6.address;
  header6.next_header = protocol;
  header6.payload_bytes = 20;
  Packet packet(v4 ? 20 : 40);
  v4 ? header4.Emit(packet) : header6.Emit(packet);
  return packet + Ports(kHere, kThere);
}

class Frames {
 public:
  Aim Of(const Packet& bytes, bool ethernet = false, size_t first_piece = SIZE_MAX) {
    UniqueMbuf packet(rte_pktmbuf_alloc(pool_.get()));
    const size_t head = std::min(first_piece, bytes.size());
    if (head != 0) {
      std::memcpy(rte_pktmbuf_append(packet.get(), static_cast<uint16_t>(head)), bytes.data(),
                  head);
    }
    if (head < bytes.size()) {
      rte_mbuf* rest = rte_pktmbuf_alloc(pool_.get());
      std::memcpy(rte_pktmbuf_append(rest, static_cast<uint16_t>(bytes.size() - head)),
                  bytes.data() + head, bytes.size() - head);
      rte_pktmbuf_chain(packet.get(), rest);
    }
    return AimOf(kOwners, packet.get(), ethernet);
  }

 private:
  PlainPool pool_{16};
};

const Aim kOwner = Aim::At(kOwners.Of(kHere.address, 4711, kThere.address, 80));
const Aim kOwner6 = Aim::At(kOwners.Of(kHere6.address, 4711, kThere6.address, 80));
const Aim kByAddress = Aim::At(kOwners.Of(kHere.address, kThere.address));
const Aim kByAddress6 = Aim::At(kOwners.Of(kHere6.address, kThere6.address));

TEST_CASE("flows go to their owners") {
  Frames frames;
  const Packet ports = Ports(kThere, kHere);
  for (uint8_t protocol : {kProtocolTcp, kProtocolUdp}) {
    CHECK(frames.Of(V4(protocol, ports)) == kOwner);
    CHECK(frames.Of(V6(protocol, ports)) == kOwner6);
    CHECK(frames.Of(Framed(wire::kEtherTypeIpv4, V4(protocol, ports)), true) == kOwner);
    CHECK(frames.Of(Framed(wire::kEtherTypeIpv6, V6(protocol, ports)), true) == kOwner6);
    CHECK(frames.Of(Framed(wire::kEtherTypeIpv6, V6(protocol, ports), 1), true) == kOwner6);
    // Wherever the headers are cut.
    const Packet frame = Framed(wire::kEtherTypeIpv4, V4(protocol, ports));
    for (size_t cut = 1; cut < frame.size(); ++cut) CHECK(frames.Of(frame, true, cut) == kOwner);
  }
  // Behind an extension header.
  const Packet options = Packet{kProtocolTcp, 0, 1, 4, 0, 0, 0, 0} + ports;
  CHECK(frames.Of(V6(wire::kIpv6DestinationOptions, options)) == kOwner6);
}

TEST_CASE("what has no ports goes by addresses") {
  Frames frames;
  CHECK(frames.Of(V4(kProtocolIcmp, {8, 0, 0, 0, 0, 1, 0, 1})) == kByAddress);
  CHECK(frames.Of(V6(kProtocolIcmpV6, {128, 0, 0, 0, 0, 1, 0, 1})) == kByAddress6);
  CHECK(frames.Of(V4(132, Packet(20))) == kByAddress);
}

TEST_CASE("errors go to the owner of the flow that they quote") {
  Frames frames;
  const Packet unreachable = {3, 3, 0, 0, 0, 0, 0, 0}, unreachable6 = {1, 4, 0, 0, 0, 0, 0, 0};
  for (uint8_t protocol : {kProtocolTcp, kProtocolUdp}) {
    CHECK(frames.Of(V4(kProtocolIcmp, unreachable + Quoted(true, protocol))) == kOwner);
    CHECK(frames.Of(V6(kProtocolIcmpV6, unreachable6 + Quoted(false, protocol))) == kOwner6);
  }
  // Of a datagram that was too large all hear: any of them may have sent it.
  const Packet too_big = {3, 4, 0, 0, 0, 0, 5, 0}, too_big6 = {2, 0, 0, 0, 0, 0, 5, 0};
  CHECK(frames.Of(V4(kProtocolIcmp, too_big + Quoted(true, kProtocolTcp))) == kOwner);
  CHECK(frames.Of(V4(kProtocolIcmp, too_big + Quoted(true, kProtocolUdp))).is_for_all());
  CHECK(frames.Of(V6(kProtocolIcmpV6, too_big6 + Quoted(false, kProtocolUdp))).is_for_all());
}

TEST_CASE("what concerns every engine goes to all") {
  Frames frames;
  CHECK(frames.Of(Framed(wire::kEtherTypeArp, Packet(wire::kArpBytes)), true).is_for_all());
  for (uint8_t type : {130, 133, 134, 135, 136, 137, 143}) {
    CHECK(frames.Of(V6(kProtocolIcmpV6, Packet{type} + Packet(23))).is_for_all());
  }
  CHECK(frames.Of(V4(kProtocolIgmp, Packet(8))).is_for_all());
  CHECK(frames.Of(V4(kProtocolUdp, Packet(16), 0, true)).is_for_all());
  CHECK(frames.Of(V4(kProtocolUdp, Packet(16), 64, false)).is_for_all());
  const Packet fragment = Packet{kProtocolUdp, 0, 0, 1, 0, 0, 0, 9} + Packet(16);
  CHECK(frames.Of(V6(wire::kIpv6Fragment, fragment)).is_for_all());
}

TEST_CASE("what makes no sense stays where it came") {
  Frames frames;
  CHECK(frames.Of({}).is_nowhere());
  CHECK(frames.Of({0x45}).is_nowhere());
  CHECK(frames.Of({0x99, 1, 2, 3}).is_nowhere());
  CHECK(frames.Of(V4(kProtocolTcp, {1, 2})).is_nowhere());
  CHECK(frames.Of(Framed(0x1234, Packet(40)), true).is_nowhere());
  CHECK(Aim::Nowhere().Has(3));
  CHECK(Aim::AtAll().Has(3));
  CHECK(Aim::At(3).Has(3));
  CHECK_FALSE(Aim::At(3).Has(2));
}

}  // namespace
}  // namespace sluice::ip
