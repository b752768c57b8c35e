#include "tcp/congestion/congestion.h"

#include <algorithm>

#include "tcp/congestion/cubic.h"
#include "tcp/congestion/newreno.h"

namespace sluice::tcp {

uint32_t InitialWindow(uint32_t mss, uint32_t segments) {
  return std::min(segments * mss, std::max(2 * mss, segments * 1460));
}

void OnAcknowledged(CongestionState& state, Instant now, uint32_t acked_bytes, uint32_t mss,
                    uint32_t srtt_us) {
  // RFC 5681 section 3.1 (2): slow start grows by what is acknowledged; what is left over when it
  // reaches ssthresh counts for avoidance.
  if (state.cwnd < state.ssthresh) {
    const uint32_t room = state.ssthresh - state.cwnd;
    const uint32_t grown = std::min(acked_bytes, room);
    state.cwnd = std::min(state.cwnd + grown, kCwndMax);
    acked_bytes -= grown;
    if (acked_bytes == 0) return;
  }
  switch (state.algorithm) {
    case table::Congestion::kNewReno:
      return newreno::Avoid(state, acked_bytes, mss);
    case table::Congestion::kCubic:
      return cubic::Avoid(state, now, acked_bytes, mss, srtt_us);
  }
}

void OnLoss(CongestionState& state, uint32_t flight_bytes, uint32_t mss) {
  state.credit = 0;
  switch (state.algorithm) {
    case table::Congestion::kNewReno:
      newreno::Reduce(state, flight_bytes, mss);
      break;
    case table::Congestion::kCubic:
      cubic::Reduce(state, flight_bytes, mss);
      break;
  }
  state.cwnd = state.ssthresh;
}

void OnTimeout(CongestionState& state, uint32_t flight_bytes, uint32_t mss) {
  OnLoss(state, flight_bytes, mss);
  state.cwnd = mss;  // RFC 5681 section 3.1: the loss window
}

void OnRestart(CongestionState& state, uint32_t mss, uint32_t segments) {
  state.cwnd = std::min(state.cwnd, InitialWindow(mss, segments));
  state.epoch = Instant::Never();
  state.credit = 0;
}

}  // namespace sluice::tcp
