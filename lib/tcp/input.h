// Segment arrival (RFC 9293 section 3.10.7).
#pragma once

#include <cstdint>

namespace sluice::tcp {

struct Connection;
struct Core;
struct Segment;

// A segment of a connection, in whatever state (sections 3.10.7.3 and 3.10.7.4).
void ConnectionSegment(Core& core, Connection& c, Segment& segment);

// --- Its parts, for other phases ---

// What a step says of the ones behind it.
enum class Step : uint8_t {
  kNext,  // go on
  kDone,  // the segment is dealt with; the connection may be gone
};

// Fifth: the acknowledgment field (acknowledgment.cc).
Step CheckAcknowledgment(Core& core, Connection& c, Segment& segment);
// Takes the peer's word for its window (section 3.10.7.4, fifth step, ESTABLISHED).
void UpdateSendWindow(Connection& c, const Segment& segment);
// Seventh and eighth: payload and FIN, for a connection that has just been made, too.
Step ReceiveText(Core& core, Connection& c, Segment& segment);

// RFC 5961: answers what may be an attack, or a peer that has restarted.
void Challenge(Core& core, Connection& c);

}  // namespace sluice::tcp
