// Round-trip time and the retransmission timeout (RFC 6298).
#pragma once

#include "base/time.h"

namespace sluice::tcp {

struct Config;
struct Connection;
struct Core;

// A segment that was sent once (section 3) took this long to be acknowledged.
void RttSample(Core& core, Connection& c, Duration rtt);
// The timeout, backed off for the expiries so far (section 5.5).
Duration RetransmissionTimeout(const Core& core, const Connection& c);

}  // namespace sluice::tcp
