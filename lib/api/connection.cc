// How sockets begin, meet and part: socket, bind, listen, connect, accept, shutdown, names.
#include <netinet/in.h>

#include <algorithm>

#include "api/address.h"
#include "api/ask.h"
#include "api/errors.h"
#include "api/kernel.h"
#include "api/socket.h"
#include "api/socket_calls.h"
#include "api/socket_error.h"
#include "api/twins.h"
#include "api/wait.h"
#include "table/application_queues.h"

namespace sluice::api {
namespace {

using table::Operation;
using table::Result;
using table::Status;
using table::Type;

constexpr int kTypeFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;

// The protocol for a pair of type and protocol, or -1.
int ProtocolFor(int type, int protocol) {
  if (type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) return IPPROTO_TCP;
  if (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP)) return IPPROTO_UDP;
  return -1;
}

// A socket that was never bound or connected, whose address is the kernel's, becomes the kernel's.
bool ShouldMove(const OpenSocket& socket, const wire::Endpoint& endpoint, bool connecting) {
  return !state.kernel_prefixes.empty() && socket.entry->status.load() == Status::kUnconnected &&
         BelongsToKernel(endpoint.address, connecting);
}

// An IPv4 address, on a socket that wants IPv6 alone.
bool MissesFamily(const OpenSocket& socket, const wire::Endpoint& endpoint) {
  return socket.is_v6() && endpoint.address.is_v4() &&
         socket.entry->options.is_set(table::kIpv6Only);
}

int NameNewSocket(table::Handle handle, int fd, bool nonblocking) {
  StartSocket(handle, fd, nonblocking);
  Assign(fd, handle);
  return fd;
}

}  // namespace

bool ShouldUseKernel(int domain, int type, int protocol) {
  if (!IsInstalled() || (domain != AF_INET && domain != AF_INET6)) return true;
  return ProtocolFor(type & ~kTypeFlags, protocol) < 0;
}

int Socket(int domain, int type, int protocol) {
  if (!IsInstalled()) return Fail(ENOTSUP);
  if (domain != AF_INET && domain != AF_INET6) return Fail(EAFNOSUPPORT);
  const int kind = type & ~kTypeFlags;
  if (kind != SOCK_STREAM && kind != SOCK_DGRAM) return Fail(ESOCKTNOSUPPORT);
  const int number = ProtocolFor(kind, protocol);
  if (number < 0) return Fail(EPROTONOSUPPORT);
  const int fd = ReserveNumber((type & SOCK_CLOEXEC) != 0, 0);
  if (fd < 0) return -1;

  const uint32_t table_type =
      static_cast<uint32_t>(kind == SOCK_STREAM ? Type::kStream : Type::kDatagram);
  const uint8_t lane = static_cast<uint8_t>(
      state.lanes == 1 ? 0 : state.next_lane.fetch_add(1, std::memory_order_relaxed) % state.lanes);
  Answer answer;
  const Result result = Ask(lane,
                            {.operation = Operation::kOpen,
                             .argument = table_type | static_cast<uint32_t>(number) << 8 |
                                         static_cast<uint32_t>(domain) << 16},
                            &answer);
  const table::Handle handle = table::Handle::FromBits(answer.value);
  if (result != Result::kOk || !state.region.HasSlot(handle.index)) {
    ReleaseNumber(fd);
    return Fail(result == Result::kOk ? EPROTO : ErrnoOf(result));
  }
  return NameNewSocket(handle, fd, (type & SOCK_NONBLOCK) != 0);
}

int Bind(int fd, const sockaddr* address, socklen_t length) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  wire::Endpoint endpoint;
  if (int error = ParseAddress(address, length, socket.entry->family.load(), false, endpoint)) {
    return Fail(error);
  }
  if (ShouldMove(socket, endpoint, false)) {
    return MoveToKernel(socket) ? kernel::Bind(fd, address, length) : -1;
  }
  LockHolder holder(socket.entry->send_lock);
  if (!socket.IsOpen()) return Fail(EBADF);
  if (socket.entry->status.load() != Status::kUnconnected) return Fail(EINVAL);
  if (MissesFamily(socket, endpoint)) return Fail(EINVAL);
  const Result result = BindEverywhere(socket, endpoint);
  return result == Result::kOk ? 0 : Fail(ErrnoOf(result));
}

int Listen(int fd, int backlog) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  LockHolder holder(socket.entry->send_lock);
  if (!socket.IsOpen()) return Fail(EBADF);
  if (!socket.is_stream()) return Fail(EOPNOTSUPP);
  const Status status = socket.entry->status.load();
  if (status != Status::kUnconnected && status != Status::kBound && status != Status::kListening) {
    return Fail(EINVAL);
  }
  // As Linux: negative means as many as the system allows, which is net.core.somaxconn's default.
  constexpr int kMostWaiting = 4096;
  const uint32_t waiting =
      static_cast<uint32_t>(backlog < 0 ? kMostWaiting : std::min(backlog, kMostWaiting));
  socket.entry->backlog.store(waiting);
  const Result result = ListenEverywhere(socket, waiting);
  return result == Result::kOk ? 0 : Fail(ErrnoOf(result));
}

namespace {

// What a stream's connect finds before it starts. -1: go on and start; else 0 or an errno.
int ConnectState(const OpenSocket& socket) {
  SocketSide& side = *socket.side;
  switch (socket.entry->status.load()) {
    case Status::kConnecting:
      return EALREADY;
    case Status::kListening:
      return EISCONN;
    case Status::kConnected:
    case Status::kShutdown:
      if (!side.is_connecting) return EISCONN;
      side.is_connecting = false;  // the second connect tells that the first one has succeeded
      side.was_connected = true;
      return 0;
    case Status::kDisconnected: {
      if (!side.is_connecting) return side.was_connected ? EISCONN : -1;
      side.is_connecting = false;
      const int error = TakeError(socket);
      return error != 0 ? error : ECONNABORTED;
    }
    default:
      return -1;
  }
}

// What StepConnect answers beside: the socket must move to the engine `lane` first.
constexpr int kMustMove = -1;

// One step of connecting a stream: 0, an errno, EALREADY or EINPROGRESS while it is under way.
int StepConnect(const OpenSocket& socket, const wire::Endpoint& remote, uint8_t& lane) {
  LockHolder holder(socket.entry->send_lock);
  if (!socket.IsOpen()) return EBADF;
  const int found = ConnectState(socket);
  if (found >= 0) return found;
  {
    LockHolder watch(socket.side->watch.lock);
    socket.side->watch.seen_ready = 0;  // being connected will be news
  }
  socket.side->is_connecting = true;
  Answer answer;
  const Result result = Ask(socket, {.operation = Operation::kConnect, .remote = remote}, &answer);
  if (result == Result::kInProgress) {
    if (HasTwins(socket)) CloseTwins(socket);
    // As on Linux, where the answer is not looked at before the call returns, however near the
    // peer.
    if (socket.is_nonblocking()) return EINPROGRESS;
    return socket.entry->status.load() == Status::kConnecting ? EINPROGRESS : ConnectState(socket);
  }
  socket.side->is_connecting = false;
  socket.side->was_connected = result == Result::kOk;
  if (result == Result::kElsewhere && answer.value < state.lanes) {
    lane = static_cast<uint8_t>(answer.value);
    return kMustMove;
  }
  return ErrnoOf(result);
}

int ConnectStream(const OpenSocket& socket, const wire::Endpoint& remote, uint8_t& lane) {
  BlockingWait wait(socket, table::kEventOut, socket.entry->options.send_timeout_ns.load());
  for (;;) {
    const int error = StepConnect(socket, remote, lane);
    if (error != EINPROGRESS && error != EALREADY) return error;
    if (socket.is_nonblocking()) return error;
    if (int woken = wait.Sleep()) return woken == EAGAIN ? EINPROGRESS : woken;
  }
}

// The same for a socket that is bound: its port may make the flow another engine's.
int ConnectWhereItBelongs(int fd, OpenSocket& socket, const wire::Endpoint& remote) {
  for (uint32_t moves = 0; moves < state.lanes; ++moves) {
    uint8_t lane = 0;
    const int error = ConnectStream(socket, remote, lane);
    if (error != kMustMove) return error;
    const Result moved = MoveToEngine(socket, lane);
    if (moved != Result::kOk) return ErrnoOf(moved);
    if (!FindSocket(fd, socket)) return errno;
  }
  return EADDRNOTAVAIL;  // its own address changes all the time
}

int ConnectDatagram(const OpenSocket& socket, const wire::Endpoint& remote) {
  LockHolder holder(socket.entry->send_lock);
  if (!socket.IsOpen()) return EBADF;
  return ErrnoOf(ConnectEverywhere(socket, remote));
}

int Disconnect(const OpenSocket& socket) {
  table::Entry& entry = *socket.entry;
  LockHolder send(entry.send_lock);
  LockHolder receive(entry.receive_lock);
  if (!socket.IsOpen()) return EBADF;
  if (socket.side->lent != 0) return EBUSY;  // would be taken from under the borrower
  socket.side->is_connecting = socket.side->was_connected = false;
  const Result result = DisconnectEverywhere(socket);
  if (result == Result::kOk && socket.is_stream()) {
    // What nobody has read goes with the connection, and so does its shutdown.
    table::ReceiveReader(state.region, entry).Discard(UINT32_MAX);
    entry.application_flags.ClearBits(table::kShutdownReceive | table::kShutdownSend);
  }
  return ErrnoOf(result);
}

}  // namespace

int Connect(int fd, const sockaddr* address, socklen_t length) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (address == nullptr) return Fail(EFAULT);
  if (length < sizeof(address->sa_family)) return Fail(EINVAL);
  if (address->sa_family == AF_UNSPEC) {
    const int error = Disconnect(socket);
    return error == 0 ? 0 : Fail(error);
  }
  wire::Endpoint remote;
  // Datagrams may go to an IPv4 address from an IPv6 socket without saying so in mapped form.
  if (int error =
          ParseAddress(address, length, socket.entry->family.load(), !socket.is_stream(), remote)) {
    return Fail(error);
  }
  if (ShouldMove(socket, remote, true)) {
    return MoveToKernel(socket) ? kernel::Connect(fd, address, length) : -1;
  }
  remote.address = DestinationOf(remote.address);
  if (MissesFamily(socket, remote)) return Fail(ENETUNREACH);
  const int error = socket.is_stream() ? ConnectWhereItBelongs(fd, socket, remote)
                                       : ConnectDatagram(socket, remote);
  return error == 0 ? 0 : Fail(error);
}

namespace {

// The next connection of the queue that there still is: shutdown of a listener ends those that
// nobody has accepted, and leaves them in the queue.
table::Handle NextConnection(table::Entry& listener) {
  for (uint32_t left = table::ConnectionQueueLength(listener); left > 0; --left) {
    const table::Handle next = table::ReadConnection(state.region, listener);
    if (next.is_none() || !state.region.HasSlot(next.index)) break;
    if (state.region.entry(next.index).generation.Acquire() == next.generation) return next;
  }
  return {};
}

bool HasConnections(const OpenSocket& listener) {
  uint32_t waiting = table::ConnectionQueueLength(*listener.entry);
  if (HasTwins(listener)) {
    ForEachTwin(listener, [&waiting](const OpenSocket& twin) {
      waiting += table::ConnectionQueueLength(*twin.entry);
    });
  }
  return waiting != 0;
}

// From a listener's own queue: 0, EAGAIN or another errno.
int TakeConnection(const OpenSocket& listener, table::Handle& connection) {
  LockHolder holder(listener.entry->receive_lock);
  if (!listener.IsOpen()) return EBADF;
  if (listener.entry->status.load() != Status::kListening) {
    return listener.is_stream() ? EINVAL : EOPNOTSUPP;
  }
  connection = NextConnection(*listener.entry);
  return connection.is_none() ? EAGAIN : 0;
}

// The same from its twins' queues as well, in turn.
int TakeConnectionInTurn(const OpenSocket& listener, table::Handle& connection) {
  if (!HasTwins(listener)) return TakeConnection(listener, connection);
  int error = EAGAIN;
  VisitInTurn(listener, false, [&](const OpenSocket& member) {
    error = TakeConnection(member, connection);
    return error != EAGAIN;
  });
  return error;
}

// Takes a connection from the queue. Returns its descriptor, or -1 and EAGAIN or another errno.
int TryAccept(const OpenSocket& listener, int flags, table::Handle& connection) {
  if (!HasConnections(listener)) {
    if (!listener.IsOpen()) return Fail(EBADF);
    if (!listener.is_stream()) return Fail(EOPNOTSUPP);
    if (listener.entry->status.load() != Status::kListening) return Fail(EINVAL);
    return Fail(EAGAIN);
  }
  // The number first: a connection must not be lost for want of one.
  const int fd = ReserveNumber((flags & SOCK_CLOEXEC) != 0, 0);
  if (fd < 0) return -1;
  if (const int error = TakeConnectionInTurn(listener, connection)) {
    ReleaseNumber(fd);
    return Fail(error);
  }
  NameNewSocket(connection, fd, (flags & SOCK_NONBLOCK) != 0);
  state.sides[connection.index].was_connected = true;
  return fd;
}

}  // namespace

int Accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  if ((flags & ~kTypeFlags) != 0) return Fail(EINVAL);
  if (address != nullptr && length == nullptr) return Fail(EFAULT);
  OpenSocket listener;
  if (!FindSocket(fd, listener)) return -1;
  BlockingWait wait(listener, table::kEventIn, listener.entry->options.receive_timeout_ns.load());
  for (bool turned = false;;) {
    table::Handle connection;
    const int accepted = TryAccept(listener, flags, connection);
    if (accepted >= 0) {
      table::Entry& entry = state.region.entry(connection.index);
      StoreAddress(entry.remote.Load(), entry.family.load(), address, length);
      return accepted;
    }
    if (errno != EAGAIN) return -1;
    if (!listener.is_nonblocking()) {
      if (int error = wait.Sleep()) return Fail(error);
    } else {
      if (turned) return Fail(EAGAIN);
      TurnSometimes();
      turned = true;
    }
  }
}

int Accept(int fd, sockaddr* address, socklen_t* length) { return Accept4(fd, address, length, 0); }

int Shutdown(int fd, int how) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return Fail(EINVAL);
  int error = 0;
  {
    LockHolder holder(socket.entry->send_lock);
    if (!socket.IsOpen()) return Fail(EBADF);
    const Status status = socket.entry->status.load();
    const bool connected = status == Status::kConnected || status == Status::kShutdown ||
                           status == Status::kConnecting;
    if (!connected && status != Status::kListening) {
      if (socket.is_stream()) return Fail(ENOTCONN);
      error = ENOTCONN;  // Linux tells it, and wakes who waits for a datagram nevertheless
    }
    uint32_t flags = 0;
    if (how != SHUT_WR) flags |= table::kShutdownReceive;
    if (how != SHUT_RD) flags |= table::kShutdownSend;
    // A listener that is shut down is bound again, and may listen again: nothing stays of it.
    if (status != Status::kListening) socket.entry->application_flags.SetBits(flags);
    if (error == 0) {
      error = ErrnoOf(AskAll(
          socket, {.operation = Operation::kShutdown, .argument = static_cast<uint32_t>(how)}));
    }
  }
  FireSocket(socket.handle.index, ~0u);
  return error == 0 ? 0 : Fail(error);
}

int GetSockName(int fd, sockaddr* address, socklen_t* length) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (address == nullptr || length == nullptr) return Fail(EFAULT);
  if (static_cast<int>(*length) < 0) return Fail(EINVAL);
  socket.entry->status.Acquire();  // pairs with the engine's SetStatus: the endpoint is whole
  StoreAddress(socket.entry->local.Load(), socket.entry->family.load(), address, length);
  return 0;
}

int GetPeerName(int fd, sockaddr* address, socklen_t* length) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (address == nullptr || length == nullptr) return Fail(EFAULT);
  if (static_cast<int>(*length) < 0) return Fail(EINVAL);
  const Status status = socket.entry->status.Acquire();  // as in GetSockName
  if (status != Status::kConnected && status != Status::kShutdown) return Fail(ENOTCONN);
  StoreAddress(socket.entry->remote.Load(), socket.entry->family.load(), address, length);
  return 0;
}

}  // namespace sluice::api
