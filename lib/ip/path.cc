// Choosing interface, next hop, source and MTU.
#include "ip/path.h"

#include <algorithm>
#include <optional>

#include "ip/output.h"

namespace sluice::ip {
namespace {

using wire::IpAddress;

// RFC 6724 section 3.1, with RFC 4291's scope values; IPv4 as section 3.2 says.
int Scope(const IpAddress& a) {
  if (a.is_v4()) return a.is_loopback() || a.is_link_local() ? 2 : 14;
  if (a.is_multicast()) return a.bytes()[1] & 0x0f;
  if (a.is_loopback() || a.is_link_local()) return 2;
  const bool site_local = a.bytes()[0] == 0xfe && (a.bytes()[1] & 0xc0) == 0xc0;
  return site_local ? 5 : 14;
}

// The labels of RFC 6724 section 2.1's default policy table.
int Label(const IpAddress& a) {
  if (a.is_v4()) return 4;
  const auto& b = a.bytes();
  if (a.is_loopback()) return 0;
  if (b[0] == 0x20 && b[1] == 0x02) return 2;
  if (b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0) return 5;
  if ((b[0] & 0xfe) == 0xfc) return 13;
  if (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0) return 11;
  if (b[0] == 0x3f && b[1] == 0xfe) return 12;
  return 1;
}

int CommonPrefixBits(const IpAddress& a, const IpAddress& b, int bits_max) {
  int bits = 0;
  for (int i = 0; i < 16; ++i) {
    const int differing = std::countl_zero(static_cast<uint8_t>(a.bytes()[i] ^ b.bytes()[i]));
    bits += differing;
    if (differing < 8) break;
  }
  return std::min(bits, bits_max);
}

struct Candidate {
  const InterfaceAddress* address;
  bool outgoing;  // on the interface that the packet leaves by
};

// RFC 6724 section 5: whether `b` is better than `a`. Rules 4, 5.5 and 7 concern mobile hosts, next
// hops that advertise prefixes, and temporary addresses, none of which are here.
bool Better(const Candidate& a, const Candidate& b, const IpAddress& destination) {
  const IpAddress& sa = a.address->address;
  const IpAddress& sb = b.address->address;
  // Rule 1: the destination itself.
  if ((sa == destination) != (sb == destination)) return sb == destination;
  // Rule 2: appropriate scope.
  const int scope_a = Scope(sa), scope_b = Scope(sb), wanted = Scope(destination);
  if (scope_a != scope_b) return scope_a < scope_b ? scope_a < wanted : scope_b >= wanted;
  // Rule 3: not deprecated.
  const bool fresh_a = a.address->state == AddressState::kPreferred;
  const bool fresh_b = b.address->state == AddressState::kPreferred;
  if (fresh_a != fresh_b) return fresh_b;
  // Rule 5: of the outgoing interface.
  if (a.outgoing != b.outgoing) return b.outgoing;
  // Rule 6: matching label.
  const bool label_a = Label(sa) == Label(destination), label_b = Label(sb) == Label(destination);
  if (label_a != label_b) return label_b;
  // Rule 8: longest matching prefix.
  const int mapped = sa.is_v4() ? 96 : 0;
  return CommonPrefixBits(sb, destination, b.address->length + mapped) >
         CommonPrefixBits(sa, destination, a.address->length + mapped);
}

// The interface that a destination without routes means where none was named: the only one that
// could. 0: none, or not clear.
uint16_t OnlyInterface(const Core& core, bool v4) {
  uint16_t only = 0;
  for (const auto& interface : core.interfaces) {
    if (interface == nullptr || interface->is_loopback() || (!v4 && !interface->config.ipv6)) {
      continue;
    }
    if (only != 0) return 0;
    only = interface->index;
  }
  return only;
}

// As on Linux a link that is down keeps its routes: they are taken where no other leads there, and
// what goes there is lost until the link comes back. Bound interface 0: any.
const Route* FindRoute(const Core& core, const IpAddress& destination, uint16_t bound_interface) {
  const auto may_take = [&](const Route& r) {
    return bound_interface == 0 || r.interface == bound_interface;
  };
  const Route* route = core.routes.Find(
      destination, [&](const Route& r) { return may_take(r) && core.interfaces[r.interface]->up; });
  return route != nullptr ? route : core.routes.Find(destination, may_take);
}

// Interface for a group or the limited broadcast: as named, as the routes say, or the only one.
uint16_t GroupInterface(const Core& core, const IpAddress& destination) {
  const Route* route = FindRoute(core, destination, 0);
  return route != nullptr ? route->interface : OnlyInterface(core, destination.is_v4());
}

// Where the packet leaves and whom it is given to; source and MTU come after.
PathStatus FindNextHop(const Core& core, Path* path) {
  const IpAddress& destination = path->destination;
  path->next_hop = destination;
  if (destination.is_multicast() || destination.is_limited_broadcast()) {
    path->destination_kind =
        destination.is_multicast() ? DestinationKind::kMulticast : DestinationKind::kBroadcast;
    path->interface =
        path->bound_interface != 0 ? path->bound_interface : GroupInterface(core, destination);
    path->loop_interface = path->interface;
    return path->interface == 0 ? PathStatus::kNoRoute : PathStatus::kOk;
  }
  if (!path->v4 && destination.is_link_local()) {
    path->interface =
        path->bound_interface != 0 ? path->bound_interface : OnlyInterface(core, false);
    return path->interface == 0 ? PathStatus::kNoInterface : PathStatus::kOk;
  }
  const Route* route = FindRoute(core, destination, path->bound_interface);
  if (route == nullptr) return PathStatus::kNoRoute;
  path->interface = route->interface;
  if (!route->gateway.is_unspecified()) path->next_hop = route->gateway;
  return PathStatus::kOk;
}

bool IsOurs(const Core& core, const IpAddress& source, uint16_t interface) {
  if (source.is_v4() && source.is_loopback()) return true;
  const LocalEntry* entry = core.local.Find(source, interface);
  return entry != nullptr && entry->kind == DestinationKind::kUnicast;
}

void FindAbilities(const Interface& interface, Path* path) {
  const InterfaceConfig& can = interface.config;
  const bool loopback = interface.is_loopback();  // whose packets nobody can spoil
  path->sums_tcp = loopback || can.tx_tcp_checksum;
  path->sums_udp = loopback || can.tx_udp_checksum;
  path->segments_max = loopback ? UINT16_MAX : std::max<uint16_t>(can.tx_segments_max, 1);
  // The length fields of IP, less the largest headers.
  path->segmentation_bytes =
      can.tx_tcp_segmentation ? std::min<uint32_t>(can.tso_bytes_max, 65535 - 60 - 60) : 0;
}

// The destination is this host. False: it is not.
bool FindLocal(const Core& core, const IpAddress& source, Path* path) {
  const IpAddress& destination = path->destination;
  const uint16_t scope =
      path->bound_interface != 0 ? path->bound_interface : OnlyInterface(core, path->v4);
  const LocalEntry* entry = core.local.Find(destination, scope);
  const bool loopback = path->v4 && destination.is_loopback();
  if (!loopback && (entry == nullptr || entry->kind != DestinationKind::kUnicast)) return false;
  path->interface = kLoopbackInterface;
  path->loop_interface =
      entry != nullptr && entry->key_interface != 0 ? entry->key_interface : kLoopbackInterface;
  path->next_hop = destination;
  path->source = source.is_unspecified() ? destination : source;
  path->mtu = core.config.loopback_mtu;
  FindAbilities(*core.interfaces[kLoopbackInterface], path);
  return true;
}

void FindMtu(const Core& core, const Interface& interface, Path* path) {
  path->mtu = path->v4 ? interface.mtu : interface.mtu_v6;
  if (path->destination_kind != DestinationKind::kUnicast) return;
  const Destination* known = core.destinations.Find(path->destination);
  if (known == nullptr) return;
  if (known->mtu != 0) {
    path->mtu = static_cast<uint16_t>(std::min<uint32_t>(path->mtu, known->mtu));
  }
  if (known->interface == path->interface && !known->next_hop.is_unspecified()) {
    path->next_hop = known->next_hop;
  }
}

}  // namespace

std::optional<IpAddress> ChooseSource(const Core& core, const Interface& outgoing,
                                      const IpAddress& destination) {
  std::optional<Candidate> best;
  for (const auto& interface : core.interfaces) {
    if (interface == nullptr || (interface->is_loopback() && !outgoing.is_loopback())) continue;
    const bool is_outgoing = interface->index == outgoing.index;
    for (const InterfaceAddress& a : interface->addresses) {
      if (!a.usable() || a.address.is_v4() != destination.is_v4()) continue;
      // RFC 6724 section 4: link-local sources only of the outgoing interface.
      if (!is_outgoing && a.address.is_link_local()) continue;
      const Candidate candidate{&a, is_outgoing};
      if (!best || Better(*best, candidate, destination)) best = candidate;
    }
  }
  if (!best) return std::nullopt;
  return best->address->address;
}

Path LinkPath(const Core& core, const Interface& interface, const IpAddress& source,
              const IpAddress& destination) {
  Path path;
  path.source = source;
  path.destination = destination;
  path.next_hop = destination;
  path.interface = path.bound_interface = path.loop_interface = interface.index;
  path.v4 = destination.is_v4();
  path.mtu = path.v4 ? interface.mtu : interface.mtu_v6;
  path.generation = core.generation;
  FindAbilities(interface, &path);
  if (destination.is_multicast()) path.destination_kind = DestinationKind::kMulticast;
  return path;
}

PathStatus FindPath(Core& core, const IpAddress& destination, const IpAddress& source,
                    uint16_t bound_interface, Path* out) {
  Path path;
  path.destination = destination;
  path.bound_interface = bound_interface;
  path.v4 = destination.is_v4();
  path.generation = core.generation;
  if (bound_interface != 0 && core.FindInterface(bound_interface) == nullptr) {
    return PathStatus::kNoInterface;
  }
  if (destination.is_unspecified()) return PathStatus::kNoRoute;
  const bool any_source = source.is_unspecified();
  if (!any_source && source.is_v4() != path.v4) return PathStatus::kNoAddress;
  if (FindLocal(core, source, &path)) {
    if (!IsOurs(core, path.source, path.loop_interface)) return PathStatus::kNoAddress;
    *out = path;
    return PathStatus::kOk;
  }
  const PathStatus status = FindNextHop(core, &path);
  if (status != PathStatus::kOk) return status;
  const Interface& interface = *core.interfaces[path.interface];
  const LocalEntry* entry = core.local.Find(destination, path.interface);
  if (entry != nullptr) {
    path.destination_kind = entry->kind;  // the broadcast address of a subnet of ours
    path.loop_interface = path.interface;
  }
  if (any_source) {
    const auto chosen = ChooseSource(core, interface, destination);
    if (!chosen) return PathStatus::kNoAddress;
    path.source = *chosen;
  } else if (!source.is_loopback() && IsOurs(core, source, path.interface)) {
    path.source = source;  // RFC 1122 section 3.2.1.3 (g): 127/8 never leaves the host
  } else {
    return PathStatus::kNoAddress;
  }
  FindMtu(core, interface, &path);
  FindAbilities(interface, &path);
  *out = path;
  return PathStatus::kOk;
}

}  // namespace sluice::ip
