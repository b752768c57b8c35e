// Routers and what they tell hosts: RFC 4861 section 6.3 and 8.3, RFC 4862 section 5.5.
#include <algorithm>

#include "base/siphash.h"
#include "ip/addresses.h"
#include "ip/ndp.h"
#include "ip/path_mtu.h"
#include "ip/resolve.h"
#include "wire/ndp.h"

namespace sluice::ip {
namespace {

using wire::IpAddress;

constexpr Duration kSolicitDelayMax = Seconds(1);  // RFC 4861 section 10
constexpr Duration kSolicitInterval = Seconds(4);
constexpr uint8_t kSolicitations = 3;
constexpr uint32_t kRouterMetric = 1024;
constexpr uint32_t kFailedRouterMetric = 2048;
constexpr Duration kRedirectAge = Seconds(600);
constexpr Duration kTwoHours = Seconds(7200);
constexpr uint8_t kRegenerationsMax = 3;  // RFC 7217 section 6

Instant After(Instant now, uint32_t seconds) {
  return seconds == UINT32_MAX ? Instant::Never() : now + Seconds(seconds);
}

void ScheduleRouter(Core& core, Instant at) {
  core.router_deadline = std::min(core.router_deadline, at);
}

Route RouteThrough(const DefaultRouter& router, uint32_t metric) {
  Route route;
  route.destination = {IpAddress::AnyV6(), 0};
  route.gateway = router.address;
  route.interface = router.interface;
  route.metric = metric;
  return route;
}

void SetMetric(Core& core, const DefaultRouter& router, uint32_t metric) {
  core.routes.Remove(RouteThrough(router, metric));
  if (core.routes.Add(RouteThrough(router, metric)) == ConfigResult::kFull) {
    ++core.counters.RouteTableFull;
  }
  core.TablesChanged();
}

void ForgetRouter(Core& core, DefaultRouter& router) {
  core.routes.Remove(RouteThrough(router, kRouterMetric));
  core.destinations.ForgetNextHop(router.address, router.interface);
  router.interface = 0;
  core.TablesChanged();
}

DefaultRouter* FindRouter(Core& core, uint16_t interface, const IpAddress& address) {
  for (DefaultRouter& r : core.routers) {
    if (r.interface == interface && r.address == address) return &r;
  }
  return nullptr;
}

// Section 6.3.4: keep, refresh or forget a default router.
void UpdateRouter(Core& core, Instant now, Interface& interface, const IpAddress& address,
                  uint16_t lifetime_seconds) {
  DefaultRouter* router = FindRouter(core, interface.index, address);
  if (lifetime_seconds == 0) {
    if (router != nullptr) ForgetRouter(core, *router);
    return;
  }
  if (router == nullptr) {
    const auto free = std::find_if(core.routers.begin(), core.routers.end(),
                                   [](const DefaultRouter& r) { return r.interface == 0; });
    if (free == core.routers.end()) {
      ++core.counters.RouterTableFull;
      return;
    }
    router = &*free;
    router->address = address;
    router->interface = interface.index;
    SetMetric(core, *router, kRouterMetric);
  }
  router->until = now + Seconds(lifetime_seconds);
  ScheduleRouter(core, router->until);
}

// Section 6.3.4: prefixes that are on-link.
void UpdateOnLink(Core& core, Instant now, Interface& interface,
                  const wire::PrefixInformation& information) {
  const IpAddress masked = MaskAddress(information.prefix.address, information.prefix.length);
  OnLinkPrefix* free = nullptr;
  OnLinkPrefix* found = nullptr;
  for (OnLinkPrefix& p : core.on_link_prefixes) {
    if (p.interface == 0) {
      free = &p;
    } else if (p.interface == interface.index && p.prefix.address == masked &&
               p.prefix.length == information.prefix.length) {
      found = &p;
    }
  }
  if (found == nullptr) {
    if (information.valid_seconds == 0) return;
    if (free == nullptr) {
      ++core.counters.RouterTableFull;
      return;
    }
    found = free;
    found->prefix = {masked, information.prefix.length};
    found->interface = interface.index;
    core.routes.Add({.destination = found->prefix, .interface = interface.index});
    core.TablesChanged();
  }
  found->until = After(now, information.valid_seconds);
  ScheduleRouter(core, found->until);
}

// RFC 7217 section 5, or EUI-64 (RFC 4862 section 5.5.3 (d), RFC 2464 section 4).
IpAddress MakeAddress(const Core& core, const Interface& interface, const IpAddress& prefix,
                      uint8_t collisions) {
  if (!interface.config.opaque_identifiers) return FromMac(prefix, interface.mac);
  auto bytes = prefix.bytes();
  std::array<uint8_t, 8> network;
  std::memcpy(network.data(), bytes.data(), 8);
  const uint64_t identifier =
      SipHashOf(core.config.key, network, interface.mac.bytes, interface.index, collisions);
  std::memcpy(bytes.data() + 8, &identifier, 8);
  return IpAddress::V6(bytes);
}

// RFC 4862 section 5.5.3.
void Autoconfigure(Core& core, Instant now, Interface& interface,
                   const wire::PrefixInformation& information) {
  constexpr int kIdentifierBits = 64;
  if (information.prefix.length != 128 - kIdentifierBits ||
      information.preferred_seconds > information.valid_seconds) {
    return;
  }
  const Instant preferred = After(now, information.preferred_seconds);
  const Instant valid = After(now, information.valid_seconds);
  for (InterfaceAddress& a : interface.addresses) {
    if (!a.autoconfigured || a.address.is_link_local() ||
        !a.address.HasPrefix(information.prefix.address, kIdentifierBits)) {
      continue;
    }
    a.preferred_until = preferred;
    // (e): nobody may end an address in less than two hours with one unauthenticated message.
    if (valid > now + kTwoHours || valid > a.valid_until) {
      a.valid_until = valid;
    } else if (a.valid_until > now + kTwoHours) {
      a.valid_until = now + kTwoHours;
    }
    if (a.state == AddressState::kDeprecated && preferred > now) {
      a.state = AddressState::kPreferred;
      core.TablesChanged();
    }
    ScheduleAddress(core, std::min(a.preferred_until, a.valid_until));
    return;
  }
  if (information.valid_seconds == 0) return;
  NewAddress added;
  added.prefix = {MakeAddress(core, interface, information.prefix.address, 0), kIdentifierBits};
  added.on_link_route = false;
  added.autoconfigured = true;
  added.preferred_until = preferred;
  added.valid_until = valid;
  AddAddress(core, now, interface, added);
}

void TakeParameters(Core& core, Interface& interface, const wire::RouterAdvertisement& message) {
  if (message.hop_limit != 0 && message.hop_limit != interface.hop_limit) {
    interface.hop_limit = message.hop_limit;
    core.TablesChanged();  // headers that are ready say otherwise
  }
  NeighborTiming& timing = core.timings[interface.index];
  constexpr uint32_t kHourMs = 3600 * 1000;  // section 6.2.1: no more for either
  if (message.reachable_ms != 0 && message.reachable_ms <= kHourMs) {
    // Section 6.3.2: a random time around the base, so that hosts do not probe in step.
    const Duration base = Milliseconds(message.reachable_ms);
    timing.reachable = core.random.UniformDuration(base / 2, base + base / 2);
  }
  if (message.retransmit_ms != 0 && message.retransmit_ms <= kHourMs) {
    timing.retransmit = Milliseconds(message.retransmit_ms);
  }
  if (message.options.mtu && *message.options.mtu >= kPathMtuMinV6 &&
      *message.options.mtu <= interface.mtu && *message.options.mtu != interface.mtu_v6) {
    interface.mtu_v6 = static_cast<uint16_t>(*message.options.mtu);
    core.TablesChanged();
  }
}

}  // namespace

void RouterAdvertised(Core& core, Instant now, Interface& interface, const Inbound* in) {
  const auto message = wire::RouterAdvertisement::Parse(FirstBytes(in->packet));
  if (!message || !in->info.source.is_link_local()) {
    ++core.counters.Icmp6InErrors;
    return;
  }
  if (!interface.config.router_advertisements) return;
  if (message->lifetime_seconds != 0) {
    interface.solicitations_left = 0;
    interface.solicit_at = Instant::Never();
  }
  TakeParameters(core, interface, *message);
  UpdateRouter(core, now, interface, in->info.source, message->lifetime_seconds);
  if (message->options.source_link && !message->options.source_link->is_multicast()) {
    const uint32_t index =
        core.neighbors.FindOrCreate(interface.index, in->info.source, core.counters);
    if (index != kNoNeighbor) {
      if (core.neighbors.OnHeard(now, index, *message->options.source_link)) {
        NeighborResolved(core, index);
      }
      core.neighbors[index].router = true;
    }
  }
  for (int i = 0; i < message->options.prefix_count; ++i) {
    const wire::PrefixInformation& information = message->options.prefixes[i];
    const wire::Prefix& prefix = information.prefix;
    if (prefix.length > 128 || prefix.address.is_link_local() || prefix.address.is_multicast() ||
        prefix.address.is_v4()) {
      continue;
    }
    if (information.on_link) UpdateOnLink(core, now, interface, information);
    if (information.autonomous) Autoconfigure(core, now, interface, information);
  }
}

void Redirected(Core& core, Instant now, Interface& interface, const Inbound* in) {
  const auto message = wire::Redirect::Parse(FirstBytes(in->packet));
  // Section 8.1: from a router, to another router or to the destination itself.
  if (!message || !in->info.source.is_link_local() ||
      !(message->target == message->destination || message->target.is_link_local())) {
    ++core.counters.Icmp6InErrors;
    return;
  }
  if (!interface.config.router_advertisements) return;
  // Only the present first hop may redirect.
  Path path;
  if (FindPath(core, message->destination, IpAddress(), 0, &path) != PathStatus::kOk ||
      path.interface != interface.index || path.next_hop != in->info.source) {
    ++core.counters.Icmp6InErrors;
    return;
  }
  if (message->options.target_link && !message->options.target_link->is_multicast()) {
    const uint32_t index =
        core.neighbors.FindOrCreate(interface.index, message->target, core.counters);
    if (index != kNoNeighbor) {
      if (core.neighbors.OnHeard(now, index, *message->options.target_link)) {
        NeighborResolved(core, index);
      }
      if (message->target != message->destination) core.neighbors[index].router = true;
    }
  }
  if (core.destinations.SetNextHop(message->destination, message->target, interface.index,
                                   now + kRedirectAge)) {
    ++core.counters.DestinationTableFull;
  }
  core.TablesChanged();
}

void RouterFailed(Core& core, uint16_t interface, const IpAddress& address) {
  if (core.destinations.ForgetNextHop(address, interface)) core.TablesChanged();
  // Section 6.3.6: routers that answer are preferred to those that do not.
  if (DefaultRouter* router = FindRouter(core, interface, address)) {
    SetMetric(core, *router, kFailedRouterMetric);
  }
}

void RouterResigned(Core& core, Interface& interface, const IpAddress& address) {
  if (DefaultRouter* router = FindRouter(core, interface.index, address)) {
    ForgetRouter(core, *router);
  } else if (core.destinations.ForgetNextHop(address, interface.index)) {
    core.TablesChanged();
  }
}

void LinkLocalReady(Core& core, Instant now, Interface& interface) {
  if (!interface.config.router_advertisements || !interface.ethernet) return;
  if (!core.config.is_speaker) return;  // it hears what the speaker is answered
  interface.solicitations_left = kSolicitations;
  interface.solicit_at = now + core.random.UniformDuration(Duration(), kSolicitDelayMax);
  ScheduleRouter(core, interface.solicit_at);
}

void RunRouterTimers(Core& core, Instant now) {
  if (now < core.router_deadline) return;
  core.router_deadline = Instant::Never();
  for (const auto& interface : core.interfaces) {
    if (interface == nullptr || interface->solicitations_left == 0) continue;
    if (interface->solicit_at <= now) {
      const InterfaceAddress* source = interface->LinkLocal();
      wire::RouterSolicitation message;
      if (source != nullptr) message.options.source_link = interface->mac;
      ++core.counters.Icmp6OutRouterSolicits;
      SendNdp(core, now, *interface, message,
              source != nullptr ? source->address : IpAddress::AnyV6(), kAllRouters);
      --interface->solicitations_left;
      interface->solicit_at = now + kSolicitInterval;
    }
    if (interface->solicitations_left > 0) ScheduleRouter(core, interface->solicit_at);
  }
  for (DefaultRouter& router : core.routers) {
    if (router.interface == 0) continue;
    if (router.until <= now) {
      ForgetRouter(core, router);
    } else {
      ScheduleRouter(core, router.until);
    }
  }
  for (OnLinkPrefix& prefix : core.on_link_prefixes) {
    if (prefix.interface == 0) continue;
    if (prefix.until <= now) {
      core.routes.Remove({.destination = prefix.prefix, .interface = prefix.interface});
      prefix.interface = 0;
      core.TablesChanged();
    } else {
      ScheduleRouter(core, prefix.until);
    }
  }
}

IpAddress MakeLinkLocal(const Core& core, const Interface& interface) {
  return MakeAddress(core, interface, IpAddress::V6({0xfe, 0x80}), 0);
}

bool RegenerateAddress(Core& core, Instant now, Interface& interface, size_t index) {
  const InterfaceAddress old = interface.addresses[index];
  if (!old.autoconfigured || !interface.config.opaque_identifiers ||
      old.collisions >= kRegenerationsMax) {
    return false;
  }
  NewAddress added;
  added.collisions = static_cast<uint8_t>(old.collisions + 1);
  added.prefix = {MakeAddress(core, interface, old.address, added.collisions), old.length};
  added.on_link_route = false;
  added.autoconfigured = true;
  added.preferred_until = old.preferred_until;
  added.valid_until = old.valid_until;
  RemoveAddress(core, now, interface, old.address);
  AddAddress(core, now, interface, added);
  return true;
}

}  // namespace sluice::ip
