// The seventh and eighth step of segment arrival: the segment text, and FIN (RFC 9293 section
// 3.10.7.4).
#include <algorithm>

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/input.h"
#include "tcp/segment.h"
#include "tcp/window.h"

namespace sluice::tcp {
namespace {

// Gives bytes that are next in order to the application. False: there was no room for them, and it
// is as if they had never come.
bool Deliver(Core& core, Connection& c, rte_mbuf* packet, uint32_t bytes) {
  if (!core.SocketOf(c).receive_queue().Push(packet, core.copy_received)) {
    ++core.counters.ReceiveQueueFull;
    ++core.counters.TcpExtTCPRcvQDrop;
    return false;
  }
  c.rcv_nxt += bytes;
  c.bytes_received += bytes;
  return true;
}

// What waited for the gap to close.
Step DrainAssembly(Core& core, Connection& c) {
  Piece piece;
  while (core.assembly.Take(&c.assembly, c.rcv_nxt, &piece)) {
    if (piece.bytes != 0 && !Deliver(core, c, piece.packet, piece.bytes)) {
      rte_pktmbuf_free(piece.packet);
      core.assembly.Clear(&c.assembly);  // the peer will send it again
      return Step::kNext;
    }
    if (piece.fin) {
      core.NotifyOnce(c, table::kEventIn);
      ReceiveFin(core, c);
      return Step::kDone;
    }
  }
  return Step::kNext;
}

void DelayAcknowledgment(Core& core, Connection& c, Duration delay) {
  if (core.SocketOf(c).entry().options.is_set(table::kQuickAck)) c.set(kAckNow);
  if (c.has(kAckDelayed)) return;
  c.set(kAckDelayed);
  c.deadlines[kDelayedAck] = core.now + delay;
}

// RFC 5681 section 4.2, RFC 9293 section 3.8.6.3: every second full segment, else after a while;
// the first ones of a connection at once, so that the peer's window opens quickly. But a short one
// is likely to be all of a request, and its answer to come soon: that takes the acknowledgment
// along.
void ScheduleAcknowledgment(Core& core, Connection& c) {
  const uint32_t owed = static_cast<uint32_t>(c.rcv_nxt - c.rcv_acked);
  if (owed >= 2u * c.rcv_mss) {
    c.set(kAckNow);
  } else if (c.quick_acks != 0 && !c.has(kInteractive)) {
    --c.quick_acks;
    if (owed >= c.rcv_mss || core.config.quick_ack_delay == Duration()) {
      c.set(kAckNow);
    } else {
      DelayAcknowledgment(core, c, core.config.quick_ack_delay);
    }
  } else {
    DelayAcknowledgment(core, c, core.config.delayed_ack);
  }
  core.Touch(c);
}

// Ahead of a gap: keeps it, and says at once what is missing (RFC 5681 section 4.2).
void Hold(Core& core, Connection& c, Segment& segment) {
  rte_mbuf* packet = segment.payload == 0 ? nullptr : segment.packet;
  ++core.counters.TcpExtTCPOFOQueue;
  const Sequence begin = segment.begin;
  switch (core.assembly.Insert(&c.assembly, begin, packet, segment.fin)) {
    case AssemblerPool::Result::kHeld:
      if (packet != nullptr) segment.packet = nullptr;
      break;
    case AssemblerPool::Result::kDuplicate:
      if (packet != nullptr) segment.packet = nullptr;
      ++core.counters.TcpExtTCPOFOMerge;
      if (segment.payload != 0 && c.has(kSack)) {
        ++core.counters.TcpExtTCPDSACKOfoSent;
        c.dsack_begin = begin;
        c.dsack_end = begin + segment.payload;
        c.set(kDsackPending);
      }
      break;
    case AssemblerPool::Result::kPacketsFull:
      ++core.counters.OutOfOrderPacketsFull;
      ++core.counters.TcpExtTCPOFODrop;
      break;
    case AssemblerPool::Result::kConnectionsFull:
      ++core.counters.DisorderedConnectionsFull;
      ++core.counters.TcpExtTCPOFODrop;
      break;
  }
  if (!EmitAcknowledgment(core, c)) {
    c.set(kAckNow);
    core.Touch(c);
  }
}

// An estimate of the time between a window update and the data it lets through.
void MeasureReceiverRtt(const Core& core, Connection& c, const Segment& segment) {
  if (!c.has(kTimestamps) || segment.payload < c.rcv_mss) return;
  const uint32_t elapsed_ms = core.clock_ms() + c.ts_offset - segment.options.timestamps.echo_reply;
  if (elapsed_ms > 60000) return;
  const uint32_t sample_us = std::max(elapsed_ms * 1000, 1000u);
  c.rcv_rtt_us =
      c.rcv_rtt_us == 0 ? sample_us : std::min(sample_us, c.rcv_rtt_us + c.rcv_rtt_us / 8 + 1);
}

// Seventh: the text.
Step ReceivePayload(Core& core, Connection& c, Segment& segment) {
  if (!c.may_receive()) return Step::kDone;  // the peer has sent its FIN before
  ++c.data_segments_in;
  c.last_received_ms = core.clock_ms();
  if (c.has(kOrphan)) {
    // RFC 1122 section 4.2.2.13: nobody will read this, and the peer should know.
    ++core.counters.TcpExtTCPAbortOnData;
    AbortConnection(core, c, table::Result::kReset);
    return Step::kDone;
  }
  if (segment.payload > c.rcv_mss) {
    c.rcv_mss = static_cast<uint16_t>(std::min<uint32_t>(segment.payload, c.advertised_mss));
  }
  MeasureReceiverRtt(core, c, segment);
  if (segment.begin != c.rcv_nxt) {
    Hold(core, c, segment);
    return Step::kDone;
  }
  if (!Deliver(core, c, segment.packet, segment.payload)) {
    c.set(kAckNow);
    core.Touch(c);
    return Step::kDone;
  }
  segment.packet = nullptr;
  segment.begin += segment.payload;
  if (c.assembly == kNone) [[likely]] {
    core.NotifyOnce(c, table::kEventIn);
    ScheduleAcknowledgment(core, c);
    return Step::kNext;
  }
  c.set(kAckNow);  // RFC 5681 section 4.2: a gap was filled
  core.Touch(c);
  if (DrainAssembly(core, c) == Step::kDone) return Step::kDone;
  core.NotifyOnce(c, table::kEventIn);
  return Step::kNext;
}

}  // namespace

Step ReceiveText(Core& core, Connection& c, Segment& segment) {
  if (segment.payload != 0 && ReceivePayload(core, c, segment) == Step::kDone) return Step::kDone;
  // Eighth: FIN.
  if (!segment.fin || !c.may_receive()) return Step::kNext;
  if (segment.begin != c.rcv_nxt) {
    segment.payload = 0;
    Hold(core, c, segment);
    return Step::kDone;
  }
  ReceiveFin(core, c);
  return Step::kDone;
}

}  // namespace sluice::tcp
