// Neighbour resolution: probes, their answers, and what becomes of the packets that wait. ARP and
// neighbour discovery meet here. Internal to lib/ip.
#pragma once

#include "base/time.h"
#include "ip/core.h"

namespace sluice::ip {

// Asks for a neighbour's link address: everybody, or where we believe it to be.
void SolicitNeighbor(Core& core, Instant now, uint32_t index, bool unicast);

// The neighbour's link address is known or new: makes its link header, sends what waits for it.
void NeighborResolved(Core& core, uint32_t index);

// Probes that are due, and neighbours that failed.
void RunNeighborTimers(Core& core, Instant now);

// The next packet that failed for want of a neighbour, as Stack::TakeUnreachable gives it.
bool TakeUnreachable(Core& core, Inbound* out);

}  // namespace sluice::ip
