// NewReno's window (RFC 5681 section 3.1): one segment more each round trip, half after a loss.
#pragma once

#include "tcp/congestion/congestion.h"

namespace sluice::tcp::newreno {

void Avoid(CongestionState& state, uint32_t acked_bytes, uint32_t mss);
void Reduce(CongestionState& state, uint32_t flight_bytes, uint32_t mss);

}  // namespace sluice::tcp::newreno
