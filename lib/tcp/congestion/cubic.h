// CUBIC's window (RFC 9438): after a loss it returns quickly to where the loss was, lingers there,
// then probes ever faster; never slower than a Reno flow would.
#pragma once

#include "tcp/congestion/congestion.h"

namespace sluice::tcp::cubic {

void Avoid(CongestionState& state, Instant now, uint32_t acked_bytes, uint32_t mss,
           uint32_t srtt_us);
void Reduce(CongestionState& state, uint32_t flight_bytes, uint32_t mss);

}  // namespace sluice::tcp::cubic
