#include "api/wait.h"

#include <atomic>

#include "api/ask.h"
#include "api/twins.h"

namespace sluice::api {
namespace {

using table::Entry;

constexpr uint32_t kAlways = table::kEventErr | table::kEventHup;
// Endings are told to everybody, whatever he waits for.
constexpr uint32_t kEndings = kAlways | table::kEventRdHup;
constexpr uint32_t kEverything = kEndings | table::kEventIn | table::kEventOut | table::kEventPri;

OpenSocket SocketAt(uint32_t index) {
  OpenSocket socket;
  socket.entry = &state.region.entry(index);
  socket.side = &state.sides[index];
  socket.handle = {index, socket.entry->generation.Acquire()};
  return socket;
}

// What the engines are to tell of. The caller holds the list's lock.
void SetEventMask(const OpenSocket& socket, uint32_t mask) {
  socket.entry->event_mask.store(mask);
  if (HasTwins(socket)) SetEventMaskOfTwins(socket, mask);
}

// What has happened since the last look, as events. The caller holds the list's lock.
uint32_t TakeNews(const OpenSocket& socket) {
  Entry& entry = *socket.entry;
  WatchList& list = socket.side->watch;
  uint32_t received = entry.receive_producer.tail.load();
  uint32_t connections = entry.connection_producer.tail.load();
  if (HasTwins(socket)) {
    const Arrivals others = ArrivalsAtTwins(socket);
    received += others.received;
    connections += others.connections;
  }
  const uint32_t urgent = entry.urgent_position.load();
  const uint32_t ready = ReadinessOf(socket);
  const uint32_t fresh = ready & ~list.seen_ready;
  uint32_t news = fresh;
  if (received != list.seen_received) news |= ready & table::kEventIn;
  if (connections != list.seen_connections) news |= ready & (table::kEventIn | table::kEventErr);
  if (urgent != list.seen_urgent) news |= ready & table::kEventPri;
  if ((ready & table::kEventOut) != 0 &&
      (entry.application_flags.load() & table::kSendBlocked) != 0) {
    entry.application_flags.ClearBits(table::kSendBlocked);
    news |= table::kEventOut;
  }
  if ((fresh & kEndings) != 0) news = kEverything;
  list.seen_ready = ready;
  list.seen_received = received;
  list.seen_connections = connections;
  list.seen_urgent = urgent;
  return news;
}

// Readiness, with that of twins, and without urgent data that was taken note of.
[[gnu::noinline]] uint32_t Refine(const OpenSocket& socket, uint32_t ready) {
  if (HasTwins(socket)) ready |= ReadinessOfTwins(socket);
  if ((ready & table::kEventPri) == 0) return ready;
  const uint32_t position = socket.entry->urgent_position.load();
  const bool passed =
      static_cast<int32_t>(position - socket.entry->receive_consumer.bytes.load()) < 0;
  if (passed || position + 1 == socket.side->urgent_taken.load()) {
    ready &= ~uint32_t{table::kEventPri};
  }
  return ready;
}

void DispatchSlot(uint32_t index) {
  OpenSocket socket = SocketAt(index);
  // A full fence: an event that comes after the look below finds the flag clear and is announced.
  socket.entry->event_pending.Exchange(0);
  // What happened to a twin is its socket's news.
  if (IsTwin(socket)) {
    const table::Handle head = table::Handle::FromBits(socket.side->twin_of.load());
    if (!state.region.HasSlot(head.index)) return;
    socket = SocketAt(head.index);
    if (socket.handle != head) return;
  }
  WatchList& list = socket.side->watch;
  LockHolder holder(list.lock);
  if (list.first.load() == nullptr) return;
  if (uint32_t news = TakeNews(socket)) list.Fire(news, 0);
}

}  // namespace

void DispatchEvents() {
  for (uint32_t lane = 0; lane < state.lanes; ++lane) {
    LaneWaiters& waiters = state.lane_waiters[lane];
    auto& events = state.region.events(lane);
    const uint32_t mask = state.region.slot_queue_mask();
    // Who pushed before this look is popped by whoever holds the lock; who pushes after it changes
    // the notices that the caller has read before.
    if (events.empty(mask) && waiters.waiting.load(std::memory_order_acquire) == 0) continue;
    LockHolder holder(waiters.lock);
    uint32_t index;
    for (uint32_t budget = mask + 1; budget != 0 && events.Pop(index, mask); --budget) {
      if (state.region.HasSlot(index)) DispatchSlot(index);
    }
    SignalAnswered(lane);
  }
}

uint32_t NoticesSeen() {
  uint32_t seen = 0;
  for (uint32_t lane = 0; lane < state.lanes; ++lane) {
    seen += state.region.lane(lane).notices.Acquire();  // pairs with the engine's Notify
  }
  return seen;
}

uint32_t ReadinessOf(const OpenSocket& socket) {
  const uint32_t ready = table::Readiness(*socket.entry);
  if ((ready & table::kEventPri) == 0 && !HasTwins(socket)) [[likely]]
    return ready;
  return Refine(socket, ready);
}

bool AwaitRoom(const OpenSocket& socket) {
  socket.entry->application_flags.SetBits(table::kSendBlocked);
  // Either the engine sees the flag when it frees room, or this look sees the room.
  table::FullFence();
  return (ReadinessOf(socket) & table::kEventOut) != 0;
}

uint32_t ReadinessFor(const OpenSocket& socket, uint32_t mask) {
  uint32_t ready = ReadinessOf(socket);
  if ((mask & table::kEventOut) != 0 && (ready & table::kEventOut) == 0 && AwaitRoom(socket)) {
    ready = ReadinessOf(socket);
  }
  return ready & (mask | kAlways);
}

void WatchSocket(const OpenSocket& socket, Watcher& watcher) {
  watcher.mask = static_cast<uint16_t>(watcher.mask | kAlways);
  WatchList& list = socket.side->watch;
  LockHolder holder(list.lock);
  // What was not noticed so far is no news to the newcomer, but it is to the others.
  if (uint32_t news = TakeNews(socket)) list.Fire(news, 0);
  list.Link(watcher);
  SetEventMask(socket, list.Mask());
  // Either the engine's Notify finds the mask, or the caller's look finds what it was about.
  table::FullFence();
}

void UnwatchSocket(uint32_t index, Watcher& watcher) {
  WatchList& list = state.sides[index].watch;
  LockHolder holder(list.lock);
  list.Unlink(watcher);
  SetEventMask(SocketAt(index), list.Mask());
}

void ChangeWatch(const OpenSocket& socket, Watcher& watcher, uint32_t mask) {
  WatchList& list = socket.side->watch;
  LockHolder holder(list.lock);
  if (uint32_t news = TakeNews(socket)) list.Fire(news, 0);
  watcher.mask = static_cast<uint16_t>(mask | kAlways);
  SetEventMask(socket, list.Mask());
  table::FullFence();  // as in WatchSocket
}

void FireSocket(uint32_t index, uint32_t events) {
  WatchList& list = state.sides[index].watch;
  LockHolder holder(list.lock);
  if (list.first.load() != nullptr) list.Fire(events, 0);
}

int BlockingWait::Sleep() {
  if (watcher_.waiter == nullptr) {
    watcher_.waiter = &waiter_;
    watcher_.mask = static_cast<uint16_t>(mask_);
    deadline_ = DeadlineAfter(timeout_ns_);
    WatchSocket(socket_, watcher_);
    return 0;
  }
  for (;;) {
    WaitRequest request{.notices_seen = NoticesSeen(), .deadline = deadline_};
    DispatchEvents();
    // A full fence: what is looked at after it is not older than the signals taken here.
    if (waiter_.signaled.load() != 0 && waiter_.signaled.Exchange(0) != 0) return 0;
    switch (state.home->Wait(waiter_, request)) {
      case WaitOutcome::kInterrupted:
        if (timeout_ns_ != 0 || !kernel::EveryHandlerRestarts()) return EINTR;
        break;
      case WaitOutcome::kDeadline:
        return EAGAIN;
      case WaitOutcome::kLook:
      case WaitOutcome::kKernelReady:
        break;
    }
  }
}

}  // namespace sluice::api
