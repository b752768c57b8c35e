// What lib/api keeps: one per process, private to it. See context.h for what is promised.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "api/context.h"
#include "api/number_range.h"
#include "api/watch.h"
#include "table/entry.h"
#include "table/handle.h"
#include "table/region.h"

namespace sluice::api {

struct Callback;

// The application's private half of a slot: one cache line.
struct alignas(64) SocketSide {
  [[no_unique_address]] WatchList watch;  // whose last bytes are padding
  table::Cell<uint32_t> references;       // descriptors that name the socket
  // twins.h; handles and indices as bits, so that zero is none.
  table::Cell<uint64_t> twin_of;    // the socket that this slot is a twin of
  table::Cell<uint32_t> next_twin;  // 1 + the slot of the next twin of the same socket
  table::Cell<uint32_t> turn;       // which of the socket and its twins is asked first
  table::Cell<bool> has_callback;   // RareSide has one; owned by callback.cc
  // The rest belongs to whoever holds the entry's receive_lock ...
  uint32_t lent = 0;  // zero copy: what is on loan, bytes of a stream, or datagrams
  // 1 + position of the urgent byte that was read last; who waits reads it without the lock.
  table::Cell<uint32_t> urgent_taken;
  // ... and the send_lock.
  bool is_connecting = false;  // connect has begun and its outcome was not yet told
  bool was_connected = false;  // a stream that connect or accept delivered
  uint16_t segment_bytes = 0;  // UDP_SEGMENT for all that is sent
};
static_assert(sizeof(SocketSide) == 64);

// What few sockets need beside it.
struct RareSide {
  // Behind the last byte on loan, as SocketSide::lent counts. Under the receive_lock.
  table::Cursor lent_cursor;
  uint32_t lent_offset;
  std::atomic<Callback*> callback;  // sluice_set_callback; owned by callback.cc
};

// Commands that wait for their answer, for one lane.
struct LaneWaiters {
  alignas(64) table::Cell<uint32_t> lock;  // also: whoever holds it is the consumer of the events
  std::atomic<uint64_t> waiting{0};        // reply slots somebody sleeps on
  Waiter* waiters[table::kReplySlots] = {};
};

struct State {
  table::Region region;
  Home* home = nullptr;
  uint32_t lanes = 0;
  SocketSide* sides = nullptr;     // one for each slot; zeroed memory, used where sockets are
  RareSide* rare_sides = nullptr;  // likewise, behind them
  size_t sides_bytes = 0;          // of both
  LaneWaiters* lane_waiters = nullptr;
  int base_descriptor = -1;  // what the reserved numbers are duplicates of
  uint32_t process_id = 0;   // for tools; asked once, since it is written for every socket
  NumberRange own_numbers;   // empty, unless sockets take their numbers from there
  uint64_t nested_key = 0;   // marks notices of nested sets in a kernel epoll (epoll_set.h)
  std::vector<wire::Prefix> kernel_prefixes;
  std::atomic<bool> installed{false};
  // Written often: apart from what every call reads.
  alignas(64) std::atomic<uint32_t> next_lane{0};
  table::Cell<uint32_t> ports_lock;  // of who binds at several engines
  std::atomic<int64_t> last_turn_ns{0};
};

extern State state;

// Runs the engine for a turn where this home lets callers do so.
void Turn();
// The same for calls that found nothing and do not wait: at most once in a while, so that programs
// that read until EAGAIN do not pay for an engine's turn each time.
void TurnSometimes();

}  // namespace sluice::api
