// The control block of a connection: the variables of RFC 9293 section 3.3.1 and what recovery,
// timers and buffers need beside them. Private memory of the engine, 440 bytes at most.
//
// What only few connections need at a time stands elsewhere: packets that arrived out of order
// (assembler.h), SACK blocks of the peer (scoreboard.h). Half-open connections of a listener and
// those in TIME-WAIT are smaller records (syn_queue.h, time_wait.h).
#pragma once

#include <cstdint>

#include "base/sequence.h"
#include "base/time.h"
#include "base/timer_wheel.h"
#include "ip/flow_map.h"
#include "ip/path.h"
#include "table/options.h"
#include "table/result.h"
#include "tcp/congestion/congestion.h"
#include "tcp/slab.h"

namespace sluice::tcp {

// RFC 9293 section 3.3.2. LISTEN and TIME-WAIT are records of other types; SYN-RECEIVED is here
// only after a simultaneous open.
enum class State : uint8_t {
  kClosed,
  kSynSent,
  kSynReceived,
  kEstablished,
  kFinWait1,
  kFinWait2,
  kCloseWait,
  kClosing,
  kLastAck,
};

// How the sender takes losses (RFC 5681, RFC 6675).
enum class Recovery : uint8_t {
  kOpen,
  kDisorder,  // duplicate acknowledgments, too few to mean a loss
  kRecovery,  // fast recovery
  kLoss,      // after a retransmission timeout
};

// The deadlines that share the connection's one timer.
enum Deadline : uint8_t {
  kRetransmit,  // also zero-window probes, and what TCP_CORK holds back
  kDelayedAck,
  kIdle,   // keepalive, FIN-WAIT-2, deferred accept
  kRetry,  // an empty pool or a full transmit queue
};
inline constexpr int kDeadlineCount = 4;

enum ConnectionFlag : uint32_t {
  kTouched = 1 << 0,  // in the list that EndOfBurst goes through
  kDead = 1 << 1,     // only that list still holds it
  kOrphan = 1 << 2,   // the application has closed the socket
  kAckNow = 1 << 3,
  kAckDelayed = 1 << 4,    // an acknowledgment is owed, and may wait
  kWindowUpdate = 1 << 5,  // the application has read: look whether the window moved enough
  kTimestamps = 1 << 6,    // negotiated
  kSack = 1 << 7,
  kWindowScaling = 1 << 8,
  kFinQueued = 1 << 9,  // nothing follows send_end
  kFinSent = 1 << 10,
  kFinReceived = 1 << 11,
  kProbing = 1 << 12,      // the retransmission deadline is a zero-window probe's
  kProbeSent = 1 << 13,    // the byte at snd_nxt is out, in a probe
  kForceSend = 1 << 14,    // the override timer of RFC 1122 section 4.2.3.4 has fired
  kTimingRtt = 1 << 15,    // rtt_sequence is being timed
  kInteractive = 1 << 16,  // answers follow requests: acknowledgments wait for them
  kDsackPending = 1 << 17,
  kCanUndo = 1 << 18,        // the reduction of cwnd may turn out to be spurious (RFC 3522)
  kUrgentSeen = 1 << 20,     // rcv_up is valid
  kNotified = 1 << 21,       // the application was told in this burst
  kNotifyAgain = 1 << 22,    // and there is more since
  kCwndLimited = 1 << 23,    // the last output stopped at cwnd
  kOwnsBinding = 1 << 24,    // else it shares its listener's
  kKeepBinding = 1 << 25,    // bound by bind(): it outlives a failed connect
  kActive = 1 << 26,         // we opened it
  kRetransmitted = 1 << 27,  // something was sent twice since snd_una last moved
  kSendMoved = 1 << 28,      // snd_una or snd_nxt has moved, and the application does not know
};

struct Connection {
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool has(uint32_t flag) const { return (flags & flag) != 0; }
  void set(uint32_t flag) { flags |= flag; }
  void clear(uint32_t flag) { flags &= ~flag; }

  ip::FlowKey key() const {
    ip::FlowKey k;
    k.local = path.source;
    k.remote = path.destination;
    k.local_port = local_port;
    k.remote_port = remote_port;
    k.scope = scope;
    return k;
  }
  wire::Endpoint local() const { return {path.source, local_port, scope}; }
  wire::Endpoint remote() const { return {path.destination, remote_port, scope}; }

  uint32_t flight() const { return static_cast<uint32_t>(snd_nxt - snd_una); }
  uint32_t receive_window() const {
    return rcv_adv > rcv_nxt ? static_cast<uint32_t>(rcv_adv - rcv_nxt) : 0;
  }
  bool synchronized() const { return state >= State::kEstablished; }
  bool may_receive() const {
    return state == State::kEstablished || state == State::kFinWait1 || state == State::kFinWait2;
  }
  bool may_send_data() const {
    return state == State::kEstablished || state == State::kCloseWait ||
           state == State::kFinWait1 || state == State::kClosing || state == State::kLastAck;
  }

  // Read or written for nearly every segment.
  uint32_t flags = 0;
  State state = State::kClosed;
  Recovery recovery = Recovery::kOpen;
  uint8_t snd_scale = 0;
  uint8_t rcv_scale = 0;
  uint32_t index = kNone;   // of this record
  uint32_t socket = kNone;  // slot in the socket table
  uint32_t touched_next = kNone;
  Sequence snd_una;
  Sequence snd_nxt;  // never goes back: what is retransmitted stands in high_retransmit
  Sequence snd_wl1;
  Sequence snd_wl2;
  uint32_t snd_wnd = 0;      // scaled
  uint32_t snd_wnd_max = 0;  // the largest the peer ever gave
  Sequence rcv_nxt;
  Sequence rcv_adv;         // right edge of the window that the peer knows of
  Sequence rcv_acked;       // rcv_nxt as last acknowledged (Last.ACK.sent of RFC 7323)
  uint16_t mss = 536;       // payload of a full segment, timestamps taken off
  uint16_t peer_mss = 536;  // as its SYN said
  uint32_t ts_recent = 0;
  uint32_t ts_recent_ms = 0;  // our clock, truncated, when ts_recent was set
  uint32_t ts_offset = 0;     // of our timestamps (RFC 7323 section 5.4)
  CongestionState congestion;

  // Endpoints and how to get there.
  ip::Path path;
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
  uint16_t scope = 0;  // FlowKey::scope
  uint8_t ttl = 0;     // 0: the interface's
  uint8_t traffic_class = 0;
  uint8_t minimum_ttl = 0;    // RFC 5082
  uint8_t fragmentation = 0;  // ip::Fragmentation
  uint8_t quick_acks = 0;     // full segments yet to be acknowledged at once
  uint8_t dup_acks = 0;

  // Timers.
  uint8_t retransmits = 0;  // expiries in a row without an answer
  uint8_t probes = 0;       // keepalives or zero-window probes likewise
  uint8_t unused = 0;
  table::Result soft_error = table::Result::kOk;  // what ICMP said, in case it times out
  Timer timer;
  Instant deadlines[kDeadlineCount] = {Instant::Never(), Instant::Never(), Instant::Never(),
                                       Instant::Never()};

  // Round-trip time (RFC 6298), in microseconds.
  uint32_t srtt_us = 0;  // 0: none yet
  uint32_t rttvar_us = 0;
  uint32_t rto_us = 0;
  uint32_t rtt_min_us = 0;
  Sequence rtt_sequence;  // acknowledged: the sample is complete
  Instant rtt_started;

  // Loss recovery.
  Sequence recover;          // snd_nxt when it began
  Sequence high_retransmit;  // HighRxt of RFC 6675: all below was sent again
  Sequence snd_small;        // end of the last segment that was not full (Nagle as by Minshall)
  uint32_t undo_cwnd = 0;
  uint32_t undo_ssthresh = 0;
  uint32_t undo_timestamp = 0;  // of the first retransmission
  uint32_t scoreboard = kNone;

  // The two ends of the streams.
  Sequence iss;
  Sequence irs;
  Sequence send_end;  // where our FIN stands, if kFinQueued
  Sequence rcv_up;    // the urgent byte
  uint32_t assembly = kNone;
  Sequence dsack_begin;
  Sequence dsack_end;
  uint16_t rcv_mss = 536;         // of the peer's segments, as seen
  uint16_t advertised_mss = 536;  // in our SYN
  uint32_t binding = kNone;

  // Receive-buffer tuning.
  uint32_t tuned_bytes = 0;     // most that was read in one round trip
  uint32_t tuned_position = 0;  // receive_consumer.bytes when this round trip began
  uint32_t tuned_ms = 0;        // and when that was
  uint32_t rcv_rtt_us = 0;      // as seen by a receiver, from echoed timestamps

  // For keepalive, restart after idle, user timeout and TCP_INFO: truncated milliseconds.
  uint32_t last_sent_ms = 0;
  uint32_t last_received_ms = 0;  // data
  uint32_t last_ack_ms = 0;       // any segment
  uint32_t progress_ms = 0;       // since when the peer owes an acknowledgment
  uint32_t retransmitted_segments = 0;
  uint32_t segments_in = 0;
  uint32_t segments_out = 0;
  uint32_t data_segments_in = 0;
  uint32_t data_segments_out = 0;
  uint32_t retransmitted_bytes = 0;
  uint64_t bytes_acked = 0;
  uint64_t bytes_received = 0;
};
static_assert(sizeof(Connection) <= 440);

}  // namespace sluice::tcp
