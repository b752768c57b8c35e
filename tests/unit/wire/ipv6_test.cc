#include "wire/ipv6.h"

#include <catch2/catch.hpp>
#include <string>

#include "hex.h"
#include "wire/icmpv6.h"
#include "wire/ipv6_extension.h"

namespace sluice::wire {
namespace {

using Verdict = Ipv6Chain::Verdict;

constexpr char kUnicast[] = "20010db8000000000000000000000002";
constexpr char kGroup[] = "ff020000000000000000000000000016";

// A packet to `destination` of the given first next header and payload.
std::vector<uint8_t> Packet(const char* next_header, const std::string& payload,
                            const char* destination = kUnicast) {
  const auto body = Hex(payload);
  auto packet = Hex(std::string("60000000 0000 ") + next_header +
                    " 40 20010db8000000000000000000000001 " + destination);
  Store16(packet.data() + 4, static_cast<uint16_t>(body.size()));
  packet.insert(packet.end(), body.begin(), body.end());
  return packet;
}

Ipv6Chain WalkOf(const std::vector<uint8_t>& packet) {
  const auto header = Ipv6Header::Parse(packet);
  REQUIRE(header);
  return WalkIpv6Chain(*header, packet);
}

void CheckProblem(const Ipv6Chain& chain, uint8_t code, uint32_t pointer) {
  CHECK(chain.verdict == Verdict::kParameterProblem);
  CHECK(int{chain.code} == int{code});
  CHECK(chain.pointer == pointer);
}

TEST_CASE("an IPv6 header") {
  const auto bytes =
      Hex("6b8abcde 0000 06 40 20010db8000000000000000000000001 20010db8000000000000000000000002");
  const auto header = Ipv6Header::Parse(bytes);
  REQUIRE(header);
  CHECK(header->traffic_class == 0xb8);
  CHECK(header->flow_label == 0xabcde);
  CHECK(header->payload_bytes == 0);
  CHECK(header->next_header == 6);
  CHECK(header->hop_limit == 64);
  CHECK(header->source == *ParseIp("2001:db8::1"));
  CHECK(header->destination == *ParseIp("2001:db8::2"));
  CHECK(Emitted(*header) == bytes);
  CHECK(PrefixesAccepted(bytes, [](ConstBytes b) { return Ipv6Header::Parse(b); }) == 0);
}

TEST_CASE("what is no IPv6 header is refused") {
  auto packet = Packet("06", "00112233");
  CHECK(Ipv6Header::Parse(packet));
  CHECK_FALSE(Ipv6Header::Parse(packet, 43));
  packet[5] = 5;
  CHECK_FALSE(Ipv6Header::Parse(packet));
  CHECK(Ipv6Header::ParseQuoted(packet));
  packet = Packet("06", "00");
  packet[0] = 0x45;
  CHECK_FALSE(Ipv6Header::Parse(packet));
  CHECK_FALSE(Ipv6Header::Parse(Packet("06", "", "00000000000000000000ffffc0000201")));
}

TEST_CASE("no extension headers, and none that we walk over") {
  auto chain = WalkOf(Packet("06", "0011223344556677"));
  CHECK(chain.verdict == Verdict::kPayload);
  CHECK(chain.next_header == 6);
  CHECK(chain.offset == 40);
  CHECK(chain.next_header_field == 6);
  chain = WalkOf(Packet("3b", ""));
  CHECK(chain.verdict == Verdict::kPayload);
  CHECK(chain.next_header == kIpv6NoNextHeader);
}

TEST_CASE("a chain of all kinds leads to the payload") {
  const auto chain = WalkOf(Packet("00",
                                   "2b 00 05020000 0100 "   // hop by hop: router alert, PadN
                                   "3c 00 00 00 00000000 "  // routing, no segments left
                                   "2c 00 0104 00000000 "   // destination: PadN
                                   "11 00 0000 12345678 "   // atomic fragment
                                   "0035003500080000"));
  CHECK(chain.verdict == Verdict::kPayload);
  CHECK(chain.next_header == 17);
  CHECK(chain.offset == 72);
  CHECK(chain.next_header_field == 64);
  CHECK(chain.router_alert);
}

TEST_CASE("every cut of a chain is discarded") {
  const auto whole = Packet("00", "2b00050200000100 3c00000000000000 0600010400000000");
  for (size_t n = 40; n < whole.size(); ++n) {
    CAPTURE(n);
    std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<long>(n));
    // Cut by the packet, and cut by what of it is at hand.
    const auto header = Ipv6Header::ParseQuoted(cut);
    REQUIRE(header);
    CHECK(WalkIpv6Chain(*header, cut).verdict == Verdict::kDiscard);
    Store16(cut.data() + 4, static_cast<uint16_t>(n - 40));
    CHECK(WalkOf(cut).verdict == Verdict::kDiscard);
    auto lying = whole;
    Store16(lying.data() + 4, static_cast<uint16_t>(n - 40));
    CHECK(WalkOf(lying).verdict == Verdict::kDiscard);
  }
  CHECK(WalkOf(whole).verdict == Verdict::kPayload);
}

TEST_CASE("hop-by-hop options stand first or not at all") {
  CheckProblem(WalkOf(Packet("3c", "0000010400000000 0600010400000000")),
               Icmpv6Parameter::kUnknownNextHeader, 40);
}

TEST_CASE("unknown options do what their type says") {
  for (const char* kind : {"00", "3c"}) {
    CAPTURE(kind);
    const auto to = [&](const char* type, const char* destination) {
      return WalkOf(Packet(kind, std::string("0600") + "00 00 " + type + " 02 0000", destination));
    };
    CHECK(to("1e", kUnicast).verdict == Verdict::kPayload);
    CHECK(to("5e", kUnicast).verdict == Verdict::kDiscard);
    CheckProblem(to("9e", kUnicast), Icmpv6Parameter::kUnknownOption, 44);
    CHECK(to("9e", kGroup).report_multicast);
    CheckProblem(to("9e", kGroup), Icmpv6Parameter::kUnknownOption, 44);
    CheckProblem(to("de", kUnicast), Icmpv6Parameter::kUnknownOption, 44);
    CHECK_FALSE(to("de", kUnicast).report_multicast);
    CHECK(to("de", kGroup).verdict == Verdict::kDiscard);
  }
}

TEST_CASE("options that run out of their header") {
  CheckProblem(WalkOf(Packet("3c", "0600 1e05 00000000")), Icmpv6Parameter::kErroneousField, 43);
  CheckProblem(WalkOf(Packet("3c", "0600 0103 0000001e")), Icmpv6Parameter::kErroneousField, 47);
}

TEST_CASE("routing headers with segments left") {
  for (const char* type : {"00", "02", "04", "fe"}) {
    CheckProblem(WalkOf(Packet("2b", std::string("0600") + type + "0100000000")),
                 Icmpv6Parameter::kErroneousField, 42);
    CHECK(WalkOf(Packet("2b", std::string("0600") + type + "0000000000")).verdict ==
          Verdict::kPayload);
  }
}

TEST_CASE("fragments stop the walk") {
  const auto chain = WalkOf(Packet("3c", "2c00010400000000 1100 0009 deadbeef 0011223344556677"));
  CHECK(chain.verdict == Verdict::kFragment);
  CHECK(chain.fragment.more_fragments);
  CHECK(chain.fragment.offset == 8);
  CHECK(chain.fragment.identification == 0xdeadbeef);
  CHECK(chain.fragment.next_header == 17);
  CHECK(chain.fragment_header_offset == 48);
  CHECK(chain.next_header_field == 40);
  CHECK(chain.offset == 56);
  CHECK(chain.next_header == 17);
  // The last one may be of any length.
  CHECK(WalkOf(Packet("2c", "1100 0008 deadbeef 00")).verdict == Verdict::kFragment);
  CheckProblem(WalkOf(Packet("2c", "1100 0001 deadbeef 00112233445566")),
               Icmpv6Parameter::kErroneousField, 4);
  CheckProblem(WalkOf(Packet("2c", "1100 fff8 deadbeef 0011223344556677")),
               Icmpv6Parameter::kErroneousField, 42);
}

TEST_CASE("chains without end are cut") {
  std::string payload;
  for (int i = 0; i < Ipv6Chain::kHeadersMax; ++i) payload += "3c00010400000000";
  CHECK(WalkOf(Packet("3c", payload + "0600010400000000")).verdict == Verdict::kDiscard);
  payload = payload.substr(16);
  CHECK(WalkOf(Packet("3c", payload + "0600010400000000")).verdict == Verdict::kPayload);
}

TEST_CASE("the headers that we write") {
  const Ipv6FragmentHeader fragment{17, true, 1448, 0x01020304};
  CHECK(Emitted(fragment) == Hex("1100 05a9 01020304"));
  CHECK(Ipv6FragmentHeader::Parse(Emitted(fragment)) == fragment);
  CHECK(PrefixesAccepted(Emitted(fragment), Ipv6FragmentHeader::Parse) == 0);
  uint8_t alert[kIpv6RouterAlertBytes];
  EmitIpv6RouterAlert(58, alert);
  CHECK(std::vector<uint8_t>(alert, alert + 8) == Hex("3a00 05020000 0100"));
}

}  // namespace
}  // namespace sluice::wire
