#include <algorithm>

#include "host.h"
#include "wire/igmp.h"
#include "wire/mld.h"

namespace sluice::ip {
namespace {

using wire::GroupRecordType;

struct Record {
  GroupRecordType type;
  std::string group;
  std::vector<std::string> sources;
  friend bool operator==(const Record&, const Record&) = default;
};
std::ostream& operator<<(std::ostream& out, const Record& r) {
  out << static_cast<int>(r.type) << ' ' << r.group;
  for (const auto& s : r.sources) out << ' ' << s;
  return out;
}

struct GroupHost : Host {
  explicit GroupHost(bool v4)
      : Host([=](StackConfig*, InterfaceConfig* c) { c->ipv6 = !v4; }), v4_(v4) {
    if (v4) AddAddress("192.0.2.1/24");
    Advance(Seconds(5));
    Sent();
  }
  GroupHost() : GroupHost(true) {}

  ConfigResult Filter(uint64_t member, FilterMode mode,
                      const std::vector<wire::IpAddress>& sources) {
    return (**this).SetSourceFilter(now, eth, group(), member, mode, sources);
  }
  wire::IpAddress group() const { return Ip(v4_ ? "239.1.2.3" : "ff05::1:3"); }

  // The records of all reports that were sent.
  std::vector<Record> Records() {
    std::vector<Record> records;
    const auto visit = [&](const wire::ReceivedGroupRecord& r) {
      Record record{r.type, wire::ToString(r.group), {}};
      for (size_t i = 0; i < r.sources.size(); ++i) {
        record.sources.push_back(wire::ToString(r.sources[i]));
      }
      records.push_back(record);
    };
    for (const Frame& frame : Sent()) {
      const Seen seen = Look(frame);
      if (v4_) {
        CHECK(seen.v4.destination == Ip("224.0.0.22"));
        CHECK(seen.v4.ttl == 1);
        CHECK(seen.ethernet.destination == wire::MacAddress{{1, 0, 0x5e, 0, 0, 22}});
        CHECK(seen.frame[14] == 0x46);  // with router alert
        CHECK(wire::ChecksumValid(wire::Sum(seen.payload)));
        CHECK(wire::ParseIgmpV3Report(seen.payload, visit));
      } else {
        CHECK(seen.v6.destination == Ip("ff02::16"));
        CHECK(seen.v6.source.is_link_local());
        CHECK(seen.v6.hop_limit == 1);
        REQUIRE(seen.v6.next_header == 0);  // hop-by-hop with router alert
        const Frame message(seen.payload.begin() + 8, seen.payload.end());
        CHECK(wire::ChecksumValid(wire::Sum(message) +
                                  wire::PseudoHeaderSum(seen.v6.source, seen.v6.destination,
                                                        kProtocolIcmpV6,
                                                        static_cast<uint32_t>(message.size()))));
        CHECK(wire::ParseMldV2Report(message, visit));
      }
    }
    return records;
  }

  void Query(const wire::GroupQuery& query) {
    Frame message(wire::IgmpQuerySize(query));
    wire::EmitIgmpQuery(query, message);
    TestPacket p;
    p.source = Ip("192.0.2.254");
    p.destination = query.group.is_unspecified() ? Ip("224.0.0.1") : query.group;
    p.mac_destination = query.group.is_unspecified() ? wire::MacAddress{{1, 0, 0x5e, 0, 0, 1}}
                                                     : wire::MacAddress{{1, 0, 0x5e, 1, 2, 3}};
    p.protocol = kProtocolIgmp;
    p.ttl = 1;
    p.payload = message;
    CHECK(Receive(p) == Verdict::kConsumed);
  }
  void HearReport(const wire::IpAddress& address) {
    TestPacket p;
    p.source = Ip("192.0.2.77");
    p.destination = address;
    p.mac_destination = {{1, 0, 0x5e, 1, 2, 3}};
    p.protocol = kProtocolIgmp;
    p.ttl = 1;
    wire::IgmpMessage report;
    report.group = address;
    Append(&p.payload, report);
    CHECK(Receive(p) == Verdict::kConsumed);
  }

 private:
  bool v4_;
};

TEST_CASE("joining and leaving are reported twice, both families") {
  GroupHost host(GENERATE(true, false));
  const std::string group = wire::ToString(host.group());
  REQUIRE(host->JoinGroup(host.now, host.eth, host.group(), 1) == ConfigResult::kOk);
  host.Advance(Seconds(3));
  const Record joined{GroupRecordType::kChangeToExclude, group, {}};
  CHECK(host.Records() == std::vector<Record>{joined, joined});
  // A second member changes nothing, nor does the first one's leaving.
  REQUIRE(host->JoinGroup(host.now, host.eth, host.group(), 2) == ConfigResult::kOk);
  CHECK(host->JoinGroup(host.now, host.eth, host.group(), 2) == ConfigResult::kExists);
  REQUIRE(host->LeaveGroup(host.now, host.eth, host.group(), 1) == ConfigResult::kOk);
  CHECK(host->LeaveGroup(host.now, host.eth, host.group(), 1) == ConfigResult::kNotFound);
  host.Advance(Seconds(3));
  CHECK(host.Records().empty());
  host->LeaveAllGroups(host.now, 2);
  host.Advance(Seconds(3));
  const Record left{GroupRecordType::kChangeToInclude, group, {}};
  CHECK(host.Records() == std::vector<Record>{left, left});
}

TEST_CASE_METHOD(GroupHost, "filters of members are merged as RFC 3376 section 3.2 says") {
  const auto a = Ip("10.0.0.1"), b = Ip("10.0.0.2"), c = Ip("10.0.0.3");
  CHECK(Filter(1, FilterMode::kInclude, {a, b}) == ConfigResult::kOk);
  Advance(Seconds(3));
  auto records = Records();
  REQUIRE(records.size() == 2);
  CHECK(records[0] ==
        Record{GroupRecordType::kAllowNewSources, "239.1.2.3", {"10.0.0.1", "10.0.0.2"}});
  CHECK(Filter(2, FilterMode::kInclude, {b, c}) == ConfigResult::kOk);
  Advance(Seconds(3));
  CHECK(Records()[0] == Record{GroupRecordType::kAllowNewSources, "239.1.2.3", {"10.0.0.3"}});
  CHECK(Filter(1, FilterMode::kExclude, {a, b}) == ConfigResult::kOk);
  Advance(Seconds(3));
  // Excluded by the one, and wanted by nobody: only a.
  CHECK(Records()[0] == Record{GroupRecordType::kChangeToExclude, "239.1.2.3", {"10.0.0.1"}});
  CHECK(Filter(2, FilterMode::kInclude, {a}) == ConfigResult::kOk);
  Advance(Seconds(3));
  records = Records();
  REQUIRE(records.size() == 4);
  CHECK(records[0] == Record{GroupRecordType::kAllowNewSources, "239.1.2.3", {"10.0.0.1"}});
  CHECK(records[1] == Record{GroupRecordType::kBlockOldSources, "239.1.2.3", {"10.0.0.2"}});

  CHECK((**this).MemberAccepts(eth, group(), a, 2));
  CHECK_FALSE((**this).MemberAccepts(eth, group(), c, 2));
  CHECK_FALSE((**this).MemberAccepts(eth, group(), a, 1));
  CHECK((**this).MemberAccepts(eth, group(), c, 1));
  CHECK_FALSE((**this).MemberAccepts(eth, group(), c, 3));
}

TEST_CASE_METHOD(GroupHost, "queries are answered within their time") {
  REQUIRE((**this).JoinGroup(now, eth, group(), 1) == ConfigResult::kOk);
  REQUIRE((**this).JoinGroup(now, eth, Ip("239.9.9.9"), 1) == ConfigResult::kOk);
  Advance(Seconds(3));
  Records();
  SECTION("general: one report for all groups") {
    Query({.version = 3, .group = wire::IpAddress::AnyV4(), .response_max = Seconds(2)});
    Advance(Seconds(2));
    CHECK(Records() == std::vector<Record>{{GroupRecordType::kModeIsExclude, "239.1.2.3", {}},
                                           {GroupRecordType::kModeIsExclude, "239.9.9.9", {}}});
  }
  SECTION("for one group") {
    Query({.version = 3, .group = group(), .response_max = Seconds(1)});
    Advance(Seconds(1));
    CHECK(Records() == std::vector<Record>{{GroupRecordType::kModeIsExclude, "239.1.2.3", {}}});
  }
  SECTION("for some sources") {
    CHECK(Filter(1, FilterMode::kInclude, {Ip("10.0.0.1")}) == ConfigResult::kOk);
    Advance(Seconds(3));
    Records();
    const uint8_t sources[] = {10, 0, 0, 1, 10, 0, 0, 2};
    Query({.version = 3,
           .group = group(),
           .response_max = Seconds(1),
           .sources = wire::AddressList(sources, true)});
    Advance(Seconds(1));
    CHECK(Records() ==
          std::vector<Record>{{GroupRecordType::kModeIsInclude, "239.1.2.3", {"10.0.0.1"}}});
  }
  SECTION("for a group that is not ours") {
    Query({.version = 3, .group = Ip("239.1.2.4"), .response_max = Seconds(1)});
    Advance(Seconds(1));
    CHECK(Records().empty());
  }
}

TEST_CASE_METHOD(GroupHost, "older routers get what they understand, for a while") {
  REQUIRE((**this).JoinGroup(now, eth, group(), 1) == ConfigResult::kOk);
  Advance(Seconds(3));
  Records();
  Query({.version = 2, .group = wire::IpAddress::AnyV4(), .response_max = Seconds(5)});
  SECTION("a report of version 2") {
    Advance(Seconds(5));
    const Seen report = SentOne();
    CHECK(report.v4.destination == group());
    CHECK(report.payload[0] == wire::IgmpType::kV2Report);
    REQUIRE((**this).LeaveGroup(now, eth, group(), 1) == ConfigResult::kOk);
    Advance(Seconds(1));
    const Seen leave = SentOne();
    CHECK(leave.v4.destination == Ip("224.0.0.2"));
    CHECK(leave.payload[0] == wire::IgmpType::kV2Leave);
  }
  SECTION("unless another host was faster") {
    HearReport(group());
    Advance(Seconds(5));
    CHECK(Sent().empty());
  }
  SECTION("and version 3 comes back") {
    Advance(Seconds(261));
    Sent();
    Query({.version = 3, .group = wire::IpAddress::AnyV4(), .response_max = Seconds(2)});
    Advance(Seconds(2));
    CHECK(Records().size() == 1);
  }
}

TEST_CASE_METHOD(GroupHost, "a router of version 1 hears reports and no leaves") {
  REQUIRE((**this).JoinGroup(now, eth, group(), 1) == ConfigResult::kOk);
  Advance(Seconds(3));
  Records();
  Query({.version = 1, .group = wire::IpAddress::AnyV4(), .response_max = Seconds(10)});
  Advance(Seconds(10));
  const Seen report = SentOne();
  CHECK(report.v4.destination == group());
  CHECK(report.payload[0] == wire::IgmpType::kV1Report);
  REQUIRE((**this).LeaveGroup(now, eth, group(), 1) == ConfigResult::kOk);
  Advance(Seconds(30));
  CHECK(Sent().empty());
}

TEST_CASE("MLD routers of both versions get what they understand") {
  GroupHost host(false);
  REQUIRE(host->JoinGroup(host.now, host.eth, host.group(), 1) == ConfigResult::kOk);
  host.Advance(Seconds(3));
  host.Records();
  const bool old = GENERATE(false, true);
  wire::GroupQuery query;
  query.version = old ? 1 : 2;
  query.response_max = Seconds(4);
  TestPacket p;
  p.source = Ip("fe80::99");
  p.destination = Ip("ff02::1");
  p.mac_destination = {{0x33, 0x33, 0, 0, 0, 1}};
  p.protocol = kProtocolIcmpV6;
  p.ttl = 1;
  p.payload.resize(wire::MldQuerySize(query));
  wire::EmitMldQuery(query, p.payload);
  SumIcmp6(p.source, p.destination, &p.payload);
  CHECK(host.Receive(p) == Verdict::kConsumed);
  host.Advance(Seconds(4));
  if (!old) {
    // The group and the solicited-node group of the link-local address.
    const auto records = host.Records();
    CHECK(records.size() == 2);
    CHECK(std::count(records.begin(), records.end(),
                     Record{GroupRecordType::kModeIsExclude, "ff05::1:3", {}}) == 1);
    return;
  }
  unsigned reports = 0;
  for (const Frame& frame : host.Sent()) {
    const Seen seen = Look(frame);
    const auto message =
        wire::MldMessage::Parse({seen.payload.data() + 8, seen.payload.size() - 8});
    REQUIRE(message);
    CHECK(message->type == wire::Icmpv6Type::kMldV1Report);
    CHECK(message->group == seen.v6.destination);
    reports += message->group == host.group() ? 1 : 0;
  }
  CHECK(reports == 1);
  REQUIRE(host->LeaveGroup(host.now, host.eth, host.group(), 1) == ConfigResult::kOk);
  host.Advance(Seconds(1));
  const Seen done = host.SentOne();
  CHECK(done.v6.destination == Ip("ff02::2"));
  CHECK(done.payload[8] == wire::Icmpv6Type::kMldV1Done);
}

TEST_CASE_METHOD(GroupHost, "more sources than the interface can list mean everything") {
  // Three members with sixteen sources each are more than the 32 of a group.
  for (uint64_t member = 1; member <= 3; ++member) {
    std::vector<wire::IpAddress> sources;
    for (uint32_t i = 0; i < kFilterSourcesMax; ++i) {
      sources.push_back(wire::IpAddress::V4(static_cast<uint32_t>(0x0a000000 + member * 256 + i)));
    }
    REQUIRE(Filter(member, FilterMode::kInclude, sources) == ConfigResult::kOk);
  }
  Advance(Seconds(3));
  const auto records = Records();
  REQUIRE_FALSE(records.empty());
  CHECK(records.back() == Record{GroupRecordType::kChangeToExclude, "239.1.2.3", {}});
  CHECK((**this).MemberAccepts(eth, group(), Ip("10.0.2.5"), 2));
  CHECK_FALSE((**this).MemberAccepts(eth, group(), Ip("10.0.3.5"), 2));
}

TEST_CASE("groups, memberships and sources are bounded") {
  Host host([](StackConfig* s, InterfaceConfig* c) {
    c->ipv6 = false;
    s->groups_max = 2;
    s->memberships_max = 3;
  });
  const auto join = [&](const char* group, uint64_t member) {
    return host->JoinGroup(host.now, host.eth, Ip(group), member);
  };
  CHECK(join("239.0.0.1", 1) == ConfigResult::kOk);
  CHECK(join("239.0.0.2", 1) == ConfigResult::kOk);
  CHECK(join("239.0.0.3", 1) == ConfigResult::kFull);
  CHECK(host.counters().GroupTableFull == 1);
  CHECK(join("239.0.0.1", 2) == ConfigResult::kOk);
  CHECK(join("239.0.0.1", 3) == ConfigResult::kFull);
  CHECK(host.counters().MembershipTableFull == 1);
  CHECK(join("192.0.2.1", 3) == ConfigResult::kInvalid);
  const std::vector<wire::IpAddress> many(kFilterSourcesMax + 1, Ip("10.0.0.1"));
  CHECK(host->SetSourceFilter(host.now, host.eth, Ip("239.0.0.1"), 1, FilterMode::kInclude, many) ==
        ConfigResult::kFull);
  host->LeaveAllGroups(host.now, 1);
  host.Advance(Seconds(5));
  CHECK(join("239.0.0.3", 1) == ConfigResult::kOk);
}

}  // namespace
}  // namespace sluice::ip
