#include "tcp/output.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/handshake.h"
#include "tcp/recovery.h"
#include "tcp/rtt.h"
#include "tcp/window.h"

namespace sluice::tcp {
namespace {

// What one round of output knows.
struct Round {
  Sequence end;       // of the data that may be sent
  uint32_t pipe = 0;  // bytes in the network
  uint32_t cut = 0;   // payload of a full segment, all options taken off
  uint32_t most = 0;  // payload that may be handed to the port at once
  bool fin_due = false;
  // The frame of the last segment, if it was a full one and the next may be made after it.
  const rte_mbuf* model = nullptr;
};

// What may follow when a segment could not go. kPause: nothing hinders it but that the burst is
// full.
enum class Next : uint8_t { kGoOn, kStop, kPause, kGone };

Next Failed(Core& core, Connection& c, Emitted outcome) {
  switch (outcome) {
    case Emitted::kRetry:
      c.deadlines[kRetry] = core.now + core.config.retry;
      return Next::kStop;
    case Emitted::kTooBig:
      UpdateMss(core, c);
      c.deadlines[kRetry] = core.now;
      return Next::kStop;
    case Emitted::kCorrupt:
      ++core.counters.SendQueueCorrupt;
      AbortConnection(core, c, table::Result::kProtocol);
      return Next::kGone;
    case Emitted::kSent:
    case Emitted::kLost:
    case Emitted::kSplit:
      break;
  }
  return Next::kGoOn;
}

// RFC 6298 section 5.1.
void StartRetransmitTimer(Core& core, Connection& c) {
  if (!c.deadlines[kRetransmit].is_never() && !c.has(kProbing)) return;
  if (c.has(kProbing)) c.retransmits = 0;  // they counted probes
  c.clear(kProbing);
  c.deadlines[kRetransmit] = core.now + RetransmissionTimeout(core, c);
}

void NoteDataSent(Core& core, Connection& c, uint32_t bytes) {
  const uint32_t now_ms = core.clock_ms();
  // Data in answer to data: from now on acknowledgments can ride on it.
  if (now_ms - c.last_received_ms < core.config.delayed_ack.milliseconds()) c.set(kInteractive);
  c.last_sent_ms = now_ms;
  ++c.data_segments_out;
  ++core.counters.TcpExtTCPOrigDataSent;
  if (!c.has(kTimingRtt)) {
    c.set(kTimingRtt);
    c.rtt_sequence = c.snd_nxt + bytes;
    c.rtt_started = core.now;
  }
}

// One segment of new data, with the FIN if it is the last.
Next SendNew(Core& core, Connection& c, Round& round, uint32_t bytes) {
  const bool last = c.snd_nxt + bytes == round.end;
  const bool fin = last && round.fin_due;
  uint8_t flags = last ? wire::kTcpPsh : 0;
  if (fin) flags = bytes == 0 ? wire::kTcpFin : wire::kTcpFin | wire::kTcpPsh;
  if (c.flight() == 0) c.progress_ms = core.clock_ms();
  const bool is_full = bytes == round.cut && flags == 0;
  Emitted outcome = Emitted::kSplit;
  if (is_full && round.model != nullptr) {
    outcome = EmitLike(core, c, *round.model, c.snd_nxt, bytes);
  }
  if (outcome == Emitted::kSplit) {
    outcome = EmitSegment(core, c, c.snd_nxt, bytes, flags);
    if (outcome == Emitted::kSplit) return SendNew(core, c, round, round.cut);
    round.model = is_full && outcome == Emitted::kSent ? ModelFrame(core, c, bytes) : nullptr;
  }
  const Next next = Failed(core, c, outcome);
  if (next != Next::kGoOn) return next;
  if (bytes != 0) NoteDataSent(core, c, bytes);
  c.snd_nxt += bytes;
  if (bytes % round.cut != 0) c.snd_small = c.snd_nxt;
  if (fin) {
    c.snd_nxt += 1;
    c.set(kFinSent);
    round.fin_due = false;
  }
  c.clear(kProbeSent | kForceSend);
  c.set(kSendMoved);
  round.pipe += bytes;
  StartRetransmitTimer(core, c);
  return Next::kGoOn;
}

Next Retransmit(Core& core, Connection& c, Round& round, Sequence begin, Sequence end) {
  // The range may hold our FIN behind the last data.
  const bool has_fin = c.has(kFinSent) && end > c.send_end;
  const Sequence data_end = has_fin ? c.send_end : end;
  const uint32_t data = begin < data_end ? static_cast<uint32_t>(data_end - begin) : 0;
  const uint32_t bytes = std::min(data, round.cut);
  const bool fin = has_fin && bytes == data;
  uint8_t flags = fin ? wire::kTcpFin : 0;
  if (begin + bytes == c.snd_nxt - (c.has(kFinSent) ? 1u : 0u)) flags |= wire::kTcpPsh;
  const Emitted outcome = EmitSegment(core, c, begin, bytes, flags);
  const Next next = Failed(core, c, outcome);
  if (next != Next::kGoOn) {
    ++core.counters.TcpExtTCPRetransFail;
    return next;
  }
  if (c.undo_timestamp == 0) c.undo_timestamp = core.clock_ms() + c.ts_offset;
  c.set(kRetransmitted);
  c.clear(kTimingRtt);
  c.high_retransmit = begin + bytes + (fin ? 1u : 0u);
  ++c.retransmitted_segments;
  c.retransmitted_bytes += bytes;
  ++core.counters.TcpRetransSegs;
  ++(c.recovery == Recovery::kLoss ? core.counters.TcpExtTCPSlowStartRetrans
                                   : core.counters.TcpExtTCPFastRetrans);
  round.pipe += std::max(bytes, 1u);
  StartRetransmitTimer(core, c);
  return Next::kGoOn;
}

// RFC 6675 section 5 (C): what is lost, as far as the window of congestion allows.
Next RetransmitLost(Core& core, Connection& c, Round& round, bool even_if_not_lost) {
  if (c.recovery != Recovery::kRecovery && c.recovery != Recovery::kLoss) return Next::kGoOn;
  Sequence begin, end;
  bool must = MustRetransmitFirst(core, c) || (c.recovery == Recovery::kLoss && round.pipe == 0);
  while (must || round.pipe + round.cut <= c.congestion.cwnd) {
    must = false;
    if (!NextLost(core, c, even_if_not_lost, &begin, &end)) return Next::kGoOn;
    const Next next = Retransmit(core, c, round, begin, end);
    if (next != Next::kGoOn) return next;
  }
  return Next::kGoOn;
}

// Whether less than a full segment may go now (RFC 9293 sections 3.7.4 and 3.8.6.2.1).
bool MaySendPart(Core& core, Connection& c, const Round& round, uint32_t bytes, bool is_all) {
  if (c.has(kForceSend)) return true;
  if (!is_all) return bytes >= c.snd_wnd_max / 2 && c.snd_wnd_max != 0;
  if (round.fin_due) return true;
  const table::Entry& entry = core.SocketOf(c).entry();
  const uint64_t options = entry.options.flags.load();
  const bool more = (entry.application_flags.load() & table::kMore) != 0;
  if ((options & table::kCork) != 0 || more) return false;
  if ((options & table::kNoDelay) != 0) return true;
  // Nagle, as Minshall has it: one part of a segment at a time.
  return c.snd_small <= c.snd_una;
}

// How much of `unsent` goes into the next packet; 0: nothing for now.
uint32_t ChooseBytes(Core& core, Connection& c, const Round& round, uint32_t unsent) {
  const Sequence edge = c.snd_una + c.snd_wnd;
  const uint32_t window = edge > c.snd_nxt ? static_cast<uint32_t>(edge - c.snd_nxt) : 0;
  uint32_t room = c.congestion.cwnd > round.pipe ? c.congestion.cwnd - round.pipe : 0;
  const uint32_t wanted = std::min({unsent, window, round.most});
  if (room < wanted) {
    // Congestion control counts in segments: a part that it alone would make waits.
    c.set(kCwndLimited);
    room = room / round.cut * round.cut;
    if (room == 0) {
      if (round.pipe != 0) return 0;
      room = std::min(wanted, round.cut);
    }
  }
  uint32_t bytes = std::min(wanted, room);
  if (bytes > round.cut && (bytes < unsent || !round.fin_due)) {
    // Several segments at once: whole ones; what is left is looked at by itself.
    bytes -= bytes % round.cut;
  }
  if (bytes == 0 || bytes >= round.cut) return bytes;
  return MaySendPart(core, c, round, bytes, bytes == unsent) ? bytes : 0;
}

// Data waits though nothing is in flight: a closed or small window, or a cork. Nothing but a timer
// would ever send it (RFC 9293 section 3.8.6.1, RFC 1122 section 4.2.3.4).
void StartProbeTimer(Core& core, Connection& c, uint32_t unsent) {
  if (c.has(kProbing)) return;
  c.set(kProbing);
  const bool corked = c.snd_wnd >= std::min<uint32_t>(unsent, c.mss);
  c.deadlines[kRetransmit] =
      core.now + (corked ? core.config.cork_max : RetransmissionTimeout(core, c));
}

Next SendData(Core& core, Connection& c, Round& round) {
  c.clear(kCwndLimited);
  if (round.end <= c.snd_nxt) return round.fin_due ? SendNew(core, c, round, 0) : Next::kGoOn;
  size_t room = core.ip.TransmitRoom(c.path.interface, core.backlog_max);
  for (;; --room) {
    const uint32_t unsent =
        round.end > c.snd_nxt ? static_cast<uint32_t>(round.end - c.snd_nxt) : 0;
    if (unsent == 0) break;
    const uint32_t bytes = ChooseBytes(core, c, round, unsent);
    if (bytes == 0) {
      if (c.flight() == 0) StartProbeTimer(core, c, unsent);
      return Next::kStop;
    }
    if (core.segments_left == 0) return Next::kPause;
    --core.segments_left;
    // Rather than build what would be thrown away.
    if (room == 0) {
      ++core.counters.TransmitQueueFull;
      return Failed(core, c, Emitted::kRetry);
    }
    const Next next = SendNew(core, c, round, bytes);
    if (next != Next::kGoOn) return next;
  }
  // A FIN by itself takes no room in the peer's buffer.
  if (round.fin_due) return SendNew(core, c, round, 0);
  return Next::kGoOn;
}

// Payload that one chain of packets on this path can carry.
uint32_t ChainRoom(const Core& core, const ip::Path& path) {
  return path.segments_max * core.packet_bytes - RTE_PKTMBUF_HEADROOM -
         uint32_t{wire::kTcpHeaderBytesMax};
}

bool StartRound(Core& core, Connection& c, Round* round) {
  if (core.ip.Stale(c.path)) {
    core.ip.Refresh(core.now, &c.path);
    UpdateMss(core, c);
  }
  const uint32_t chain = ChainRoom(core, c.path);
  round->cut = std::min(c.mss - std::min<uint32_t>(SackOptionBytes(core, c), c.mss / 2u), chain);
  const uint32_t segmentation = std::min(c.path.segmentation_bytes, chain);
  round->most = std::max(segmentation - segmentation % round->cut, round->cut);
  round->end = c.has(kFinQueued) ? c.send_end : c.snd_una + SendQueueLength(core, c);
  round->fin_due = c.has(kFinQueued) && !c.has(kFinSent);
  round->pipe = Pipe(core, c);
  // RFC 5681 section 4.1: after a pause the old window says nothing of the network.
  const uint32_t pause_ms = core.clock_ms() - c.last_sent_ms;
  if (c.flight() == 0 && c.last_sent_ms != 0 && c.rto_us != 0 && pause_ms > c.rto_us / 1000 &&
      round->end > c.snd_nxt) {
    OnRestart(c.congestion, c.mss, core.config.initial_window_segments);
  }
  return round->end > c.snd_nxt || round->fin_due || c.recovery >= Recovery::kRecovery;
}

// Says how much of the send queue has left, and tells a sender that waits for room of it.
void SettleSendQueue(Core& core, Connection& c) {
  c.clear(kSendMoved);
  if (c.has(kOrphan)) return;
  table::Entry& entry = core.table.region().entry(c.socket);
  const uint32_t fin = c.has(kFinSent) && c.flight() != 0 ? 1 : 0;
  entry.bytes_sent.store(entry.send_consumer.bytes.load() + c.flight() - fin);
  // The flag is the application's to clear: it tells it that this is news to somebody.
  const bool blocked = (entry.application_flags.load() & table::kSendBlocked) != 0;
  if (!blocked && (entry.event_mask.load() & table::kEventOut) == 0) return;
  if (table::StreamWritable(entry)) core.SocketOf(c).Notify(table::kEventOut);
}

// Whether this connection, as it mostly is when something has just arrived, has nothing to say.
bool HasNothingToSend(Core& core, const Connection& c) {
  constexpr uint32_t kReasons = kAckNow | kWindowUpdate | kFinQueued | kForceSend;
  return !c.has(kReasons) && c.recovery == Recovery::kOpen &&
         SendQueueLength(core, c) <= c.flight() &&
         (c.flight() == 0 || (!c.has(kProbing) && !c.deadlines[kRetransmit].is_never()));
}

void SendDueAcknowledgment(Core& core, Connection& c) {
  if (c.has(kWindowUpdate)) {
    c.clear(kWindowUpdate);
    if (c.may_receive() && !c.has(kOrphan) && WindowUpdateDue(core, c)) c.set(kAckNow);
  }
  if (!c.has(kAckNow)) return;
  if (!EmitAcknowledgment(core, c)) c.deadlines[kRetry] = core.now + core.config.retry;
}

}  // namespace

uint32_t SendQueueLength(Core& core, const Connection& c) {
  // What the application says is a stranger's word: sequence arithmetic bears no more than this.
  return std::min(core.SocketOf(c).send_queue().bytes(), 1u << 30);
}

bool Output(Core& core, Connection& c) {
  c.deadlines[kRetry] = Instant::Never();
  if (!c.synchronized()) return false;
  if (HasNothingToSend(core, c)) {
    if (c.has(kSendMoved)) SettleSendQueue(core, c);
    return false;
  }
  Round round;
  bool paused = false;
  if (c.may_send_data() && StartRound(core, c, &round)) {
    Next next = RetransmitLost(core, c, round, false);
    if (next == Next::kGoOn) next = SendData(core, c, round);
    if (next == Next::kGone) return false;
    paused = next == Next::kPause;
    // RFC 6675 section 4, NextSeg (3): when there is nothing better to send.
    if (next == Next::kGoOn && c.recovery == Recovery::kRecovery &&
        RetransmitLost(core, c, round, true) == Next::kGone) {
      return false;
    }
  }
  // Whatever came in between: what is in flight is watched.
  if (c.flight() != 0) StartRetransmitTimer(core, c);
  SendDueAcknowledgment(core, c);
  if (c.has(kSendMoved)) SettleSendQueue(core, c);
  return paused;
}

}  // namespace sluice::tcp
