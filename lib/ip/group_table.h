// Multicast groups: which sockets are in which group and what of it they want (RFC 3376 and
// RFC 3810, section 3.1), what follows for the interface (section 3.2), and which reports that
// makes due (section 5). Both families; group_report.cc puts reports on the wire.
//
// Bounded in groups, memberships and sources. A group whose sources are too many for its record
// asks for everything instead and is filtered here, which the RFCs allow.
//
//   groups.Set(now, interface, group, member, FilterMode::kExclude, {}, random, counters);
//   if (groups.Accepts(interface, group, source, member)) ...
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "ip/config.h"
#include "ip/counters.h"
#include "wire/address.h"

namespace sluice::ip {

// A list of sources of bounded size.
template <unsigned kMax>
struct SourceSet {
  uint16_t count = 0;
  std::array<wire::IpAddress, kMax> addresses;

  std::span<const wire::IpAddress> span() const { return {addresses.data(), count}; }
  bool Contains(const wire::IpAddress& a) const {
    for (const wire::IpAddress& each : span()) {
      if (each == a) return true;
    }
    return false;
  }
  bool Add(const wire::IpAddress& a) {
    if (Contains(a)) return true;
    if (count == kMax) return false;
    addresses[count++] = a;
    return true;
  }
};

struct Group {
  static constexpr unsigned kSourcesMax = 32;

  bool taken = false;
  uint16_t interface = 0;
  uint16_t own_references = 0;  // of the stack itself: solicited-node groups
  wire::IpAddress address;
  uint32_t members = UINT32_MAX;  // first membership

  // What the interface wants of the group: RFC 3376 section 3.2.
  FilterMode mode = FilterMode::kInclude;
  SourceSet<kSourcesMax> sources;

  // Changes that routers have yet to be told (section 5.1).
  uint8_t mode_reports_left = 0;
  uint8_t source_reports_left = 0;
  SourceSet<kSourcesMax> changed;
  Instant change_at = Instant::Never();

  // A query that is yet to be answered (section 5.2). No sources: the whole group.
  Instant respond_at = Instant::Never();
  SourceSet<kSourcesMax> queried;

  bool last_reporter = false;  // of IGMPv2 and MLDv1

  bool wanted() const { return mode == FilterMode::kExclude || sources.count > 0; }
  // All-hosts groups and interface-local scope are never reported (RFC 3376 section 5, RFC 3810
  // section 6).
  bool reported() const;
  // What the interface lets through.
  bool Allows(const wire::IpAddress& source) const {
    return sources.Contains(source) == (mode == FilterMode::kInclude);
  }
};

class GroupTable {
 public:
  static constexpr uint8_t kRobustness = 2;

  GroupTable(uint16_t groups_max, uint16_t memberships_max);

  // Sets a member's filter; include of nothing leaves.
  ConfigResult Set(Instant now, uint16_t interface, const wire::IpAddress& group, uint64_t member,
                   FilterMode mode, std::span<const wire::IpAddress> sources, Random& random,
                   Counters& counters);
  bool IsMember(uint16_t interface, const wire::IpAddress& group, uint64_t member) const;
  bool Accepts(uint16_t interface, const wire::IpAddress& group, const wire::IpAddress& source,
               uint64_t member) const;
  // Leaves one of the groups that `member` is in; false: it is in none.
  bool LeaveOne(Instant now, uint64_t member, Random& random);

  // The stack's own membership, counted.
  ConfigResult JoinOwn(Instant now, uint16_t interface, const wire::IpAddress& group,
                       Random& random, Counters& counters);
  void LeaveOwn(Instant now, uint16_t interface, const wire::IpAddress& group, Random& random);

  Group* Find(uint16_t interface, const wire::IpAddress& group);
  const Group* Find(uint16_t interface, const wire::IpAddress& group) const {
    return const_cast<GroupTable*>(this)->Find(interface, group);
  }
  // All that are in use, and free ones among them.
  std::span<Group> groups() { return {groups_.data(), used_}; }
  std::span<const Group> groups() const { return {groups_.data(), used_}; }

  // Sets a group's timer for a response or a report, for next_deadline().
  void Schedule(Instant* timer, Instant at);
  // Frees groups that nobody wants and whose reports are out, and finds the next deadline.
  void Settle();
  Instant next_deadline() const { return next_deadline_; }
  // The set of groups that we are in has changed since this was last asked.
  bool TakeChanged() {
    const bool changed = changed_;
    changed_ = false;
    return changed;
  }

 private:
  struct Membership {
    bool taken = false;
    uint32_t next = UINT32_MAX;
    uint32_t group = 0;
    uint64_t member = 0;
    FilterMode mode = FilterMode::kInclude;
    SourceSet<kFilterSourcesMax> sources;
  };

  Group* FindOrCreate(uint16_t interface, const wire::IpAddress& group, Counters& counters);
  Membership* FindMembership(const Group& group, uint64_t member);
  Membership* CreateMembership(Group& group, uint64_t member, Counters& counters);
  void RemoveMembership(Group& group, uint64_t member);
  void Merge(const Group& group, FilterMode* mode, SourceSet<Group::kSourcesMax>* sources) const;
  void Update(Instant now, Group& group, Random& random);

  std::vector<Group> groups_;
  size_t used_ = 0;  // those behind are free
  std::vector<Membership> memberships_;
  Instant next_deadline_ = Instant::Never();
  bool changed_ = false;
};

}  // namespace sluice::ip
