#include "ip/group_table.h"

#include <algorithm>

namespace sluice::ip {

bool Group::reported() const {
  if (interface == kLoopbackInterface) return false;
  if (address.is_v4()) return address.v4() != 0xe0000001u;
  const uint8_t scope = address.bytes()[1] & 0x0f;
  if (scope <= 1) return false;
  // ff02::1
  return address != wire::IpAddress::V6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
}

GroupTable::GroupTable(uint16_t groups_max, uint16_t memberships_max)
    : groups_(groups_max), memberships_(memberships_max) {}

Group* GroupTable::Find(uint16_t interface, const wire::IpAddress& group) {
  for (Group& g : groups()) {
    if (g.taken && g.interface == interface && g.address == group) return &g;
  }
  return nullptr;
}

Group* GroupTable::FindOrCreate(uint16_t interface, const wire::IpAddress& group,
                                Counters& counters) {
  if (Group* found = Find(interface, group)) return found;
  for (Group& g : groups_) {
    if (g.taken) continue;
    g = Group{};
    g.taken = true;
    g.interface = interface;
    g.address = group;
    used_ = std::max<size_t>(used_, static_cast<size_t>(&g - groups_.data()) + 1);
    return &g;
  }
  ++counters.GroupTableFull;
  return nullptr;
}

GroupTable::Membership* GroupTable::FindMembership(const Group& group, uint64_t member) {
  for (uint32_t i = group.members; i != UINT32_MAX; i = memberships_[i].next) {
    if (memberships_[i].member == member) return &memberships_[i];
  }
  return nullptr;
}

GroupTable::Membership* GroupTable::CreateMembership(Group& group, uint64_t member,
                                                     Counters& counters) {
  for (uint32_t i = 0; i < memberships_.size(); ++i) {
    Membership& m = memberships_[i];
    if (m.taken) continue;
    m = Membership{};
    m.taken = true;
    m.member = member;
    m.group = static_cast<uint32_t>(&group - groups_.data());
    m.next = group.members;
    group.members = i;
    return &m;
  }
  ++counters.MembershipTableFull;
  return nullptr;
}

void GroupTable::RemoveMembership(Group& group, uint64_t member) {
  for (uint32_t* link = &group.members; *link != UINT32_MAX; link = &memberships_[*link].next) {
    Membership& m = memberships_[*link];
    if (m.member != member) continue;
    m.taken = false;
    *link = m.next;
    return;
  }
}

ConfigResult GroupTable::Set(Instant now, uint16_t interface, const wire::IpAddress& group,
                             uint64_t member, FilterMode mode,
                             std::span<const wire::IpAddress> sources, Random& random,
                             Counters& counters) {
  if (!group.is_multicast()) return ConfigResult::kInvalid;
  if (sources.size() > kFilterSourcesMax) return ConfigResult::kFull;
  Group* g = Find(interface, group);
  Membership* m = g != nullptr ? FindMembership(*g, member) : nullptr;
  if (mode == FilterMode::kInclude && sources.empty()) {
    if (m == nullptr) return ConfigResult::kNotFound;
    RemoveMembership(*g, member);
  } else {
    if (m == nullptr) {
      g = FindOrCreate(interface, group, counters);
      if (g == nullptr) return ConfigResult::kFull;
      m = CreateMembership(*g, member, counters);
      if (m == nullptr) {
        Settle();  // the group may be new and without members
        return ConfigResult::kFull;
      }
    }
    m->mode = mode;
    m->sources.count = 0;
    for (const wire::IpAddress& source : sources) m->sources.Add(source);
  }
  Update(now, *g, random);
  return ConfigResult::kOk;
}

bool GroupTable::IsMember(uint16_t interface, const wire::IpAddress& group, uint64_t member) const {
  auto* self = const_cast<GroupTable*>(this);
  const Group* g = self->Find(interface, group);
  return g != nullptr && self->FindMembership(*g, member) != nullptr;
}

bool GroupTable::Accepts(uint16_t interface, const wire::IpAddress& group,
                         const wire::IpAddress& source, uint64_t member) const {
  auto* self = const_cast<GroupTable*>(this);
  const Group* g = self->Find(interface, group);
  const Membership* m = g != nullptr ? self->FindMembership(*g, member) : nullptr;
  if (m == nullptr) return false;
  return m->sources.Contains(source) == (m->mode == FilterMode::kInclude);
}

bool GroupTable::LeaveOne(Instant now, uint64_t member, Random& random) {
  for (const Membership& m : memberships_) {
    if (!m.taken || m.member != member) continue;
    Group& g = groups_[m.group];
    RemoveMembership(g, member);
    Update(now, g, random);
    return true;
  }
  return false;
}

ConfigResult GroupTable::JoinOwn(Instant now, uint16_t interface, const wire::IpAddress& group,
                                 Random& random, Counters& counters) {
  Group* g = FindOrCreate(interface, group, counters);
  if (g == nullptr) return ConfigResult::kFull;
  ++g->own_references;
  Update(now, *g, random);
  return ConfigResult::kOk;
}

void GroupTable::LeaveOwn(Instant now, uint16_t interface, const wire::IpAddress& group,
                          Random& random) {
  Group* g = Find(interface, group);
  if (g == nullptr || g->own_references == 0) return;
  --g->own_references;
  Update(now, *g, random);
}

// RFC 3376 section 3.2: if anyone excludes, the interface excludes what all of those exclude and
// nobody includes; else it includes what anyone includes.
void GroupTable::Merge(const Group& group, FilterMode* mode,
                       SourceSet<Group::kSourcesMax>* sources) const {
  *mode = group.own_references > 0 ? FilterMode::kExclude : FilterMode::kInclude;
  sources->count = 0;
  const Membership* excluding = nullptr;
  for (uint32_t i = group.members; i != UINT32_MAX; i = memberships_[i].next) {
    if (memberships_[i].mode == FilterMode::kExclude) excluding = &memberships_[i];
  }
  if (excluding != nullptr) *mode = FilterMode::kExclude;
  if (group.own_references > 0) return;
  if (excluding == nullptr) {
    for (uint32_t i = group.members; i != UINT32_MAX; i = memberships_[i].next) {
      for (const wire::IpAddress& source : memberships_[i].sources.span()) {
        if (sources->Add(source)) continue;
        *mode = FilterMode::kExclude;  // too many: everything
        sources->count = 0;
        return;
      }
    }
    return;
  }
  for (const wire::IpAddress& source : excluding->sources.span()) {
    bool nobody = true;
    for (uint32_t i = group.members; nobody && i != UINT32_MAX; i = memberships_[i].next) {
      const Membership& m = memberships_[i];
      nobody = m.sources.Contains(source) == (m.mode == FilterMode::kExclude);
    }
    if (nobody) sources->Add(source);
  }
}

// Compares what the interface wanted with what it wants now, and makes the difference due.
void GroupTable::Update(Instant now, Group& g, Random& random) {
  const bool was_wanted = g.wanted();
  FilterMode mode;
  SourceSet<Group::kSourcesMax> sources;
  Merge(g, &mode, &sources);
  // RFC 3376 section 5.1
  bool differs = mode != g.mode;
  if (differs) {
    g.mode_reports_left = kRobustness;
    g.changed.count = 0;
  } else {
    const auto note = [&](const SourceSet<Group::kSourcesMax>& from,
                          const SourceSet<Group::kSourcesMax>& other) {
      for (const wire::IpAddress& source : from.span()) {
        if (other.Contains(source)) continue;
        differs = true;
        if (!g.changed.Add(source)) g.mode_reports_left = kRobustness;
      }
    };
    note(sources, g.sources);
    note(g.sources, sources);
    if (differs) g.source_reports_left = kRobustness;
  }
  g.mode = mode;
  g.sources = sources;
  if (g.wanted() != was_wanted) changed_ = true;
  if (!g.reported()) {
    g.mode_reports_left = g.source_reports_left = 0;
    g.changed.count = 0;
  } else if (differs) {
    Schedule(&g.change_at, now + random.UniformDuration(Duration(), Milliseconds(1)));
  }
  Settle();
}

void GroupTable::Schedule(Instant* timer, Instant at) {
  *timer = at;
  next_deadline_ = std::min(next_deadline_, at);
}

void GroupTable::Settle() {
  next_deadline_ = Instant::Never();
  for (Group& g : groups()) {
    if (!g.taken) continue;
    if (!g.wanted() && g.members == UINT32_MAX && g.own_references == 0 &&
        g.mode_reports_left == 0 && g.source_reports_left == 0) {
      g.taken = false;
      continue;
    }
    next_deadline_ = std::min({next_deadline_, g.change_at, g.respond_at});
  }
  while (used_ > 0 && !groups_[used_ - 1].taken) --used_;
}

}  // namespace sluice::ip
