// Finding and mending losses: fast retransmit and recovery with SACK (RFC 6675) and without (RFC
// 6582), limited transmit (RFC 3042), recovery after a timeout, and undoing it all where it turns
// out that nothing was lost (RFC 3522, RFC 4015).
#pragma once

#include <cstdint>

#include "base/sequence.h"

namespace sluice::tcp {

struct Connection;
struct Core;
struct Segment;

// Takes the SACK blocks of a segment; returns how many bytes they add to what the peer holds.
uint32_t TakeSackBlocks(Core& core, Connection& c, const Segment& segment);

// A duplicate acknowledgment came (RFC 5681 section 2), or one with news in its SACK blocks.
void OnDuplicate(Core& core, Connection& c);
// SND.UNA has moved by `acked` bytes; `flight_before` were outstanding.
void OnProgress(Core& core, Connection& c, const Segment& segment, uint32_t acked,
                uint32_t flight_before);
// The retransmission timer expired.
void OnLossTimeout(Core& core, Connection& c);
// Everything outstanding must be sent again, though not because of congestion: in smaller segments.
void ResendAll(Core& core, Connection& c);

// Bytes that are thought to be in the network (RFC 6675 section 4, SetPipe).
uint32_t Pipe(const Core& core, const Connection& c);
// What is to be retransmitted next (NextSeg, rules 1 and 3). False: nothing.
bool NextLost(const Core& core, const Connection& c, bool even_if_not_lost, Sequence* begin,
              Sequence* end);
// Before anything else the first hole goes out, whatever the window.
bool MustRetransmitFirst(const Core& core, const Connection& c);

void ReleaseScoreboard(Core& core, Connection& c);

}  // namespace sluice::tcp
