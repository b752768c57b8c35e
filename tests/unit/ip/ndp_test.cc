#include "host.h"
#include "ip/addresses.h"

namespace sluice::ip {
namespace {

const wire::MacAddress kOtherMac{{0x02, 0, 0, 0, 0, 0x03}};

struct NdpHost : Host {
  explicit NdpHost(const std::function<void(StackConfig*, InterfaceConfig*)>& adjust = {})
      : Host(adjust) {}
  void Settle() {
    Advance(Seconds(3));
    Sent();
  }

  void Hear(TestPacket p) {
    if (p.destination.is_multicast()) {
      const auto& b = p.destination.bytes();
      p.mac_destination = {{0x33, 0x33, b[12], b[13], b[14], b[15]}};
    }
    CHECK(Receive(p) == Verdict::kConsumed);
  }
  void HearSolicitation(const char* source, const char* destination, const char* target) {
    wire::NeighborSolicitation ns;
    ns.target = Ip(target);
    if (!Ip(source).is_unspecified()) ns.options.source_link = kPeerMac;
    Hear(Icmp6(Ip(source), Ip(destination), ns));
  }
  void HearAdvertisement(const char* target, bool solicited, bool overriding,
                         const wire::MacAddress& mac = kPeerMac, bool router = false) {
    wire::NeighborAdvertisement na;
    na.target = Ip(target);
    na.solicited = solicited;
    na.override_cached = overriding;
    na.router = router;
    na.options.target_link = mac;
    Hear(Icmp6(Ip(target), Ip(solicited ? "2001:db8::1" : "ff02::1"), na));
  }
  void HearRouter(const wire::RouterAdvertisement& ra, const char* router = "fe80::1") {
    Hear(Icmp6(Ip(router), Ip("ff02::1"), ra));
  }
  NeighborState StateOf(const char* address) {
    for (const NeighborView& n : (**this).Neighbors()) {
      if (n.address == Ip(address)) return n.state;
    }
    return NeighborState::kFree;
  }
  // Neighbour discovery messages of one type among what was sent.
  std::vector<Seen> SentOf(uint8_t type) {
    std::vector<Seen> found;
    for (const Frame& frame : Sent()) {
      const Seen seen = Look(frame);
      if (seen.type() == wire::kEtherTypeIpv6 && seen.v6.next_header == kProtocolIcmpV6 &&
          seen.payload[0] == type) {
        CHECK(seen.v6.hop_limit == 255);
        found.push_back(seen);
      }
    }
    return found;
  }
};

struct SettledHost : NdpHost {
  SettledHost() {
    AddAddress("2001:db8::1/64");
    Settle();
  }
};

TEST_CASE_METHOD(SettledHost, "solicitations are answered, and the asker learnt") {
  HearSolicitation("2001:db8::9", "ff02::1:ff00:1", "2001:db8::1");
  const auto sent = SentOf(136);
  REQUIRE(sent.size() == 1);
  const auto na = wire::NeighborAdvertisement::Parse(sent[0].payload);
  REQUIRE(na);
  CHECK(na->solicited);
  CHECK(na->override_cached);
  CHECK_FALSE(na->router);
  CHECK(na->target == Ip("2001:db8::1"));
  CHECK(na->options.target_link == kOurMac);
  CHECK(sent[0].ethernet.destination == kPeerMac);
  CHECK(sent[0].v6.destination == Ip("2001:db8::9"));
  CHECK(StateOf("2001:db8::9") == NeighborState::kDelay);  // learnt, and sent to
}

TEST_CASE_METHOD(SettledHost, "another's duplicate detection is answered to all") {
  HearSolicitation("::", "ff02::1:ff00:1", "2001:db8::1");
  const auto sent = SentOf(136);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].v6.destination == kAllNodes);
  CHECK_FALSE(wire::NeighborAdvertisement::Parse(sent[0].payload)->solicited);
  CHECK((**this).Neighbors().empty());
}

TEST_CASE_METHOD(SettledHost, "messages that crossed a router are ignored") {
  wire::NeighborSolicitation ns;
  ns.target = Ip("2001:db8::1");
  Hear(Icmp6(Ip("2001:db8::9"), Ip("ff02::1:ff00:1"), ns, {}, 254));
  CHECK(Sent().empty());
  CHECK(counters().Icmp6InErrors == 1);
}

TEST_CASE_METHOD(SettledHost, "resolution: solicit, wait, send") {
  Path path = PathTo("2001:db8::9");
  CHECK(SendUdp(path, Datagram(1, 2, {})) == SendResult::kQueued);
  const auto sent = SentOf(135);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].v6.destination == Ip("ff02::1:ff00:9"));
  CHECK(sent[0].ethernet.destination == wire::MacAddress{{0x33, 0x33, 0xff, 0, 0, 9}});
  const auto ns = wire::NeighborSolicitation::Parse(sent[0].payload);
  REQUIRE(ns);
  CHECK(ns->options.source_link == kOurMac);
  HearAdvertisement("2001:db8::9", true, true);
  CHECK(StateOf("2001:db8::9") == NeighborState::kReachable);
  const Seen datagram = SentOne();
  CHECK(datagram.ethernet.destination == kPeerMac);
  CHECK(datagram.v6.next_header == kProtocolUdp);
}

TEST_CASE_METHOD(SettledHost, "nobody answers: the senders hear of it") {
  Path path = PathTo("2001:db8::9");
  SendUdp(path, Datagram(7, 9, {}));
  Advance(Seconds(4));
  CHECK(SentOf(135).size() == 3);
  REQUIRE(TakeUnreachable());
  CHECK(in.error.kind == IcmpErrorKind::kHostUnreachable);
  CHECK(in.error.source == wire::Endpoint{Ip("2001:db8::1"), 7, 0});
}

TEST_CASE_METHOD(SettledHost, "unreachability is detected by unicast probes") {
  Path path = PathTo("2001:db8::9");
  SendUdp(path, Datagram(1, 2, {}));
  HearAdvertisement("2001:db8::9", true, true);
  Advance(Seconds(50));
  Sent();
  CHECK(StateOf("2001:db8::9") == NeighborState::kStale);
  CHECK(SendUdp(path, Datagram(1, 2, {})) == SendResult::kSent);
  Sent();
  Advance(Milliseconds(5500));
  const auto probes = SentOf(135);
  REQUIRE(probes.size() == 1);
  CHECK(probes[0].v6.destination == Ip("2001:db8::9"));
  CHECK(probes[0].ethernet.destination == kPeerMac);
  HearAdvertisement("2001:db8::9", true, true);
  CHECK(StateOf("2001:db8::9") == NeighborState::kReachable);
}

TEST_CASE_METHOD(SettledHost, "a neighbour that moved is followed") {
  Path path = PathTo("2001:db8::9");
  SendUdp(path, Datagram(1, 2, {}));
  HearAdvertisement("2001:db8::9", true, true);
  Sent();
  HearAdvertisement("2001:db8::9", false, true, kOtherMac);
  SendUdp(path, Datagram(1, 2, {}));
  CHECK(SentOne().ethernet.destination == kOtherMac);
}

TEST_CASE("duplicate detection: one probe, a second of silence, then use") {
  NdpHost host([](StackConfig*, InterfaceConfig* c) { c->detect_duplicates = true; });
  host.Settle();
  host.AddAddress("2001:db8::1/64");
  CHECK_FALSE(host->IsLocalAddress(Ip("2001:db8::1")));
  host.Advance(Milliseconds(1000));
  const auto probes = host.SentOf(135);
  REQUIRE(probes.size() == 1);
  CHECK(probes[0].v6.source.is_unspecified());
  CHECK(probes[0].v6.destination == Ip("ff02::1:ff00:1"));
  CHECK_FALSE(wire::NeighborSolicitation::Parse(probes[0].payload)->options.source_link);
  SECTION("nobody has it") {
    host.Advance(Seconds(1));
    CHECK(host->IsLocalAddress(Ip("2001:db8::1")));
  }
  SECTION("somebody has it") {
    host.HearAdvertisement("2001:db8::1", false, true);
    host.Advance(Seconds(5));
    CHECK_FALSE(host->IsLocalAddress(Ip("2001:db8::1")));
    CHECK(host.counters().DuplicateAddresses == 1);
  }
  SECTION("somebody wants it, too") {
    host.HearSolicitation("::", "ff02::1:ff00:1", "2001:db8::1");
    host.Advance(Seconds(5));
    CHECK_FALSE(host->IsLocalAddress(Ip("2001:db8::1")));
  }
}

struct AutoHost : NdpHost {
  AutoHost() : NdpHost([](StackConfig*, InterfaceConfig* c) { c->router_advertisements = true; }) {
    Settle();
  }
  static wire::RouterAdvertisement Advertisement(uint16_t lifetime = 1800) {
    wire::RouterAdvertisement ra;
    ra.lifetime_seconds = lifetime;
    ra.options.source_link = kPeerMac;
    ra.options.prefix_count = 1;
    ra.options.prefixes[0] = {{Ip("2001:db8:5::"), 64}, true, true, 7200, 3600};
    return ra;
  }
  const AddressView* Auto() {
    view = (**this).DescribeInterface(eth);
    for (const AddressView& a : view.addresses) {
      if (a.autoconfigured && !a.prefix.address.is_link_local()) return &a;
    }
    return nullptr;
  }
  InterfaceView view;
};

TEST_CASE("routers are solicited three times, or until one answers") {
  NdpHost host([](StackConfig*, InterfaceConfig* c) { c->router_advertisements = true; });
  host.Advance(Milliseconds(1100));
  const auto first = host.SentOf(133);
  REQUIRE(first.size() == 1);
  CHECK(first[0].v6.destination == kAllRouters);
  if (GENERATE(false, true)) {
    host.HearRouter(AutoHost::Advertisement());
    host.Advance(Seconds(20));
    CHECK(host.SentOf(133).empty());
  } else {
    host.Advance(Seconds(20));
    CHECK(host.SentOf(133).size() == 2);
  }
}

TEST_CASE_METHOD(AutoHost, "an advertisement gives address, prefix, router and parameters") {
  auto ra = Advertisement();
  ra.hop_limit = 33;
  ra.options.mtu = 1400;
  HearRouter(ra);
  REQUIRE(Auto() != nullptr);
  CHECK(Auto()->prefix.address == Ip("2001:db8:5::ff:fe00:1"));
  Path path = PathTo("2001:db8:77::1");
  CHECK(path.next_hop == Ip("fe80::1"));
  CHECK(path.source == Ip("2001:db8:5::ff:fe00:1"));
  CHECK(path.mtu == 1400);
  CHECK(PathTo("2001:db8:5::7").next_hop == Ip("2001:db8:5::7"));
  Sent();
  CHECK(SendUdp(path, Datagram(1, 2, {})) == SendResult::kSent);
  const Seen seen = SentOne();
  CHECK(seen.ethernet.destination == kPeerMac);
  CHECK(seen.v6.hop_limit == 33);
}

TEST_CASE_METHOD(AutoHost, "what routers give ends with its lifetime") {
  HearRouter(Advertisement());
  Advance(Seconds(1801));
  Path path;
  CHECK((**this).FindPath(now, Ip("2001:db8:77::1"), {}, 0, &path) == PathStatus::kNoRoute);
  CHECK(Auto()->state == AddressState::kPreferred);
  Advance(Seconds(1800));
  CHECK(Auto()->state == AddressState::kDeprecated);
  Advance(Seconds(3600));
  CHECK(Auto() == nullptr);
  CHECK((**this).FindPath(now, Ip("2001:db8:5::7"), {}, 0, &path) == PathStatus::kNoRoute);
}

TEST_CASE_METHOD(AutoHost, "no message ends an address in less than two hours") {
  auto ra = Advertisement();
  ra.options.prefixes[0].valid_seconds = 100000;
  HearRouter(ra);
  ra.options.prefixes[0].valid_seconds = 10;
  ra.options.prefixes[0].preferred_seconds = 10;
  HearRouter(ra);
  Advance(Seconds(7190));
  REQUIRE(Auto() != nullptr);
  Advance(Seconds(20));
  CHECK(Auto() == nullptr);
}

TEST_CASE_METHOD(AutoHost, "a router that resigns is not used any more") {
  HearRouter(Advertisement());
  Path path = PathTo("2001:db8:77::1");
  SECTION("by advertisement") { HearRouter(Advertisement(0)); }
  SECTION("by flag") {
    wire::NeighborAdvertisement na;
    na.target = Ip("fe80::1");
    na.override_cached = true;
    na.options.target_link = kPeerMac;
    Hear(Icmp6(Ip("fe80::1"), Ip("ff02::1"), na));
  }
  CHECK((**this).Stale(path));
  CHECK((**this).FindPath(now, Ip("2001:db8:77::1"), {}, 0, &path) == PathStatus::kNoRoute);
}

TEST_CASE_METHOD(AutoHost, "of two routers the one that answers is used") {
  auto ra = Advertisement();
  HearRouter(ra);
  ra.options.source_link = kOtherMac;
  HearRouter(ra, "fe80::2");
  Path path = PathTo("2001:db8:77::1");
  CHECK(path.next_hop == Ip("fe80::1"));
  // Probes of the first go unanswered.
  SendUdp(path, Datagram(1, 2, {}));
  Advance(Seconds(10));
  CHECK(PathTo("2001:db8:77::1").next_hop == Ip("fe80::2"));
}

TEST_CASE_METHOD(AutoHost, "the first hop may redirect, others may not") {
  HearRouter(Advertisement());
  wire::Redirect redirect;
  redirect.target = Ip("fe80::2");
  redirect.destination = Ip("2001:db8:77::1");
  redirect.options.target_link = kOtherMac;
  SECTION("from another") {
    Hear(Icmp6(Ip("fe80::3"), PathTo("2001:db8:77::1").source, redirect));
    CHECK(PathTo("2001:db8:77::1").next_hop == Ip("fe80::1"));
  }
  SECTION("from the first hop") {
    Hear(Icmp6(Ip("fe80::1"), PathTo("2001:db8:77::1").source, redirect));
    Path path = PathTo("2001:db8:77::1");
    CHECK(path.next_hop == Ip("fe80::2"));
    CHECK(PathTo("2001:db8:77::2").next_hop == Ip("fe80::1"));
    Sent();
    SendUdp(path, Datagram(1, 2, {}));
    CHECK(SentOne().ethernet.destination == kOtherMac);
    Advance(Seconds(601));
    CHECK(PathTo("2001:db8:77::1").next_hop == Ip("fe80::1"));
  }
}

TEST_CASE("advertisements are ignored where they were not asked for") {
  NdpHost host;
  host.HearRouter(AutoHost::Advertisement());
  CHECK(host->DescribeInterface(host.eth).addresses.size() == 1);
}

TEST_CASE("opaque identifiers are stable, differ by prefix, and move on at a duplicate") {
  NdpHost host([](StackConfig*, InterfaceConfig* c) {
    c->router_advertisements = true;
    c->opaque_identifiers = true;
    c->detect_duplicates = true;
  });
  host.Settle();
  host.HearRouter(AutoHost::Advertisement());
  const auto address = [&] {
    const auto view = host->DescribeInterface(host.eth);
    return view.addresses.size() < 2 ? wire::IpAddress() : view.addresses[1].prefix.address;
  };
  const wire::IpAddress first = address();
  CHECK(first.HasPrefix(Ip("2001:db8:5::"), 64));
  CHECK(first != Ip("2001:db8:5::ff:fe00:1"));
  host.HearAdvertisement(wire::ToString(first).c_str(), false, true);
  host.Advance(Seconds(3));
  const wire::IpAddress second = address();
  CHECK(second.HasPrefix(Ip("2001:db8:5::"), 64));
  CHECK(second != first);
  CHECK(host->IsLocalAddress(second));
}

}  // namespace
}  // namespace sluice::ip
