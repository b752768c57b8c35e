#include "tcp/timers.h"

#include <algorithm>

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/handshake.h"
#include "tcp/output.h"
#include "tcp/recovery.h"
#include "tcp/rtt.h"

namespace sluice::tcp {
namespace {

table::Options& OptionsOf(Core& core, const Connection& c) {
  return core.table.region().entry(c.socket).options;
}

// The peer has not answered for too long (RFC 1122 section 4.2.3.5: R2).
void GiveUp(Core& core, Connection& c) {
  ++core.counters.TcpExtTCPAbortOnTimeout;
  const table::Result error =
      c.soft_error == table::Result::kOk ? table::Result::kTimedOut : c.soft_error;
  AbortConnection(core, c, error);
}

// RFC 5482: the application's own limit, where it set one.
bool UserTimeout(Core& core, const Connection& c, uint32_t since_ms) {
  const uint32_t limit_ms = OptionsOf(core, c).user_timeout_ms.load();
  if (limit_ms == 0 || core.clock_ms() - since_ms < limit_ms) return false;
  ++core.counters.UserTimeouts;
  return true;
}

// Where the application set a limit, it decides instead of the count.
bool TooOften(Core& core, const Connection& c, unsigned tries) {
  if (c.has(kOrphan)) return tries > core.config.orphan_retries;
  return OptionsOf(core, c).user_timeout_ms.load() == 0 && tries > core.config.retries;
}

// The next expiry, not behind the user's limit.
Instant NextTry(Core& core, const Connection& c) {
  const Instant next = core.now + RetransmissionTimeout(core, c);
  const uint32_t limit_ms = OptionsOf(core, c).user_timeout_ms.load();
  if (limit_ms == 0) return next;
  const uint32_t spent_ms = core.clock_ms() - c.progress_ms;
  return std::min(next, core.now + Milliseconds(limit_ms > spent_ms ? limit_ms - spent_ms : 0));
}

void SynTimeout(Core& core, Connection& c) {
  const uint16_t asked = OptionsOf(core, c).syn_retries.load();
  const unsigned most = asked == 0 ? core.config.syn_retries : std::min<unsigned>(asked, 127);
  ++c.retransmits;
  if (c.retransmits > most || UserTimeout(core, c, c.progress_ms)) {
    ++core.counters.TcpAttemptFails;
    return GiveUp(core, c);
  }
  ++core.counters.TcpExtTCPTimeouts;
  ++core.counters.TcpExtTCPSynRetrans;
  ++core.counters.TcpRetransSegs;
  ++c.retransmitted_segments;
  c.clear(kTimingRtt);
  ResendSyn(core, c);
  c.deadlines[kRetransmit] = NextTry(core, c);
}

// RFC 9293 section 3.8.6.1, or the override timer of RFC 1122 section 4.2.3.4.
void ProbeTimeout(Core& core, Connection& c) {
  const Sequence edge = c.snd_una + c.snd_wnd;
  if (edge > c.snd_nxt) {
    c.clear(kProbing);
    c.set(kForceSend);
    return;
  }
  ++c.probes;
  if (TooOften(core, c, c.probes) || UserTimeout(core, c, c.progress_ms)) {
    return GiveUp(core, c);
  }
  if (c.retransmits < UINT8_MAX) ++c.retransmits;
  ++core.counters.TcpExtTCPWinProbe;
  if (SendQueueLength(core, c) > c.flight()) {
    switch (EmitSegment(core, c, c.snd_nxt, 1, wire::kTcpPsh)) {
      case Emitted::kCorrupt:
        ++core.counters.SendQueueCorrupt;
        return AbortConnection(core, c, table::Result::kProtocol);
      case Emitted::kSent:
        c.set(kProbeSent);
        break;
      default:
        break;
    }
  }
  c.deadlines[kRetransmit] = NextTry(core, c);
}

void RetransmitTimeout(Core& core, Connection& c) {
  if (c.flight() == 0) return;
  ++core.counters.TcpExtTCPTimeouts;
  if (c.retransmits < UINT8_MAX) ++c.retransmits;
  // RFC 9293 section 3.8.6.1: while the peer answers, its closed window is no reason to give up.
  const bool answers = core.clock_ms() - c.last_ack_ms <
                       static_cast<uint32_t>(core.config.rto_max.milliseconds() * 2);
  const bool closed = c.snd_wnd == 0 && answers;
  if (!closed && (TooOften(core, c, c.retransmits) || UserTimeout(core, c, c.progress_ms))) {
    return GiveUp(core, c);
  }
  OnLossTimeout(core, c);
  c.deadlines[kRetransmit] = NextTry(core, c);  // RFC 6298 sections 5.5 and 5.6
}

void KeepAliveTimeout(Core& core, Connection& c) {
  const table::Options& options = OptionsOf(core, c);
  if (!options.is_set(table::kKeepAlive) || !c.synchronized()) return;
  const auto idle_ms = static_cast<uint32_t>(
      std::min<uint64_t>(options.keepalive_idle_s.load() * 1000ull, UINT32_MAX / 2));
  const uint32_t silent_ms = core.clock_ms() - c.last_ack_ms;
  // Data that is outstanding or waits has timers of its own.
  if (silent_ms < idle_ms || c.flight() != 0 || c.has(kProbing)) {
    c.deadlines[kIdle] =
        core.now + Milliseconds(silent_ms < idle_ms ? idle_ms - silent_ms : idle_ms);
    return;
  }
  const bool user = options.user_timeout_ms.load() != 0;
  if (user ? c.probes != 0 && UserTimeout(core, c, c.last_ack_ms)
           : c.probes >= options.keepalive_count.load()) {
    ++core.counters.KeepAliveTimeouts;
    return GiveUp(core, c);
  }
  ++core.counters.TcpExtTCPKeepAlive;
  // RFC 1122 section 4.2.3.6: a number the peer has acknowledged makes it answer.
  if (EmitProbe(core, c, c.snd_nxt - 1) && c.probes < UINT8_MAX) ++c.probes;
  c.deadlines[kIdle] =
      core.now + Seconds(std::clamp<uint32_t>(options.keepalive_interval_s.load(), 1, 32767));
}

void IdleTimeout(Core& core, Connection& c) {
  if (c.state == State::kFinWait2 && c.has(kOrphan)) {
    ++core.counters.FinWait2Timeouts;
    return EndConnection(core, c, table::Result::kOk);
  }
  KeepAliveTimeout(core, c);
}

bool TakeDue(Core& core, Connection& c, Deadline which) {
  if (c.deadlines[which] > core.now) return false;
  c.deadlines[which] = Instant::Never();
  return true;
}

}  // namespace

void ArmKeepAlive(Core& core, Connection& c) {
  if (c.state == State::kFinWait2 && c.has(kOrphan)) return;
  const table::Options& options = OptionsOf(core, c);
  c.deadlines[kIdle] =
      options.is_set(table::kKeepAlive) && c.synchronized()
          ? core.now + Seconds(std::max<uint32_t>(options.keepalive_idle_s.load(), 1))
          : Instant::Never();
}

void ConnectionTimeout(Core& core, Connection& c) {
  core.Touch(c);
  TakeDue(core, c, kRetry);  // the touch is all it wants
  if (TakeDue(core, c, kDelayedAck) && c.has(kAckDelayed)) {
    ++core.counters.TcpExtDelayedACKs;
    c.clear(kInteractive);  // no answer came to ride on
    c.set(kAckNow);
  }
  if (TakeDue(core, c, kIdle)) IdleTimeout(core, c);
  if (c.state == State::kClosed || !TakeDue(core, c, kRetransmit)) return;
  if (!c.synchronized()) {
    SynTimeout(core, c);
  } else if (c.has(kProbing)) {
    ProbeTimeout(core, c);
  } else {
    RetransmitTimeout(core, c);
  }
}

}  // namespace sluice::tcp
