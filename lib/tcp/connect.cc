// The active open (RFC 9293 section 3.10.1).
#include <algorithm>

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/handshake.h"
#include "tcp/isn.h"
#include "tcp/rtt.h"
#include "tcp/window.h"
#include "wire/flow_hash.h"

namespace sluice::tcp {
namespace {

using table::Result;
using wire::IpAddress;

constexpr uint8_t kFamilyV6 = 10;  // AF_INET6

Result ResultOf(ip::PathStatus status) {
  switch (status) {
    case ip::PathStatus::kOk:
      return Result::kOk;
    case ip::PathStatus::kNoRoute:
      return Result::kNetworkUnreachable;
    case ip::PathStatus::kNoAddress:
      return Result::kAddressNotAvailable;
    case ip::PathStatus::kNoInterface:
      return Result::kInvalid;
  }
  return Result::kInvalid;
}

// Where the program wants to go, as it is meant.
Result CheckDestination(const table::Entry& entry, wire::Endpoint* remote) {
  const bool v6_socket = entry.family.load() == kFamilyV6;
  if (!v6_socket && !remote->address.is_v4()) return Result::kAddressFamily;
  if (v6_socket && remote->address.is_v4() && entry.options.is_set(table::kIpv6Only)) {
    return Result::kNetworkUnreachable;
  }
  if (remote->address.is_unspecified()) {
    // As everywhere: this host.
    remote->address = remote->address.is_v4()
                          ? IpAddress::V4(127, 0, 0, 1)
                          : IpAddress::V6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  }
  if (remote->address.is_multicast() || remote->address.is_limited_broadcast()) {
    return Result::kNetworkUnreachable;
  }
  return Result::kOk;
}

ip::FlowKey KeyFor(const ip::Path& path, uint16_t port, const wire::Endpoint& remote) {
  ip::FlowKey key;
  key.local = path.source;
  key.remote = path.destination;
  key.local_port = port;
  key.remote_port = remote.port;
  if (path.destination.is_v6() && path.destination.is_link_local()) {
    key.scope = path.interface == ip::kLoopbackInterface ? path.loop_interface : path.interface;
  }
  return key;
}

// Whether the four-tuple is free, or held by a TIME-WAIT that may be replaced.
bool TupleIsFree(const Core& core, const ip::FlowKey& key) {
  const FlowNumber number = core.FindFlow(key);
  if (number.is_none()) return true;
  Sequence isn_above;
  return number.kind() == FlowKind::kTimeWait &&
         MayReplace(core, core.time_waits[number.index()], &isn_above);
}

// The port and binding of the connection to be.
struct Local {
  uint16_t port = 0;
  uint32_t binding = kNone;
  bool kept = false;  // bound by the program
};

// The engine that the flow's segments come to.
uint8_t OwnerOf(const Core& core, const ip::Path& path, uint16_t port,
                const wire::Endpoint& remote) {
  if (core.config.owners == nullptr) return core.config.engine;
  return core.config.owners->Of(path.source, port, path.destination, remote.port);
}

// kElsewhere: `owner` is another engine.
Result ChooseLocal(Core& core, table::Socket socket, const ip::Path& path,
                   const wire::Endpoint& remote, Local* local, uint8_t* owner) {
  if (KindOf(socket) == BlockKind::kBinding) {
    local->binding = BlockOf(socket);
    local->port = core.bindings.Local(local->binding).port;
    local->kept = true;
    *owner = OwnerOf(core, path, local->port, remote);
    if (*owner != core.config.engine) return Result::kElsewhere;
    return TupleIsFree(core, KeyFor(path, local->port, remote)) ? Result::kOk
                                                                : Result::kAddressNotAvailable;
  }
  const uint16_t port = core.bindings.ChoosePort(path.source, remote, [&](uint16_t candidate) {
    return OwnerOf(core, path, candidate, remote) == core.config.engine &&
           TupleIsFree(core, KeyFor(path, candidate, remote));
  });
  if (port == 0) return Result::kAddressNotAvailable;
  ip::BindRequest request;
  request.address = path.source;
  request.port = port;
  request.flags = ip::kBindAutomatic;
  request.ipv6 = socket.entry().family.load() == kFamilyV6;
  request.owner = socket.index();
  if (core.bindings.Bind(request, &local->binding) != ip::BindResult::kOk) {
    return Result::kNoBuffers;
  }
  local->port = port;
  socket.entry().engine_flags.SetBits(table::kAutobound);
  return Result::kOk;
}

// Fills in a new control block in SYN-SENT.
void Begin(Core& core, Connection& c, table::Socket socket, const ip::FlowKey& key) {
  const table::Options& options = socket.entry().options;
  c.socket = socket.index();
  c.local_port = key.local_port;
  c.remote_port = key.remote_port;
  c.scope = key.scope;
  c.state = State::kSynSent;
  c.set(kActive);
  if (core.config.window_scaling) c.set(kWindowScaling);
  if (core.config.timestamps) c.set(kTimestamps);
  if (core.config.sack) c.set(kSack);
  c.rcv_scale = core.config.window_scaling ? ScaleToOffer(core, options) : 0;
  c.advertised_mss = MssToAdvertise(c.path, options);
  c.peer_mss = DefaultMss(c.path);
  c.ts_offset = TimestampOffset(core.key, key);
  c.iss = InitialSequence(core.key, key, core.now);
  c.progress_ms = core.clock_ms();
  TakeOptions(core, c);
  UpdateMss(core, c);
}

// As bound, or unspecified.
IpAddress SourceFor(const Core& core, table::Socket socket, const IpAddress& remote) {
  IpAddress bound;
  if (KindOf(socket) == BlockKind::kBinding) {
    bound = core.bindings.Local(BlockOf(socket)).address;
  } else if (HasAddressOnly(socket)) {
    bound = socket.entry().local.Load().address;
  }
  if (!bound.is_unspecified()) return bound;
  return remote.is_v4() ? IpAddress::AnyV4() : IpAddress::AnyV6();
}

}  // namespace

Result StartConnect(Core& core, table::Socket socket, const wire::Endpoint& to, uint8_t* owner) {
  switch (KindOf(socket)) {
    case BlockKind::kConnection:
      return core.connections[BlockOf(socket)].synchronized() ? Result::kIsConnected
                                                              : Result::kAlready;
    case BlockKind::kListener:
      return Result::kIsConnected;
    case BlockKind::kBinding:
    case BlockKind::kNothing:
      break;
  }
  table::Entry& entry = socket.entry();
  wire::Endpoint remote = to;
  if (Result r = CheckDestination(entry, &remote); r != Result::kOk) return r;
  const IpAddress source = SourceFor(core, socket, remote.address);
  const uint16_t device = entry.options.bound_interface.load();
  ip::Path path;
  const ip::PathStatus status = core.ip.FindPath(core.now, remote.address, source,
                                                 device != 0 ? device : remote.scope, &path);
  if (status != ip::PathStatus::kOk) return ResultOf(status);
  if (path.destination_kind != ip::DestinationKind::kUnicast) return Result::kNetworkUnreachable;
  if (core.connections.full()) {
    ++core.counters.ConnectionsFull;
    return Result::kNoBuffers;
  }
  Local local;
  const Result chosen = ChooseLocal(core, socket, path, remote, &local, owner);
  if (chosen != Result::kOk) return chosen;

  const ip::FlowKey key = KeyFor(path, local.port, remote);
  Sequence isn_above;
  const FlowNumber old = core.FindFlow(key);
  if (!old.is_none()) {
    MayReplace(core, core.time_waits[old.index()], &isn_above);
    RemoveTimeWait(core, old.index());
    ++core.counters.TcpExtTWRecycled;
  }
  const uint32_t index = core.connections.Take();
  Connection& c = core.connections[index];
  c.index = index;
  c.path = path;
  c.binding = local.binding;
  c.set(kOwnsBinding | (local.kept ? uint32_t{kKeepBinding} : 0));
  Begin(core, c, socket, key);
  if (!old.is_none()) c.iss = Max(c.iss, isn_above);
  c.snd_una = c.iss;
  c.snd_nxt = c.iss + 1;
  if (!core.AddFlow(FlowNumber(FlowKind::kConnection, index))) {
    if (!local.kept) ReleaseBinding(core, local.binding, true);
    core.connections.Return(index);
    return Result::kNoBuffers;
  }
  SetBlock(socket, BlockKind::kConnection, index);
  entry.engine_flags.ClearBits(table::kEndOfStream | table::kSendClosed);
  entry.error.store(0);
  entry.local.Store(c.local());
  entry.remote.Store(c.remote());
  entry.interface.store(path.interface);
  socket.SetStatus(table::Status::kConnecting);
  ++core.counters.TcpActiveOpens;
  c.set(kTimingRtt);
  c.rtt_started = core.now;
  ResendSyn(core, c);
  c.deadlines[kRetransmit] = core.now + RetransmissionTimeout(core, c);
  core.Touch(c);
  return Result::kInProgress;
}

}  // namespace sluice::tcp
