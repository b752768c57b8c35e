#include "ip/stack.h"

#include <algorithm>
#include <string_view>

#include "ip/addresses.h"
#include "ip/core.h"
#include "ip/group_report.h"
#include "ip/icmp.h"
#include "ip/input.h"
#include "ip/ndp.h"
#include "ip/output.h"
#include "ip/path_mtu.h"
#include "ip/resolve.h"

namespace sluice::ip {

using wire::IpAddress;

namespace {

// Broadcast addresses, groups of the stack itself and 127.0.0.1 besides configured addresses.
size_t LocalEntriesMax(const StackConfig& c) {
  return size_t{c.interfaces_max} * (2 * c.addresses_per_interface_max + 2) + c.groups_max;
}

std::unique_ptr<Interface> MakeLoopback(const StackConfig& config) {
  InterfaceConfig c;
  c.name = "lo";
  c.link = LinkLayer::kNone;
  c.mtu = config.loopback_mtu;
  c.pool = config.pool;
  c.announce = false;
  c.transmit_queue_packets = 2;  // unused: packets to ourselves go through Core::loop
  auto loopback = std::make_unique<Interface>(kLoopbackInterface, c);
  loopback->addresses.reserve(2);
  loopback->addresses.push_back({.address = IpAddress::V4(127, 0, 0, 1), .length = 8});
  loopback->addresses.push_back(
      {.address = IpAddress::V6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}), .length = 128});
  return loopback;
}

}  // namespace

Core::Core(const StackConfig& c)
    : config(c),
      random(c.seed),
      timings(c.interfaces_max + size_t{1}),
      compatibility_v4(c.interfaces_max + size_t{1}),
      compatibility_v6(c.interfaces_max + size_t{1}),
      local(LocalEntriesMax(c)),
      routes(c.routes_max),
      neighbors(c.neighbors_max, c.neighbor_queue_packets_max, c.key),
      destinations(c.destinations_max, c.key),
      reassembler(c.reassembly_datagrams_max, c.reassembly_fragments_max),
      groups(c.groups_max, c.memberships_max),
      icmp_errors(c.icmp_per_second, c.icmp_burst),
      loop(c.loop_queue_packets),
      unreachable(c.unreachable_queue_packets) {
  for (uint16_t& id : identifications) id = static_cast<uint16_t>(random.Next32());
  interfaces.reserve(c.interfaces_max + size_t{1});
  interfaces.push_back(nullptr);
  interfaces.push_back(MakeLoopback(c));
  RebuildLocal(*this);
}

Stack::Stack(const StackConfig& config)
    : core_(std::make_unique<Core>(config)), generation_(core_->generation) {}

Stack::~Stack() = default;

// --- Packets -----------------------------------------------------------------------------------

Verdict Stack::Input(Instant now, uint16_t interface, rte_mbuf* packet, Inbound* out) {
  return ip::Input(*core_, now, interface, packet, out);
}

rte_mbuf* Stack::TakeLooped() { return core_->loop.Take(); }

size_t Stack::looped_packets() const { return core_->loop.size(); }

bool Stack::TakeUnreachable(Inbound* out) { return ip::TakeUnreachable(*core_, out); }

void Stack::SendRefusal(Instant now, const Inbound& inbound, Refusal refusal) {
  using wire::Icmpv4Header, wire::Icmpv4Unreachable, wire::Icmpv6Header, wire::Icmpv6Unreachable;
  const PacketInfo& info = inbound.info;
  const bool v4 = info.source.is_v4();
  if (refusal == Refusal::kProtocol) {
    ++(v4 ? core_->counters.IpInUnknownProtos : core_->counters.Ip6InUnknownProtos);
  }
  if (v4) {
    const uint8_t code = refusal == Refusal::kPort       ? Icmpv4Unreachable::kPort
                         : refusal == Refusal::kProtocol ? Icmpv4Unreachable::kProtocol
                                                         : Icmpv4Unreachable::kProhibited;
    SendIcmpV4Error(*core_, now, inbound.packet, info, Icmpv4Header::Unreachable(code));
    return;
  }
  // RFC 4443 section 3.4: an unknown protocol is a parameter problem where it is named.
  const Icmpv6Header header =
      refusal == Refusal::kProtocol
          ? Icmpv6Header::ParameterProblem(wire::Icmpv6Parameter::kUnknownNextHeader,
                                           NextHeaderField(inbound.packet, info))
          : Icmpv6Header::Unreachable(refusal == Refusal::kPort ? Icmpv6Unreachable::kPort
                                                                : Icmpv6Unreachable::kProhibited);
  SendIcmpV6Error(*core_, now, inbound.packet, info, header, false);
}

PathStatus Stack::FindPath(Instant, const IpAddress& destination, const IpAddress& source,
                           uint16_t interface, Path* path) {
  return ip::FindPath(*core_, destination, source, interface, path);
}

PathStatus Stack::Refresh(Instant, Path* path) { return ip::Refresh(*core_, path); }

SendResult Stack::Send(Instant now, rte_mbuf* packet, const Outbound& outbound, Path& path) {
  return ip::Send(*core_, now, packet, outbound, path);
}

void Stack::ConfirmReachable(Instant now, const Path& path) {
  if (path.neighbor == kNoNeighbor) return;
  if (core_->neighbors[path.neighbor].generation != path.neighbor_generation) return;
  core_->neighbors.Confirm(now, path.neighbor, core_->timings[path.interface]);
}

void Stack::UpdatePathMtu(Instant now, const IpAddress& destination, uint32_t mtu) {
  ip::UpdatePathMtu(*core_, now, destination, mtu);
}

std::span<rte_mbuf*> Stack::TransmitQueue(uint16_t interface) {
  Interface* i = core_->FindInterface(interface);
  return i == nullptr ? std::span<rte_mbuf*>() : i->transmit.Front();
}

const rte_mbuf* Stack::LastQueued(uint16_t interface) const {
  const Interface* i = core_->FindInterface(interface);
  return i == nullptr ? nullptr : i->transmit.Last();
}

bool Stack::SendLike(const Path& path, rte_mbuf* frame) {
  Interface& interface = *core_->interfaces[path.interface];
  if (!interface.transmit.Push(frame)) return false;
  ++(path.v4 ? core_->counters.IpOutRequests : core_->counters.Ip6OutRequests);
  ++interface.counters.tx_packets;
  interface.counters.tx_bytes += frame->pkt_len;
  return true;
}

bool Stack::QueueFrame(uint16_t interface, rte_mbuf* frame) {
  Interface* i = core_->FindInterface(interface);
  return i != nullptr && i->transmit.Push(frame);
}

void Stack::Transmitted(uint16_t interface, size_t count) {
  if (Interface* i = core_->FindInterface(interface)) i->transmit.Pop(count);
}

size_t Stack::TransmitRoom(uint16_t interface, size_t most) const {
  const Interface* i = core_->FindInterface(interface);
  if (i == nullptr && interface != kLoopbackInterface) return 0;
  const MbufQueue& queue = interface == kLoopbackInterface ? core_->loop : i->transmit;
  most = std::min(most, queue.capacity());
  return queue.size() < most ? most - queue.size() : 0;
}

size_t Stack::TransmitCapacity(uint16_t interface) const {
  if (interface == kLoopbackInterface) return core_->loop.capacity();
  const Interface* i = core_->FindInterface(interface);
  return i == nullptr ? 0 : i->transmit.capacity();
}

// --- Time --------------------------------------------------------------------------------------

Instant Stack::NextDeadline() const {
  return std::min({core_->address_deadline, core_->router_deadline, core_->group_deadline,
                   core_->neighbors.next_deadline(), core_->destinations.next_deadline(),
                   core_->reassembler.next_deadline(), core_->groups.next_deadline()});
}

void Stack::OnTimer(Instant now) {
  RunAddressTimers(*core_, now);
  RunRouterTimers(*core_, now);
  RunGroupTimers(*core_, now);
  RunNeighborTimers(*core_, now);
  RunReassemblyTimer(*core_, now);
  if (core_->destinations.Expire(now)) core_->TablesChanged();
}

// --- Questions ---------------------------------------------------------------------------------

bool Stack::IsLocalAddress(const IpAddress& address) const {
  return InterfaceForAddress(address) != 0;
}

DestinationKind Stack::KindOf(const IpAddress& address) const {
  if (address.is_multicast()) return DestinationKind::kMulticast;
  if (address.is_limited_broadcast()) return DestinationKind::kBroadcast;
  const LocalEntry* entry = core_->local.Find(address, 0);
  return entry == nullptr ? DestinationKind::kUnicast : entry->kind;
}

uint16_t Stack::InterfaceForAddress(const IpAddress& address) const {
  for (const auto& interface : core_->interfaces) {
    if (interface == nullptr) continue;
    const InterfaceAddress* a = interface->FindAddress(address);
    if (a != nullptr && a->usable()) return interface->index;
  }
  return address.is_v4() && address.is_loopback() ? kLoopbackInterface : 0;
}

uint16_t Stack::interface_count() const {
  return static_cast<uint16_t>(core_->interfaces.size() - 1);
}

InterfaceView Stack::DescribeInterface(uint16_t interface) const {
  InterfaceView view;
  const Interface* i = core_->FindInterface(interface);
  if (i == nullptr) return view;
  view.name = i->config.name;
  view.index = i->index;
  view.link = i->config.link;
  view.mac = i->mac;
  view.mtu = i->mtu;
  view.vlan_id = i->config.vlan_id;
  view.up = i->up;
  view.counters = i->counters;
  for (const InterfaceAddress& a : i->addresses) {
    view.addresses.push_back({{a.address, a.length}, a.state, a.autoconfigured});
  }
  return view;
}

uint16_t Stack::InterfaceByName(std::string_view name) const {
  for (const auto& interface : core_->interfaces) {
    if (interface != nullptr && interface->config.name == name) return interface->index;
  }
  return 0;
}

std::vector<NeighborView> Stack::Neighbors() const {
  std::vector<NeighborView> views;
  for (uint32_t i = 0; i < core_->neighbors.size(); ++i) {
    const Neighbor& n = core_->neighbors[i];
    if (n.state == NeighborState::kFree) continue;
    views.push_back({n.interface, n.address, n.mac, n.state, n.router, n.permanent});
  }
  return views;
}

std::vector<Route> Stack::Routes() const {
  return {core_->routes.routes().begin(), core_->routes.routes().end()};
}

const Counters& Stack::counters() const { return core_->counters; }

}  // namespace sluice::ip
