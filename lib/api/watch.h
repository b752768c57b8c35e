// Who waits for a socket or an epoll set: intrusive lists, private to the process.
//
// A Watcher is one interest: of a thread that sleeps in a call, or of an item of an epoll set. The
// list of a socket also decides what the entry's event_mask says to the engine. Locks are taken in
// the order: list of a socket, list of a set, ready list of a set (epoll_set.h).
//
//   SocketWatch watch(socket, kEventIn, waiter);    // links; unlinks when it goes
//   ... look at the queues ..., then home.Wait(waiter, ...)
#pragma once

#include <cstdint>

#include "api/home.h"
#include "api/lock.h"
#include "table/cell.h"

namespace sluice::api {

// What a Watcher is.
enum class WatcherKind : uint8_t {
  kThread,         // a ThreadWatcher
  kItem,           // an EpollItem
  kExclusiveItem,  // EPOLLEXCLUSIVE: one such with a sleeper is enough
};

struct Watcher {
  Watcher* next = nullptr;
  Watcher* previous = nullptr;  // of the first one: the last
  uint16_t mask = 0;            // table::Event bits
  WatcherKind kind = WatcherKind::kThread;

  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
};

struct ThreadWatcher : Watcher {
  Waiter* waiter = nullptr;
};

struct WatchList {
  table::Cell<Watcher*> first;  // read without the lock to see that there is nobody
  table::Cell<uint32_t> lock;
  // What the last notice found, to tell news from what was known (under the lock).
  uint32_t seen_ready = 0;
  uint32_t seen_received = 0;
  uint32_t seen_connections = 0;
  uint32_t seen_urgent = 0;

  // The caller holds the lock.
  void Link(Watcher& watcher);
  void Unlink(Watcher& watcher);
  uint32_t Mask() const;
  // Tells every watcher that wants one of `events`; exclusive ones until one has a sleeper.
  void Fire(uint32_t events, int depth);
};
static_assert(sizeof(WatchList) == 32);

}  // namespace sluice::api
