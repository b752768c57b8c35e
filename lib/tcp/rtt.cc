#include "tcp/rtt.h"

#include <algorithm>

#include "tcp/core.h"

namespace sluice::tcp {

void RttSample(Core& core, Connection& c, Duration rtt) {
  const int64_t most = Seconds(600).microseconds();
  const auto sample = static_cast<uint32_t>(std::clamp<int64_t>(rtt.microseconds(), 1, most));
  if (c.rtt_min_us == 0 || sample < c.rtt_min_us) c.rtt_min_us = sample;
  if (c.srtt_us == 0) {
    c.srtt_us = sample;  // RFC 6298 section 2.2
    c.rttvar_us = sample / 2;
  } else {
    // Section 2.3.
    const uint32_t error = sample > c.srtt_us ? sample - c.srtt_us : c.srtt_us - sample;
    c.rttvar_us = static_cast<uint32_t>((3ull * c.rttvar_us + error) / 4);
    c.srtt_us = std::max<uint32_t>(static_cast<uint32_t>((7ull * c.srtt_us + sample) / 8), 1);
  }
  // The minimum stands in the place of the clock granularity G: it bounds the variation, so that
  // a steady path does not lead to a timeout just above its round-trip time.
  const auto least = static_cast<uint64_t>(core.config.rto_min.microseconds());
  const auto longest = static_cast<uint64_t>(core.config.rto_max.microseconds());
  const uint64_t rto = c.srtt_us + std::max<uint64_t>(4ull * c.rttvar_us, least);
  c.rto_us = static_cast<uint32_t>(std::min(rto, longest));
}

Duration RetransmissionTimeout(const Core& core, const Connection& c) {
  const Duration base = c.rto_us == 0 ? core.config.rto_initial : Microseconds(c.rto_us);
  const int shift = std::min<int>(c.retransmits, 16);
  return std::min(base * (int64_t{1} << shift), core.config.rto_max);
}

}  // namespace sluice::tcp
