#include "host.h"

namespace sluice::ip {
namespace {

struct Sender : Host {
  Sender() {
    AddAddress("192.0.2.1/24");
    AddAddress("2001:db8::1/64");
    LearnPeer("192.0.2.9");
    LearnPeer("2001:db8::9");
  }
};

bool UdpSumGood(const Seen& seen, const wire::IpAddress& a, const wire::IpAddress& b) {
  return wire::ChecksumValid(
      wire::Sum(seen.payload) +
      wire::PseudoHeaderSum(a, b, kProtocolUdp, static_cast<uint32_t>(seen.payload.size())));
}

TEST_CASE_METHOD(Sender, "a datagram leaves with headers and checksum, both families") {
  const char* peer = GENERATE("192.0.2.9", "2001:db8::9");
  Path path = PathTo(peer);
  CHECK(path.mtu == 1500);
  CHECK(path.payload_bytes_max() == (path.v4 ? 1480 : 1460));
  CHECK_FALSE(path.sums_udp);
  CHECK(SendUdp(path, Datagram(1000, 2000, Pattern(101))) == SendResult::kSent);
  const Seen seen = SentOne();
  CHECK(seen.ethernet.destination == kPeerMac);
  CHECK(UdpSumGood(seen, path.source, path.destination));
  if (path.v4) {
    CHECK(seen.v4.ttl == 64);
    CHECK(seen.v4.source == Ip("192.0.2.1"));
  } else {
    CHECK(seen.v6.hop_limit == 64);
    CHECK(seen.v6.source == Ip("2001:db8::1"));
    CHECK(seen.v6.next_header == kProtocolUdp);
  }
}

TEST_CASE_METHOD(Sender, "a sum made while copying gives the same checksum") {
  Path path = PathTo("192.0.2.9");
  const Frame datagram = Datagram(1000, 2000, Pattern(333));
  Outbound outbound;
  outbound.protocol = kProtocolUdp;
  outbound.checksum_offset = 6;
  outbound.transport_sum = wire::Sum(datagram);
  outbound.transport_sum_valid = true;
  CHECK((**this).Send(now, Mbuf(datagram), outbound, path) == SendResult::kSent);
  CHECK(UdpSumGood(SentOne(), path.source, path.destination));
}

TEST_CASE("a port that sums gets the pseudo header's part and the lengths") {
  Host host([](StackConfig*, InterfaceConfig* c) {
    c->tx_udp_checksum = c->tx_tcp_checksum = c->tx_ipv4_checksum = true;
    c->tx_tcp_segmentation = true;
    c->tso_bytes_max = 32768;
    c->tx_segments_max = 32;
  });
  host.AddAddress("192.0.2.1/24");
  host.LearnPeer("192.0.2.9");
  Path path = host.PathTo("192.0.2.9");
  CHECK(path.sums_udp);
  CHECK(path.segmentation_bytes == 32768);
  const Frame datagram = Datagram(1000, 2000, Pattern(100));
  SECTION("one packet") {
    CHECK(host.SendUdp(path, datagram) == SendResult::kSent);
    rte_mbuf* m = host->TransmitQueue(host.eth)[0];
    CHECK((m->ol_flags & RTE_MBUF_F_TX_UDP_CKSUM) == RTE_MBUF_F_TX_UDP_CKSUM);
    CHECK((m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0);
    CHECK((m->ol_flags & RTE_MBUF_F_TX_IPV4) != 0);
    CHECK(m->l2_len == 14);
    CHECK(m->l3_len == 20);
    uint16_t field;
    std::memcpy(&field, rte_pktmbuf_mtod_offset(m, uint8_t*, 34 + 6), 2);
    CHECK(field == wire::Fold(wire::PseudoHeaderSum(path.source, path.destination, kProtocolUdp,
                                                    static_cast<uint32_t>(datagram.size()))));
  }
  SECTION("one to be cut") {
    rte_mbuf* m = host.Mbuf(Pattern(20 + 9000));
    m->tso_segsz = 1460;
    Outbound outbound;
    outbound.protocol = kProtocolTcp;
    outbound.checksum_offset = 16;
    outbound.transport_header_bytes = 20;
    CHECK(host->Send(host.now, m, outbound, path) == SendResult::kSent);
    CHECK((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0);
    CHECK(m->tso_segsz == 1460);
    CHECK(m->l4_len == 20);
    uint16_t field;
    std::memcpy(&field, rte_pktmbuf_mtod_offset(m, uint8_t*, 34 + 16), 2);
    CHECK(field ==
          wire::Fold(wire::PseudoHeaderSum(path.source, path.destination, kProtocolTcp, 0)));
  }
  host.Sent();
}

TEST_CASE_METHOD(Sender, "what is too large is refused or fragmented, as asked") {
  const char* peer = GENERATE("192.0.2.9", "2001:db8::9");
  Path path = PathTo(peer);
  const Frame datagram = Datagram(1, 2, Pattern(3000));
  CHECK(SendUdp(path, datagram, Fragmentation::kForbidden) == SendResult::kTooBig);
  CHECK(SendUdp(path, datagram, Fragmentation::kProbe) == SendResult::kTooBig);
  CHECK(Sent().empty());
  const auto mode = GENERATE(Fragmentation::kAllowed, Fragmentation::kWhenLarger);
  CHECK(SendUdp(path, datagram, mode) == SendResult::kSent);
  const auto frames = Sent();
  CHECK(frames.size() == 3);
  // Another host puts them together again.
  Host other([](StackConfig*, InterfaceConfig* c) { c->mac = kPeerMac; });
  other.AddAddress(path.v4 ? "192.0.2.9/24" : "2001:db8::9/64");
  Verdict verdict = Verdict::kConsumed;
  for (const Frame& frame : frames) {
    CHECK(frame.size() <= 1514);
    verdict = other.Receive(frame);
  }
  CHECK(verdict == Verdict::kDeliver);
  CHECK(other.checksum_good);
  CHECK(Frame(other.delivered.begin() + 8, other.delivered.end()) == Pattern(3000));
}

TEST_CASE_METHOD(Sender, "do-not-fragment is set where the sender wants it") {
  Path path = PathTo("192.0.2.9");
  const Frame datagram = Datagram(1, 2, Pattern(10));
  for (const auto mode : {Fragmentation::kAllowed, Fragmentation::kWhenLarger,
                          Fragmentation::kForbidden, Fragmentation::kProbe}) {
    CHECK(SendUdp(path, datagram, mode) == SendResult::kSent);
    CHECK(SentOne().v4.dont_fragment == (mode != Fragmentation::kAllowed));
  }
}

TEST_CASE_METHOD(Sender, "a believed path MTU counts until it is too old") {
  Path path = PathTo("192.0.2.9");
  (**this).UpdatePathMtu(now, path.destination, 1300);
  CHECK((**this).Stale(path));
  CHECK((**this).Refresh(now, &path) == PathStatus::kOk);
  CHECK(path.mtu == 1300);
  CHECK(PathTo("192.0.2.10").mtu == 1500);
  (**this).UpdatePathMtu(now, path.destination, 1400);  // never raised by a report
  CHECK(PathTo("192.0.2.9").mtu == 1300);
  (**this).UpdatePathMtu(now, path.destination, 20);
  CHECK(PathTo("192.0.2.9").mtu == 552);
  Advance(Seconds(601));
  CHECK((**this).Stale(path));
  CHECK(PathTo("192.0.2.9").mtu == 1500);
}

TEST_CASE_METHOD(Sender, "paths follow routes, and notice when they change") {
  CHECK((**this).AddRoute(now, {Net("0.0.0.0/0"), Ip("192.0.2.254")}) == ConfigResult::kOk);
  Path path = PathTo("203.0.113.5");
  CHECK(path.next_hop == Ip("192.0.2.254"));
  CHECK(path.source == Ip("192.0.2.1"));
  CHECK_FALSE((**this).Stale(path));
  CHECK((**this).RemoveRoute(now, {Net("0.0.0.0/0"), Ip("192.0.2.254")}) == ConfigResult::kOk);
  CHECK((**this).Stale(path));
  CHECK(SendUdp(path, Datagram(1, 2, {})) == SendResult::kNoRoute);
  CHECK((**this).AddRoute(now, {Net("0.0.0.0/0"), Ip("198.51.100.1")}) == ConfigResult::kNotFound);
}

TEST_CASE_METHOD(Sender, "path errors say what is missing") {
  Path path;
  const auto any = wire::IpAddress();
  CHECK((**this).FindPath(now, Ip("203.0.113.5"), any, 0, &path) == PathStatus::kNoRoute);
  CHECK((**this).FindPath(now, Ip("192.0.2.9"), Ip("192.0.2.77"), 0, &path) ==
        PathStatus::kNoAddress);
  CHECK((**this).FindPath(now, Ip("192.0.2.9"), Ip("2001:db8::1"), 0, &path) ==
        PathStatus::kNoAddress);
  CHECK((**this).FindPath(now, Ip("192.0.2.9"), Ip("127.0.0.1"), 0, &path) ==
        PathStatus::kNoAddress);
  CHECK((**this).FindPath(now, Ip("192.0.2.9"), any, 99, &path) == PathStatus::kNoInterface);
  CHECK((**this).SetLinkUp(now, eth, false) == ConfigResult::kOk);
  CHECK((**this).FindPath(now, Ip("192.0.2.9"), any, 0, &path) == PathStatus::kOk);
  CHECK((**this).FindPath(now, Ip("203.0.113.5"), any, 0, &path) == PathStatus::kNoRoute);
}

TEST_CASE_METHOD(Sender, "a removed source ends its paths") {
  Path path = PathTo("192.0.2.9");
  CHECK((**this).RemoveAddress(now, eth, Ip("192.0.2.1")) == ConfigResult::kOk);
  CHECK(SendUdp(path, Datagram(1, 2, {})) != SendResult::kSent);
  CHECK_FALSE((**this).IsLocalAddress(Ip("192.0.2.1")));
}

TEST_CASE_METHOD(Sender, "the source is chosen by RFC 6724") {
  AddAddress("2001:db8:1::1/64");
  AddAddress("fd00::1/64");
  CHECK(PathTo("2001:db8:1::9").source == Ip("2001:db8:1::1"));
  CHECK(PathTo("2001:db8::9").source == Ip("2001:db8::1"));
  CHECK(PathTo("fd00::9").source == Ip("fd00::1"));
  Path path;
  REQUIRE((**this).FindPath(now, Ip("fe80::9"), wire::IpAddress(), eth, &path) == PathStatus::kOk);
  CHECK(path.source.is_link_local());
  REQUIRE((**this).FindPath(now, Ip("ff02::1"), wire::IpAddress(), eth, &path) == PathStatus::kOk);
  CHECK(path.source.is_link_local());
}

TEST_CASE_METHOD(Sender, "packets to ourselves go through the loop") {
  const char* ours = GENERATE("192.0.2.1", "127.0.0.1", "127.9.9.9", "2001:db8::1", "::1");
  Path path = PathTo(ours);
  CHECK(path.interface == kLoopbackInterface);
  CHECK(path.source == Ip(ours));
  const Frame datagram = Datagram(5, 6, Pattern(GENERATE(10, 5000)));
  CHECK(SendUdp(path, datagram) == SendResult::kSent);
  CHECK(Sent().empty());
  CHECK(ReceiveLooped() == Verdict::kDeliver);
  CHECK(delivered.size() == datagram.size());
  CHECK(checksum_good);
  CHECK(wire::Load16(delivered.data() + 6) != 0);
  CHECK(in.info.looped);
  CHECK(in.info.interface == kLoopbackInterface);
}

TEST_CASE_METHOD(Sender, "an error about a looped packet reaches its sender") {
  Path path = PathTo("127.0.0.1");
  refuse = Refusal::kPort;
  CHECK(SendUdp(path, Datagram(5, 6, Pattern(9))) == SendResult::kSent);
  CHECK(ReceiveLooped() == Verdict::kError);
  CHECK(in.error.kind == IcmpErrorKind::kPortUnreachable);
  CHECK(in.error.source == wire::Endpoint{Ip("127.0.0.1"), 5, 0});
  CHECK(in.error.destination == wire::Endpoint{Ip("127.0.0.1"), 6, 0});
}

TEST_CASE_METHOD(Sender, "groups and broadcasts have link addresses of their own") {
  Path path = PathTo("192.0.2.255");
  CHECK(path.destination_kind == DestinationKind::kBroadcast);
  SendUdp(path, Datagram(1, 2, {}));
  CHECK(SentOne().ethernet.destination.is_broadcast());
  CHECK(ReceiveLooped() == Verdict::kDeliver);  // our own sockets hear it
  CHECK(in.info.destination_kind == DestinationKind::kBroadcast);

  REQUIRE((**this).FindPath(now, Ip("239.129.2.3"), wire::IpAddress(), eth, &path) ==
          PathStatus::kOk);
  SendUdp(path, Datagram(1, 2, {}));
  Seen seen = SentOne();
  CHECK(seen.ethernet.destination == wire::MacAddress{{0x01, 0x00, 0x5e, 0x01, 0x02, 0x03}});
  CHECK(seen.v4.ttl == 1);
  CHECK(ReceiveLooped() == Verdict::kConsumed);  // not a member

  REQUIRE((**this).FindPath(now, Ip("ff05::1:3"), wire::IpAddress(), eth, &path) ==
          PathStatus::kOk);
  REQUIRE((**this).JoinGroup(now, eth, Ip("ff05::1:3"), 1) == ConfigResult::kOk);
  SendUdp(path, Datagram(1, 2, {}));
  seen = SentOne();
  CHECK(seen.ethernet.destination == wire::MacAddress{{0x33, 0x33, 0, 1, 0, 3}});
  CHECK(ReceiveLooped() == Verdict::kDeliver);
  CHECK(in.info.interface == eth);
}

TEST_CASE_METHOD(Sender, "a packet to be cut is refused by a port that cannot cut") {
  Path path = PathTo("192.0.2.9");
  CHECK(path.segmentation_bytes == 0);
  rte_mbuf* m = Mbuf(Pattern(20 + 3000), 1000);
  m->tso_segsz = 1460;
  Outbound outbound;
  outbound.protocol = kProtocolTcp;
  outbound.checksum_offset = 16;
  CHECK((**this).Send(now, m, outbound, path) == SendResult::kTooBig);
  CHECK(Sent().empty());
}

TEST_CASE_METHOD(Sender, "a full transmit queue refuses and counts") {
  Path path = PathTo("192.0.2.9");
  const size_t room = (**this).TransmitRoom(eth);
  for (size_t i = 0; i < room; ++i) {
    REQUIRE(SendUdp(path, Datagram(1, 2, {})) == SendResult::kSent);
  }
  CHECK(SendUdp(path, Datagram(1, 2, {})) == SendResult::kQueueFull);
  CHECK(counters().TransmitQueueFull == 1);
  CHECK(Sent().size() == room);
}

TEST_CASE_METHOD(Sender, "packets of too many mbufs are copied together") {
  Path path = PathTo("192.0.2.9");
  Outbound outbound;
  outbound.protocol = kProtocolUdp;
  const Frame datagram = Datagram(1, 2, Pattern(900));
  CHECK((**this).Send(now, Mbuf(datagram, 100), outbound, path) == SendResult::kSent);
  CHECK((**this).TransmitQueue(eth)[0]->nb_segs == 1);
  CHECK(SentOne().payload == datagram);
}

}  // namespace
}  // namespace sluice::ip
