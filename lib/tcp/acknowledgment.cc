// The fifth step of segment arrival: the acknowledgment field (RFC 9293 section 3.10.7.4).
#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/handshake.h"
#include "tcp/input.h"
#include "tcp/recovery.h"
#include "tcp/rtt.h"
#include "tcp/segment.h"
#include "tcp/window.h"

namespace sluice::tcp {
namespace {

// RFC 6298 section 3 (Karn): segments sent once only, unless timestamps tell which it was.
void MeasureRtt(Core& core, Connection& c, const Segment& segment) {
  if (c.has(kTimingRtt)) {
    if (c.snd_una < c.rtt_sequence) return;
    c.clear(kTimingRtt);
    return RttSample(core, c, core.now - c.rtt_started);
  }
  if (!c.has(kRetransmitted) || !c.has(kTimestamps)) return;
  const uint32_t elapsed_ms = core.clock_ms() + c.ts_offset - segment.options.timestamps.echo_reply;
  if (elapsed_ms < 600000) RttSample(core, c, Milliseconds(elapsed_ms));
}

// Our FIN is acknowledged.
Step FinAcknowledged(Core& core, Connection& c) {
  switch (c.state) {
    case State::kFinWait1:
      c.state = State::kFinWait2;
      StartFinWait2(core, c);
      return Step::kNext;
    case State::kClosing:
      FinishToTimeWait(core, c);
      return Step::kDone;
    case State::kLastAck:
      EndConnection(core, c, table::Result::kOk);
      return Step::kDone;
    default:
      return Step::kNext;
  }
}

// SEG.ACK moves SND.UNA.
Step Advance(Core& core, Connection& c, const Segment& segment) {
  const Sequence ack = segment.header.acknowledgment;
  const uint32_t flight_before = c.flight();
  const uint32_t acked = static_cast<uint32_t>(ack - c.snd_una);
  const bool fin_acked = c.has(kFinSent) && ack == c.send_end + 1;
  const uint32_t data = acked - (fin_acked ? 1 : 0);
  if (data != 0 && !core.SocketOf(c).send_queue().Release(data)) {
    ++core.counters.SendQueueCorrupt;
    AbortConnection(core, c, table::Result::kProtocol);
    return Step::kDone;
  }
  c.snd_una = ack;
  c.set(kSendMoved);
  c.bytes_acked += data;
  c.progress_ms = core.clock_ms();
  c.retransmits = 0;
  c.soft_error = table::Result::kOk;
  core.counters.TcpExtTCPDelivered += acked <= c.mss ? 1 : (acked + c.mss - 1) / c.mss;
  MeasureRtt(core, c, segment);
  core.ConfirmReachable(c.path);
  const uint32_t cwnd_before = c.congestion.cwnd;
  OnProgress(core, c, segment, acked, flight_before);
  // RFC 6298 sections 5.2 and 5.3.
  c.clear(kProbing);
  c.deadlines[kRetransmit] =
      c.flight() == 0 ? Instant::Never() : core.now + RetransmissionTimeout(core, c);
  if (c.congestion.cwnd != cwnd_before) TuneSendBuffer(core, c);
  return fin_acked ? FinAcknowledged(core, c) : Step::kNext;
}

// RFC 5681 section 2, "duplicate acknowledgment".
bool IsDuplicate(const Connection& c, const Segment& segment) {
  return c.flight() != 0 && segment.payload == 0 && !segment.fin &&
         uint32_t{segment.header.window} << c.snd_scale == c.snd_wnd;
}

}  // namespace

void UpdateSendWindow(Connection& c, const Segment& segment) {
  const Sequence sequence = segment.header.sequence;
  const Sequence ack = segment.header.acknowledgment;
  if (!(c.snd_wl1 < sequence || (c.snd_wl1 == sequence && c.snd_wl2 <= ack))) return;
  c.snd_wnd = uint32_t{segment.header.window} << (segment.had_syn ? 0 : c.snd_scale);
  c.snd_wl1 = sequence;
  c.snd_wl2 = ack;
  if (c.snd_wnd > c.snd_wnd_max) c.snd_wnd_max = c.snd_wnd;
}

Step CheckAcknowledgment(Core& core, Connection& c, Segment& segment) {
  const Sequence ack = segment.header.acknowledgment;
  if (c.state == State::kSynReceived) {
    if (!(c.snd_una < ack && ack <= c.snd_nxt)) {
      EmitResetFor(core, segment);
      return Step::kDone;
    }
    Establish(core, c, segment);
  }
  if (c.has(kProbeSent) && ack == c.snd_nxt + 1) {
    c.snd_nxt += 1;
    c.clear(kProbeSent);
  }
  // RFC 5961 section 5.2.
  if (ack > c.snd_nxt || ack < c.snd_una - c.snd_wnd_max) {
    Challenge(core, c);
    return Step::kDone;
  }
  if (ack < c.snd_una) return Step::kNext;  // an old one: its data counts, its word does not
  if (c.has(kProbing) || c.probes != 0) {
    c.probes = 0;
    c.progress_ms = core.clock_ms();  // the peer answers: a closed window is no failure
  }
  const uint32_t news = TakeSackBlocks(core, c, segment);
  const bool duplicate = ack == c.snd_una && (news != 0 || IsDuplicate(c, segment));
  const uint32_t window_before = c.snd_wnd;
  UpdateSendWindow(c, segment);
  if (ack > c.snd_una) {
    if (Advance(core, c, segment) == Step::kDone) return Step::kDone;
    core.Touch(c);
  } else if (duplicate) {
    OnDuplicate(core, c);
  }
  if (c.snd_wnd != window_before) core.Touch(c);
  if (segment.length() == 0) ++core.counters.TcpExtTCPPureAcks;
  return Step::kNext;
}

}  // namespace sluice::tcp
