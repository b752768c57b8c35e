// ICMP, ICMPv6, the packets they quote, and neighbour discovery.
#include <catch2/catch.hpp>

#include "hex.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"
#include "wire/ndp.h"
#include "wire/quoted_packet.h"

namespace sluice::wire {
namespace {

TEST_CASE("ICMP messages and their fields") {
  CHECK(Emitted(Icmpv4Header::EchoRequest(0x1234, 7)) == Hex("0800 0000 1234 0007"));
  CHECK(Emitted(Icmpv4Header::EchoReply(0x1234, 7)) == Hex("0000 0000 1234 0007"));
  CHECK(Emitted(Icmpv4Header::Unreachable(4, 1400)) == Hex("0304 0000 0000 0578"));
  CHECK(Emitted(Icmpv4Header::TimeExceeded(1)) == Hex("0b01 0000 00000000"));
  CHECK(Emitted(Icmpv4Header::ParameterProblem(21)) == Hex("0c00 0000 15000000"));

  const auto bytes = Hex("0304 abcd 0000 0578");
  const auto header = Icmpv4Header::Parse(bytes);
  REQUIRE(header);
  CHECK(header->mtu() == 1400);
  CHECK(header->checksum == 0xabcd);
  CHECK(header->is_error());
  CHECK(Emitted(*header) == bytes);
  CHECK(PrefixesAccepted(bytes, Icmpv4Header::Parse) == 0);
  CHECK(Icmpv4Header::Parse(Hex("0800 0000 1234 0007"))->identifier() == 0x1234);
  CHECK(Icmpv4Header::Parse(Hex("0800 0000 1234 0007"))->sequence() == 7);
  CHECK_FALSE(Icmpv4Header::Parse(Hex("0800 0000 1234 0007"))->is_error());
  CHECK(Icmpv4Header::Parse(Hex("0c00 0000 15000000"))->pointer() == 21);
}

TEST_CASE("ICMPv6 messages and their fields") {
  CHECK(Emitted(Icmpv6Header::EchoRequest(0x1234, 7)) == Hex("8000 0000 1234 0007"));
  CHECK(Emitted(Icmpv6Header::EchoReply(0x1234, 7)) == Hex("8100 0000 1234 0007"));
  CHECK(Emitted(Icmpv6Header::Unreachable(4)) == Hex("0104 0000 00000000"));
  CHECK(Emitted(Icmpv6Header::PacketTooBig(1280)) == Hex("0200 0000 00000500"));
  CHECK(Emitted(Icmpv6Header::TimeExceeded(0)) == Hex("0300 0000 00000000"));
  CHECK(Emitted(Icmpv6Header::ParameterProblem(1, 40)) == Hex("0401 0000 00000028"));
  const auto bytes = Hex("0200 beef 00000500");
  const auto header = Icmpv6Header::Parse(bytes);
  REQUIRE(header);
  CHECK(header->mtu() == 1280);
  CHECK(header->is_error());
  CHECK(Emitted(*header) == bytes);
  CHECK(PrefixesAccepted(bytes, Icmpv6Header::Parse) == 0);
  CHECK_FALSE(Icmpv6Header::Parse(Hex("8000 0000 1234 0007"))->is_error());
}

TEST_CASE("a quoted IPv4 packet leads to its socket") {
  // 1500 bytes long, of which eight of TCP are quoted.
  auto bytes = Hex("450005dc 00014000 40060000 c0000201 c0000202  d4310050 0a0b0c0d");
  auto quoted = QuotedPacket::Parse(bytes);
  REQUIRE(quoted);
  CHECK(quoted->source == IpAddress::V4(192, 0, 2, 1));
  CHECK(quoted->destination == IpAddress::V4(192, 0, 2, 2));
  CHECK(quoted->protocol == 6);
  CHECK(quoted->transport_offset == 20);
  REQUIRE(quoted->has_ports);
  CHECK(quoted->source_port == 54321);
  CHECK(quoted->destination_port == 80);
  CHECK(quoted->tcp_sequence == Sequence(0x0a0b0c0d));
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<long>(n));
    quoted = QuotedPacket::Parse(cut);
    CHECK(quoted.has_value() == (n >= 20));
    if (quoted) CHECK_FALSE(quoted->has_ports);
  }
  bytes[7] = 1;  // a later fragment
  CHECK_FALSE(QuotedPacket::Parse(bytes)->has_ports);
}

TEST_CASE("a quoted IPv6 packet leads to its socket, behind a first fragment's header too") {
  const auto bytes =
      Hex("60000000 05a8 2c 40 20010db8000000000000000000000001 20010db8000000000000000000000002"
          "1100 0001 01020304  0035d431 00080000");
  auto quoted = QuotedPacket::Parse(bytes);
  REQUIRE(quoted);
  CHECK(quoted->protocol == 17);
  CHECK(quoted->transport_offset == 48);
  REQUIRE(quoted->has_ports);
  CHECK(quoted->source_port == 53);
  CHECK(PrefixesAccepted(bytes, QuotedPacket::Parse) == 8);  // all of the chain, not all ports
  CHECK_FALSE(QuotedPacket::Parse(Hex("12345678")));
  CHECK_FALSE(QuotedPacket::Parse({}));
}

constexpr char kTarget[] = "fe800000000000000000000000000001";

TEST_CASE("a neighbour solicitation") {
  const auto bytes = Hex(std::string("8700 0000 00000000") + kTarget + "0101 02000000000a");
  const auto message = NeighborSolicitation::Parse(bytes);
  REQUIRE(message);
  CHECK(message->target == *ParseIp("fe80::1"));
  CHECK(message->options.source_link == MacAddress{{2, 0, 0, 0, 0, 0x0a}});
  CHECK_FALSE(message->options.target_link);
  CHECK(Emitted(*message) == bytes);
  CHECK(PrefixesAccepted(bytes, NeighborSolicitation::Parse) == 1);  // without the option
  // RFC 4861 section 7.1.1: no multicast target; the code is 0; no option of length 0.
  CHECK_FALSE(
      NeighborSolicitation::Parse(Hex("8700 0000 00000000 ff020000000000000000000000000001")));
  CHECK_FALSE(
      NeighborSolicitation::Parse(Hex("8700 0000 00000000 00000000000000000000ffffc0000201")));
  CHECK_FALSE(NeighborSolicitation::Parse(Hex(std::string("8701 0000 00000000") + kTarget)));
  CHECK_FALSE(NeighborSolicitation::Parse(
      Hex(std::string("8700 0000 00000000") + kTarget + "0e00 000000000000")));
}

TEST_CASE("a neighbour advertisement") {
  const auto bytes = Hex(std::string("8800 0000 e0000000") + kTarget + "0201 02000000000b");
  const auto message = NeighborAdvertisement::Parse(bytes);
  REQUIRE(message);
  CHECK((message->router && message->solicited && message->override_cached));
  CHECK(message->options.target_link == MacAddress{{2, 0, 0, 0, 0, 0x0b}});
  CHECK(Emitted(*message) == bytes);
  CHECK(PrefixesAccepted(bytes, NeighborAdvertisement::Parse) == 1);
  const auto plain = NeighborAdvertisement::Parse(Hex(std::string("8800000040000000") + kTarget));
  REQUIRE(plain);
  CHECK((!plain->router && plain->solicited && !plain->override_cached));
}

TEST_CASE("router solicitation and advertisement") {
  const auto solicitation = Hex("8500 0000 00000000 0101 02000000000a");
  REQUIRE(RouterSolicitation::Parse(solicitation));
  CHECK(Emitted(*RouterSolicitation::Parse(solicitation)) == solicitation);
  CHECK(PrefixesAccepted(solicitation, RouterSolicitation::Parse) == 1);

  const auto bytes =
      Hex("8600 0000 40 c0 0708 00007530 000003e8"
          "0101 02000000000c"
          "0501 0000 000005dc"
          "0304 40 c0 00015180 00003840 00000000 20010db8000100000000000000000000");
  const auto message = RouterAdvertisement::Parse(bytes);
  REQUIRE(message);
  CHECK(message->hop_limit == 64);
  CHECK((message->managed && message->other_configuration));
  CHECK(message->lifetime_seconds == 1800);
  CHECK(message->reachable_ms == 30000);
  CHECK(message->retransmit_ms == 1000);
  CHECK(message->options.mtu == 1500u);
  REQUIRE(message->options.prefix_count == 1);
  const PrefixInformation& prefix = message->options.prefixes[0];
  CHECK((prefix.prefix.address == *ParseIp("2001:db8:1::") && prefix.prefix.length == 64));
  CHECK((prefix.on_link && prefix.autonomous));
  CHECK(prefix.valid_seconds == 86400);
  CHECK(prefix.preferred_seconds == 14400);
  CHECK(Emitted(*message) == bytes);
  CHECK(PrefixesAccepted(bytes, RouterAdvertisement::Parse) == 3);  // at each option's end

  // RDNSS and a prefix longer than an address are skipped.
  auto more = bytes;
  const auto rdnss = Hex("1903 0000 00000e10 20010db8000000000000000000000035");
  more.insert(more.end(), rdnss.begin(), rdnss.end());
  more[34] = 129;
  REQUIRE(RouterAdvertisement::Parse(more));
  CHECK(int{RouterAdvertisement::Parse(more)->options.prefix_count} == 0);
}

TEST_CASE("more prefixes than we keep do no harm") {
  auto bytes = Hex("8600 0000 40 00 0708 00000000 00000000");
  for (int i = 0; i < 12; ++i) {
    const auto option = Hex("030440c0 00015180 00003840 00000000 20010db8000100000000000000000000");
    bytes.insert(bytes.end(), option.begin(), option.end());
  }
  const auto message = RouterAdvertisement::Parse(bytes);
  REQUIRE(message);
  CHECK(int{message->options.prefix_count} == NdpOptions::kPrefixesMax);
}

TEST_CASE("a redirect") {
  const auto bytes = Hex(std::string("8900 0000 00000000") + kTarget +
                         "20010db8000000000000000000000009 0201 02000000000b");
  const auto message = Redirect::Parse(bytes);
  REQUIRE(message);
  CHECK(message->target == *ParseIp("fe80::1"));
  CHECK(message->destination == *ParseIp("2001:db8::9"));
  CHECK(Emitted(*message) == bytes);
  CHECK(PrefixesAccepted(bytes, Redirect::Parse) == 1);
}

}  // namespace
}  // namespace sluice::wire
