#include "tcp/congestion/cubic.h"

#include <algorithm>
#include <cmath>

namespace sluice::tcp::cubic {
namespace {

constexpr float kBeta = 0.7f;                            // RFC 9438 section 4.6
constexpr float kC = 0.4f;                               // section 5.1
constexpr float kAlpha = 3 * (1 - kBeta) / (1 + kBeta);  // section 4.3

void StartEpoch(CongestionState& state, Instant now, float cwnd) {
  state.epoch = now;
  state.w_estimate = cwnd;
  // Section 4.8: after a timeout, or where slow start ended by itself, there is no plateau to climb
  // back to.
  if (state.w_max < cwnd) {
    state.w_max = cwnd;
    state.k = 0;
    return;
  }
  state.k = std::cbrt((state.w_max - cwnd) / kC);  // section 4.2, figure 2
}

}  // namespace

void Avoid(CongestionState& state, Instant now, uint32_t acked_bytes, uint32_t mss,
           uint32_t srtt_us) {
  const float segment = static_cast<float>(mss);
  const float cwnd = static_cast<float>(state.cwnd) / segment;
  const float acked = static_cast<float>(acked_bytes) / segment;
  if (state.epoch.is_never()) StartEpoch(state, now, cwnd);

  const float t = static_cast<float>((now - state.epoch).seconds());
  const auto window_at = [&](float time) {
    const float from_plateau = time - state.k;
    return kC * from_plateau * from_plateau * from_plateau + state.w_max;  // figure 1
  };
  // Section 4.3: what Reno would have reached. It grows as fast as Reno once it has passed w_max.
  state.w_estimate += (state.w_estimate >= state.w_max ? 1.0f : kAlpha) * acked / cwnd;
  float growth;
  if (window_at(t) < state.w_estimate) {
    growth = std::max(0.0f, state.w_estimate - cwnd);
  } else {
    // Sections 4.4 and 4.5: towards the target one round trip ahead.
    const float ahead = window_at(t + static_cast<float>(srtt_us) / 1e6f);
    const float target = std::clamp(ahead, cwnd, 1.5f * cwnd);
    growth = (target - cwnd) / cwnd * acked;
  }
  state.credit += growth * segment;
  if (state.credit < 1) return;
  const float whole = std::floor(std::min(state.credit, static_cast<float>(state.cwnd)));
  state.credit -= whole;
  state.cwnd = std::min(state.cwnd + static_cast<uint32_t>(whole), kCwndMax);
}

void Reduce(CongestionState& state, uint32_t flight_bytes, uint32_t mss) {
  const float cwnd = static_cast<float>(state.cwnd) / static_cast<float>(mss);
  // Section 4.7: fast convergence gives up room to newer flows.
  state.w_max = cwnd < state.w_max ? cwnd * (1 + kBeta) / 2 : cwnd;
  const auto reduced = static_cast<uint32_t>(static_cast<float>(flight_bytes) * kBeta);
  state.ssthresh = std::max(reduced, 2 * mss);  // figure 5
  state.epoch = Instant::Never();
}

}  // namespace sluice::tcp::cubic
