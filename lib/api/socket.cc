#include "api/socket.h"

#include <algorithm>

#include "api/ask.h"
#include "api/callback.h"
#include "api/epoll_set.h"
#include "api/kernel.h"
#include "api/twins.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

using table::Entry;
using table::Handle;

// SO_LINGER with a time: close waits until what was sent is acknowledged, or the time has passed.
void Linger(const OpenSocket& socket) {
  Entry& entry = *socket.entry;
  const int64_t seconds = entry.options.linger_s.load();
  if (!entry.options.is_set(table::kLinger) || seconds == 0 || !socket.is_stream() ||
      table::SendQueueBytes(entry) == 0) {
    return;
  }
  Ask(socket, {.operation = table::Operation::kShutdown, .argument = SHUT_WR});
  const Instant deadline = state.home->Now() + Seconds(seconds);
  Waiter waiter;
  while (table::SendQueueBytes(entry) != 0 && entry.status.load() != table::Status::kDisconnected) {
    const Instant now = state.home->Now();
    if (now >= deadline) return;
    WaitRequest request{.notices_seen = NoticesSeen(),
                        .deadline = std::min(deadline, now + Milliseconds(5))};
    DispatchEvents();
    state.home->Wait(waiter, request);
  }
}

void CloseSocket(Handle handle) {
  OpenSocket socket = SocketNamed(handle);
  Linger(socket);
  {
    LockHolder send(socket.entry->send_lock);
    LockHolder receive(socket.entry->receive_lock);
    if (!socket.IsOpen()) return;
    socket.entry->application_flags.SetBits(table::kClosed);
  }
  EpollSet::RemoveTarget(handle, socket.side->watch);
  if (socket.side->has_callback.load()) ForgetCallback(handle);
  FireSocket(handle.index, ~0u);
  socket.entry->event_mask.store(0);
  if (HasTwins(socket)) CloseTwins(socket);
  Tell(socket.entry->engine.load(), {.operation = table::Operation::kClose, .handle = handle});
}

}  // namespace

void StartSocket(Handle handle, int fd, bool nonblocking) {
  Entry& entry = state.region.entry(handle.index);
  SocketSide& side = state.sides[handle.index];
  side.lent = 0;
  side.next_twin.store(0);
  side.turn.store(0);
  side.twin_of.store(0);
  side.urgent_taken.store(0);
  side.is_connecting = false;
  side.was_connected = false;
  side.segment_bytes = 0;
  side.references.store(1);
  {
    LockHolder holder(side.watch.lock);
    side.watch.seen_ready = 0;
  }
  entry.descriptor.store(static_cast<uint32_t>(fd));
  entry.process_id.store(state.process_id);
  if (nonblocking) entry.application_flags.SetBits(table::kNonBlocking);
}

bool AddReference(Handle handle) {
  Entry& entry = state.region.entry(handle.index);
  SocketSide& side = state.sides[handle.index];
  // Never from 0 to 1: a socket that is ending stays so.
  uint32_t count = side.references.load();
  while (count != 0) {
    if (!side.references.CompareExchange(count, count + 1)) continue;
    if (entry.generation.Acquire() == handle.generation) return true;
    // The slot has moved on: what we held was a reference to its next socket.
    DropReference({handle.index, entry.generation.Acquire()});
    return false;
  }
  return false;
}

void DropReference(Handle handle) {
  if (!state.region.HasSlot(handle.index)) return;
  if (state.sides[handle.index].references.Subtract(1) == 1) CloseSocket(handle);
}

}  // namespace sluice::api
