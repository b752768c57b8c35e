// The state of one TCP stack, and the small operations on it that every phase uses. Internal to
// lib/tcp: the phases (handshake, input, output, ...) are functions over it.
//
// `now` is set at each entry into the stack and is the same for all that follows from it.
#pragma once

#include <cstdint>

#include "base/siphash.h"
#include "base/timer_wheel.h"
#include "ip/bind_table.h"
#include "ip/flow_map.h"
#include "ip/packet.h"
#include "ip/stack.h"
#include "ip/token_bucket.h"
#include "table/socket_table.h"
#include "tcp/assembler.h"
#include "tcp/config.h"
#include "tcp/connection.h"
#include "tcp/counters.h"
#include "tcp/listener.h"
#include "tcp/scoreboard.h"
#include "tcp/slab.h"
#include "tcp/syn_queue.h"
#include "tcp/time_wait.h"

namespace sluice::tcp {

// What a timer belongs to: its tag.
enum TimerTag : uint32_t { kConnectionTimer, kSynRequestTimer, kTimeWaitTimer };

// What a number in the flow map means: its upper two bits.
enum class FlowKind : uint32_t { kConnection = 0, kSynRequest = 1, kTimeWait = 2 };

class FlowNumber {
 public:
  constexpr FlowNumber() = default;
  constexpr FlowNumber(FlowKind kind, uint32_t index)
      : bits_(static_cast<uint32_t>(kind) << 30 | index) {}
  static constexpr FlowNumber FromBits(uint32_t bits) {
    FlowNumber n;
    n.bits_ = bits;
    return n;
  }
  constexpr bool is_none() const { return bits_ == kNone; }
  constexpr FlowKind kind() const { return static_cast<FlowKind>(bits_ >> 30); }
  constexpr uint32_t index() const { return bits_ & 0x3fffffff; }
  constexpr uint32_t bits() const { return bits_; }

 private:
  uint32_t bits_ = kNone;
};

// What EngineSide::control_block of a stream socket means: its upper two bits.
enum class BlockKind : uint32_t { kConnection = 0, kListener = 1, kBinding = 2, kNothing = 3 };

inline BlockKind KindOf(const table::Socket& socket) {
  return static_cast<BlockKind>(socket.side().control_block >> 30);
}
// Bound, but to no port yet (IP_BIND_ADDRESS_NO_PORT). The address stands in the entry, where the
// application may have changed it.
inline bool HasAddressOnly(const table::Socket& socket) {
  return KindOf(socket) == BlockKind::kNothing && socket.status() == table::Status::kBound;
}
inline uint32_t BlockOf(const table::Socket& socket) {
  return socket.side().control_block & 0x3fffffff;
}
inline void SetBlock(const table::Socket& socket, BlockKind kind, uint32_t index = 0x3fffffff) {
  socket.side().control_block = static_cast<uint32_t>(kind) << 30 | index;
}

struct Core {
  Core(const Config& config, table::SocketTable& table, ip::Stack& ip, const SipKey& key);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // --- Flows ---
  ip::FlowKey KeyOf(FlowNumber number) const;
  FlowNumber FindFlow(const ip::FlowKey& key) const { return FindFlow(key, flows.Hash(key)); }
  FlowNumber FindFlow(const ip::FlowKey& key, uint64_t hash) const;
  bool AddFlow(FlowNumber number);
  // The flow is another kind's now: `to` has its key already, and `number` still has.
  void ReplaceFlow(FlowNumber number, FlowNumber to);
  void RemoveFlow(FlowNumber number);

  // --- Connections ---
  table::Socket SocketOf(const Connection& c) { return table::Socket(&table, c.socket); }
  // Sees to it that EndOfBurst looks at the connection.
  void Touch(Connection& c) {
    if (c.has(kTouched)) return;
    c.set(kTouched);
    c.touched_next = kNone;
    (touched_first == kNone ? touched_first : connections[touched_last].touched_next) = c.index;
    touched_last = c.index;
  }
  void SetDeadline(Connection& c, Deadline which, Instant at) { c.deadlines[which] = at; }
  // Makes the timer agree with the deadlines.
  void Reschedule(Connection& c);
  // Tells the application once in a burst, and again at its end if more came.
  void NotifyOnce(Connection& c, uint32_t events);

  void SetNow(Instant at) {
    if (at == now) return;
    now = at;
    now_ms = static_cast<uint32_t>(at.milliseconds());
  }
  // Our clock for timestamps and the like: milliseconds (RFC 7323 section 5.4).
  uint32_t clock_ms() const { return now_ms; }
  bool MayChallenge();
  // As ip::Stack::ConfirmReachable, once in a turn for connections that share a next hop.
  void ConfirmReachable(const ip::Path& path) {
    const uint64_t neighbor = uint64_t{path.neighbor_generation} << 32 | path.neighbor;
    if (neighbor == confirmed_neighbor && now == confirmed_at) return;
    confirmed_neighbor = neighbor;
    confirmed_at = now;
    ip.ConfirmReachable(now, path);
  }

  Config config;
  Counters counters;
  table::SocketTable& table;
  ip::Stack& ip;
  SipKey key;
  Instant now;
  uint32_t now_ms = 0;
  uint64_t confirmed_neighbor = ~uint64_t{0};  // generation and number
  Instant confirmed_at = Instant::Never();

  TimerWheel wheel;
  ip::FlowMap flows;
  ip::BindTable bindings;
  Slab<Connection> connections;
  Slab<Listener> listeners;
  Slab<SynRequest> syn_requests;
  Slab<TimeWait> time_waits;
  Slab<Scoreboard> scoreboards;
  AssemblerPool assembly;
  const rte_mbuf* emitted = nullptr;  // the packet of the last segment; others may have it now
  uint32_t touched_first = kNone;
  uint32_t touched_last = kNone;  // valid while touched_first is
  uint32_t segments_left = 0;     // of data that this call of EndOfBurst may yet send
  uint64_t backlog_max = 0;       // frames that may wait for the port while data is added
  uint32_t orphans = 0;
  uint32_t packet_bytes;  // that one packet of the pool holds, headroom included
  bool copy_received = false;
  ip::TokenBucket challenges;
  ip::TokenBucket resets;
};

}  // namespace sluice::tcp
