// Sending what is due: retransmissions, new data, FIN, acknowledgments (RFC 9293 sections 3.8 and
// 3.10.2).
#pragma once

#include <cstdint>

namespace sluice::tcp {

struct Connection;
struct Core;

// Sends what windows and congestion allow now, and sets the timers that follow from it. Returns
// true if it stopped because Core::segments_left was used up. The connection may be gone afterwards
// only if its send queue is corrupt.
bool Output(Core& core, Connection& c);

// Unacknowledged and unsent bytes in the send queue, as far as sequence numbers go.
uint32_t SendQueueLength(Core& core, const Connection& c);

}  // namespace sluice::tcp
