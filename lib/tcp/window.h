// The receive window: what to offer, when to say so, and how large the buffer should be (RFC 9293
// sections 3.8.6.2.2 and 3.8.6.3, RFC 7323 section 2).
#pragma once

#include <cstdint>

#include "table/entry.h"

namespace sluice::tcp {

struct Connection;
struct Core;

// Bytes that the receive buffer may hold.
uint32_t ReceiveBuffer(const Core& core, const table::Entry& entry);
// The window scale to offer in a SYN for a buffer that may grow to the maximum.
uint8_t ScaleToOffer(const Core& core, const table::Options& options);
// Bytes to offer in a SYN or SYN-ACK.
uint32_t InitialReceiveWindow(const Core& core, const table::Options& options);

// The window field of the next segment; moves rcv_adv.
uint16_t AdvertiseWindow(Core& core, Connection& c);
// The window can be opened so far that the peer should hear of it now.
bool WindowUpdateDue(Core& core, const Connection& c);

// The application has taken bytes: lets the buffer grow with what it reads in a round trip, unless
// SO_RCVBUF fixed it (dynamic right-sizing).
void TuneReceiveBuffer(Core& core, Connection& c);
// The peer's acknowledgments let more be in flight than the send buffer holds: likewise.
void TuneSendBuffer(Core& core, Connection& c);

}  // namespace sluice::tcp
