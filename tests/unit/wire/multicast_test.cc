#include <catch2/catch.hpp>

#include "hex.h"
#include "wire/checksum.h"
#include "wire/igmp.h"
#include "wire/mld.h"

namespace sluice::wire {
namespace {

std::vector<uint8_t> EmittedIgmp(const GroupQuery& query) {
  std::vector<uint8_t> out(IgmpQuerySize(query));
  EmitIgmpQuery(query, out);
  return out;
}
std::vector<uint8_t> EmittedMld(const GroupQuery& query) {
  std::vector<uint8_t> out(MldQuerySize(query));
  EmitMldQuery(query, out);
  return out;
}

TEST_CASE("IGMP queries of the three versions") {
  const auto v1 = Hex("1100 eeff 00000000");
  auto query = ParseIgmpQuery(v1);
  REQUIRE(query);
  CHECK(int{query->version} == 1);
  CHECK(query->response_max == Seconds(10));
  CHECK(query->group == IpAddress::AnyV4());
  CHECK(EmittedIgmp(*query) == v1);

  const auto v2 = Hex("1164 0c9a e0000101");
  query = ParseIgmpQuery(v2);
  REQUIRE(query);
  CHECK(int{query->version} == 2);
  CHECK(query->response_max == Seconds(10));
  CHECK(query->group == IpAddress::V4(224, 0, 1, 1));
  CHECK(ChecksumValid(Sum(EmittedIgmp(*query))));
  CHECK(PrefixesAccepted(v2, ParseIgmpQuery) == 0);

  auto v3 = Hex("118a 0000 e8010101 0a7d 0002 c0000201 c0000202");
  Store16(v3.data() + 2, Checksum(Sum(v3)));
  query = ParseIgmpQuery(v3);
  REQUIRE(query);
  CHECK(int{query->version} == 3);
  CHECK(query->response_max == Milliseconds(100 * ((0xa | 0x10) << 3)));
  CHECK(query->suppress);
  CHECK(int{query->robustness} == 2);
  CHECK(int{query->interval_code} == 125);
  REQUIRE(query->sources.size() == 2);
  CHECK(query->sources[1] == IpAddress::V4(192, 0, 2, 2));
  CHECK(EmittedIgmp(*query) == v3);
  // Cut to eight bytes it reads as version 2 (RFC 3376 section 7.1); at no other length.
  CHECK(PrefixesAccepted(v3, ParseIgmpQuery) == 1);
}

TEST_CASE("IGMP reports of version 2 and 3") {
  const IgmpMessage report{IgmpType::kV2Report, IpAddress::V4(224, 0, 1, 1)};
  CHECK(ChecksumValid(Sum(Emitted(report))));
  CHECK(IgmpMessage::Parse(Emitted(report)) == report);
  CHECK(PrefixesAccepted(Emitted(report), IgmpMessage::Parse) == 0);
  CHECK_FALSE(IgmpMessage::Parse(Hex("1100000000000000")));

  const IpAddress sources[] = {IpAddress::V4(192, 0, 2, 1), IpAddress::V4(192, 0, 2, 2)};
  const GroupRecord records[] = {
      {GroupRecordType::kChangeToExclude, IpAddress::V4(224, 0, 1, 1), {}},
      {GroupRecordType::kAllowNewSources, IpAddress::V4(232, 1, 1, 1), sources}};
  std::vector<uint8_t> bytes(IgmpV3ReportSize(records));
  EmitIgmpV3Report(records, bytes);
  CHECK(ChecksumValid(Sum(bytes)));
  Store16(bytes.data() + 2, 0);
  CHECK(bytes == Hex("2200 0000 0000 0002 04000000 e0000101 05000002 e8010101 c0000201 c0000202"));
  std::vector<ReceivedGroupRecord> seen;
  REQUIRE(ParseIgmpV3Report(bytes, [&](const ReceivedGroupRecord& r) { seen.push_back(r); }));
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].type == GroupRecordType::kChangeToExclude);
  CHECK(seen[0].group == IpAddress::V4(224, 0, 1, 1));
  CHECK(seen[1].sources.size() == 2);
  CHECK(seen[1].sources[0] == sources[0]);
  CHECK(PrefixesAccepted(bytes, [](ConstBytes b) {
          return ParseIgmpV3Report(b, [](const ReceivedGroupRecord&) {});
        }) == 0);
}

TEST_CASE("MLD queries of both versions") {
  const auto v1 = Hex("8200 0000 2710 0000 00000000000000000000000000000000");
  auto query = ParseMldQuery(v1);
  REQUIRE(query);
  CHECK(int{query->version} == 1);
  CHECK(query->response_max == Seconds(10));
  CHECK(EmittedMld(*query) == v1);

  const auto v2 =
      Hex("8200 0000 8123 0000 ff0e0000000000000000000000000101 0a7d 0001"
          "20010db8000000000000000000000001");
  query = ParseMldQuery(v2);
  REQUIRE(query);
  CHECK(int{query->version} == 2);
  CHECK(query->response_max == Milliseconds((0x123 | 0x1000) << 3));
  CHECK(query->group == *ParseIp("ff0e::101"));
  CHECK((query->suppress && query->robustness == 2 && query->interval_code == 125));
  REQUIRE(query->sources.size() == 1);
  CHECK(query->sources[0] == *ParseIp("2001:db8::1"));
  CHECK(EmittedMld(*query) == v2);
  CHECK(PrefixesAccepted(v2, ParseMldQuery) == 1);  // at 24 bytes it is one of version 1
  CHECK_FALSE(ParseMldQuery(Hex("8200 0000 2710 0000 20010db8000000000000000000000001")));
}

TEST_CASE("MLD reports") {
  const MldMessage done{Icmpv6Type::kMldV1Done, *ParseIp("ff02::fb")};
  CHECK(MldMessage::Parse(Emitted(done)) == done);
  CHECK(PrefixesAccepted(Emitted(done), MldMessage::Parse) == 0);

  const IpAddress sources[] = {*ParseIp("2001:db8::1")};
  const GroupRecord records[] = {{GroupRecordType::kModeIsExclude, *ParseIp("ff02::fb"), {}},
                                 {GroupRecordType::kBlockOldSources, *ParseIp("ff3e::1"), sources}};
  std::vector<uint8_t> bytes(MldV2ReportSize(records));
  EmitMldV2Report(records, bytes);
  CHECK(bytes == Hex("8f00 0000 0000 0002 02000000 ff0200000000000000000000000000fb"
                     "06000001 ff3e0000000000000000000000000001 20010db8000000000000000000000001"));
  int seen = 0;
  REQUIRE(ParseMldV2Report(
      bytes, [&](const ReceivedGroupRecord& r) { CHECK(r.group == records[seen++].group); }));
  CHECK(seen == 2);
  CHECK(PrefixesAccepted(bytes, [](ConstBytes b) {
          return ParseMldV2Report(b, [](const ReceivedGroupRecord&) {});
        }) == 0);
}

TEST_CASE("packed times") {
  for (int bits : {8, 16}) {
    uint32_t last = 0;
    for (uint32_t code = 1; code < 1u << bits; ++code) {
      const uint32_t value = UnpackTime(code, bits);
      REQUIRE(value > last);
      REQUIRE(PackTime(value, bits) == code);
      REQUIRE(PackTime(value - 1, bits) == code - 1);
      last = value;
    }
    CHECK(PackTime(UINT32_MAX, bits) == (1u << bits) - 1);
  }
}

}  // namespace
}  // namespace sluice::wire
