#include "host.h"

namespace sluice::ip {
namespace {

struct IcmpHost : Host {
  IcmpHost() {
    AddAddress("192.0.2.1/24");
    AddAddress("2001:db8::1/64");
    LearnPeer("192.0.2.9");
    LearnPeer("2001:db8::9");
    LearnPeer("fe80::9");
  }
  // A TCP segment of ours, as a router would quote it.
  static TestPacket OurSegment(bool v4) {
    TestPacket p;
    p.source = Ip(v4 ? "192.0.2.1" : "2001:db8::1");
    p.destination = Ip(v4 ? "203.0.113.7" : "2001:db8:7::7");
    p.protocol = kProtocolTcp;
    p.payload = Frame(1440);
    wire::Store16(p.payload.data(), 4000);
    wire::Store16(p.payload.data() + 2, 80);
    wire::Store32(p.payload.data() + 4, 0x12345678);
    return p;
  }
  TestPacket Error4(const wire::Icmpv4Header& header, const Frame& quoted) {
    TestPacket p;
    p.source = Ip("192.0.2.9");
    p.destination = Ip("192.0.2.1");
    p.protocol = kProtocolIcmp;
    p.payload = Icmp4(header, quoted);
    return p;
  }
  static Frame First(const Frame& f, size_t n) {
    return {f.begin(), f.begin() + static_cast<long>(n)};
  }
};

TEST_CASE_METHOD(IcmpHost, "IPv4 errors name kind, flow and sequence number") {
  const Frame quoted = First(IpPacket(OurSegment(true)), 28);
  const auto expect = [&](uint8_t type, uint8_t code, IcmpErrorKind kind) {
    CHECK(Receive(Error4({type, code, 0, 0}, quoted)) == Verdict::kError);
    CHECK(in.error.kind == kind);
    CHECK(in.error.type == type);
    CHECK(in.error.code == code);
    CHECK(in.error.protocol == kProtocolTcp);
    CHECK(in.error.reporter == Ip("192.0.2.9"));
    CHECK(in.error.source == wire::Endpoint{Ip("192.0.2.1"), 4000, 0});
    CHECK(in.error.destination == wire::Endpoint{Ip("203.0.113.7"), 80, 0});
    CHECK(in.error.tcp_sequence == 0x12345678);
    CHECK_FALSE(in.error.local);
    CHECK(delivered.size() == 8);
  };
  expect(3, 0, IcmpErrorKind::kNetUnreachable);
  expect(3, 1, IcmpErrorKind::kHostUnreachable);
  expect(3, 2, IcmpErrorKind::kProtocolUnreachable);
  expect(3, 3, IcmpErrorKind::kPortUnreachable);
  expect(3, 13, IcmpErrorKind::kAdministrativelyProhibited);
  expect(11, 0, IcmpErrorKind::kTimeExceeded);
  expect(12, 0, IcmpErrorKind::kParameterProblem);
}

TEST_CASE_METHOD(IcmpHost, "fragmentation needed: the MTU must be believable") {
  const Frame quoted = First(IpPacket(OurSegment(true)), 40);  // total length 1460
  CHECK(Receive(Error4(wire::Icmpv4Header::Unreachable(4, 1400), quoted)) == Verdict::kError);
  CHECK(in.error.kind == IcmpErrorKind::kPacketTooBig);
  CHECK(in.error.mtu == 1400);
  CHECK(Receive(Error4(wire::Icmpv4Header::Unreachable(4, 68), quoted)) == Verdict::kError);
  CHECK(in.error.mtu == 552);
  CHECK(Receive(Error4(wire::Icmpv4Header::Unreachable(4, 0), quoted)) == Verdict::kError);
  CHECK(in.error.mtu == 1006);  // RFC 1191's next plateau
  CHECK(Receive(Error4(wire::Icmpv4Header::Unreachable(4, 1500), quoted)) == Verdict::kConsumed);
}

TEST_CASE_METHOD(IcmpHost, "errors that prove nothing are dropped") {
  TestPacket ours = OurSegment(true);
  Frame quoted = First(IpPacket(ours), 28);
  SECTION("not from us") {
    ours.source = Ip("192.0.2.50");
    quoted = First(IpPacket(ours), 28);
    CHECK(Receive(Error4({3, 1, 0, 0}, quoted)) == Verdict::kConsumed);
  }
  SECTION("too short for the ports") {
    CHECK(Receive(Error4({3, 1, 0, 0}, First(quoted, 27))) == Verdict::kConsumed);
    CHECK(Receive(Error4({3, 1, 0, 0}, First(quoted, 19))) == Verdict::kConsumed);
    CHECK(Receive(Error4({3, 1, 0, 0}, {})) == Verdict::kConsumed);
  }
  SECTION("a later fragment") {
    ours.fragment_offset = 80;
    CHECK(Receive(Error4({3, 1, 0, 0}, First(IpPacket(ours), 28))) == Verdict::kConsumed);
  }
  SECTION("wrong checksum") {
    TestPacket p = Error4({3, 1, 0, 0}, quoted);
    p.payload[3] ^= 1;
    CHECK(Receive(p) == Verdict::kConsumed);
    CHECK(counters().IcmpInCsumErrors == 1);
  }
  CHECK(counters().IcmpInErrors + counters().IcmpInCsumErrors > 0);
}

TEST_CASE_METHOD(IcmpHost, "IPv6 errors") {
  const Frame quoted = First(IpPacket(OurSegment(false)), 400);
  const auto expect = [&](const wire::Icmpv6Header& header, IcmpErrorKind kind) {
    CHECK(Receive(Icmp6(Ip("2001:db8::9"), Ip("2001:db8::1"), header, quoted, 64)) ==
          Verdict::kError);
    CHECK(in.error.kind == kind);
    CHECK(in.error.tcp_sequence == 0x12345678);
    CHECK(in.error.source == wire::Endpoint{Ip("2001:db8::1"), 4000, 0});
  };
  expect(wire::Icmpv6Header::Unreachable(0), IcmpErrorKind::kNetUnreachable);
  expect(wire::Icmpv6Header::Unreachable(1), IcmpErrorKind::kAdministrativelyProhibited);
  expect(wire::Icmpv6Header::Unreachable(3), IcmpErrorKind::kHostUnreachable);
  expect(wire::Icmpv6Header::Unreachable(4), IcmpErrorKind::kPortUnreachable);
  expect(wire::Icmpv6Header::TimeExceeded(0), IcmpErrorKind::kTimeExceeded);
  expect(wire::Icmpv6Header::ParameterProblem(1, 6), IcmpErrorKind::kProtocolUnreachable);
  expect(wire::Icmpv6Header::PacketTooBig(1300), IcmpErrorKind::kPacketTooBig);
  CHECK(in.error.mtu == 1300);
  CHECK(Receive(Icmp6(Ip("2001:db8::9"), Ip("2001:db8::1"), wire::Icmpv6Header::PacketTooBig(1279),
                      quoted, 64)) == Verdict::kConsumed);
}

TEST_CASE_METHOD(IcmpHost, "a refused datagram is quoted in the error") {
  const bool v4 = GENERATE(true, false);
  refuse = GENERATE(Refusal::kPort, Refusal::kProtocol);
  TestPacket p;
  p.source = Ip(v4 ? "192.0.2.9" : "2001:db8::9");
  p.destination = Ip(v4 ? "192.0.2.1" : "2001:db8::1");
  p.payload = Pattern(1400);
  CHECK(Receive(p) == Verdict::kDeliver);
  const Seen seen = SentOne();
  if (v4) {
    CHECK(seen.v4.protocol == kProtocolIcmp);
    CHECK(seen.v4.total_bytes == 576);
    CHECK(seen.payload[0] == 3);
    CHECK(seen.payload[1] == (refuse == Refusal::kPort ? 3 : 2));
    CHECK(wire::ChecksumValid(wire::Sum(seen.payload)));
  } else {
    CHECK(seen.v6.payload_bytes == 1280 - 40);
    CHECK(seen.payload[0] == (refuse == Refusal::kPort ? 1 : 4));
    CHECK(seen.payload[1] == (refuse == Refusal::kPort ? 4 : 1));
    if (refuse == Refusal::kProtocol) CHECK(wire::Load32(seen.payload.data() + 4) == 6);
    CHECK(wire::ChecksumValid(wire::Sum(seen.payload) +
                              wire::PseudoHeaderSum(seen.v6.source, seen.v6.destination,
                                                    kProtocolIcmpV6,
                                                    static_cast<uint32_t>(seen.payload.size()))));
  }
  const Frame quoted(seen.payload.begin() + 8, seen.payload.end());
  CHECK(quoted == First(IpPacket(p), quoted.size()));
}

TEST_CASE_METHOD(IcmpHost, "broadcasts and groups are never answered with errors") {
  refuse = Refusal::kPort;
  TestPacket p;
  p.source = Ip("192.0.2.9");
  p.destination = Ip("192.0.2.255");
  p.mac_destination = wire::MacAddress::Broadcast();
  p.payload = Pattern(20);
  CHECK(Receive(p) == Verdict::kDeliver);
  p.source = Ip("fe80::9");
  p.destination = Ip("ff02::1");
  p.mac_destination = {{0x33, 0x33, 0, 0, 0, 1}};
  CHECK(Receive(p) == Verdict::kDeliver);
  CHECK(Sent().empty());
}

TEST_CASE_METHOD(IcmpHost, "errors are limited in rate") {
  refuse = Refusal::kPort;
  TestPacket p;
  p.source = Ip("192.0.2.9");
  p.destination = Ip("192.0.2.1");
  p.payload = Pattern(20);
  for (int i = 0; i < 100; ++i) Receive(p);
  CHECK(Sent().size() == 50);
  CHECK(counters().IcmpOutRateLimitGlobal == 50);
  now += Milliseconds(10);
  for (int i = 0; i < 100; ++i) Receive(p);
  CHECK(Sent().size() == 10);
}

TEST_CASE_METHOD(IcmpHost, "IPv6 echo, to us and to a group of ours") {
  const bool group = GENERATE(false, true);
  const char* source = group ? "fe80::9" : "2001:db8::9";
  TestPacket p = Icmp6(Ip(source), Ip(group ? "ff02::1" : "2001:db8::1"),
                       wire::Icmpv6Header::EchoRequest(1, 2), Pattern(99), 64);
  if (group) p.mac_destination = {{0x33, 0x33, 0, 0, 0, 1}};
  CHECK(Receive(p) == Verdict::kConsumed);
  const Seen seen = SentOne();
  CHECK(seen.v6.destination == Ip(source));
  CHECK(seen.v6.source.is_link_local() == group);
  CHECK(seen.payload[0] == 129);
  CHECK(Frame(seen.payload.begin() + 8, seen.payload.end()) == Pattern(99));
  CHECK(wire::ChecksumValid(wire::Sum(seen.payload) +
                            wire::PseudoHeaderSum(seen.v6.source, seen.v6.destination,
                                                  kProtocolIcmpV6,
                                                  static_cast<uint32_t>(seen.payload.size()))));
}

}  // namespace
}  // namespace sluice::ip
