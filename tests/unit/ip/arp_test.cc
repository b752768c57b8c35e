#include "host.h"

namespace sluice::ip {
namespace {

using wire::ArpOperation;
using wire::ArpPacket;

const wire::MacAddress kOtherMac{{0x02, 0, 0, 0, 0, 0x03}};

struct ArpHost : Host {
  explicit ArpHost(bool detect = false)
      : Host([=](StackConfig*, InterfaceConfig* c) {
          c->ipv6 = false;
          c->detect_duplicates = detect;
          c->announce = true;
        }) {
    AddAddress("192.0.2.1/24");
    if (!detect) {
      Advance(Seconds(3));
      Sent();
    }
  }

  void Hear(const ArpPacket& arp, bool unicast = false) {
    Frame frame;
    wire::EthernetHeader header;
    header.destination = unicast ? kOurMac : wire::MacAddress::Broadcast();
    header.source = arp.sender_mac;
    header.type = wire::kEtherTypeArp;
    Append(&frame, header);
    Append(&frame, arp);
    frame.resize(60);
    CHECK(Receive(frame) == Verdict::kConsumed);
  }
  ArpPacket Request(const char* target, const char* sender = "192.0.2.9") {
    return {ArpOperation::kRequest, kPeerMac, Ip(sender), {}, Ip(target)};
  }
  ArpPacket Reply(const wire::MacAddress& mac = kPeerMac) {
    return {ArpOperation::kReply, mac, Ip("192.0.2.9"), kOurMac, Ip("192.0.2.1")};
  }
  ArpPacket SentArp() {
    const Seen seen = SentOne();
    CHECK(seen.type() == wire::kEtherTypeArp);
    last_destination = seen.ethernet.destination;
    const auto arp = ArpPacket::Parse(seen.payload);
    REQUIRE(arp);
    return *arp;
  }
  NeighborState StateOfPeer() {
    for (const NeighborView& n : (**this).Neighbors()) {
      if (n.address == Ip("192.0.2.9")) return n.state;
    }
    return NeighborState::kFree;
  }

  wire::MacAddress last_destination;
};

TEST_CASE_METHOD(ArpHost, "requests for our address are answered, and the asker learnt") {
  Hear(Request("192.0.2.1"));
  const ArpPacket reply = SentArp();
  CHECK(reply ==
        ArpPacket{ArpOperation::kReply, kOurMac, Ip("192.0.2.1"), kPeerMac, Ip("192.0.2.9")});
  CHECK(last_destination == kPeerMac);
  CHECK(StateOfPeer() == NeighborState::kStale);
  Path path = PathTo("192.0.2.9");
  CHECK(SendUdp(path, Datagram(1, 2, {})) == SendResult::kSent);
}

TEST_CASE_METHOD(ArpHost, "requests for others teach nothing new, but update") {
  Hear(Request("192.0.2.7"));
  CHECK(Sent().empty());
  CHECK(StateOfPeer() == NeighborState::kFree);
  Hear(Request("192.0.2.1"));
  Sent();
  ArpPacket moved = Request("192.0.2.7");
  moved.sender_mac = kOtherMac;
  Hear(moved);
  Path path = PathTo("192.0.2.9");
  SendUdp(path, Datagram(1, 2, {}));
  CHECK(SentOne().ethernet.destination == kOtherMac);
}

TEST_CASE_METHOD(ArpHost, "a probe for our address is answered and not learnt") {
  Hear(Request("192.0.2.1", "0.0.0.0"));
  const ArpPacket reply = SentArp();
  CHECK(reply.sender_ip == Ip("192.0.2.1"));
  CHECK((**this).Neighbors().empty());
}

TEST_CASE_METHOD(ArpHost, "senders off the link are not learnt") {
  Hear(Request("192.0.2.1", "203.0.113.9"));
  CHECK((**this).Neighbors().empty());
}

TEST_CASE_METHOD(ArpHost, "packets wait for the answer and then leave in order") {
  Path path = PathTo("192.0.2.9");
  CHECK(SendUdp(path, Datagram(1, 1, {})) == SendResult::kQueued);
  CHECK(SendUdp(path, Datagram(1, 2, {})) == SendResult::kQueued);
  const ArpPacket request = SentArp();
  CHECK(request.target_ip == Ip("192.0.2.9"));
  CHECK(request.sender_ip == Ip("192.0.2.1"));
  CHECK(last_destination.is_broadcast());
  Hear(Reply(), true);
  CHECK(StateOfPeer() == NeighborState::kReachable);
  const auto frames = Sent();
  REQUIRE(frames.size() == 2);
  CHECK(Look(frames[0]).payload[3] == 1);
  CHECK(Look(frames[1]).payload[3] == 2);
  CHECK(Look(frames[1]).ethernet.destination == kPeerMac);
}

TEST_CASE_METHOD(ArpHost, "nobody answers: three requests, then the senders hear of it") {
  Path path = PathTo("192.0.2.9");
  CHECK(SendUdp(path, Datagram(7, 9, Pattern(4))) == SendResult::kQueued);
  Advance(Milliseconds(2500));
  CHECK(Sent().size() == 3);
  CHECK_FALSE(TakeUnreachable());
  Advance(Seconds(1));
  CHECK(Sent().empty());
  REQUIRE(TakeUnreachable());
  CHECK(in.error.kind == IcmpErrorKind::kHostUnreachable);
  CHECK(in.error.local);
  CHECK(in.error.protocol == kProtocolUdp);
  CHECK(in.error.source == wire::Endpoint{Ip("192.0.2.1"), 7, 0});
  CHECK(in.error.destination == wire::Endpoint{Ip("192.0.2.9"), 9, 0});
  CHECK_FALSE(TakeUnreachable());
  CHECK(counters().NeighborFailures == 1);
  CHECK(packets_out() == 0);
  // The next packet asks again.
  CHECK(SendUdp(path, Datagram(7, 9, {})) == SendResult::kQueued);
  SentArp();
}

TEST_CASE_METHOD(ArpHost, "an old entry is used at once and probed by unicast") {
  Path path = PathTo("192.0.2.9");
  SendUdp(path, Datagram(1, 1, {}));
  Hear(Reply(), true);
  Sent();
  Advance(Seconds(50));
  CHECK(StateOfPeer() == NeighborState::kStale);
  CHECK(SendUdp(path, Datagram(1, 1, {})) == SendResult::kSent);
  CHECK(StateOfPeer() == NeighborState::kDelay);
  Sent();
  SECTION("and confirmed") {
    Advance(Milliseconds(5500));
    CHECK(SentArp().target_ip == Ip("192.0.2.9"));
    CHECK(last_destination == kPeerMac);
    Hear(Reply(), true);
    CHECK(StateOfPeer() == NeighborState::kReachable);
  }
  SECTION("unless the transport knows better") {
    (**this).ConfirmReachable(now, path);
    CHECK(StateOfPeer() == NeighborState::kReachable);
    Advance(Seconds(10));
    CHECK(Sent().empty());
  }
  SECTION("and given up") {
    Advance(Seconds(9));
    CHECK(Sent().size() == 3);
    CHECK(StateOfPeer() == NeighborState::kFree);
  }
}

TEST_CASE_METHOD(ArpHost, "an address is defended, once in ten seconds") {
  ArpPacket claim = Request("192.0.2.1", "192.0.2.1");
  for (int i = 0; i < 5; ++i) Hear(claim);
  const ArpPacket defence = SentArp();
  CHECK(defence.is_announcement());
  CHECK(defence.sender_mac == kOurMac);
  Advance(Seconds(11));
  Hear(claim);
  SentArp();
  CHECK(counters().ArpConflicts == 6);
  CHECK((**this).Neighbors().empty());
}

TEST_CASE("an address is announced when it comes into use") {
  ArpHost host(true);
  Path path;
  CHECK_FALSE(host->IsLocalAddress(Ip("192.0.2.1")));
  unsigned probes = 0, announcements = 0;
  for (int i = 0; i < 120; ++i) {
    host.Advance(Milliseconds(100));
    for (const Frame& frame : host.Sent()) {
      const auto arp = ArpPacket::Parse(Look(frame).payload);
      REQUIRE(arp);
      CHECK(arp->target_ip == Ip("192.0.2.1"));
      if (arp->is_probe()) {
        CHECK(announcements == 0);
        ++probes;
      } else {
        ++announcements;
      }
    }
  }
  CHECK(probes == 3);
  CHECK(announcements == 2);
  CHECK(host->IsLocalAddress(Ip("192.0.2.1")));
}

TEST_CASE("an address that another host has is not taken") {
  ArpHost host(true);
  host.Advance(Milliseconds(1500));
  host.Sent();
  SECTION("it answers") {
    host.Hear({ArpOperation::kReply, kPeerMac, Ip("192.0.2.1"), kOurMac, Ip("0.0.0.0")});
  }
  SECTION("it probes, too") { host.Hear(host.Request("192.0.2.1", "0.0.0.0")); }
  host.Advance(Seconds(20));
  CHECK(host.Sent().empty());
  CHECK_FALSE(host->IsLocalAddress(Ip("192.0.2.1")));
  CHECK(host->DescribeInterface(host.eth).addresses[0].state == AddressState::kDuplicated);
  CHECK(host.counters().DuplicateAddresses == 1);
}

TEST_CASE_METHOD(ArpHost, "a link that goes down forgets what it learnt") {
  Hear(Request("192.0.2.1"));
  Sent();
  Path path = PathTo("192.0.2.9");
  CHECK((**this).SetLinkUp(now, eth, false) == ConfigResult::kOk);
  CHECK((**this).Neighbors().empty());
  CHECK(SendUdp(path, Datagram(1, 2, {})) == SendResult::kQueued);  // asks for the neighbour
  CHECK(Sent().empty());                                            // in vain
  CHECK((**this).SetLinkUp(now, eth, true) == ConfigResult::kOk);
  Advance(Seconds(3));
  const auto frames = Sent();
  REQUIRE(frames.size() == 4);  // announced anew, and the neighbour is asked for again
  CHECK(SendUdp(path, Datagram(1, 2, {})) == SendResult::kQueued);
}

TEST_CASE("an address on a link that is down rests until it comes up") {
  Host host([](StackConfig*, InterfaceConfig* c) {
    c->ipv6 = false;
    c->announce = true;
    c->link_up = false;
  });
  host.AddAddress("192.0.2.1/24");
  host.Advance(Seconds(10));
  CHECK(host->NextDeadline().is_never());
  CHECK(host.Sent().empty());
  CHECK(host->SetLinkUp(host.now, host.eth, true) == ConfigResult::kOk);
  host.Advance(Seconds(3));
  CHECK(host.Sent().size() == 2);
  CHECK(host->NextDeadline().is_never());
}

TEST_CASE_METHOD(ArpHost, "a flood of askers cannot grow the table or take the packets") {
  for (uint32_t i = 0; i < 3000; ++i) {
    ArpPacket request = Request("192.0.2.1");
    request.sender_ip = wire::IpAddress::V4(0xc0000202 + i % 250);
    request.sender_mac.bytes[4] = static_cast<uint8_t>(i);
    Hear(request);
    Sent();
  }
  CHECK((**this).Neighbors().size() <= 1024);
}

TEST_CASE_METHOD(ArpHost, "headers stay ready while a neighbour's reachability is in doubt") {
  Hear(Request("192.0.2.1"));  // learns the asker, unconfirmed
  Sent();
  Outbound outbound;
  outbound.protocol = kProtocolUdp;
  outbound.checksum_offset = 6;
  Path path = PathTo("192.0.2.9");
  REQUIRE(SendUdp(path, Datagram(1, 2, {}), Fragmentation::kForbidden) == SendResult::kSent);
  Prepared headers;
  REQUIRE((**this).Prepare(outbound, path, &headers));
  CHECK((**this).Ready(headers));  // DELAY
  Advance(Seconds(6));
  CHECK((**this).Ready(headers));  // PROBE
  Sent();
  Hear(Reply(), true);
  CHECK((**this).Ready(headers));  // REACHABLE
  Advance(Seconds(60));
  CHECK_FALSE((**this).Ready(headers));  // STALE: the next packet must begin a new DELAY
}

}  // namespace
}  // namespace sluice::ip
