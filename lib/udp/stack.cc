#include "udp/stack.h"

#include <sys/socket.h>

#include <cassert>

#include "ip/stack.h"

namespace sluice::udp {

using table::Result;
using table::Status;
using wire::Endpoint;
using wire::IpAddress;

Result ResultOf(ip::PathStatus status) {
  switch (status) {
    case ip::PathStatus::kOk:
      return Result::kOk;
    case ip::PathStatus::kNoRoute:
      return Result::kNetworkUnreachable;
    case ip::PathStatus::kNoAddress:
      return Result::kAddressNotAvailable;
    case ip::PathStatus::kNoInterface:
      return Result::kNoDevice;
  }
  return Result::kInvalid;
}

Stack::Stack(const Config& config, table::SocketTable& table, ip::Stack& ip, const SipKey& key)
    : config_(config),
      table_(table),
      ip_(ip),
      flows_(key, 64),
      bindings_(ip::BindRules::kUdp, config.sockets_max, key),
      memberships_(ip, config.memberships_max) {
  bindings_.SetPortRange(config.port_first, config.port_last);
}

Stack::~Stack() = default;

uint32_t Stack::TakeBlock() {
  if (free_ == kNone) {
    const uint32_t count = static_cast<uint32_t>(chunks_.size()) * kChunk;
    if (count >= config_.sockets_max) return kNone;
    chunks_.push_back(std::make_unique<Control[]>(kChunk));
    for (uint32_t i = kChunk; i-- > 0;) {
      chunks_.back()[i].next_free = free_;
      free_ = count + i;
    }
    pending_.reserve(count + kChunk);
  }
  const uint32_t block = free_;
  free_ = At(block).next_free;
  return block;
}

Result Stack::Open(table::Socket socket) {
  const uint32_t block = TakeBlock();
  if (block == kNone) {
    ++counters_.UdpSocketsFull;
    return Result::kNoSockets;
  }
  At(block) = Control();
  At(block).slot = socket.index();
  At(block).family = socket.entry().family.load();
  socket.side().control_block = block;
  ++open_;
  return Result::kOk;
}

uint8_t Stack::BindFlags(const Control& control, const table::Options& options) const {
  uint8_t flags = 0;
  if (options.is_set(table::kReuseAddress)) flags |= ip::kBindReuseAddress;
  if (options.is_set(table::kReusePort)) flags |= ip::kBindReusePort;
  if (control.family == AF_INET6 && options.is_set(table::kIpv6Only)) flags |= ip::kBindIpv6Only;
  return flags;
}

bool Stack::MayBind(const Control& control, const table::Options& options,
                    const Endpoint& local) const {
  const IpAddress& address = local.address;
  if (address.is_unspecified() || address.is_multicast()) return true;
  if (control.family == AF_INET6 && address.is_v4() && options.is_set(table::kIpv6Only)) {
    return false;
  }
  return options.is_set(table::kFreeBind) || ip_.IsLocalAddress(address) ||
         ip_.KindOf(address) == ip::DestinationKind::kBroadcast;
}

Result Stack::BindTo(Control& control, table::Socket socket, const IpAddress& address,
                     uint16_t port, uint16_t interface, bool automatic) {
  table::Entry& entry = socket.entry();
  ip::BindRequest request{.address = address,
                          .port = port,
                          .interface = interface,
                          .flags = BindFlags(control, entry.options),
                          .ipv6 = control.family == AF_INET6,
                          .owner = BlockOf(socket)};
  switch (bindings_.Bind(request, &control.binding)) {
    case ip::BindResult::kOk:
      break;
    case ip::BindResult::kInUse:
      if (port == 0) ++counters_.UdpPortsExhausted;
      return Result::kAddressInUse;
    case ip::BindResult::kFull:
      ++counters_.UdpBindingsFull;
      return Result::kNoBuffers;
  }
  bindings_.SetListening(control.binding, true);
  recent_ = {};
  control.shares_port = (request.flags & ip::kBindReusePort) != 0;
  control.bound = address;
  control.bound_to_group = ip_.KindOf(address) != ip::DestinationKind::kUnicast;
  control.automatic_port = automatic;
  entry.local.Store({address, bindings_.Local(control.binding).port, interface});
  entry.interface.store(interface);
  if (automatic) entry.engine_flags.SetBits(table::kAutobound);
  return Result::kOk;
}

Result Stack::Bind(Instant, table::Socket socket, const Endpoint& local, bool at_once) {
  Control& control = ControlOf(socket);
  const table::Options& options = socket.entry().options;
  if (control.binding != kNone) return Result::kInvalid;
  uint16_t interface = options.bound_interface.load();
  if (local.address.is_v6() && local.address.is_link_local()) {
    if (interface == 0) interface = local.scope;
    if (interface == 0) return Result::kInvalid;  // RFC 4007 section 6: which link?
  }
  if (!MayBind(control, options, local)) return Result::kAddressNotAvailable;
  if (local.port == 0 && !at_once && options.is_set(table::kBindAddressNoPort) &&
      interface == options.bound_interface.load()) {
    control.bound = local.address;
    socket.entry().local.Store({local.address, 0, interface});
    if (socket.status() != Status::kBound) socket.SetStatus(Status::kBound);
    return Result::kOk;
  }
  const Result result = BindTo(control, socket, local.address, local.port, interface, false);
  if (result == Result::kOk && socket.status() != Status::kBound) socket.SetStatus(Status::kBound);
  return result;
}

Result Stack::Unbind(Instant, table::Socket socket) {
  Control& control = ControlOf(socket);
  if (control.binding == kNone || control.connected) return Result::kInvalid;
  control.bound = IpAddress();
  LeavePort(control, socket);
  return Result::kOk;
}

void Stack::LeavePort(Control& control, table::Socket socket) {
  table::Entry& entry = socket.entry();
  bindings_.Unbind(control.binding);
  recent_ = {};
  control.binding = kNone;
  control.automatic_port = false;
  entry.engine_flags.ClearBits(table::kAutobound);
  const bool has_address = !control.bound.is_unspecified();
  entry.local.Store(has_address ? Endpoint{control.bound, 0, 0} : Endpoint());
  entry.interface.store(0);
  socket.SetStatus(has_address ? Status::kBound : Status::kUnconnected);
}

Result Stack::BindAutomatically(Control& control, table::Socket socket, uint16_t port) {
  IpAddress address = control.bound;
  if (address.is_unspecified() && control.family == AF_INET) address = IpAddress::AnyV4();
  const uint16_t interface = socket.entry().options.bound_interface.load();
  return BindTo(control, socket, address, port, interface, true);
}

ip::FlowKey Stack::KeyOf(const Endpoint& local, const Endpoint& remote, uint16_t interface) const {
  ip::FlowKey key;
  key.local = local.address;
  key.remote = remote.address;
  key.local_port = local.port;
  key.remote_port = remote.port;
  if (local.address.is_link_local() || remote.address.is_link_local()) key.scope = interface;
  return key;
}

void Stack::EnterFlow(uint32_t block, const Endpoint& local, const Endpoint& remote,
                      uint16_t interface) {
  Control& control = At(block);
  control.key = KeyOf(local, remote, interface);
  control.hash = flows_.Hash(control.key);
  control.connected = true;
  bindings_.SetAddress(control.binding, local.address);
  bindings_.SetListening(control.binding, false);
  recent_ = {};
  // Where two sockets of one port are connected to one peer, the first gets the datagrams.
  const auto key_of = [this](uint32_t i) -> const ip::FlowKey& { return At(i).key; };
  if (flows_.Find(control.hash, control.key, key_of) != ip::FlowMap::kNone) return;
  control.in_flows = flows_.Insert(control.hash, block);
  if (!control.in_flows) ++counters_.UdpFlowMapFull;
}

Result Stack::Connect(Instant now, table::Socket socket, const Endpoint& remote,
                      uint16_t local_port) {
  const uint32_t block = BlockOf(socket);
  Control& control = At(block);
  table::Entry& entry = socket.entry();
  if (!Drain(now, block, config_.close_budget)) MarkPending(block);

  Sending probe;
  probe.peer = remote;
  // As on Linux, "any" means this host.
  if (remote.address == IpAddress::AnyV4()) probe.peer.address = IpAddress::V4(127, 0, 0, 1);
  if (remote.address == IpAddress::AnyV6()) probe.peer.address = *wire::ParseIp("::1");
  const bool own_port = control.binding == kNone;
  if (own_port) {
    const Result bound = BindAutomatically(control, socket, local_port);
    if (bound != Result::kOk) return bound;
  }
  const Result routed = Route(now, socket, control, probe);
  if (routed != Result::kOk) {
    // All stays as it was, but for the port.
    if (own_port && socket.status() != Status::kBound) socket.SetStatus(Status::kBound);
    return routed;
  }
  if (control.connected) Unconnect(block);
  const Endpoint local{control.path.source, bindings_.Local(control.binding).port, 0};
  const ip::Path& path = control.path;
  EnterFlow(block, local, probe.peer,
            path.interface == ip::kLoopbackInterface ? path.loop_interface : path.interface);
  entry.local.Store(local);
  entry.remote.Store(probe.peer);
  entry.interface.store(path.interface);
  // As on Linux, another peer does not undo a shutdown.
  if (socket.status() != Status::kShutdown) socket.SetStatus(Status::kConnected);
  return Result::kOk;
}

// Takes the connected socket out of the flow map, and lets another that is connected alike in.
void Stack::Unconnect(uint32_t block) {
  Control& control = At(block);
  control.connected = false;
  bindings_.SetAddress(control.binding, control.bound);
  bindings_.SetListening(control.binding, true);
  recent_ = {};
  if (!control.in_flows) return;
  control.in_flows = false;
  flows_.Erase(control.hash, block);
  bindings_.ForEachMatch({.local = control.key.local,
                          .port = control.key.local_port,
                          .interface = control.path.interface},
                         [&](uint32_t other) {
                           Control& heir = At(other);
                           if (!heir.connected || heir.key != control.key) return;
                           heir.in_flows = heir.in_flows || flows_.Insert(heir.hash, other);
                         });
}

Result Stack::Disconnect(Instant now, table::Socket socket) {
  const uint32_t block = BlockOf(socket);
  Control& control = At(block);
  table::Entry& entry = socket.entry();
  if (!control.connected) return Result::kOk;
  if (!Drain(now, block, config_.close_budget)) MarkPending(block);
  Unconnect(block);
  entry.remote.Store({});
  if (control.automatic_port) {
    LeavePort(control, socket);
    return Result::kOk;
  }
  entry.local.Store(bindings_.Local(control.binding));
  socket.SetStatus(Status::kBound);
  return Result::kOk;
}

Result Stack::Shutdown(Instant, table::Socket socket, uint32_t how) {
  if (how > 2) return Result::kInvalid;
  if (!ControlOf(socket).connected) return Result::kNotConnected;
  if (socket.status() == Status::kConnected) socket.SetStatus(Status::kShutdown);
  // Whoever waits finds what the application's flags say.
  socket.Notify(table::kEventIn | table::kEventOut | table::kEventRdHup);
  return Result::kOk;
}

void Stack::Close(Instant now, table::Socket socket) {
  EndOfInput();
  const uint32_t block = BlockOf(socket);
  Control& control = At(block);
  if (!Drain(now, block, config_.close_budget)) ++counters_.UdpCloseDrops;
  memberships_.Clear(now, control.memberships, socket.handle().bits());
  if (control.connected) Unconnect(block);
  if (control.binding != kNone) bindings_.Unbind(control.binding);
  recent_ = {};
  if (control.pending) std::erase(pending_, block);
  control = Control();
  control.next_free = free_;
  free_ = block;
  --open_;
  table_.Close(socket);
}

void Stack::OptionsChanged(table::Socket socket) {
  Control& control = ControlOf(socket);
  const table::Options& options = socket.entry().options;
  control.path.generation = 0;  // another device, another source
  if (control.binding == kNone) return;
  bindings_.SetFlags(control.binding, BindFlags(control, options));
  recent_ = {};
  control.shares_port = options.is_set(table::kReusePort);
  const uint16_t interface = options.bound_interface.load();
  if (interface != 0 || !control.bound.is_link_local()) {
    bindings_.SetInterface(control.binding, interface);
  }
}

uint16_t Stack::PathMtu(Instant now, table::Socket socket) {
  Control& control = ControlOf(socket);
  if (!control.connected) return 0;
  Sending probe;
  probe.peer = {control.key.remote, control.key.remote_port, control.key.scope};
  return Route(now, socket, control, probe) == Result::kOk ? control.path.mtu : 0;
}

uint16_t Stack::GroupInterface(uint16_t interface, const IpAddress& group) const {
  return interface != 0 ? interface : ip_.DefaultGroupInterface(group);
}

Result Stack::JoinGroup(Instant now, table::Socket socket, uint16_t interface,
                        const IpAddress& group) {
  if (!group.is_multicast()) return Result::kInvalid;
  interface = GroupInterface(interface, group);
  if (interface == 0) return Result::kNoDevice;
  const Result result = memberships_.Join(now, ControlOf(socket).memberships,
                                          socket.handle().bits(), interface, group);
  if (result == Result::kNoBuffers) ++counters_.UdpMembershipsFull;
  return result;
}

Result Stack::LeaveGroup(Instant now, table::Socket socket, uint16_t interface,
                         const IpAddress& group) {
  return memberships_.Leave(now, ControlOf(socket).memberships, socket.handle().bits(),
                            GroupInterface(interface, group), group);
}

Result Stack::SourceFilter(Instant now, table::Socket socket, uint16_t interface,
                           const IpAddress& group, const IpAddress& source,
                           table::SourceOperation operation) {
  if (!group.is_multicast() || group.is_v4() != source.is_v4()) return Result::kInvalid;
  interface = GroupInterface(interface, group);
  if (interface == 0) return Result::kNoDevice;
  const Result result =
      memberships_.Source(now, ControlOf(socket).memberships, socket.handle().bits(), interface,
                          group, source, operation);
  if (result == Result::kNoBuffers) ++counters_.UdpMembershipsFull;
  return result;
}

}  // namespace sluice::udp
