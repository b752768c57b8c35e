#include "ip/addresses.h"

#include <algorithm>

#include "ip/arp.h"
#include "ip/ndp.h"

namespace sluice::ip {
namespace {

using wire::IpAddress;

// RFC 5227 section 1.1
constexpr Duration kProbeWait = Seconds(1);
constexpr Duration kProbeMin = Seconds(1);
constexpr Duration kProbeMax = Seconds(2);
constexpr uint8_t kProbesV4 = 3;
constexpr Duration kAnnounceWait = Seconds(2);
constexpr uint8_t kAnnouncements = 2;
constexpr uint8_t kProbesV6 = 1;  // RFC 4862 section 5.1: DupAddrDetectTransmits

bool IsAssignable(const Interface& interface, const wire::Prefix& prefix) {
  // RFC 1122 section 3.2.1.3(g), RFC 4291 section 2.5.3: loopback addresses stay in the host.
  if (prefix.address.is_loopback() && interface.index != kLoopbackInterface) return false;
  const int bits = prefix.address.is_v4() ? 32 : 128;
  return prefix.length >= 0 && prefix.length <= bits && !prefix.address.is_unspecified() &&
         !prefix.address.is_multicast() && !prefix.address.is_limited_broadcast();
}

Route OnLinkRoute(const Interface& interface, const wire::Prefix& prefix) {
  Route route;
  route.destination = prefix;
  route.interface = interface.index;
  return route;
}

// An address without its own on-link route: a link-local one (there is one on every interface, so
// routes cannot tell them apart), or one that shares its prefix with another.
bool WantsRoute(const InterfaceAddress& a) {
  return !(a.address.is_v6() && a.address.is_link_local());
}

void Announce(Core& core, Instant now, Interface& interface, const IpAddress& address) {
  if (address.is_v4()) {
    SendArpRequest(core, interface, address, address, wire::MacAddress::Broadcast());
  } else {
    SendNeighborAdvertisement(core, now, interface, address, kAllNodes, false, true);
  }
}

void BeginUse(Core& core, Instant now, Interface& interface, InterfaceAddress& a) {
  a.state = a.preferred_until <= now ? AddressState::kDeprecated : AddressState::kPreferred;
  a.probes_left = 0;
  a.deadline = Instant::Never();
  const bool announces = core.config.is_speaker && interface.config.announce && interface.ethernet;
  a.announcements_left = announces ? kAnnouncements : 0;
  if (a.announcements_left > 0) a.deadline = now;
  RebuildLocal(core);
  if (a.address.is_v6() && a.address.is_link_local()) LinkLocalReady(core, now, interface);
}

// Who only listens waits longest, so that he hears what becomes of the speaker's probes.
Duration RandomWait(Core& core, Duration least, Duration most) {
  return core.config.is_speaker ? core.random.UniformDuration(least, most) : most;
}

void Start(Core& core, Instant now, Interface& interface, InterfaceAddress& a) {
  if (!interface.config.detect_duplicates || !interface.ethernet) {
    BeginUse(core, now, interface, a);
  } else {
    a.state = AddressState::kTentative;
    a.probes_left = a.address.is_v4() ? kProbesV4 : kProbesV6;
    // RFC 4862 section 5.4.2 and RFC 5227 section 2.1.1: hosts that start together must not speak
    // together.
    a.deadline = now + RandomWait(core, Duration(), kProbeWait);
    RebuildLocal(core);
  }
  ScheduleAddress(core, a.deadline);
}

// One probe, or the end of probing.
void Probe(Core& core, Instant now, Interface& interface, InterfaceAddress& a) {
  if (a.probes_left == 0) {
    BeginUse(core, now, interface, a);
    return;
  }
  --a.probes_left;
  const bool speaks = core.config.is_speaker;
  if (a.address.is_v4()) {
    if (speaks) {
      SendArpRequest(core, interface, IpAddress::AnyV4(), a.address, wire::MacAddress::Broadcast());
    }
    a.deadline = now + (a.probes_left > 0 ? RandomWait(core, kProbeMin, kProbeMax) : kAnnounceWait);
  } else {
    if (speaks) SendDuplicateProbe(core, now, interface, a.address);
    a.deadline = now + core.timings[interface.index].retransmit;
  }
}

void RunAddress(Core& core, Instant now, Interface& interface, InterfaceAddress& a) {
  if (a.state == AddressState::kTentative && a.deadline <= now) Probe(core, now, interface, a);
  if (a.usable() && a.deadline <= now) {
    a.deadline = Instant::Never();
    if (a.announcements_left > 0) {
      Announce(core, now, interface, a.address);
      if (--a.announcements_left > 0) a.deadline = now + kAnnounceWait;
    }
  }
}

// RFC 4862 section 5.5.4.
void Deprecate(Core& core, Instant now, InterfaceAddress& a) {
  if (a.state != AddressState::kPreferred || a.preferred_until > now) return;
  a.state = AddressState::kDeprecated;
  core.TablesChanged();
}

Instant NextOf(const InterfaceAddress& a) {
  Instant next = std::min(a.deadline, a.valid_until);
  if (a.state == AddressState::kPreferred) next = std::min(next, a.preferred_until);
  return next;
}

}  // namespace

IpAddress FromMac(const IpAddress& prefix, const wire::MacAddress& mac) {
  auto bytes = prefix.bytes();
  const auto& m = mac.bytes;
  const uint8_t id[8] = {static_cast<uint8_t>(m[0] ^ 2), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
  std::memcpy(bytes.data() + 8, id, 8);
  return IpAddress::V6(bytes);
}

IpAddress SolicitedNodeGroup(const IpAddress& address) {
  const auto& b = address.bytes();
  return IpAddress::V6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, b[13], b[14], b[15]});
}

ConfigResult AddAddress(Core& core, Instant now, Interface& interface, const NewAddress& added) {
  const IpAddress& address = added.prefix.address;
  if (!IsAssignable(interface, added.prefix) || (address.is_v6() && !interface.config.ipv6)) {
    return ConfigResult::kInvalid;
  }
  if (interface.FindAddress(address) != nullptr) return ConfigResult::kExists;
  if (interface.addresses.size() >= core.config.addresses_per_interface_max) {
    ++core.counters.AddressTableFull;
    return ConfigResult::kFull;
  }
  InterfaceAddress a;
  a.address = address;
  a.length = added.prefix.length;
  a.autoconfigured = added.autoconfigured;
  a.collisions = added.collisions;
  a.preferred_until = added.preferred_until;
  a.valid_until = added.valid_until;
  if (added.on_link_route && WantsRoute(a)) {
    const ConfigResult routed = core.routes.Add(OnLinkRoute(interface, added.prefix));
    if (routed == ConfigResult::kFull) {
      ++core.counters.RouteTableFull;
      return routed;
    }
  }
  if (address.is_v6() && interface.ethernet) {
    core.groups.JoinOwn(now, interface.index, SolicitedNodeGroup(address), core.random,
                        core.counters);
  }
  interface.addresses.push_back(a);
  ScheduleAddress(core, NextOf(a));
  if (interface.up) {
    Start(core, now, interface, interface.addresses.back());
  } else {
    RebuildLocal(core);
  }
  return ConfigResult::kOk;
}

ConfigResult RemoveAddress(Core& core, Instant now, Interface& interface,
                           const IpAddress& address) {
  InterfaceAddress* found = interface.FindAddress(address);
  if (found == nullptr) return ConfigResult::kNotFound;
  const wire::Prefix prefix{MaskAddress(address, found->length), found->length};
  if (address.is_v6() && interface.ethernet) {
    core.groups.LeaveOwn(now, interface.index, SolicitedNodeGroup(address), core.random);
  }
  interface.addresses.erase(interface.addresses.begin() + (found - interface.addresses.data()));
  const bool shared = std::any_of(
      interface.addresses.begin(), interface.addresses.end(), [&](const InterfaceAddress& a) {
        return a.length == prefix.length && MaskAddress(a.address, a.length) == prefix.address;
      });
  if (!shared) core.routes.Remove(OnLinkRoute(interface, prefix));
  RebuildLocal(core);
  return ConfigResult::kOk;
}

void AddressDuplicated(Core& core, InterfaceAddress& a) {
  ++core.counters.DuplicateAddresses;
  a.state = AddressState::kDuplicated;
  a.deadline = Instant::Never();
  RebuildLocal(core);
  if (a.autoconfigured) {
    // RFC 7217 section 6: try again with another identifier. The timer does it, for the list of
    // addresses is in use here.
    a.deadline = Instant::FromNanoseconds(INT64_MIN);
    ScheduleAddress(core, a.deadline);
  }
}

void StartAddresses(Core& core, Instant now, Interface& interface) {
  for (InterfaceAddress& a : interface.addresses) {
    if (a.state != AddressState::kDuplicated) Start(core, now, interface, a);
  }
}

void ScheduleAddress(Core& core, Instant at) {
  core.address_deadline = std::min(core.address_deadline, at);
}

void RunAddressTimers(Core& core, Instant now) {
  if (now < core.address_deadline) return;
  core.address_deadline = Instant::Never();
  for (auto& interface : core.interfaces) {
    if (interface == nullptr) continue;
    for (size_t i = 0; i < interface->addresses.size();) {
      InterfaceAddress& a = interface->addresses[i];
      if (a.valid_until <= now) {
        RemoveAddress(core, now, *interface, IpAddress(a.address));
        continue;
      }
      if (a.state == AddressState::kDuplicated && a.deadline <= now) {
        if (RegenerateAddress(core, now, *interface, i)) continue;
        a.deadline = Instant::Never();
      } else if (interface->up) {
        RunAddress(core, now, *interface, a);
      } else {
        a.deadline = Instant::Never();  // until the link is up and StartAddresses sets it anew
      }
      Deprecate(core, now, a);
      ScheduleAddress(core, NextOf(a));
      ++i;
    }
  }
}

void RebuildLocal(Core& core) {
  core.local.Clear();
  for (const auto& interface : core.interfaces) {
    if (interface == nullptr) continue;
    const uint16_t index = interface->index;
    for (const InterfaceAddress& a : interface->addresses) {
      if (!a.usable()) continue;
      core.local.Insert(a.address, index, DestinationKind::kUnicast);
      // RFC 3021: a prefix of 31 bits has no broadcast address.
      if (a.address.is_v4() && a.length <= 30) {
        const uint32_t host_bits = a.length == 0 ? 0xffffffffu : (1u << (32 - a.length)) - 1;
        core.local.Insert(IpAddress::V4(a.address.v4() | host_bits), index,
                          DestinationKind::kBroadcast);
      }
    }
    core.local.Insert(kAllHostsV4, index, DestinationKind::kMulticast);
    if (interface->config.ipv6) core.local.Insert(kAllNodes, index, DestinationKind::kMulticast);
  }
  for (const Group& g : core.groups.groups()) {
    if (g.taken && g.wanted()) {
      core.local.Insert(g.address, g.interface, DestinationKind::kMulticast);
    }
  }
  core.TablesChanged();
}

}  // namespace sluice::ip
