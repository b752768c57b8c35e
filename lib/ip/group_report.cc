#include "ip/group_report.h"

#include <algorithm>

#include "ip/link.h"
#include "ip/mbuf_bytes.h"
#include "ip/output.h"
#include "wire/icmpv4.h"
#include "wire/igmp.h"
#include "wire/mld.h"

namespace sluice::ip {
namespace {

using wire::GroupQuery;
using wire::GroupRecord;
using wire::GroupRecordType;
using wire::IpAddress;

constexpr Duration kReportInterval = Seconds(1);      // RFC 3376 section 8.11, RFC 3810 9.11
constexpr Duration kOldReportInterval = Seconds(10);  // RFC 2236 section 8.10, RFC 2710 7.10
// RFC 3376 section 8.12: robustness times query interval plus response interval.
constexpr Duration kOldQuerierPresent = Seconds(2 * 125 + 10);
constexpr unsigned kRecordsMax = 24;
constexpr uint32_t kReportBytesMax = 1200;  // of records in one packet

constexpr IpAddress kAllRoutersV4 = IpAddress::V4(224, 0, 0, 2);
constexpr IpAddress kReportsV4 = IpAddress::V4(224, 0, 0, 22);
constexpr IpAddress kAllRoutersV6 =
    IpAddress::V6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
constexpr IpAddress kReportsV6 =
    IpAddress::V6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16});

GroupCompatibility& Compatibility(Core& core, uint16_t interface, bool v4) {
  return v4 ? core.compatibility_v4[interface] : core.compatibility_v6[interface];
}

// The version that routers on the link understand: IGMP 1 to 3; MLD 1 counts as 2, MLD 2 as 3.
int Version(Core& core, Instant now, uint16_t interface, bool v4) {
  const GroupCompatibility& c = Compatibility(core, interface, v4);
  return now < c.v1_until ? 1 : now < c.v2_until ? 2 : 3;
}

rte_mbuf* NewMessage(Core& core, const Interface& interface, size_t bytes) {
  rte_mbuf* packet = NewPacket(core, interface);
  if (packet == nullptr) return nullptr;
  if (bytes > rte_pktmbuf_tailroom(packet)) {
    rte_pktmbuf_free(packet);
    return nullptr;
  }
  packet->data_len = static_cast<uint16_t>(bytes);
  packet->pkt_len = static_cast<uint32_t>(bytes);
  return packet;
}

void SendMessage(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                 const IpAddress& destination) {
  if (!core.config.is_speaker) {
    rte_pktmbuf_free(packet);
    return;
  }
  const bool v4 = destination.is_v4();
  Outbound outbound;
  outbound.protocol = v4 ? kProtocolIgmp : kProtocolIcmpV6;
  outbound.ttl = 1;
  outbound.router_alert = true;
  outbound.multicast_loop = false;
  outbound.traffic_class = v4 ? 0xc0 : 0;  // RFC 3376 section 4
  if (!v4) outbound.checksum_offset = wire::kIcmpChecksumOffset;
  IpAddress source = v4 ? IpAddress::AnyV4() : IpAddress::AnyV6();
  if (v4) {
    if (const auto chosen = ChooseSource(core, interface, destination)) source = *chosen;
  } else if (const InterfaceAddress* link_local = interface.LinkLocal()) {
    source = link_local->address;  // RFC 3810 section 5.2.13: or none, while there is none
  }
  ++(v4 ? core.counters.IgmpOutReports : core.counters.Icmp6OutMLDv2Reports);
  Path path = LinkPath(core, interface, source, destination);
  Send(core, now, packet, outbound, path);
}

void SendRecords(Core& core, Instant now, Interface& interface, bool v4,
                 std::span<const GroupRecord> records) {
  if (records.empty()) return;
  const size_t bytes = v4 ? wire::IgmpV3ReportSize(records) : wire::MldV2ReportSize(records);
  rte_mbuf* packet = NewMessage(core, interface, bytes);
  if (packet == nullptr) return;
  const wire::Bytes out{Data(packet), bytes};
  v4 ? wire::EmitIgmpV3Report(records, out) : wire::EmitMldV2Report(records, out);
  SendMessage(core, now, interface, packet, v4 ? kReportsV4 : kReportsV6);
}

// A report or a leave of an older version.
void SendOld(Core& core, Instant now, Interface& interface, Group& group, int version,
             bool report) {
  const bool v4 = group.address.is_v4();
  if (!report && (version == 1 || !group.last_reporter)) return;  // RFC 2236 section 3
  rte_mbuf* packet;
  if (v4) {
    wire::IgmpMessage message;
    message.group = group.address;
    message.type = !report        ? wire::IgmpType::kV2Leave
                   : version == 1 ? wire::IgmpType::kV1Report
                                  : wire::IgmpType::kV2Report;
    packet = NewMessage(core, interface, message.size());
    if (packet != nullptr) message.Emit({Data(packet), message.size()});
  } else {
    wire::MldMessage message;
    message.group = group.address;
    message.type = report ? wire::Icmpv6Type::kMldV1Report : wire::Icmpv6Type::kMldV1Done;
    packet = NewMessage(core, interface, message.size());
    if (packet != nullptr) message.Emit({Data(packet), message.size()});
  }
  if (packet == nullptr) return;
  group.last_reporter = report;
  SendMessage(core, now, interface, packet,
              report ? group.address
              : v4   ? kAllRoutersV4
                     : kAllRoutersV6);
}

// RFC 3376 section 5.1: one transmission of what has changed.
void ReportChange(Core& core, Instant now, Interface& interface, Group& g) {
  const bool v4 = g.address.is_v4();
  const int version = Version(core, now, g.interface, v4);
  if (version < 3) {
    SendOld(core, now, interface, g, version, g.wanted());
    if (g.mode_reports_left > 0) --g.mode_reports_left;
    if (!g.wanted()) g.mode_reports_left = 0;  // one leave
    g.source_reports_left = 0;                 // sources mean nothing to older routers
  } else if (g.mode_reports_left > 0) {
    --g.mode_reports_left;
    const GroupRecord record{g.mode == FilterMode::kExclude ? GroupRecordType::kChangeToExclude
                                                            : GroupRecordType::kChangeToInclude,
                             g.address, g.sources.span()};
    SendRecords(core, now, interface, v4, {&record, 1});
  } else if (g.source_reports_left > 0) {
    --g.source_reports_left;
    SourceSet<Group::kSourcesMax> allowed, blocked;
    for (const IpAddress& source : g.changed.span()) {
      (g.Allows(source) ? allowed : blocked).Add(source);
    }
    GroupRecord records[2];
    unsigned count = 0;
    if (allowed.count > 0) {
      records[count++] = {GroupRecordType::kAllowNewSources, g.address, allowed.span()};
    }
    if (blocked.count > 0) {
      records[count++] = {GroupRecordType::kBlockOldSources, g.address, blocked.span()};
    }
    SendRecords(core, now, interface, v4, {records, count});
  }
  if (g.mode_reports_left > 0 || g.source_reports_left > 0) {
    const Duration interval = version < 3 ? kOldReportInterval : kReportInterval;
    g.change_at = now + core.random.UniformDuration(Milliseconds(1), interval);
  } else {
    g.changed.count = 0;
    g.change_at = Instant::Never();
  }
}

GroupRecord CurrentState(const Group& g) {
  return {g.mode == FilterMode::kExclude ? GroupRecordType::kModeIsExclude
                                         : GroupRecordType::kModeIsInclude,
          g.address, g.sources.span()};
}

// Section 5.2: the answer to a query for one group.
void Respond(Core& core, Instant now, Interface& interface, Group& g) {
  g.respond_at = Instant::Never();
  if (!g.wanted()) return;
  const bool v4 = g.address.is_v4();
  const int version = Version(core, now, g.interface, v4);
  if (version < 3) {
    SendOld(core, now, interface, g, version, true);
    return;
  }
  GroupRecord record = CurrentState(g);
  SourceSet<Group::kSourcesMax> wanted;
  if (g.queried.count > 0) {
    for (const IpAddress& source : g.queried.span()) {
      if (g.Allows(source)) wanted.Add(source);
    }
    g.queried.count = 0;
    if (wanted.count == 0) return;
    record = {GroupRecordType::kModeIsInclude, g.address, wanted.span()};
  }
  SendRecords(core, now, interface, v4, {&record, 1});
}

// The answer to a general query: all groups, in as few packets as hold them.
void RespondAll(Core& core, Instant now, Interface& interface, bool v4) {
  std::array<GroupRecord, kRecordsMax> records;
  unsigned count = 0;
  uint32_t bytes = 0;
  for (const Group& g : core.groups.groups()) {
    if (!g.taken || g.interface != interface.index || g.address.is_v4() != v4 || !g.wanted() ||
        !g.reported()) {
      continue;
    }
    const uint32_t record_bytes = 20 + g.sources.count * (v4 ? 4u : 16u);
    if (count == kRecordsMax || bytes + record_bytes > kReportBytesMax) {
      SendRecords(core, now, interface, v4, {records.data(), count});
      count = 0;
      bytes = 0;
    }
    records[count++] = CurrentState(g);
    bytes += record_bytes;
  }
  SendRecords(core, now, interface, v4, {records.data(), count});
}

void ScheduleGeneral(Core& core, GroupCompatibility& c, Instant at) {
  c.respond_at = std::min(c.respond_at, at);
  core.group_deadline = std::min(core.group_deadline, at);
}

// A query for one group, or for some of its sources.
void QueryGroup(Core& core, Group& g, const GroupQuery& query, Instant at) {
  if (!g.wanted() || !g.reported()) return;
  const bool pending = !g.respond_at.is_never();
  const bool whole_pending = pending && g.queried.count == 0;
  if (query.sources.size() == 0 || whole_pending) {
    g.queried.count = 0;  // rule 4: the whole group answers for its sources
  } else {
    bool all = false;
    for (size_t i = 0; i < query.sources.size() && !all; ++i) {
      all = !g.queried.Add(query.sources[i]);
    }
    if (all) g.queried.count = 0;  // more than the record holds: report everything
  }
  core.groups.Schedule(&g.respond_at, std::min(g.respond_at, at));
}

void TakeQuery(Core& core, Instant now, Interface& interface, bool v4, const GroupQuery& query) {
  GroupCompatibility& c = Compatibility(core, interface.index, v4);
  const bool general = query.group.is_unspecified();
  const int version = v4 ? query.version : query.version + 1;
  // Section 7.2.1: an older router on the link sets the version.
  if (version == 1) c.v1_until = now + kOldQuerierPresent;
  if (version == 2) c.v2_until = now + kOldQuerierPresent;
  const auto delay = [&] {
    return now + core.random.UniformDuration(Duration(), query.response_max);
  };
  if (general && Version(core, now, interface.index, v4) == 3) {
    ScheduleGeneral(core, c, delay());
    return;
  }
  const Instant at = delay();
  if (!general && c.respond_at <= at) return;  // rule 1
  for (Group& g : core.groups.groups()) {
    if (!g.taken || g.interface != interface.index || g.address.is_v4() != v4) continue;
    if (general) {
      QueryGroup(core, g, query, delay());
    } else if (g.address == query.group) {
      QueryGroup(core, g, query, at);
    }
  }
}

// Another host has reported the group: ours is not needed (RFC 2236 section 3, RFC 2710 section 5).
void Suppress(Core& core, Instant now, Interface& interface, const IpAddress& group) {
  if (Version(core, now, interface.index, group.is_v4()) == 3) return;
  Group* g = core.groups.Find(interface.index, group);
  if (g == nullptr) return;
  g->respond_at = Instant::Never();
  g->last_reporter = false;
}

}  // namespace

void IgmpInput(Core& core, Instant now, Interface& interface, const Inbound* in) {
  if (in->info.looped) return;
  const wire::ConstBytes message = FirstBytes(in->packet);
  if (in->packet->next != nullptr || message.size() < 8 ||
      !wire::ChecksumValid(wire::Sum(message))) {
    ++core.counters.IgmpInErrors;
    return;
  }
  if (message[0] == wire::IgmpType::kQuery) {
    const auto query = wire::ParseIgmpQuery(message);
    if (!query) {
      ++core.counters.IgmpInErrors;
      return;
    }
    ++core.counters.IgmpInQueries;
    TakeQuery(core, now, interface, true, *query);
  } else if (const auto report = wire::IgmpMessage::Parse(message);
             report && report->type != wire::IgmpType::kV2Leave) {
    Suppress(core, now, interface, report->group);
  }
}

void MldInput(Core& core, Instant now, Interface& interface, const Inbound* in) {
  // RFC 3810 section 6.2: from the link itself, or it is dropped.
  if (in->info.looped || in->info.ttl != 1 || !in->info.source.is_link_local()) {
    ++core.counters.Icmp6InErrors;
    return;
  }
  const wire::ConstBytes message = FirstBytes(in->packet);
  if (message[0] == wire::Icmpv6Type::kMldQuery) {
    const auto query = wire::ParseMldQuery(message);
    if (!query) {
      ++core.counters.Icmp6InErrors;
      return;
    }
    ++core.counters.Icmp6InMLDQueries;
    TakeQuery(core, now, interface, false, *query);
  } else {
    ++core.counters.Icmp6InMLDReports;
    const auto report = wire::MldMessage::Parse(message);
    if (report) Suppress(core, now, interface, report->group);
  }
}

void RunGroupTimers(Core& core, Instant now) {
  if (core.groups.next_deadline() <= now) {
    for (Group& g : core.groups.groups()) {
      if (!g.taken) continue;
      Interface& interface = *core.interfaces[g.interface];
      if (g.change_at <= now) ReportChange(core, now, interface, g);
      if (g.respond_at <= now) Respond(core, now, interface, g);
    }
    core.groups.Settle();
  }
  if (core.group_deadline > now) return;
  core.group_deadline = Instant::Never();
  for (const bool v4 : {true, false}) {
    for (const auto& interface : core.interfaces) {
      if (interface == nullptr) continue;
      GroupCompatibility& c = Compatibility(core, interface->index, v4);
      if (c.respond_at <= now) {
        c.respond_at = Instant::Never();
        RespondAll(core, now, *interface, v4);
      }
      core.group_deadline = std::min(core.group_deadline, c.respond_at);
    }
  }
}

}  // namespace sluice::ip
