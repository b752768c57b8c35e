// Congestion control: how much may be in flight. A connection names its algorithm in its options;
// each is a file of functions over one small state.
//
// When data is acknowledged outside of recovery OnAcknowledged grows the window; a loss found by
// duplicate acknowledgments or SACK calls OnLoss, a retransmission timeout OnTimeout. The caller
// decides which of them it is (recovery.h), and does not call OnAcknowledged when the application
// or the peer's window, not cwnd, held the sender back (RFC 9438 section 5.8).
#pragma once

#include <cstdint>

#include "base/time.h"
#include "table/options.h"

namespace sluice::tcp {

struct CongestionState {
  uint32_t cwnd = 0;  // bytes
  uint32_t ssthresh = UINT32_MAX;
  float credit = 0;  // bytes by which cwnd may grow once they make a whole one

  // CUBIC (RFC 9438 section 4.1), in segments and seconds.
  float w_max = 0;
  float k = 0;
  float w_estimate = 0;
  Instant epoch = Instant::Never();  // start of the present avoidance stage
  table::Congestion algorithm = table::Congestion::kCubic;
};

inline constexpr uint32_t kCwndMax = 1u << 30;

// RFC 6928 section 2 where `segments` is 10: min(10 MSS, max(2 MSS, 14600)).
uint32_t InitialWindow(uint32_t mss, uint32_t segments);

void OnAcknowledged(CongestionState& state, Instant now, uint32_t acked_bytes, uint32_t mss,
                    uint32_t srtt_us);
// Sets ssthresh and cwnd. `flight_bytes` are outstanding.
void OnLoss(CongestionState& state, uint32_t flight_bytes, uint32_t mss);
void OnTimeout(CongestionState& state, uint32_t flight_bytes, uint32_t mss);
// RFC 5681 section 4.1: nothing was sent for longer than a timeout.
void OnRestart(CongestionState& state, uint32_t mss, uint32_t segments);

}  // namespace sluice::tcp
