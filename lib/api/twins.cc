#include "api/twins.h"

#include <sys/socket.h>

#include "api/address.h"
#include "api/lock.h"
#include "api/socket.h"
#include "table/options.h"

namespace sluice::api {
namespace {

using table::Command;
using table::Operation;
using table::Result;
using table::Status;

// Ports that are tried where the program leaves the choice.
constexpr int kPortAttempts = 64;

Result AskTwins(const OpenSocket& socket, const Command& command) {
  Result result = Result::kOk;
  ForEachTwin(socket, [&](const OpenSocket& twin) {
    if (result == Result::kOk) result = Ask(twin, command);
  });
  return result;
}

Result OpenTwin(const OpenSocket& socket, uint8_t lane, OpenSocket& twin) {
  const table::Entry& entry = *socket.entry;
  Answer answer;
  const Result result =
      Ask(lane,
          {.operation = Operation::kOpen,
           .argument = static_cast<uint32_t>(entry.type.load()) |
                       uint32_t{entry.protocol.load()} << 8 | uint32_t{entry.family.load()} << 16},
          &answer);
  if (result != Result::kOk) return result;
  const table::Handle handle = table::Handle::FromBits(answer.value);
  if (!state.region.HasSlot(handle.index)) return Result::kProtocol;
  twin = SocketNamed(handle);
  StartSocket(handle, -1, false);
  table::CopyOptions(entry.options, twin.entry->options);
  return Result::kOk;
}

// From now on the twin is looked at with the socket, and tells it what it tells.
void Link(const OpenSocket& socket, const OpenSocket& twin) {
  WatchList& list = socket.side->watch;
  LockHolder holder(list.lock);
  twin.entry->event_mask.store(list.Mask());
  twin.side->next_twin.store(socket.side->next_twin.load());
  twin.side->twin_of.Release(socket.handle.bits());
  socket.side->next_twin.Release(twin.handle.index + 1);
}

void CloseTwin(const OpenSocket& twin) {
  {
    LockHolder send(twin.entry->send_lock);
    LockHolder receive(twin.entry->receive_lock);
    twin.entry->application_flags.SetBits(table::kClosed);
  }
  twin.side->twin_of.store(0);
  twin.entry->event_mask.store(0);
  Tell(twin.entry->engine.load(), {.operation = Operation::kClose, .handle = twin.handle});
}

bool HasPort(const OpenSocket& socket) { return socket.entry->local.Load().port != 0; }

// The port of a datagram socket that is connected, or failed to, is its twins' as well.
Result SharePort(const OpenSocket& socket, const wire::Endpoint& remote, bool connected) {
  return AskTwins(socket, {.operation = connected ? Operation::kConnect : Operation::kBind,
                           .local = socket.entry->local.Load(),
                           .remote = remote});
}

Result BindAll(const OpenSocket& socket, Command command) {
  if (state.lanes == 1) return Ask(socket, command);
  // All engines know all ports that programs ask for: one bind after the other, they agree.
  LockHolder holder(state.ports_lock);
  Result result = MakeTwins(socket);
  if (result != Result::kOk) return result;
  for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
    result = Ask(socket, command);
    if (result != Result::kOk) return result;
    Command same = command;
    same.local.port = socket.entry->local.Load().port;
    result = AskTwins(socket, same);
    if (result == Result::kOk) return result;
    // A port may be in use by an engine's connections alone.
    Ask(socket, {.operation = Operation::kUnbind});
    ForEachTwin(socket,
                [](const OpenSocket& twin) { Ask(twin, {.operation = Operation::kUnbind}); });
    if (command.local.port != 0 || result != Result::kAddressInUse) return result;
  }
  return result;
}

// Of a socket that was connected in the meantime, without them.
Result BindTwinsAgain(const OpenSocket& socket) {
  if (HasTwins(socket)) return Result::kOk;
  LockHolder holder(state.ports_lock);
  Result result = MakeTwins(socket);
  if (result != Result::kOk) return result;
  result = AskTwins(socket, {.operation = Operation::kBind, .local = socket.entry->local.Load()});
  if (result != Result::kOk) CloseTwins(socket);
  return result;
}

}  // namespace

uint32_t ReadinessOfTwins(const OpenSocket& socket) {
  uint32_t ready = 0;
  ForEachTwin(socket, [&ready](const OpenSocket& twin) { ready |= table::Readiness(*twin.entry); });
  return ready & (table::kEventIn | table::kEventErr);
}

Arrivals ArrivalsAtTwins(const OpenSocket& socket) {
  Arrivals sum;
  ForEachTwin(socket, [&sum](const OpenSocket& twin) {
    sum.received += twin.entry->receive_producer.tail.load();
    sum.connections += twin.entry->connection_producer.tail.load();
  });
  return sum;
}

void SetEventMaskOfTwins(const OpenSocket& socket, uint32_t mask) {
  ForEachTwin(socket, [mask](const OpenSocket& twin) { twin.entry->event_mask.store(mask); });
}

bool TwinsHaveError(const OpenSocket& socket) {
  bool has = false;
  ForEachTwin(socket,
              [&has](const OpenSocket& twin) { has = has || twin.entry->error.load() != 0; });
  return has;
}

uint32_t TakeErrorOfTwins(const OpenSocket& socket) {
  uint32_t error = 0;
  ForEachTwin(socket, [&error](const OpenSocket& twin) {
    if (error == 0) error = twin.entry->error.Exchange(0);
  });
  return error;
}

Result AskAll(const OpenSocket& socket, Command command) {
  const Result result = Ask(socket, command);
  return result == Result::kOk && HasTwins(socket) ? AskTwins(socket, command) : result;
}

Result MakeTwins(const OpenSocket& socket) {
  if (HasTwins(socket)) return Result::kOk;
  for (uint32_t lane = 0; lane < state.lanes; ++lane) {
    if (lane == socket.entry->engine.load()) continue;
    OpenSocket twin;
    const Result result = OpenTwin(socket, static_cast<uint8_t>(lane), twin);
    if (result != Result::kOk) {
      CloseTwins(socket);
      return result;
    }
    Link(socket, twin);
  }
  return Result::kOk;
}

Result BindEverywhere(const OpenSocket& socket, const wire::Endpoint& local) {
  return BindAll(socket, {.operation = Operation::kBind, .local = local});
}

Result TakePortEverywhere(const OpenSocket& socket) {
  wire::Endpoint local = AnyEndpoint(socket.entry->family.load());
  if (socket.entry->status.load() == Status::kBound) local = socket.entry->local.Load();
  return BindAll(socket, {.operation = Operation::kBind, .argument = 1, .local = local});
}

Result ListenEverywhere(const OpenSocket& socket, uint32_t backlog) {
  const bool again = socket.entry->status.load() == Status::kListening;
  if (state.lanes > 1 && !again) {
    const Result bound = HasPort(socket) ? BindTwinsAgain(socket) : TakePortEverywhere(socket);
    if (bound != Result::kOk) return bound;
  }
  const Result result = AskAll(socket, {.operation = Operation::kListen, .argument = backlog});
  if (result != Result::kOk && !again) {
    AskAll(socket, {.operation = Operation::kShutdown, .argument = SHUT_RDWR});
  }
  return result;
}

Result ConnectEverywhere(const OpenSocket& socket, const wire::Endpoint& remote) {
  const Command command = {.operation = Operation::kConnect, .remote = remote};
  if (state.lanes == 1) return Ask(socket, command);
  LockHolder holder(state.ports_lock);
  Result result = MakeTwins(socket);
  if (result != Result::kOk) return result;
  for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
    const bool had_port = HasPort(socket);
    result = Ask(socket, command);
    if (result != Result::kOk) {
      // As with one engine, all stays as it was, but for the port.
      if (!had_port && HasPort(socket)) SharePort(socket, remote, false);
      return result;
    }
    result = SharePort(socket, remote, true);
    if (result != Result::kAddressInUse || had_port) return result;
    DisconnectEverywhere(socket);
  }
  return result;
}

Result DisconnectEverywhere(const OpenSocket& socket) {
  const Result result = Ask(socket, {.operation = Operation::kDisconnect});
  const bool is_bound = socket.entry->status.load() == Status::kBound;
  const wire::Endpoint local = socket.entry->local.Load();
  ForEachTwin(socket, [&](const OpenSocket& twin) {
    Ask(twin, {.operation = Operation::kDisconnect});
    if (local.port != 0) return;
    Ask(twin, {.operation = Operation::kUnbind});
    if (is_bound) Ask(twin, {.operation = Operation::kBind, .local = local});
  });
  return result;
}

void ShareOptions(const OpenSocket& socket) {
  ForEachTwin(socket, [&socket](const OpenSocket& twin) {
    table::CopyOptions(socket.entry->options, twin.entry->options);
    Tell(twin.entry->engine.load(), {.operation = Operation::kOptions, .handle = twin.handle});
  });
}

void CloseTwins(const OpenSocket& socket) {
  uint32_t next = socket.side->next_twin.Exchange(0);
  while (next != 0) {
    const uint32_t index = next - 1;
    const OpenSocket twin = SocketNamed({index, state.region.entry(index).generation.Acquire()});
    next = twin.side->next_twin.Exchange(0);
    // One that has taken the socket's place is a socket of its own.
    if (twin.side->twin_of.load() == socket.handle.bits()) CloseTwin(twin);
  }
}

Result MoveToEngine(const OpenSocket& socket, uint8_t lane) {
  OpenSocket heir;
  {
    LockHolder holder(socket.entry->send_lock);
    if (!socket.IsOpen()) return Result::kBadHandle;
    if (socket.entry->status.load() != Status::kBound) return Result::kInvalid;
    ForEachTwin(socket, [&](const OpenSocket& twin) {
      if (twin.entry->engine.load() == lane) heir = twin;
    });
    if (heir.entry == nullptr) {  // it was connected before, and its twins had gone
      Result result = OpenTwin(socket, lane, heir);
      if (result != Result::kOk) return result;
      result = Ask(heir, {.operation = Operation::kBind, .local = socket.entry->local.Load()});
      if (result != Result::kOk) {
        CloseTwin(heir);
        return result;
      }
    }
    heir.side->twin_of.store(0);
    if (socket.is_nonblocking()) heir.entry->application_flags.SetBits(table::kNonBlocking);
    heir.entry->descriptor.store(socket.entry->descriptor.load());
  }
  Rename(socket.handle, heir.handle);
  DropReference(heir.handle);  // the one that it began with: each number has its own
  return Result::kOk;
}

}  // namespace sluice::api
