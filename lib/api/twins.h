// Sockets that hear on every engine.
//
// Where several engines share the network, what is sent to a port may come to any of them. A socket
// that has a port of its own therefore has a twin on each other engine: a slot there, bound and
// listening or connected alike, with queues of its own. The program sees one socket, the one that
// it opened; its calls take from the queues in turn, its options are its twins', it is ready when
// one of them is, and they end with it. Datagrams leave by the program's own.
//
// A stream that connects needs none: its port is chosen so that the flow is its own engine's. If it
// is bound to a port that makes the flow another engine's, its twin there takes its place.
//
// Where there is one engine, no socket has twins.
#pragma once

#include "api/ask.h"
#include "api/descriptors.h"

namespace sluice::api {

inline bool HasTwins(const OpenSocket& socket) {
  return __builtin_expect(socket.side->next_twin.load() != 0, 0);
}
inline bool IsTwin(const OpenSocket& socket) { return socket.side->twin_of.load() != 0; }

// Calls visit(twin) for each twin. They may end at any time, like sockets: lock, and ask IsOpen.
template <typename Visit>
void ForEachTwin(const OpenSocket& socket, Visit&& visit) {
  uint32_t next = socket.side->next_twin.Acquire();  // pairs with the release in Link
  while (next != 0) {
    const uint32_t index = next - 1;
    OpenSocket twin;
    twin.entry = &state.region.entry(index);
    twin.side = &state.sides[index];
    twin.handle = {index, twin.entry->generation.Acquire()};
    if (twin.side->twin_of.Acquire() != socket.handle.bits()) return;  // they are going
    next = twin.side->next_twin.Acquire();
    visit(twin);
  }
}

// Calls visit(member) for the socket and its twins until one answers true. The next round begins
// behind that one, or with it if it is to `stay`. Returns whether one did.
template <typename Visit>
bool VisitInTurn(const OpenSocket& socket, bool stay, Visit&& visit) {
  uint32_t count = 1;
  ForEachTwin(socket, [&count](const OpenSocket&) { ++count; });
  const uint32_t first = socket.side->turn.load() % count;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t position = (first + i) % count;
    OpenSocket member = socket;
    uint32_t at = 0;
    ForEachTwin(socket, [&](const OpenSocket& twin) {
      if (++at == position) member = twin;
    });
    if (!visit(static_cast<const OpenSocket&>(member))) continue;
    socket.side->turn.store(stay ? position : position + 1);
    return true;
  }
  return false;
}

// What the twins add to a socket's own state. Apart, so that sockets without twins pay a look.
uint32_t ReadinessOfTwins(const OpenSocket& socket);  // kEventIn, kEventErr
struct Arrivals {
  uint32_t received = 0, connections = 0;
};
Arrivals ArrivalsAtTwins(const OpenSocket& socket);
void SetEventMaskOfTwins(const OpenSocket& socket, uint32_t mask);
bool TwinsHaveError(const OpenSocket& socket);
uint32_t TakeErrorOfTwins(const OpenSocket& socket);  // 0: none

// The rest is for a socket whose send_lock the caller holds, if there is more than one engine or
// not. Each asks every engine concerned, and leaves things as they were where one refuses.

// To the socket's engine, then to its twins', until one refuses.
table::Result AskAll(const OpenSocket& socket, table::Command command);
// Gives the socket a twin on every other engine, if it has none yet.
table::Result MakeTwins(const OpenSocket& socket);
table::Result BindEverywhere(const OpenSocket& socket, const wire::Endpoint& local);
// The same for a socket that needs a port now, to the address that it was bound to, if it was.
table::Result TakePortEverywhere(const OpenSocket& socket);
table::Result ListenEverywhere(const OpenSocket& socket, uint32_t backlog);
// Of datagram sockets.
table::Result ConnectEverywhere(const OpenSocket& socket, const wire::Endpoint& remote);
table::Result DisconnectEverywhere(const OpenSocket& socket);

// An option of the socket was set.
void ShareOptions(const OpenSocket& socket);
void CloseTwins(const OpenSocket& socket);

// Lets the twin on that engine take the place of a stream that is bound and nothing else: every
// number that names the socket names the twin afterwards. The caller holds no lock.
table::Result MoveToEngine(const OpenSocket& socket, uint8_t lane);

}  // namespace sluice::api
