// Frames that nobody should send. Nothing may be read out of bounds (the sanitizers watch), no
// packet may be lost, and no deadline may stand still.
#include "base/random.h"
#include "host.h"
#include "wire/igmp.h"
#include "wire/mld.h"

namespace sluice::ip {
namespace {

Frame Arp() {
  Frame frame;
  Append(&frame,
         wire::EthernetHeader{wire::MacAddress::Broadcast(), kPeerMac, wire::kEtherTypeArp, 0, {}});
  Append(&frame, wire::ArpPacket{
                     wire::ArpOperation::kRequest, kPeerMac, Ip("192.0.2.9"), {}, Ip("192.0.2.1")});
  return frame;
}

// One frame of each kind that the stack understands: first of IPv4.
std::vector<Frame> SeedsV4() {
  std::vector<Frame> seeds = {Arp()};
  TestPacket p;
  p.source = Ip("192.0.2.9");
  p.destination = Ip("192.0.2.1");
  p.payload = Datagram(1, 2, Pattern(64));
  seeds.push_back(EthernetFrame(p));
  const Frame ours = IpPacket(
      {.source = p.destination, .destination = p.source, .payload = Datagram(5, 6, Pattern(40))});
  p.more_fragments = true;
  seeds.push_back(EthernetFrame(p));
  p.more_fragments = false;
  p.fragment_offset = 72;
  seeds.push_back(EthernetFrame(p));
  p.fragment_offset = 0;
  p.protocol = kProtocolIcmp;
  p.payload = Icmp4(wire::Icmpv4Header::EchoRequest(1, 2), Pattern(64));
  seeds.push_back(EthernetFrame(p));
  p.payload = Icmp4(wire::Icmpv4Header::Unreachable(4, 1000), ours);
  seeds.push_back(EthernetFrame(p));
  p.protocol = kProtocolIgmp;
  p.destination = Ip("224.0.0.1");
  p.mac_destination = {{1, 0, 0x5e, 0, 0, 1}};
  wire::GroupQuery query;
  query.group = wire::IpAddress::AnyV4();
  query.response_max = Seconds(1);
  p.payload.resize(wire::IgmpQuerySize(query));
  wire::EmitIgmpQuery(query, p.payload);
  seeds.push_back(EthernetFrame(p));
  return seeds;
}

std::vector<Frame> Seeds() {
  std::vector<Frame> seeds = SeedsV4();
  const auto peer = Ip("fe80::9"), us = Ip("fe80::ff:fe00:1");
  wire::RouterAdvertisement ra;
  ra.lifetime_seconds = 100;
  ra.options.source_link = kPeerMac;
  ra.options.mtu = 1400;
  ra.options.prefix_count = 1;
  ra.options.prefixes[0] = {{Ip("2001:db8:5::"), 64}, true, true, 7200, 3600};
  seeds.push_back(EthernetFrame(Icmp6(peer, us, ra)));
  wire::NeighborSolicitation ns;
  ns.target = us;
  ns.options.source_link = kPeerMac;
  seeds.push_back(EthernetFrame(Icmp6(peer, us, ns)));
  wire::NeighborAdvertisement na;
  na.target = peer;
  na.options.target_link = kPeerMac;
  seeds.push_back(EthernetFrame(Icmp6(peer, us, na)));
  wire::Redirect redirect;
  redirect.target = Ip("fe80::7");
  redirect.destination = Ip("2001:db8:7::7");
  seeds.push_back(EthernetFrame(Icmp6(peer, us, redirect)));
  seeds.push_back(
      EthernetFrame(Icmp6(peer, us, wire::Icmpv6Header::EchoRequest(1, 2), Pattern(64))));
  seeds.push_back(EthernetFrame(
      Icmp6(peer, us, wire::Icmpv6Header::PacketTooBig(1300),
            IpPacket({.source = us, .destination = peer, .payload = Datagram(5, 6, {})}))));
  wire::GroupQuery mld;
  mld.version = 2;
  mld.response_max = Seconds(1);
  Frame query6(wire::MldQuerySize(mld));
  wire::EmitMldQuery(mld, query6);
  TestPacket q;
  q.source = peer;
  q.destination = us;
  q.protocol = kProtocolIcmpV6;
  q.ttl = 1;
  q.payload = query6;
  SumIcmp6(peer, us, &q.payload);
  seeds.push_back(EthernetFrame(q));
  q.protocol = 0;
  q.payload = {60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3};
  seeds.push_back(EthernetFrame(q));
  return seeds;
}

// Checksums made right again, so that mutations get past them.
void Mend(Frame* frame) {
  if (frame->size() < 34 || (*frame)[12] != 8 || (*frame)[13] != 0) return;
  const size_t header = ((*frame)[14] & 0x0fu) * 4u;
  if (header < 20 || frame->size() < 14 + header) return;
  const auto ip = std::span(*frame).subspan(14, header);
  wire::Store16(ip.data() + 10, 0);
  wire::StoreIpv4Checksum(ip);
  const auto rest = std::span(*frame).subspan(14 + header);
  if ((ip[9] != kProtocolIcmp && ip[9] != kProtocolIgmp) || rest.size() < 4) return;
  wire::Store16(rest.data() + 2, 0);
  wire::Store16(rest.data() + 2, wire::Checksum(wire::Sum(rest)));
}

Frame Mutate(Frame frame, Random& random) {
  for (uint64_t n = random.Below(4); n > 0; --n) {
    const uint64_t at = 12 + random.Below(frame.size() - 12);
    frame[at] = random.Chance(1, 2) ? static_cast<uint8_t>(random.Next32())
                                    : static_cast<uint8_t>(frame[at] ^ 1u << random.Below(8));
  }
  if (random.Chance(1, 6)) frame.resize(random.Below(frame.size() + 20));
  if (random.Chance(3, 4)) Mend(&frame);
  return frame;
}

TEST_CASE("mutated frames lose no packet and stop no clock") {
  const uint64_t seed = GENERATE(1u, 2u, 3u, 4u);
  INFO("seed " << seed);
  const std::vector<Frame> seeds = Seeds();
  Random random(seed);
  Host host([](StackConfig* s, InterfaceConfig* c) {
    c->router_advertisements = true;
    s->reassembly_fragments_max = 64;
    s->neighbors_max = 16;
  });
  host.AddAddress("192.0.2.1/24");
  host.refuse = Refusal::kProtocol;
  for (int i = 0; i < 3000; ++i) {
    const Frame& original = seeds[random.Below(seeds.size())];
    const size_t split = random.Chance(1, 4) ? 1 + random.Below(60) : 2048;
    host.Receive(Mutate(original, random), split);
    host.ReceiveLooped();
    while (host.TakeUnreachable()) {
    }
    if (random.Chance(1, 8)) host.Advance(Milliseconds(static_cast<int64_t>(random.Below(3000))));
    host.Sent();
  }
  host.Advance(Seconds(100));
  host.Sent();
  while (host.TakeUnreachable()) {
  }
  host.ReceiveLooped();
  CHECK(host.packets_out() == 0);
}

}  // namespace
}  // namespace sluice::ip
