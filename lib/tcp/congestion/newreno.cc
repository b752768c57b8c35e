#include "tcp/congestion/newreno.h"

#include <algorithm>

namespace sluice::tcp::newreno {

void Avoid(CongestionState& state, uint32_t acked_bytes, uint32_t mss) {
  // RFC 3465 section 2.1: one MSS for every cwnd of bytes acknowledged.
  state.credit += static_cast<float>(acked_bytes);
  while (state.credit >= static_cast<float>(state.cwnd) && state.cwnd < kCwndMax) {
    state.credit -= static_cast<float>(state.cwnd);
    state.cwnd += mss;
  }
}

void Reduce(CongestionState& state, uint32_t flight_bytes, uint32_t mss) {
  state.ssthresh = std::max(flight_bytes / 2, 2 * mss);  // RFC 5681 equation 4
}

}  // namespace sluice::tcp::newreno
