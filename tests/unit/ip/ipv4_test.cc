#include "host.h"

namespace sluice::ip {
namespace {

struct V4Host : Host {
  V4Host() : Host([](StackConfig*, InterfaceConfig* c) { c->ipv6 = false; }) {
    AddAddress("192.0.2.1/24");
  }
  TestPacket Packet(const Frame& payload = Pattern(30)) {
    TestPacket p;
    p.source = Ip("192.0.2.9");
    p.destination = Ip("192.0.2.1");
    p.payload = payload;
    return p;
  }
};

TEST_CASE_METHOD(V4Host, "a datagram for us is delivered, with what is known of it") {
  TestPacket p = Packet();
  p.ttl = 61;
  p.traffic_class = 0x2e;
  Frame frame = EthernetFrame(p);
  frame.resize(80);  // padding of the link is cut off
  CHECK(Receive(frame) == Verdict::kDeliver);
  CHECK(delivered == p.payload);
  CHECK(in.info.source == p.source);
  CHECK(in.info.destination == p.destination);
  CHECK(in.info.protocol == kProtocolUdp);
  CHECK(in.info.ttl == 61);
  CHECK(in.info.traffic_class == 0x2e);
  CHECK(in.info.interface == eth);
  CHECK(in.info.destination_kind == DestinationKind::kUnicast);
  CHECK(in.info.network_header_bytes == 20);
  CHECK(in.info.transport_checksum == ChecksumState::kUnknown);
  CHECK(counters().IpInDelivers == 1);
}

TEST_CASE_METHOD(V4Host, "a packet in many small mbufs is delivered whole") {
  const TestPacket p = Packet(Pattern(500));
  for (const size_t split : {34u, 40u, 100u}) {
    CHECK(Receive(EthernetFrame(p), split) == Verdict::kDeliver);
    CHECK(delivered == p.payload);
  }
}

TEST_CASE_METHOD(V4Host, "what is wrong is dropped and counted") {
  TestPacket p = Packet();
  Frame frame = EthernetFrame(p);
  SECTION("checksum") {
    frame[14 + 8] ^= 1;
    CHECK(Receive(frame) == Verdict::kConsumed);
    CHECK(counters().IpInCsumErrors == 1);
  }
  SECTION("version") {
    frame[14] = 0x55;
    CHECK(Receive(frame) == Verdict::kConsumed);
    CHECK(counters().IpInHdrErrors == 1);
  }
  SECTION("cut off") {
    for (size_t n = 0; n < frame.size(); ++n) {
      CHECK(Receive(Frame(frame.begin(), frame.begin() + static_cast<long>(n))) ==
            Verdict::kConsumed);
    }
  }
  SECTION("another host's link address") {
    p.mac_destination = {{2, 0, 0, 0, 0, 0x77}};
    CHECK(Receive(p) == Verdict::kConsumed);
    CHECK(counters().LinkInOtherHost == 1);
  }
  SECTION("another host's address") {
    p.destination = Ip("192.0.2.2");
    CHECK(Receive(p) == Verdict::kConsumed);
    CHECK(counters().IpInAddrErrors == 1);
  }
  SECTION("unicast in a broadcast frame") {
    p.mac_destination = wire::MacAddress::Broadcast();
    CHECK(Receive(p) == Verdict::kConsumed);
    CHECK(counters().IpInAddrErrors == 1);
  }
  SECTION("sources that cannot be") {
    for (const char* source : {"224.0.0.1", "255.255.255.255", "127.0.0.1", "0.0.0.0", "0.1.2.3",
                               "192.0.2.1", "192.0.2.255", "240.0.0.1"}) {
      p.source = Ip(source);
      CHECK(Receive(p) == Verdict::kConsumed);
    }
    CHECK(counters().IpInAddrErrors == 8);
  }
  SECTION("loopback from the wire") {
    p.destination = Ip("127.0.0.1");
    CHECK(Receive(p) == Verdict::kConsumed);
    CHECK(counters().IpInAddrErrors == 1);
  }
  CHECK(Sent().empty());
}

TEST_CASE_METHOD(V4Host, "broadcasts and groups are told apart") {
  TestPacket p = Packet();
  p.mac_destination = wire::MacAddress::Broadcast();
  p.destination = Ip("192.0.2.255");
  CHECK(Receive(p) == Verdict::kDeliver);
  CHECK(in.info.destination_kind == DestinationKind::kBroadcast);
  CHECK(in.info.link_broadcast);
  p.destination = Ip("255.255.255.255");
  CHECK(Receive(p) == Verdict::kDeliver);
  CHECK(in.info.destination_kind == DestinationKind::kBroadcast);
  p.mac_destination = {{0x01, 0x00, 0x5e, 1, 2, 3}};
  p.destination = Ip("239.1.2.3");
  CHECK(Receive(p) == Verdict::kConsumed);
  REQUIRE((**this).JoinGroup(now, eth, Ip("239.1.2.3"), 7) == ConfigResult::kOk);
  CHECK(Receive(p) == Verdict::kDeliver);
  CHECK(in.info.destination_kind == DestinationKind::kMulticast);
  CHECK(in.info.link_multicast);
}

TEST_CASE_METHOD(V4Host, "options are skipped, source routes refused") {
  TestPacket p = Packet();
  wire::Ipv4Header header;
  header.source = p.source;
  header.destination = p.destination;
  header.ttl = 9;
  header.protocol = kProtocolUdp;
  const Frame record_route = {7, 7, 4, 0, 0, 0, 0, 0};
  const Frame loose_route = {0x83, 7, 4, 192, 0, 2, 77, 0};
  for (const Frame& options : {record_route, loose_route}) {
    header.options = options;
    header.total_bytes = static_cast<uint16_t>(header.size() + p.payload.size());
    Frame frame;
    Append(&frame, wire::EthernetHeader{kOurMac, kPeerMac, wire::kEtherTypeIpv4, 0, {}});
    Append(&frame, header);
    wire::StoreIpv4Checksum(std::span(frame).subspan(14));
    Append(&frame, p.payload);
    const bool fine = options == record_route;
    CHECK(Receive(frame) == (fine ? Verdict::kDeliver : Verdict::kConsumed));
    if (fine) CHECK(in.info.network_header_bytes == 28);
  }
}

TEST_CASE_METHOD(V4Host, "fragments are put together") {
  const Frame whole = Pattern(4000);
  TestPacket p = Packet();
  p.identification = 77;
  for (const uint16_t offset : {1480, 2960, 0}) {
    p.fragment_offset = offset;
    const size_t end = std::min<size_t>(offset + 1480u, whole.size());
    p.more_fragments = end < whole.size();
    p.payload.assign(whole.begin() + offset, whole.begin() + static_cast<long>(end));
    CHECK(Receive(p) == (offset == 0 ? Verdict::kDeliver : Verdict::kConsumed));
  }
  CHECK(delivered == whole);
  CHECK(counters().IpReasmOKs == 1);
  CHECK(counters().IpReasmReqds == 3);
}

TEST_CASE_METHOD(V4Host, "a transport header that came in pieces lies together") {
  const Frame whole = Pattern(96);
  TestPacket p = Packet();
  for (uint16_t offset = 0; offset < 96; offset = static_cast<uint16_t>(offset + 8)) {
    p.fragment_offset = offset;
    p.more_fragments = offset < 88;
    p.payload.assign(whole.begin() + offset, whole.begin() + offset + 8);
    const Verdict verdict = (**this).Input(now, eth, Mbuf(EthernetFrame(p)), &in);
    REQUIRE(verdict == (offset == 88 ? Verdict::kDeliver : Verdict::kConsumed));
  }
  CHECK(in.packet->pkt_len == 96);
  REQUIRE(in.packet->data_len >= kTransportBytesTogether);
  CHECK(std::memcmp(rte_pktmbuf_mtod(in.packet, const uint8_t*), whole.data(),
                    in.packet->data_len) == 0);
  rte_mbuf_sanity_check(in.packet, 1);
  rte_pktmbuf_free(in.packet);
}

TEST_CASE_METHOD(V4Host, "a datagram that stays incomplete is reported after 30 s") {
  LearnPeer("192.0.2.9");
  TestPacket p = Packet(Pattern(80));
  p.more_fragments = true;
  p.identification = 9;
  CHECK(Receive(p) == Verdict::kConsumed);
  Advance(Seconds(29));
  CHECK(Sent().empty());
  Advance(Seconds(2));
  const Seen seen = SentOne();
  CHECK(seen.v4.protocol == kProtocolIcmp);
  CHECK(seen.payload[0] == 11);
  CHECK(seen.payload[1] == 1);
  CHECK(wire::ChecksumValid(wire::Sum(seen.payload)));
  CHECK(counters().IpReasmTimeout == 1);
}

TEST_CASE_METHOD(V4Host, "a datagram that misses its beginning is not reported") {
  LearnPeer("192.0.2.9");
  TestPacket p = Packet(Pattern(80));
  p.fragment_offset = 80;
  CHECK(Receive(p) == Verdict::kConsumed);
  Advance(Seconds(31));
  CHECK(Sent().empty());
  CHECK(counters().IpReasmFails == 1);
}

TEST_CASE("loopback addresses stay in the host") {
  // RFC 1122 section 3.2.1.3(g), RFC 4291 section 2.5.3.
  Host host;
  for (const char* address : {"127.0.0.2/8", "::1/128"}) {
    CHECK(host->AddAddress(host.now, host.eth, Net(address)) == ConfigResult::kInvalid);
  }
}

TEST_CASE("a tagged interface speaks and hears its VLAN alone") {
  const bool offload = GENERATE(false, true);
  Host host([&](StackConfig*, InterfaceConfig* c) {
    c->vlan_id = 100;
    c->tx_vlan_insert = offload;
  });
  host.AddAddress("192.0.2.1/24");
  TestPacket p;
  p.source = Ip("192.0.2.9");
  p.destination = Ip("192.0.2.1");
  p.payload = Pattern(40);
  CHECK(host.Receive(p) == Verdict::kConsumed);
  CHECK(host.counters().LinkInOtherVlan == 1);
  Frame frame = EthernetFrame(p);
  const Frame tag = {0x81, 0x00, 0x60, 100};
  frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  CHECK(host.Receive(frame) == Verdict::kDeliver);

  host.LearnPeer("192.0.2.9");
  Path path = host.PathTo("192.0.2.9");
  CHECK(host.SendUdp(path, Datagram(1, 2, {})) == SendResult::kSent);
  const Seen seen = host.SentOne();
  CHECK(seen.ethernet.tag_count == (offload ? 0 : 1));
  if (offload) {
    CHECK((host.last_flags & RTE_MBUF_F_TX_VLAN) != 0);
    CHECK(host.last_vlan == 100);
  } else {
    CHECK(seen.ethernet.vlan_id() == 100);
  }
}

TEST_CASE("an interface without a link layer carries bare packets") {
  Host host([](StackConfig*, InterfaceConfig* c) { c->link = LinkLayer::kNone; });
  host.AddAddress("192.0.2.1/24");
  TestPacket p;
  p.source = Ip("192.0.2.9");
  p.destination = Ip("192.0.2.1");
  p.payload = Pattern(40);
  CHECK(host.Receive(IpPacket(p)) == Verdict::kDeliver);
  Path path = host.PathTo("192.0.2.9");
  CHECK(host.SendUdp(path, Datagram(1, 2, {})) == SendResult::kSent);
  const auto frames = host.Sent();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0][0] == 0x45);
}

TEST_CASE_METHOD(V4Host, "echo is answered with the same bytes and type of service") {
  LearnPeer("192.0.2.9");
  TestPacket p = Packet(Icmp4(wire::Icmpv4Header::EchoRequest(7, 3), Pattern(100)));
  p.protocol = kProtocolIcmp;
  p.traffic_class = 0xb8;
  CHECK(Receive(p) == Verdict::kConsumed);
  const Seen seen = SentOne();
  CHECK(seen.ethernet.destination == kPeerMac);
  CHECK(seen.ethernet.source == kOurMac);
  CHECK(seen.v4.source == p.destination);
  CHECK(seen.v4.destination == p.source);
  CHECK(seen.v4.traffic_class == 0xb8);
  CHECK(seen.payload == Icmp4({0, 0, 0, 7 << 16 | 3}, Pattern(100)));
}

TEST_CASE_METHOD(V4Host, "echo to all is not answered") {
  LearnPeer("192.0.2.9");
  TestPacket p = Packet(Icmp4(wire::Icmpv4Header::EchoRequest(7, 3)));
  p.protocol = kProtocolIcmp;
  p.destination = Ip("192.0.2.255");
  p.mac_destination = wire::MacAddress::Broadcast();
  CHECK(Receive(p) == Verdict::kConsumed);
  CHECK(Sent().empty());
  CHECK(counters().IcmpInEchos == 1);
}

TEST_CASE_METHOD(V4Host, "the largest echo comes in fragments and goes in fragments") {
  LearnPeer("192.0.2.9");
  const Frame message = Icmp4(wire::Icmpv4Header::EchoRequest(7, 3), Pattern(65507));
  TestPacket p = Packet();
  p.protocol = kProtocolIcmp;
  p.identification = 5;
  for (size_t offset = 0; offset < message.size(); offset += 1480) {
    const size_t end = std::min(offset + 1480, message.size());
    p.fragment_offset = static_cast<uint16_t>(offset);
    p.more_fragments = end < message.size();
    p.payload.assign(message.begin() + static_cast<long>(offset),
                     message.begin() + static_cast<long>(end));
    CHECK(Receive(p) == Verdict::kConsumed);
  }
  Frame answer;
  for (const Frame& frame : Sent()) {
    const Seen seen = Look(frame);
    CHECK(seen.v4.fragment_offset == answer.size());
    CHECK(seen.v4.total_bytes <= 1500);
    Append(&answer, seen.payload);
    CHECK(seen.v4.more_fragments == (answer.size() < message.size()));
  }
  CHECK(answer == Icmp4({0, 0, 0, 7 << 16 | 3}, Pattern(65507)));
}

}  // namespace
}  // namespace sluice::ip
