// What applications ask for beside moving data (RFC 9293 section 3.10.1 to 3.10.6).
#include <algorithm>

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/handshake.h"
#include "tcp/information.h"
#include "tcp/listener.h"
#include "tcp/stack.h"
#include "tcp/timers.h"

namespace sluice::tcp {
namespace {

using table::Result;

constexpr uint8_t kFamilyV6 = 10;  // AF_INET6

uint8_t BindFlags(const table::Entry& entry) {
  const uint64_t flags = entry.options.flags.load();
  uint8_t bind = 0;
  if ((flags & table::kReuseAddress) != 0) bind |= ip::kBindReuseAddress;
  if ((flags & table::kReusePort) != 0) bind |= ip::kBindReusePort;
  if ((flags & table::kIpv6Only) != 0) bind |= ip::kBindIpv6Only;
  return bind;
}

Result CheckAddress(const Core& core, const table::Entry& entry, const wire::IpAddress& address) {
  const bool v6_socket = entry.family.load() == kFamilyV6;
  if (!v6_socket && !address.is_v4()) return Result::kAddressFamily;
  if (v6_socket && address.is_v4() && entry.options.is_set(table::kIpv6Only)) {
    return Result::kInvalid;
  }
  if (!address.is_unspecified() && !core.ip.IsLocalAddress(address) &&
      !entry.options.is_set(table::kFreeBind)) {
    return Result::kAddressNotAvailable;
  }
  return Result::kOk;
}

// bind() and listen() without one.
Result BindSocket(Core& core, table::Socket socket, const wire::Endpoint& local) {
  table::Entry& entry = socket.entry();
  const wire::IpAddress& address = local.address;
  if (Result r = CheckAddress(core, entry, address); r != Result::kOk) return r;
  const uint16_t device = entry.options.bound_interface.load();
  ip::BindRequest request;
  request.address = address;
  request.port = local.port;
  request.interface = device != 0 ? device : local.scope;
  request.flags = BindFlags(entry);
  request.ipv6 = entry.family.load() == kFamilyV6;
  request.owner = socket.index();
  uint32_t binding;
  switch (core.bindings.Bind(request, &binding)) {
    case ip::BindResult::kInUse:
      return Result::kAddressInUse;
    case ip::BindResult::kFull:
      return Result::kNoBuffers;
    case ip::BindResult::kOk:
      break;
  }
  SetBlock(socket, BlockKind::kBinding, binding);
  wire::Endpoint bound = local;
  bound.port = core.bindings.Local(binding).port;
  entry.local.Store(bound);
  if (local.port == 0) entry.engine_flags.SetBits(table::kAutobound);
  if (socket.status() != table::Status::kBound) socket.SetStatus(table::Status::kBound);
  return Result::kOk;
}

// shutdown() of a listener ends the listening; the port stays.
void ShutdownListener(Core& core, table::Socket socket) {
  const uint32_t binding = StopListening(core, socket);
  SetBlock(socket, BlockKind::kBinding, binding);
  socket.SetStatus(table::Status::kBound);
  socket.Notify(table::kEventIn | table::kEventHup);
}

// What a socket is after connect() with AF_UNSPEC: as new, but for a port that was bound.
void Renew(Core& core, table::Socket socket) {
  table::Entry& entry = socket.entry();
  table::SendQueue unsent = socket.send_queue();
  unsent.Release(unsent.bytes());
  entry.engine_flags.ClearBits(table::kEndOfStream | table::kSendClosed);
  entry.remote.Store({});
  const bool bound = KindOf(socket) == BlockKind::kBinding;
  if (!bound) entry.engine_flags.ClearBits(table::kAutobound);
  entry.local.Store(bound ? core.bindings.Local(BlockOf(socket)) : wire::Endpoint());
  entry.interface.store(0);
  const table::Status status = bound ? table::Status::kBound : table::Status::kUnconnected;
  if (socket.status() != status) socket.SetStatus(status);
}

}  // namespace

Result Stack::Bind(Instant now, table::Socket socket, const wire::Endpoint& local, bool at_once) {
  core_->SetNow(now);
  if (KindOf(socket) != BlockKind::kNothing) return Result::kInvalid;
  if (socket.status() == table::Status::kDisconnected) return Result::kInvalid;
  table::Entry& entry = socket.entry();
  if (local.port == 0 && !at_once && entry.options.is_set(table::kBindAddressNoPort)) {
    if (Result r = CheckAddress(*core_, entry, local.address); r != Result::kOk) return r;
    entry.local.Store(local);
    if (socket.status() != table::Status::kBound) socket.SetStatus(table::Status::kBound);
    return Result::kOk;
  }
  return BindSocket(*core_, socket, local);
}

Result Stack::Listen(Instant now, table::Socket socket, uint32_t backlog) {
  core_->SetNow(now);
  if (KindOf(socket) == BlockKind::kConnection) return Result::kInvalid;
  if (KindOf(socket) == BlockKind::kNothing) {
    const bool v6 = socket.entry().family.load() == kFamilyV6;
    wire::Endpoint local{v6 ? wire::IpAddress::AnyV6() : wire::IpAddress::AnyV4(), 0, 0};
    if (HasAddressOnly(socket)) local = {socket.entry().local.Load().address, 0, 0};
    if (Result r = BindSocket(*core_, socket, local); r != Result::kOk) return r;
  }
  return StartListening(*core_, socket, backlog);
}

Result Stack::Unbind(Instant now, table::Socket socket) {
  core_->SetNow(now);
  if (KindOf(socket) != BlockKind::kBinding) return Result::kInvalid;
  core_->bindings.Unbind(BlockOf(socket));
  SetBlock(socket, BlockKind::kNothing);
  socket.entry().engine_flags.ClearBits(table::kAutobound);
  socket.entry().local.Store({});
  socket.SetStatus(table::Status::kUnconnected);
  return Result::kOk;
}

Result Stack::Connect(Instant now, table::Socket socket, const wire::Endpoint& remote,
                      uint8_t* owner) {
  core_->SetNow(now);
  uint8_t nobody_asks;
  return StartConnect(*core_, socket, remote, owner != nullptr ? owner : &nobody_asks);
}

Result Stack::Disconnect(Instant now, table::Socket socket) {
  Core& core = *core_;
  core.SetNow(now);
  switch (KindOf(socket)) {
    case BlockKind::kConnection:
      AbortConnection(core, core.connections[BlockOf(socket)], Result::kReset);
      break;
    case BlockKind::kListener:
      ShutdownListener(core, socket);
      break;
    case BlockKind::kBinding:
      break;
    case BlockKind::kNothing:
      if (HasAddressOnly(socket)) return Result::kOk;
      break;
  }
  Renew(core, socket);
  return Result::kOk;
}

Result Stack::Shutdown(Instant now, table::Socket socket, uint32_t how) {
  Core& core = *core_;
  core.SetNow(now);
  if (how > 2) return Result::kInvalid;
  switch (KindOf(socket)) {
    case BlockKind::kListener:
      if (how != 1) ShutdownListener(core, socket);
      return Result::kOk;
    case BlockKind::kBinding:
    case BlockKind::kNothing:
      return Result::kNotConnected;
    case BlockKind::kConnection:
      break;
  }
  Connection& c = core.connections[BlockOf(socket)];
  if (c.state == State::kSynSent) {
    if (how == 0) return Result::kNotConnected;
    EndConnection(core, c, Result::kOk);
    return Result::kNotConnected;
  }
  if (how != 0) {
    ShutdownSend(core, c);
  }
  // Receiving: what still comes is acknowledged, and nobody reads it. Readers wake up.
  if (how != 1) socket.Notify(table::kEventIn | table::kEventRdHup);
  return Result::kOk;
}

void Stack::Close(Instant now, table::Socket socket) {
  Core& core = *core_;
  core.SetNow(now);
  switch (KindOf(socket)) {
    case BlockKind::kConnection:
      return CloseConnection(core, core.connections[BlockOf(socket)]);
    case BlockKind::kListener:
      core.bindings.Unbind(StopListening(core, socket));
      break;
    case BlockKind::kBinding:
      core.bindings.Unbind(BlockOf(socket));
      break;
    case BlockKind::kNothing:
      break;
  }
  core.table.Close(socket);
}

void Stack::OptionsChanged(Instant now, table::Socket socket) {
  Core& core = *core_;
  core.SetNow(now);
  switch (KindOf(socket)) {
    case BlockKind::kConnection: {
      Connection& c = core.connections[BlockOf(socket)];
      TakeOptions(core, c);
      UpdateMss(core, c);
      ArmKeepAlive(core, c);
      c.set(kWindowUpdate);
      core.Touch(c);
      return;
    }
    case BlockKind::kListener:
      core.bindings.SetFlags(core.listeners[BlockOf(socket)].binding, BindFlags(socket.entry()));
      return;
    case BlockKind::kBinding:
      core.bindings.SetFlags(BlockOf(socket), BindFlags(socket.entry()));
      return;
    case BlockKind::kNothing:
      return;
  }
}

bool Stack::Information(Instant now, table::Socket socket,
                        table::TcpInformation* information) const {
  core_->SetNow(now);
  *information = {};
  switch (KindOf(socket)) {
    case BlockKind::kConnection:
      Describe(*core_, core_->connections[BlockOf(socket)], information);
      return true;
    case BlockKind::kListener:
      information->state = kLinuxListen;
      information->unacked_segments = socket.connection_queue().length();
      information->sacked_segments = core_->listeners[BlockOf(socket)].backlog;
      return true;
    case BlockKind::kBinding:
    case BlockKind::kNothing:
      break;
  }
  information->state = kLinuxClose;
  return socket.status() == table::Status::kDisconnected;
}

uint16_t Stack::PathMtu(table::Socket socket) const {
  if (KindOf(socket) != BlockKind::kConnection) return 0;
  return core_->connections[BlockOf(socket)].path.mtu;
}

}  // namespace sluice::tcp
