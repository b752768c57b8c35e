#include <catch2/catch.hpp>

#include "hex.h"
#include "wire/tcp.h"
#include "wire/tcp_options.h"
#include "wire/udp.h"

namespace sluice::wire {
namespace {

TEST_CASE("a UDP header") {
  const auto bytes = Hex("0035 d431 000a beef 6869");
  const auto header = UdpHeader::Parse(bytes);
  REQUIRE(header);
  CHECK(header->source_port == 53);
  CHECK(header->destination_port == 54321);
  CHECK(header->total_bytes == 10);
  CHECK(header->checksum == 0xbeef);
  CHECK(Emitted(*header) == Hex("0035 d431 000a beef"));
  CHECK(PrefixesAccepted(bytes, [](ConstBytes b) { return UdpHeader::Parse(b); }) == 0);
  CHECK(UdpHeader::Parse(ConstBytes(bytes).first(8), 10));
  CHECK_FALSE(UdpHeader::Parse(Hex("0035 d431 0007 beef 6869")));
  CHECK_FALSE(UdpHeader::Parse(Hex("0035 d431 0000 beef 6869")));
  CHECK(UdpChecksumField(0) == 0xffff);
  CHECK(UdpChecksumField(0x1234) == 0x1234);
}

TEST_CASE("a TCP header") {
  const auto bytes = Hex("d431 0050 01020304 a1b2c3d4 50 c2 fffe 1234 0005");
  const auto header = TcpHeader::Parse(bytes);
  REQUIRE(header);
  CHECK(header->source_port == 54321);
  CHECK(header->destination_port == 80);
  CHECK(header->sequence == Sequence(0x01020304));
  CHECK(header->acknowledgment == Sequence(0xa1b2c3d4));
  CHECK(header->header_bytes == 20);
  CHECK((header->syn() && header->ece() && header->cwr()));
  CHECK_FALSE((header->fin() || header->rst() || header->psh() || header->ack() || header->urg()));
  CHECK(header->window == 0xfffe);
  CHECK(header->checksum == 0x1234);
  CHECK(header->urgent_pointer == 5);
  CHECK(Emitted(*header) == bytes);
  CHECK(PrefixesAccepted(bytes, TcpHeader::Parse) == 0);
}

TEST_CASE("the data offset is checked against the segment") {
  auto bytes = Hex("d431 0050 01020304 a1b2c3d4 60 10 fffe 1234 0000 01010101");
  REQUIRE(TcpHeader::Parse(bytes));
  CHECK(TcpHeader::Parse(bytes)->header_bytes == 24);
  bytes[12] = 0x70;
  CHECK_FALSE(TcpHeader::Parse(bytes));
  bytes[12] = 0x4f;
  CHECK_FALSE(TcpHeader::Parse(bytes));
  // Reserved bits do not matter.
  bytes[12] = 0x6f;
  CHECK(TcpHeader::Parse(bytes)->header_bytes == 24);
}

TEST_CASE("the options of a SYN, in the usual layout") {
  TcpOptions options;
  options.has_mss = true;
  options.mss = 1460;
  options.sack_permitted = true;
  options.has_timestamps = true;
  options.timestamps = {0x11223344, 0};
  options.has_window_scale = true;
  options.window_scale = 7;
  CHECK(Emitted(options) == Hex("020405b4 0402 080a 11223344 00000000 01 030307"));
  CHECK(TcpOptions::Parse(Emitted(options)) == options);
  options.has_timestamps = false;
  options.timestamps = {};
  CHECK(Emitted(options) == Hex("020405b4 01010402 01 030307"));
  CHECK(TcpOptions::Parse(Emitted(options)) == options);
}

TEST_CASE("timestamps and SACK blocks") {
  TcpOptions options;
  options.has_timestamps = true;
  options.timestamps = {1, 2};
  CHECK(Emitted(options) == Hex("0101080a 00000001 00000002"));
  CHECK(TcpOptions::Parse(Emitted(options)) == options);
  for (uint8_t n = 1; n <= 3; ++n) {
    options.sack_count = n;
    options.sack[n - 1] = {Sequence(100u * n), Sequence(100u * n + 50)};
    CHECK(options.size() == 12 + 4 + 8u * n);
    CHECK(TcpOptions::Parse(Emitted(options)) == options);
  }
  options.has_timestamps = false;
  options.timestamps = {};
  options.sack_count = 4;
  options.sack[3] = {Sequence(0xfffffff0), Sequence(0x10)};
  CHECK(options.size() == 36);
  CHECK(TcpOptions::Parse(Emitted(options)) == options);
}

TEST_CASE("unknown options are skipped, the end of the list ends it") {
  // An experimental option of six bytes before the MSS.
  auto options = TcpOptions::Parse(Hex("fd06 00010203 0204 05b4 0101"));
  CHECK(options.has_mss);
  CHECK(options.mss == 1460);
  CHECK_FALSE(options.malformed);
  options = TcpOptions::Parse(Hex("0000 0204 05b4"));
  CHECK_FALSE(options.has_mss);
  CHECK_FALSE(options.malformed);
  CHECK(TcpOptions::Parse({}) == TcpOptions());
}

TEST_CASE("illegal lengths end the parsing (RFC 9293, MUST-7)") {
  for (const char* bad :
       {"0200 05b4", "0201 05b4", "0203 05b4", "0205 05b4", "02", "fd00 0101", "fd", "fdff 0101",
        "0302 0101", "0403 0001", "0809 0000000000000001", "0502 0101", "0509 00000000000000",
        "050a 00000000", "0512 000000000000000000000000"}) {
    CAPTURE(bad);
    const auto options = TcpOptions::Parse(Hex(bad));
    CHECK(options.malformed);
    CHECK_FALSE(options.has_mss);
    CHECK(options.sack_count == 0);
  }
  // What stood in front is kept.
  const auto options = TcpOptions::Parse(Hex("0204 05b4 0300 0101"));
  CHECK((options.malformed && options.has_mss && !options.has_window_scale));
}

TEST_CASE("every cut of an option list is taken as far as it goes") {
  const auto whole = Hex("020405b4 0402080a 11223344 55667788 01030307 0101050a 0000000100000009");
  for (size_t n = 0; n <= whole.size(); ++n) {
    const std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<long>(n));
    const auto options = TcpOptions::Parse(cut);
    CHECK(options.has_mss == (n >= 4));
    CHECK(options.sack_permitted == (n >= 6));
    CHECK(options.has_timestamps == (n >= 16));
    CHECK(options.has_window_scale == (n >= 20));
    CHECK(int{options.sack_count} == (n == whole.size() ? 1 : 0));
  }
}

TEST_CASE("a window scale above 14 counts as 14 (RFC 7323 section 2.3)") {
  CHECK(TcpOptions::Parse(Hex("0303 0e 01")).window_scale == 14);
  CHECK(TcpOptions::Parse(Hex("0303 0f 01")).window_scale == 14);
  CHECK(TcpOptions::Parse(Hex("0303 ff 01")).window_scale == 14);
}

}  // namespace
}  // namespace sluice::wire
