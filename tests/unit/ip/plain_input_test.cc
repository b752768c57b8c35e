// The short way in (ip/plain_input.cc) against the long one, which the same frame takes when it
// comes in two mbufs: whatever stands in the frame, both must say the same of it.
#include <cstring>

#include "base/random.h"
#include "host.h"

namespace sluice::ip {
namespace {

constexpr size_t kEthernetBytes = 14;
constexpr size_t kIpBytes = 20;
constexpr size_t kSplit = 20;  // in the middle of the IP header

struct OneOfTwo : Host {
  OneOfTwo() : Host([](StackConfig*, InterfaceConfig* c) { c->ipv6 = false; }) {
    AddAddress("192.0.2.1/24");
    AddAddress("198.51.100.7/32");
  }
};

TestPacket Packet(Random& random) {
  static constexpr const char* kAddresses[] = {
      "192.0.2.1", "192.0.2.9", "198.51.100.7", "192.0.2.255", "255.255.255.255",
      "127.0.0.1", "224.0.0.1", "239.1.2.3",    "0.0.0.0",     "0.0.0.9",
      "192.0.2.0", "240.0.0.1", "192.0.2.10",   "203.0.113.5"};
  TestPacket p;
  p.source = Ip(random.Chance(3, 4) ? "192.0.2.9" : kAddresses[random.Below(14)]);
  p.destination = Ip(random.Chance(3, 4) ? "192.0.2.1" : kAddresses[random.Below(14)]);
  p.protocol = random.Chance(1, 2) ? kProtocolTcp : kProtocolUdp;
  p.ttl = static_cast<uint8_t>(random.Next32());
  p.traffic_class = static_cast<uint8_t>(random.Next32());
  if (random.Chance(1, 16)) p.mac_destination = kPeerMac;
  if (random.Chance(1, 16)) p.mac_destination = wire::MacAddress::Broadcast();
  if (random.Chance(1, 16)) p.mac_source = wire::MacAddress::Broadcast();
  p.payload.resize(random.Below(120));
  for (uint8_t& byte : p.payload) byte = static_cast<uint8_t>(random.Next32());
  return p;
}

// Wrong in up to two bits of the headers, padded or cut; with its checksum right or not.
Frame Spoil(Frame frame, Random& random) {
  for (uint64_t n = random.Below(3); n > 0; --n) {
    frame[random.Below(kEthernetBytes + kIpBytes)] ^= static_cast<uint8_t>(1u << random.Below(8));
  }
  if (random.Chance(1, 4)) frame.resize(frame.size() + random.Below(30));
  if (random.Chance(1, 8)) frame.resize(1 + random.Below(frame.size()));
  if (frame.size() >= kEthernetBytes + kIpBytes && random.Chance(3, 4)) {
    const auto header = std::span(frame).subspan(kEthernetBytes, kIpBytes);
    wire::Store16(header.data() + wire::kIpv4ChecksumOffset, 0);
    wire::StoreIpv4Checksum(header);
  }
  return frame;
}

TEST_CASE("the short way in says what the long one says") {
  const uint64_t seed = GENERATE(1u, 2u, 3u);
  Random random(seed);
  OneOfTwo quick, thorough;
  unsigned plain = 0;
  for (int i = 0; i < 20000; ++i) {
    const Frame frame = Spoil(EthernetFrame(Packet(random)), random);
    INFO("seed " << seed << ", frame " << i);
    const Verdict verdict = quick.Receive(frame);
    REQUIRE(verdict == thorough.Receive(frame, kSplit));
    REQUIRE(std::memcmp(&quick.counters(), &thorough.counters(), sizeof(Counters)) == 0);
    quick.Sent();
    thorough.Sent();
    if (verdict != Verdict::kDeliver) continue;
    ++plain;
    const PacketInfo &a = quick.in.info, &b = thorough.in.info;
    REQUIRE(quick.delivered == thorough.delivered);
    REQUIRE(quick.checksum_good == thorough.checksum_good);
    REQUIRE(a.source == b.source);
    REQUIRE(a.destination == b.destination);
    REQUIRE(a.protocol == b.protocol);
    REQUIRE(a.ttl == b.ttl);
    REQUIRE(a.traffic_class == b.traffic_class);
    REQUIRE(a.destination_kind == b.destination_kind);
    REQUIRE(a.transport_checksum == b.transport_checksum);
    REQUIRE(a.link_multicast == b.link_multicast);
    REQUIRE(a.link_broadcast == b.link_broadcast);
    REQUIRE(a.looped == b.looped);
    REQUIRE(a.interface == b.interface);
    REQUIRE(a.flow_label == b.flow_label);
    REQUIRE(a.network_header_bytes == b.network_header_bytes);
  }
  CHECK(plain > 1000);
}

}  // namespace
}  // namespace sluice::ip
