#include <catch2/catch.hpp>

#include "hex.h"
#include "wire/arp.h"
#include "wire/ethernet.h"

namespace sluice::wire {
namespace {

const MacAddress kA{{0x02, 0, 0, 0, 0, 0x0a}};
const MacAddress kB{{0x02, 0, 0, 0, 0, 0x0b}};

TEST_CASE("an Ethernet II header, untagged") {
  const auto bytes = Hex("02000000000b 02000000000a 0800");
  const auto header = EthernetHeader::Parse(bytes);
  REQUIRE(header);
  CHECK(header->destination == kB);
  CHECK(header->source == kA);
  CHECK(header->type == kEtherTypeIpv4);
  CHECK(header->size() == 14);
  CHECK(header->vlan_id() == 0);
  CHECK(Emitted(*header) == bytes);
  CHECK(PrefixesAccepted(bytes, EthernetHeader::Parse) == 0);
}

TEST_CASE("VLAN tags, one and two") {
  const auto one = Hex("02000000000b 02000000000a 8100 a064 86dd");
  auto header = EthernetHeader::Parse(one);
  REQUIRE(header);
  CHECK(header->type == kEtherTypeIpv6);
  CHECK(header->vlan_id() == 100);
  CHECK(header->size() == 18);
  CHECK(Emitted(*header) == one);
  CHECK(PrefixesAccepted(one, EthernetHeader::Parse) == 0);

  const auto two = Hex("02000000000b 02000000000a 88a8 0007 8100 0064 0806");
  header = EthernetHeader::Parse(two);
  REQUIRE(header);
  CHECK(header->type == kEtherTypeArp);
  CHECK(header->tags[0].id() == 7);
  CHECK(header->vlan_id() == 100);
  CHECK(header->size() == 22);
  CHECK(Emitted(*header) == two);
  CHECK(PrefixesAccepted(two, EthernetHeader::Parse) == 0);

  // A third tag is a type like any other: unknown.
  const auto three = Hex("02000000000b 02000000000a 88a8 0007 8100 0064 8100 0001 0800");
  header = EthernetHeader::Parse(three);
  REQUIRE(header);
  CHECK(header->type == kEtherTypeVlan);
}

TEST_CASE("an IEEE 802.3 length is not a type") {
  CHECK_FALSE(EthernetHeader::Parse(Hex("02000000000b 02000000000a 05ff")));
  CHECK(EthernetHeader::Parse(Hex("02000000000b 02000000000a 0600")));
}

TEST_CASE("an ARP request and reply") {
  const auto bytes = Hex("0001 0800 06 04 0001 02000000000a c0000201 000000000000 c0000202");
  const auto packet = ArpPacket::Parse(bytes);
  REQUIRE(packet);
  CHECK(packet->operation == ArpOperation::kRequest);
  CHECK(packet->sender_mac == kA);
  CHECK(packet->sender_ip == IpAddress::V4(192, 0, 2, 1));
  CHECK(packet->target_mac.is_zero());
  CHECK(packet->target_ip == IpAddress::V4(192, 0, 2, 2));
  CHECK_FALSE(packet->is_probe());
  CHECK_FALSE(packet->is_announcement());
  CHECK(Emitted(*packet) == bytes);
  CHECK(PrefixesAccepted(bytes, ArpPacket::Parse) == 0);

  ArpPacket probe;
  probe.target_ip = IpAddress::V4(192, 0, 2, 9);
  CHECK(probe.is_probe());
  ArpPacket announcement;
  announcement.sender_ip = announcement.target_ip = IpAddress::V4(192, 0, 2, 9);
  CHECK(announcement.is_announcement());
  CHECK(ArpPacket::Parse(Emitted(announcement)) == announcement);
}

TEST_CASE("ARP of other kinds is refused") {
  auto bytes = Hex("0001 0800 06 04 0001 02000000000a c0000201 000000000000 c0000202");
  for (size_t at : {size_t{1}, size_t{2}, size_t{4}, size_t{5}, size_t{6}}) {
    auto other = bytes;
    other[at] ^= 0x10;
    CAPTURE(at);
    CHECK_FALSE(ArpPacket::Parse(other));
  }
  bytes[7] = 3;
  CHECK_FALSE(ArpPacket::Parse(bytes));
  bytes[7] = 0;
  CHECK_FALSE(ArpPacket::Parse(bytes));
}

}  // namespace
}  // namespace sluice::wire
