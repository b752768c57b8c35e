#include "wire/ipv4.h"

#include <catch2/catch.hpp>

#include "hex.h"

namespace sluice::wire {
namespace {

const auto kPlain = Hex("45b80073 00014000 4011b7a8 c0a80001 c0a800c7");

TEST_CASE("an IPv4 header") {
  auto packet = kPlain;
  packet.resize(0x73);
  const auto header = Ipv4Header::Parse(packet);
  REQUIRE(header);
  CHECK(header->total_bytes == 0x73);
  CHECK(header->payload_bytes() == 0x73 - 20);
  CHECK(header->traffic_class == 0xb8);
  CHECK(header->identification == 1);
  CHECK(header->dont_fragment);
  CHECK_FALSE(header->more_fragments);
  CHECK_FALSE(header->is_fragment());
  CHECK(header->ttl == 64);
  CHECK(header->protocol == 17);
  CHECK(header->source == IpAddress::V4(192, 168, 0, 1));
  CHECK(header->destination == IpAddress::V4(192, 168, 0, 199));
  CHECK(header->options.empty());
  CHECK(Ipv4ChecksumValid(ConstBytes(packet).first(20)));
  CHECK(Emitted(*header) == kPlain);

  auto anew = kPlain;
  Store16(anew.data() + kIpv4ChecksumOffset, 0);
  StoreIpv4Checksum(anew);
  CHECK(anew == kPlain);

  CHECK(PrefixesAccepted(packet, [](ConstBytes b) { return Ipv4Header::Parse(b); }) == 0);
  // A packet whose later bytes are in other segments.
  CHECK(Ipv4Header::Parse(kPlain, 0x73));
  CHECK_FALSE(Ipv4Header::Parse(kPlain, 0x72));
  CHECK(Ipv4Header::ParseQuoted(kPlain));
}

TEST_CASE("what is no IPv4 header is refused") {
  auto packet = kPlain;
  packet.resize(0x73);
  auto with = [&](size_t at, uint8_t value) {
    auto other = packet;
    other[at] = value;
    return Ipv4Header::Parse(other).has_value();
  };
  CHECK(with(0, 0x45));
  CHECK_FALSE(with(0, 0x65));
  CHECK_FALSE(with(0, 0x44));
  CHECK_FALSE(with(0, 0x40));
  CHECK_FALSE(with(3, 19));
  CHECK(with(3, 20));
  CHECK_FALSE(with(3, 0x74));
  auto long_header = packet;
  long_header[0] = 0x46;
  long_header[3] = 20;
  CHECK_FALSE(Ipv4Header::Parse(long_header));
}

TEST_CASE("fragments count bytes") {
  Ipv4Header header;
  header.total_bytes = 20;
  header.more_fragments = true;
  header.fragment_offset = 65528;
  const auto bytes = Emitted(header);
  CHECK(Load16(bytes.data() + 6) == 0x3fff);
  const auto parsed = Ipv4Header::Parse(bytes);
  REQUIRE(parsed);
  CHECK(parsed->fragment_offset == 65528);
  CHECK(parsed->more_fragments);
  CHECK_FALSE(parsed->dont_fragment);
  CHECK(parsed->is_fragment());
}

TEST_CASE("options go with the header") {
  const auto bytes = Hex("46000018 00000000 40020000 c0000201 e0000016 94040000");
  const auto header = Ipv4Header::Parse(bytes);
  REQUIRE(header);
  CHECK(header->size() == 24);
  CHECK(std::vector<uint8_t>(header->options.begin(), header->options.end()) == Hex("94040000"));
  CHECK(Emitted(*header) == bytes);
  const auto options = ParseIpv4Options(header->options);
  REQUIRE(options);
  CHECK(options->router_alert);
  CHECK_FALSE(options->source_route);
}

TEST_CASE("option lists") {
  uint8_t at = 0;
  CHECK(ParseIpv4Options(Hex("01010100"), &at));
  CHECK(ParseIpv4Options(Hex("01830704 c0000201"))->source_route);
  CHECK(ParseIpv4Options(Hex("89030400"))->source_route);
  // Behind the end of the list nothing counts.
  CHECK_FALSE(ParseIpv4Options(Hex("00 89 03 04"))->source_route);
  CHECK_FALSE(ParseIpv4Options(Hex("94040001"))->router_alert);
  struct Case {
    const char* options;
    int error_offset;
  };
  for (const Case& c : {Case{"01880000", 21}, Case{"01880100", 21}, Case{"01880400", 21},
                        Case{"01010188", 23}, Case{"88000000", 20}}) {
    CAPTURE(c.options);
    CHECK_FALSE(ParseIpv4Options(Hex(c.options), &at));
    CHECK(int{at} == c.error_offset);
  }
}

TEST_CASE("fragments carry the options that say so") {
  uint8_t out[12];
  // Record route is not copied, a loose source route and a router alert are.
  size_t n = CopyFragmentOptions(Hex("07030401 83030401 94040000"), out);
  CHECK(n == 8);
  CHECK(std::vector<uint8_t>(out, out + n) == Hex("830304 94040000 00"));
  CHECK(CopyFragmentOptions(Hex("07030400"), out) == 0);
  CHECK(CopyFragmentOptions(Hex("94ff0000"), out) == 0);
}

}  // namespace
}  // namespace sluice::wire
