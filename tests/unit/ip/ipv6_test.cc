#include "host.h"

namespace sluice::ip {
namespace {

struct V6Host : Host {
  V6Host() {
    AddAddress("2001:db8::1/64");
    LearnPeer("2001:db8::9");
  }
  TestPacket Packet(const Frame& payload = Pattern(30)) {
    TestPacket p;
    p.source = Ip("2001:db8::9");
    p.destination = Ip("2001:db8::1");
    p.payload = payload;
    return p;
  }
  // A packet whose payload begins with extension headers.
  Verdict ReceiveChain(uint8_t next_header, const Frame& chain) {
    TestPacket p = Packet(chain);
    p.protocol = next_header;
    return Receive(p);
  }
};

TEST_CASE_METHOD(V6Host, "an IPv6 datagram is delivered, with what is known of it") {
  TestPacket p = Packet();
  p.traffic_class = 0xb9;
  CHECK(Receive(p) == Verdict::kDeliver);
  CHECK(delivered == p.payload);
  CHECK(in.info.source == p.source);
  CHECK(in.info.destination == p.destination);
  CHECK(in.info.traffic_class == 0xb9);
  CHECK(in.info.protocol == kProtocolUdp);
  CHECK(in.info.network_header_bytes == 40);
  CHECK(in.info.interface == eth);
}

TEST_CASE_METHOD(V6Host, "addresses that cannot be are dropped") {
  TestPacket p = Packet();
  for (const char* source : {"ff02::9", "::1", "2001:db8::1", "::"}) {
    p.source = Ip(source);
    CHECK(Receive(p) == Verdict::kConsumed);
  }
  p = Packet();
  for (const char* destination : {"::1", "2001:db8::2", "ff01::1", "ff02::99"}) {
    p.destination = Ip(destination);
    if (p.destination.is_multicast()) p.mac_destination = {{0x33, 0x33, 0, 0, 0, 1}};
    CHECK(Receive(p) == Verdict::kConsumed);
  }
  // IPv4-mapped addresses have no place on the wire (RFC 4038 section 4.2).
  Frame frame = EthernetFrame(Packet());
  const auto mapped = Ip("192.0.2.9").bytes();
  std::copy(mapped.begin(), mapped.end(), frame.begin() + 14 + 8);
  CHECK(Receive(frame) == Verdict::kConsumed);
  CHECK(Sent().empty());
  CHECK(counters().Ip6InDelivers == 0);
}

TEST_CASE_METHOD(V6Host, "extension headers are walked over") {
  // Hop-by-hop with padding, destination options, then UDP.
  const Frame chain = {60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4};
  CHECK(ReceiveChain(0, chain) == Verdict::kDeliver);
  CHECK(in.info.network_header_bytes == 56);
  CHECK(delivered == Frame{1, 2, 3, 4});
}

TEST_CASE_METHOD(V6Host, "an option that must be known is reported where it stands") {
  const Frame chain = {17, 0, 0x80 | 0x1e, 4, 0, 0, 0, 0, 1, 2, 3, 4};
  CHECK(ReceiveChain(60, chain) == Verdict::kConsumed);
  const Seen seen = SentOne();
  CHECK(seen.payload[0] == 4);
  CHECK(seen.payload[1] == 2);
  CHECK(wire::Load32(seen.payload.data() + 4) == 42);
}

TEST_CASE_METHOD(V6Host, "no next header means nothing to deliver") {
  CHECK(ReceiveChain(59, {}) == Verdict::kConsumed);
  CHECK(Sent().empty());
}

TEST_CASE_METHOD(V6Host, "IPv6 fragments are put together in any order") {
  const Frame whole = Pattern(4000);
  std::vector<uint16_t> offsets = {0, 1448, 2896};
  if (GENERATE(false, true)) std::reverse(offsets.begin(), offsets.end());
  TestPacket p = Packet();
  p.identification = 77;
  for (const uint16_t offset : offsets) {
    p.fragment_offset = offset;
    const size_t end = std::min<size_t>(offset + 1448u, whole.size());
    p.more_fragments = end < whole.size();
    p.payload.assign(whole.begin() + offset, whole.begin() + static_cast<long>(end));
    CHECK(Receive(p) == (offset == offsets[2] ? Verdict::kDeliver : Verdict::kConsumed));
  }
  CHECK(delivered == whole);
  CHECK(in.info.protocol == kProtocolUdp);
  CHECK(in.info.network_header_bytes == 40);
  CHECK(counters().Ip6ReasmOKs == 1);
}

TEST_CASE_METHOD(V6Host, "fragments that overlap condemn the packet (RFC 5722)") {
  TestPacket p = Packet(Pattern(80));
  p.more_fragments = true;
  CHECK(Receive(p) == Verdict::kConsumed);
  p.fragment_offset = 40;
  CHECK(Receive(p) == Verdict::kConsumed);
  p.fragment_offset = 120;
  p.more_fragments = false;
  CHECK(Receive(p) == Verdict::kConsumed);
  CHECK(counters().ReassemblyOverlaps == 1);
  CHECK(counters().Ip6ReasmOKs == 0);
}

TEST_CASE_METHOD(V6Host, "an atomic fragment is a whole packet (RFC 6946)") {
  Frame chain;
  Append(&chain, wire::Ipv6FragmentHeader{kProtocolUdp, false, 0, 99});
  Append(&chain, Pattern(20));
  CHECK(ReceiveChain(wire::kIpv6Fragment, chain) == Verdict::kDeliver);
  CHECK(delivered == Pattern(20));
  CHECK(counters().Ip6ReasmReqds == 0);
}

TEST_CASE_METHOD(V6Host, "wrong fragment lengths are reported (RFC 8200 section 4.5)") {
  TestPacket p = Packet(Pattern(81));
  p.more_fragments = true;
  SECTION("not a multiple of eight") {
    CHECK(Receive(p) == Verdict::kConsumed);
    CHECK(wire::Load32(SentOne().payload.data() + 4) == 4);
  }
  SECTION("beyond the largest payload") {
    p.payload = Pattern(80);
    p.fragment_offset = 65528;
    CHECK(Receive(p) == Verdict::kConsumed);
    CHECK(wire::Load32(SentOne().payload.data() + 4) == 42);
  }
}

TEST_CASE_METHOD(V6Host, "fragments inside fragments end") {
  Frame inner;
  Append(&inner, wire::Ipv6FragmentHeader{kProtocolUdp, true, 0, 5});
  Append(&inner, Pattern(72));
  TestPacket p = Packet(inner);
  p.protocol = wire::kIpv6Fragment;
  p.more_fragments = true;
  CHECK(Receive(p) == Verdict::kConsumed);
  p.fragment_offset = 80;
  p.more_fragments = false;
  p.payload = Pattern(8);
  CHECK(Receive(p) == Verdict::kConsumed);
  CHECK(packets_out() == 0);
}

TEST_CASE_METHOD(V6Host, "an incomplete packet is reported after 60 s") {
  Advance(Seconds(5));
  Sent();  // reports of groups
  TestPacket p = Packet(Pattern(80));
  p.more_fragments = true;
  CHECK(Receive(p) == Verdict::kConsumed);
  Advance(Seconds(59));
  CHECK(Sent().empty());
  Advance(Seconds(2));
  const Seen seen = SentOne();
  CHECK(seen.payload[0] == 3);
  CHECK(seen.payload[1] == 1);
}

TEST_CASE("link-local addresses belong to their interface") {
  Host host;
  const auto view = host->DescribeInterface(host.eth);
  REQUIRE(view.addresses.size() == 1);
  CHECK(view.addresses[0].prefix.address == Ip("fe80::ff:fe00:1"));
  uint16_t second;
  InterfaceConfig c;
  c.name = "eth1";
  c.mac = {{2, 0, 0, 0, 0, 0x11}};
  c.pool = host.pool();
  REQUIRE(host->AddInterface(host.now, c, &second) == ConfigResult::kOk);
  CHECK(second == 3);
  Path path;
  const auto any = wire::IpAddress();
  CHECK(host->FindPath(host.now, Ip("fe80::9"), any, 0, &path) == PathStatus::kNoInterface);
  REQUIRE(host->FindPath(host.now, Ip("fe80::9"), any, second, &path) == PathStatus::kOk);
  CHECK(path.source == Ip("fe80::ff:fe00:11"));
  // To our own on that interface: through the loop, and it arrives there.
  REQUIRE(host->FindPath(host.now, Ip("fe80::ff:fe00:11"), any, second, &path) == PathStatus::kOk);
  CHECK(path.interface == kLoopbackInterface);
  host.SendUdp(path, Datagram(1, 2, {}));
  CHECK(host.ReceiveLooped() == Verdict::kDeliver);
  CHECK(host.in.info.interface == second);
  TestPacket p;
  p.source = Ip("fe80::9");
  p.destination = Ip("fe80::ff:fe00:11");
  p.payload = Pattern(9);
  CHECK(host.Receive(p) == Verdict::kConsumed);  // the other interface's
}

}  // namespace
}  // namespace sluice::ip
