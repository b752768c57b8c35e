#include "tcp/input.h"

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/handshake.h"
#include "tcp/packet_bytes.h"
#include "tcp/segment.h"

namespace sluice::tcp {
namespace {

// RFC 7323 section 5.5: timestamps may have wrapped unseen after this long.
constexpr uint32_t kTimestampAgeMs = 24u * 24 * 3600 * 1000;

bool TimestampIsOld(const Core& core, const Connection& c, const Segment& segment) {
  return static_cast<int32_t>(segment.options.timestamps.value - c.ts_recent) < 0 &&
         core.clock_ms() - c.ts_recent_ms < kTimestampAgeMs;
}

// RFC 7323 section 4.3 (2).
void TakeTimestamp(const Core& core, Connection& c, const Segment& segment) {
  if (!c.has(kTimestamps) || !segment.options.has_timestamps || segment.header.rst()) return;
  if (segment.begin > c.rcv_acked) return;
  if (static_cast<int32_t>(segment.options.timestamps.value - c.ts_recent) < 0) return;
  c.ts_recent = segment.options.timestamps.value;
  c.ts_recent_ms = core.clock_ms();
}

// RFC 2883 section 4: remembers data that came twice.
void NoteDuplicate(Core& core, Connection& c, Sequence begin, Sequence end, bool out_of_order) {
  if (!c.has(kSack) || begin == end) return;
  c.dsack_begin = begin;
  c.dsack_end = end;
  c.set(kDsackPending);
  ++(out_of_order ? core.counters.TcpExtTCPDSACKOfoSent : core.counters.TcpExtTCPDSACKOldSent);
}

void AcknowledgeNow(Core& core, Connection& c) {
  c.set(kAckNow);
  core.Touch(c);
}

// Cuts what lies before RCV.NXT and behind the window.
void Trim(Core& core, Connection& c, Segment& segment) {
  if (segment.begin < c.rcv_nxt) {
    const uint32_t old = static_cast<uint32_t>(c.rcv_nxt - segment.begin);
    const uint32_t cut = std::min(old, segment.payload);
    NoteDuplicate(core, c, segment.begin, segment.begin + cut, false);
    if (cut == segment.payload) {
      segment.fin = segment.fin && cut >= old;
    } else if (cut != 0) {
      segment.packet = CutFront(segment.packet, cut);
    }
    segment.payload -= cut;
    segment.begin = c.rcv_nxt;
    if (cut != 0) AcknowledgeNow(core, c);
  }
  const Sequence edge = c.rcv_nxt + c.receive_window();
  const Sequence end = segment.begin + segment.payload;
  if (end + (segment.fin ? 1 : 0) <= edge) return;
  segment.fin = segment.fin && end <= edge && c.receive_window() != 0;
  if (end > edge) {
    segment.payload = segment.begin < edge ? static_cast<uint32_t>(edge - segment.begin) : 0;
    if (segment.payload != 0) ip::TrimTo(segment.packet, segment.payload);
    AcknowledgeNow(core, c);
  }
}

// Nothing of the segment lies in the window: it is answered with what we expect, and dropped.
Step Unacceptable(Core& core, Connection& c, const Segment& segment) {
  if (segment.header.rst()) return Step::kDone;
  if (segment.length() == 0) {
    // Two hosts that disagree must not answer each other's answers for ever.
    if (core.MayChallenge()) AcknowledgeNow(core, c);
    return Step::kDone;
  }
  const Sequence end = segment.begin + segment.payload;
  if (end <= c.rcv_nxt) {
    NoteDuplicate(core, c, segment.begin, end, false);
    ++core.counters.TcpExtDelayedACKLost;
  }
  AcknowledgeNow(core, c);
  return Step::kDone;
}

// First: the sequence number. PAWS stands before it (RFC 7323 section 5.3).
Step CheckSequence(Core& core, Connection& c, Segment& segment) {
  if (c.has(kTimestamps) && !segment.header.rst()) {
    // RFC 7323 section 3.2: once negotiated, timestamps are on every segment.
    if (!segment.options.has_timestamps) return Step::kDone;
    if (TimestampIsOld(core, c, segment)) {
      ++core.counters.TcpExtPAWSEstab;
      return Unacceptable(core, c, segment);
    }
  }
  if (c.state == State::kSynReceived && segment.header.syn() && segment.begin == c.irs) {
    // A simultaneous open: the peer's SYN once more, now with an acknowledgment.
    segment.header.flags &= static_cast<uint8_t>(~wire::kTcpSyn);
    segment.begin += 1;
    segment.had_syn = true;
  }
  const uint32_t window = c.receive_window();
  const uint32_t length = segment.length();
  const Sequence edge = c.rcv_nxt + window;
  bool acceptable;
  if (length == 0) {
    // The edge itself counts: there stands a peer that has used up the window.
    acceptable = c.rcv_nxt <= segment.begin && segment.begin <= edge;
  } else if (window == 0) {
    // Section 3.10.7.4: valid ACKs, URGs and RSTs are taken though the window is closed.
    acceptable = segment.begin == c.rcv_nxt;
    if (acceptable) AcknowledgeNow(core, c);
  } else {
    const Sequence last = segment.begin + (length - 1);
    acceptable =
        (c.rcv_nxt <= segment.begin && segment.begin < edge) || (c.rcv_nxt <= last && last < edge);
  }
  if (!acceptable) return Unacceptable(core, c, segment);
  TakeTimestamp(core, c, segment);
  if (!segment.header.rst() && !segment.header.syn()) Trim(core, c, segment);
  return Step::kNext;
}

// Second: RST (RFC 5961 section 3.2).
Step CheckReset(Core& core, Connection& c, const Segment& segment) {
  if (!segment.header.rst()) return Step::kNext;
  if (segment.header.sequence != c.rcv_nxt) {
    Challenge(core, c);
    return Step::kDone;
  }
  if (c.state == State::kSynReceived) {
    ++core.counters.TcpAttemptFails;
    EndConnection(core, c, table::Result::kRefused);
    return Step::kDone;
  }
  ++core.counters.TcpEstabResets;
  // As on Linux: a peer that resets after its FIN breaks the pipe.
  EndConnection(core, c,
                c.state == State::kCloseWait ? table::Result::kPipe : table::Result::kReset);
  return Step::kDone;
}

// Fourth: SYN in a synchronized state (RFC 5961 section 4.2).
Step CheckSyn(Core& core, Connection& c, const Segment& segment) {
  if (!segment.header.syn()) return Step::kNext;
  ++core.counters.TcpExtTCPSYNChallenge;
  Challenge(core, c);
  return Step::kDone;
}

// Sixth: URG. The urgent byte is the one before SEG.UP, as everybody has it (RFC 6093 section 2.1).
void CheckUrgent(Core& core, Connection& c, const Segment& segment) {
  if (!segment.header.urg() || segment.header.urgent_pointer == 0 || !c.may_receive()) return;
  if (c.has(kOrphan)) return;
  const Sequence urgent = segment.header.sequence + (segment.header.urgent_pointer - 1u);
  if (urgent < c.rcv_nxt || (c.has(kUrgentSeen) && urgent <= c.rcv_up)) return;
  c.rcv_up = urgent;
  c.set(kUrgentSeen);
  table::Socket socket = core.SocketOf(c);
  table::Entry& entry = socket.entry();
  entry.urgent_position.store(entry.receive_producer.bytes.load() +
                              static_cast<uint32_t>(urgent - c.rcv_nxt));
  entry.engine_flags.SetBits(table::kUrgentPending);
  socket.Notify(table::kEventPri);
}

// All that the common segment must satisfy to skip the first four steps: in order, in the window,
// with nothing but data and an acknowledgment.
bool Predicted(const Connection& c, const Segment& segment) {
  constexpr uint8_t kPlain = wire::kTcpAck | wire::kTcpPsh;
  if ((segment.header.flags | wire::kTcpPsh) != kPlain || segment.begin != c.rcv_nxt ||
      c.state != State::kEstablished || segment.payload > c.receive_window()) {
    return false;
  }
  if (!c.has(kTimestamps)) return true;
  return segment.options.has_timestamps &&
         static_cast<int32_t>(segment.options.timestamps.value - c.ts_recent) >= 0;
}

}  // namespace

void Challenge(Core& core, Connection& c) {
  if (!core.MayChallenge()) return;
  ++core.counters.TcpExtTCPChallengeACK;
  EmitAcknowledgment(core, c);
}

void ConnectionSegment(Core& core, Connection& c, Segment& segment) {
  ++c.segments_in;
  // RFC 5082: what has come too far cannot be from the neighbour.
  if (segment.info->ttl < c.minimum_ttl) return;
  if (c.state == State::kSynSent) return SynSentSegment(core, c, segment);
  c.last_ack_ms = core.clock_ms();
  if (Predicted(c, segment)) [[likely]] {
    TakeTimestamp(core, c, segment);
    ++(segment.payload != 0 ? core.counters.TcpExtTCPHPHits : core.counters.TcpExtTCPHPAcks);
  } else {
    if (CheckSequence(core, c, segment) == Step::kDone) return;
    if (CheckReset(core, c, segment) == Step::kDone) return;
    if (CheckSyn(core, c, segment) == Step::kDone) return;
    if (!segment.header.ack()) return;  // fifth: without an acknowledgment it says nothing
  }
  if (CheckAcknowledgment(core, c, segment) == Step::kDone) return;
  CheckUrgent(core, c, segment);
  ReceiveText(core, c, segment);
}

}  // namespace sluice::tcp
