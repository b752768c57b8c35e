#include "tcp/information.h"

#include <algorithm>

#include "tcp/core.h"
#include "tcp/output.h"
#include "tcp/recovery.h"
#include "tcp/rtt.h"
#include "tcp/window.h"

namespace sluice::tcp {
namespace {

uint8_t LinuxState(State state) {
  switch (state) {
    case State::kClosed:
      return kLinuxClose;
    case State::kSynSent:
      return 2;
    case State::kSynReceived:
      return 3;
    case State::kEstablished:
      return 1;
    case State::kFinWait1:
      return 4;
    case State::kFinWait2:
      return 5;
    case State::kCloseWait:
      return 8;
    case State::kClosing:
      return 11;
    case State::kLastAck:
      return 9;
  }
  return kLinuxClose;
}

uint8_t LinuxRecovery(Recovery recovery) {
  switch (recovery) {
    case Recovery::kOpen:
      return 0;
    case Recovery::kDisorder:
      return 1;
    case Recovery::kRecovery:
      return 3;
    case Recovery::kLoss:
      return 4;
  }
  return 0;
}

uint32_t Segments(uint32_t bytes, uint32_t mss) { return (bytes + mss - 1) / mss; }

}  // namespace

void Describe(Core& core, const Connection& c, table::TcpInformation* i) {
  *i = {};
  const uint32_t now_ms = core.clock_ms();
  i->state = LinuxState(c.state);
  i->congestion_state = LinuxRecovery(c.recovery);
  i->retransmits = c.retransmits;
  i->probes = c.probes;
  i->backoff = c.retransmits;
  i->send_scale = c.snd_scale;
  i->receive_scale = c.rcv_scale;
  i->timestamps = c.has(kTimestamps);
  i->sack = c.has(kSack);
  i->window_scaling = c.has(kWindowScaling);
  i->rto_us = static_cast<uint32_t>(RetransmissionTimeout(core, c).microseconds());
  i->ato_us = static_cast<uint32_t>(core.config.delayed_ack.microseconds());
  i->srtt_us = c.srtt_us;
  i->rttvar_us = c.rttvar_us;
  i->min_rtt_us = c.rtt_min_us;
  i->send_mss = c.mss;
  i->receive_mss = c.rcv_mss;
  i->advertised_mss = c.advertised_mss;
  i->path_mtu = c.path.mtu;
  const uint32_t flight = c.flight();
  const uint32_t sacked = c.scoreboard == kNone ? 0 : core.scoreboards[c.scoreboard].bytes;
  i->unacked_segments = Segments(flight, c.mss);
  i->sacked_segments = Segments(sacked, c.mss);
  const uint32_t gone = sacked + Pipe(core, c);
  i->lost_segments = gone < flight ? Segments(flight - gone, c.mss) : 0;
  i->retransmitted_segments =
      c.recovery >= Recovery::kRecovery && c.high_retransmit > c.snd_una
          ? Segments(static_cast<uint32_t>(c.high_retransmit - c.snd_una), c.mss)
          : 0;
  i->send_ssthresh_segments =
      c.congestion.ssthresh == UINT32_MAX ? INT32_MAX : c.congestion.ssthresh / c.mss;
  i->send_cwnd_segments = c.congestion.cwnd / c.mss;
  const table::Entry& entry = core.table.region().entry(c.socket);
  i->receive_ssthresh_bytes = i->receive_space_bytes = ReceiveBuffer(core, entry);
  i->send_window_bytes = c.snd_wnd;
  if (c.synchronized()) {
    const uint32_t queued = SendQueueLength(core, c);
    i->not_sent_bytes = queued > flight ? queued - flight : 0;
  }
  i->last_data_sent_ms = now_ms - c.last_sent_ms;
  i->last_data_received_ms = now_ms - c.last_received_ms;
  i->last_ack_received_ms = now_ms - c.last_ack_ms;
  i->total_retransmits = c.retransmitted_segments;
  i->bytes_acked = c.bytes_acked;
  i->bytes_received = c.bytes_received;
  i->bytes_sent = c.bytes_acked + flight + c.retransmitted_bytes;
  i->bytes_retransmitted = c.retransmitted_bytes;
  i->segments_out = c.segments_out;
  i->segments_in = c.segments_in;
  i->data_segments_out = c.data_segments_out;
  i->data_segments_in = c.data_segments_in;
  if (c.srtt_us != 0) {
    i->pacing_rate_bytes = uint64_t{c.congestion.cwnd} * 1000000 / c.srtt_us;
  }
}

}  // namespace sluice::tcp
