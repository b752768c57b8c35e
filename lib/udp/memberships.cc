#include "udp/memberships.h"

#include <algorithm>

#include "ip/stack.h"

namespace sluice::udp {

using ip::FilterMode;
using table::Result;
using table::SourceOperation;
using wire::IpAddress;

Result ResultOf(ip::ConfigResult result) {
  switch (result) {
    case ip::ConfigResult::kOk:
      return Result::kOk;
    case ip::ConfigResult::kInvalid:
      return Result::kInvalid;
    case ip::ConfigResult::kNoInterface:
      return Result::kNoDevice;
    case ip::ConfigResult::kExists:
      return Result::kAddressInUse;
    case ip::ConfigResult::kNotFound:
      return Result::kAddressNotAvailable;
    case ip::ConfigResult::kFull:
      return Result::kNoBuffers;
  }
  return Result::kInvalid;
}

uint32_t Memberships::FindIn(uint32_t head, uint16_t interface, const IpAddress& group) const {
  for (uint32_t i = head; i != kNone; i = memberships_[i].next) {
    if (memberships_[i].interface == interface && memberships_[i].group == group) return i;
  }
  return kNone;
}

Result Memberships::Apply(Instant now, uint64_t member, const Membership& m) {
  return ResultOf(
      ip_.SetSourceFilter(now, m.interface, m.group, member, m.mode, {m.sources.data(), m.count}));
}

Result Memberships::Add(Instant now, uint32_t& head, uint64_t member,
                        const Membership& membership) {
  if (free_ == kNone && memberships_.size() == max_) return Result::kNoBuffers;
  const Result result = Apply(now, member, membership);
  if (result != Result::kOk) return result;
  uint32_t index = free_;
  if (index != kNone) {
    free_ = memberships_[index].next;
    memberships_[index] = membership;
  } else {
    index = static_cast<uint32_t>(memberships_.size());
    memberships_.push_back(membership);
  }
  memberships_[index].next = head;
  head = index;
  return Result::kOk;
}

void Memberships::Remove(uint32_t& head, uint32_t index) {
  uint32_t* link = &head;
  while (*link != index) link = &memberships_[*link].next;
  *link = memberships_[index].next;
  memberships_[index].next = free_;
  free_ = index;
}

Result Memberships::Join(Instant now, uint32_t& head, uint64_t member, uint16_t interface,
                         const IpAddress& group) {
  if (FindIn(head, interface, group) != kNone) return Result::kAddressInUse;
  Membership membership;
  membership.group = group;
  membership.interface = interface;
  return Add(now, head, member, membership);
}

Result Memberships::Leave(Instant now, uint32_t& head, uint64_t member, uint16_t interface,
                          const IpAddress& group) {
  const uint32_t index = FindIn(head, interface, group);
  if (index == kNone) return Result::kAddressNotAvailable;
  ip_.LeaveGroup(now, interface, group, member);
  Remove(head, index);
  return Result::kOk;
}

// RFC 3678 section 3: a membership is either of any source but those blocked, or of those joined;
// operations of one kind are errors on the other.
Result Memberships::Source(Instant now, uint32_t& head, uint64_t member, uint16_t interface,
                           const IpAddress& group, const IpAddress& source,
                           SourceOperation operation) {
  const bool adds = operation == SourceOperation::kJoin || operation == SourceOperation::kBlock;
  const FilterMode mode =
      operation == SourceOperation::kJoin || operation == SourceOperation::kLeave
          ? FilterMode::kInclude
          : FilterMode::kExclude;
  const uint32_t index = FindIn(head, interface, group);
  if (index == kNone) {
    if (operation != SourceOperation::kJoin) return Result::kAddressNotAvailable;
    Membership membership;
    membership.group = group;
    membership.interface = interface;
    membership.mode = FilterMode::kInclude;
    membership.sources[0] = source;
    membership.count = 1;
    return Add(now, head, member, membership);
  }
  Membership changed = memberships_[index];
  if (changed.mode != mode) return Result::kInvalid;
  IpAddress* const end = changed.sources.data() + changed.count;
  IpAddress* const at = std::find(changed.sources.data(), end, source);
  if (adds == (at != end)) return Result::kAddressNotAvailable;
  if (adds) {
    if (changed.count == changed.sources.size()) return Result::kNoBuffers;
    changed.sources[changed.count++] = source;
  } else {
    *at = *(end - 1);
    --changed.count;
  }
  if (changed.mode == FilterMode::kInclude && changed.count == 0) {
    return Leave(now, head, member, interface, group);
  }
  const Result result = Apply(now, member, changed);
  if (result == Result::kOk) memberships_[index] = changed;
  return result;
}

void Memberships::Clear(Instant now, uint32_t& head, uint64_t member) {
  if (head == kNone) return;
  ip_.LeaveAllGroups(now, member);
  while (head != kNone) Remove(head, head);
}

}  // namespace sluice::udp
