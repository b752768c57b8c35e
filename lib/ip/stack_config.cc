// Stack's configuration calls.
#include <algorithm>

#include "ip/addresses.h"
#include "ip/core.h"
#include "ip/ndp.h"
#include "ip/output.h"
#include "ip/resolve.h"
#include "ip/stack.h"

namespace sluice::ip {

using wire::IpAddress;

namespace {

constexpr uint16_t kMtuMin = 576;     // RFC 1122 section 3.3.3: what every host can reassemble
constexpr uint16_t kMtuMinV6 = 1280;  // RFC 8200 section 5
constexpr uint16_t kVlanIdMax = 4094;

bool IsValid(const InterfaceConfig& config) {
  if (config.link == LinkLayer::kEthernet &&
      (config.mac.is_multicast() || config.mac.is_zero() || config.vlan_id > kVlanIdMax)) {
    return false;
  }
  return config.mtu >= (config.ipv6 ? kMtuMinV6 : kMtuMin) && config.pool != nullptr &&
         config.tx_segments_max > 0 && !config.name.empty();
}

void ApplyGroupChange(Core& core) {
  if (core.groups.TakeChanged()) RebuildLocal(core);
}

}  // namespace

ConfigResult Stack::AddInterface(Instant now, const InterfaceConfig& config, uint16_t* index) {
  if (!IsValid(config)) return ConfigResult::kInvalid;
  if (InterfaceByName(config.name) != 0) return ConfigResult::kExists;
  Core& core = *core_;
  if (core.interfaces.size() > core.config.interfaces_max) return ConfigResult::kFull;
  *index = static_cast<uint16_t>(core.interfaces.size());
  core.interfaces.push_back(std::make_unique<Interface>(*index, config));
  Interface& interface = *core.interfaces.back();
  interface.addresses.reserve(core.config.addresses_per_interface_max);
  NeighborTiming& timing = core.timings[*index];
  // RFC 4861 section 6.3.2: a random time around the base.
  const Duration base = core.config.neighbor_reachable;
  timing.reachable = core.random.UniformDuration(base / 2, base + base / 2);
  timing.retransmit = core.config.neighbor_retransmit;
  timing.delay = core.config.neighbor_delay;
  timing.probes = core.config.neighbor_probes;
  Interface& loopback = *core.interfaces[kLoopbackInterface];
  if (loopback.config.pool == nullptr) loopback.config.pool = config.pool;
  RebuildLocal(core);
  if (config.ipv6 && interface.ethernet) {
    NewAddress link_local;
    link_local.prefix = {MakeLinkLocal(core, interface), 64};
    link_local.on_link_route = false;
    link_local.autoconfigured = true;
    return ip::AddAddress(core, now, interface, link_local);
  }
  return ConfigResult::kOk;
}

ConfigResult Stack::SetLinkUp(Instant now, uint16_t index, bool up) {
  Interface* interface = core_->FindInterface(index);
  if (interface == nullptr || interface->is_loopback()) return ConfigResult::kNoInterface;
  if (interface->up == up) return ConfigResult::kOk;
  interface->up = up;
  if (up) {
    StartAddresses(*core_, now, *interface);
  } else {
    // What was learnt belongs to the link that is gone.
    interface->transmit.Clear();
    core_->neighbors.RemoveInterface(index);
    core_->reassembler.Clear(index);
    interface->solicitations_left = 0;
  }
  core_->TablesChanged();
  return ConfigResult::kOk;
}

ConfigResult Stack::AddAddress(Instant now, uint16_t index, const wire::Prefix& prefix) {
  Interface* interface = core_->FindInterface(index);
  if (interface == nullptr) return ConfigResult::kNoInterface;
  NewAddress added;
  added.prefix = prefix;
  added.on_link_route = !interface->is_loopback();
  return ip::AddAddress(*core_, now, *interface, added);
}

ConfigResult Stack::RemoveAddress(Instant now, uint16_t index, const IpAddress& address) {
  Interface* interface = core_->FindInterface(index);
  if (interface == nullptr) return ConfigResult::kNoInterface;
  return ip::RemoveAddress(*core_, now, *interface, address);
}

ConfigResult Stack::AddRoute(Instant, const Route& route) {
  Route added = route;
  const IpAddress& gateway = route.gateway;
  const bool on_link = gateway.is_unspecified();
  if (on_link) added.gateway = IpAddress();
  if (!on_link && (gateway.is_v4() != route.destination.address.is_v4() || gateway.is_multicast() ||
                   gateway.is_limited_broadcast())) {
    return ConfigResult::kInvalid;
  }
  if (added.interface == 0) {
    // A gateway is a neighbour: its interface is the one whose subnet it is in.
    if (on_link) return ConfigResult::kInvalid;
    const Route* to_gateway =
        core_->routes.Find(gateway, [](const Route& r) { return r.gateway.is_unspecified(); });
    if (to_gateway == nullptr) return ConfigResult::kNotFound;
    added.interface = to_gateway->interface;
  } else if (core_->FindInterface(added.interface) == nullptr) {
    return ConfigResult::kNoInterface;
  }
  const ConfigResult result = core_->routes.Add(added);
  if (result == ConfigResult::kFull) ++core_->counters.RouteTableFull;
  if (result == ConfigResult::kOk) core_->TablesChanged();
  return result;
}

ConfigResult Stack::RemoveRoute(Instant, const Route& route) {
  Route removed = route;
  if (removed.gateway.is_unspecified()) removed.gateway = IpAddress();
  const ConfigResult result = core_->routes.Remove(removed);
  if (result == ConfigResult::kOk) core_->TablesChanged();
  return result;
}

ConfigResult Stack::AddNeighbor(Instant now, uint16_t index, const IpAddress& address,
                                const wire::MacAddress& mac) {
  const Interface* interface = core_->FindInterface(index);
  if (interface == nullptr || !interface->ethernet) return ConfigResult::kNoInterface;
  if (address.is_multicast() || address.is_unspecified() || mac.is_multicast()) {
    return ConfigResult::kInvalid;
  }
  const uint32_t neighbor = core_->neighbors.FindOrCreate(index, address, core_->counters);
  if (neighbor == kNoNeighbor) return ConfigResult::kFull;
  core_->neighbors.SetPermanent(now, neighbor, mac);
  NeighborResolved(*core_, neighbor);
  return ConfigResult::kOk;
}

ConfigResult Stack::JoinGroup(Instant now, uint16_t interface, const IpAddress& group,
                              uint64_t member) {
  if (core_->FindInterface(interface) == nullptr) return ConfigResult::kNoInterface;
  if (core_->groups.IsMember(interface, group, member)) return ConfigResult::kExists;
  return SetSourceFilter(now, interface, group, member, FilterMode::kExclude, {});
}

ConfigResult Stack::LeaveGroup(Instant now, uint16_t interface, const IpAddress& group,
                               uint64_t member) {
  return SetSourceFilter(now, interface, group, member, FilterMode::kInclude, {});
}

ConfigResult Stack::SetSourceFilter(Instant now, uint16_t interface, const IpAddress& group,
                                    uint64_t member, FilterMode mode,
                                    std::span<const IpAddress> sources) {
  const Interface* i = core_->FindInterface(interface);
  if (i == nullptr) return ConfigResult::kNoInterface;
  if (group.is_v6() && !i->config.ipv6) return ConfigResult::kInvalid;
  const ConfigResult result = core_->groups.Set(now, interface, group, member, mode, sources,
                                                core_->random, core_->counters);
  ApplyGroupChange(*core_);
  return result;
}

void Stack::LeaveAllGroups(Instant now, uint64_t member) {
  // Bounded by the table of memberships: each call ends one.
  while (core_->groups.LeaveOne(now, member, core_->random)) {
  }
  ApplyGroupChange(*core_);
}

bool Stack::MemberAccepts(uint16_t interface, const IpAddress& group, const IpAddress& source,
                          uint64_t member) const {
  return core_->groups.Accepts(interface, group, source, member);
}

uint16_t Stack::DefaultGroupInterface(const IpAddress& group) const {
  Path path;
  const PathStatus status = ip::FindPath(*core_, group, IpAddress(), 0, &path);
  return status == PathStatus::kOk || status == PathStatus::kNoAddress ? path.interface : 0;
}

}  // namespace sluice::ip
