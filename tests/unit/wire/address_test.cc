#include "wire/address.h"

#include <catch2/catch.hpp>

namespace sluice::wire {
namespace {

TEST_CASE("IPv4 text") {
  CHECK(ToString(IpAddress::V4(192, 0, 2, 1)) == "192.0.2.1");
  CHECK(ParseIp("192.0.2.1") == IpAddress::V4(192, 0, 2, 1));
  CHECK(ParseIp("255.255.255.255") == IpAddress::V4(0xffffffff));
  for (const char* bad :
       {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4",
        "+1.2.3.4", "1..3.4", "1.2.3.", ".1.2.3.4", "0x1.2.3.4", "1.2.3.4294967297", "a.b.c.d"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseIp(bad));
  }
}

TEST_CASE("IPv6 text is what RFC 5952 says, and reads back") {
  struct Case {
    const char* in;
    const char* out;
  };
  for (const Case& c : {Case{"::", "::"},
                        {"::1", "::1"},
                        {"1::", "1::"},
                        {"2001:DB8::0001", "2001:db8::1"},
                        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
                        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
                        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
                        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
                        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
                        {"1:0:0:4:5:6:0:0", "1::4:5:6:0:0"},
                        {"1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201"},
                        {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
                        {"fe80::ff:fe00:1", "fe80::ff:fe00:1"},
                        {"::ffff:192.0.2.1", "192.0.2.1"}}) {
    CAPTURE(c.in);
    const auto address = ParseIp(c.in);
    REQUIRE(address);
    CHECK(ToString(*address) == c.out);
    CHECK(ParseIp(c.out) == address);
  }
  for (const char* bad : {":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3",
                          "12345::", "g::", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7:8", "::1%eth0",
                          "[::1]", "1:2:3:4:5:6:7::8", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4",
                          "1.2.3.4::", "::1 ", "1:2:3:4:5:6:7:8::"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseIp(bad));
  }
}

TEST_CASE("MAC text") {
  const MacAddress mac{{0x02, 0, 0, 0xab, 0xcd, 1}};
  CHECK(ToString(mac) == "02:00:00:ab:cd:01");
  CHECK(ParseMac("02:00:00:AB:cd:01") == mac);
  for (const char* bad : {"", "02:00:00:ab:cd", "02:00:00:ab:cd:01:", "02-00-00-ab-cd-01",
                          "2:0:0:ab:cd:1", "02:00:00:ab:cd:0g", "02:00:00:ab:cd:011"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseMac(bad));
  }
}

TEST_CASE("prefixes and endpoints") {
  const auto v4 = ParsePrefix("192.0.2.0/24");
  REQUIRE(v4);
  CHECK((v4->address == IpAddress::V4(192, 0, 2, 0) && v4->length == 24));
  CHECK(ToString(*v4) == "192.0.2.0/24");
  const auto v6 = ParsePrefix("2001:db8::/32");
  REQUIRE(v6);
  CHECK(ToString(*v6) == "2001:db8::/32");
  CHECK(v6->length == 32);
  for (const char* bad : {"192.0.2.0", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1",
                          "192.0.2.0/024", "::/129", "/8", "192.0.2.0/8/8", "192.0.2.0/8 "}) {
    CAPTURE(bad);
    CHECK_FALSE(ParsePrefix(bad));
  }
  CHECK(ToString(Endpoint{IpAddress::V4(192, 0, 2, 1), 80}) == "192.0.2.1:80");
  CHECK(ToString(Endpoint{*ParseIp("2001:db8::1"), 65535}) == "[2001:db8::1]:65535");
}

TEST_CASE("prefix match counts from the family's first bit") {
  const auto prefix = *ParsePrefix("10.128.0.0/9");
  CHECK(IpAddress::V4(10, 255, 0, 1).HasPrefix(prefix.address, prefix.length));
  CHECK_FALSE(IpAddress::V4(10, 127, 0, 1).HasPrefix(prefix.address, prefix.length));
  CHECK_FALSE(ParseIp("::a80:0")->HasPrefix(prefix.address, 0));
  CHECK(ParseIp("2001:db8::1")->HasPrefix(IpAddress::AnyV6(), 0));
}

}  // namespace
}  // namespace sluice::wire
