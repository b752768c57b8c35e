// A socket that listens (RFC 9293 section 3.10.1), and what opens there.
#pragma once

#include <cstdint>

#include "base/sequence.h"
#include "base/time.h"
#include "table/result.h"
#include "table/socket_table.h"
#include "tcp/slab.h"

namespace sluice::tcp {

struct Core;
struct Segment;

struct Listener {
  uint32_t socket = kNone;
  uint32_t binding = kNone;
  uint32_t backlog = 0;
  uint32_t half_open = 0;                                       // SYN requests
  Instant cookies_until = Instant::FromNanoseconds(INT64_MIN);  // cookies were sent of late
};

table::Result StartListening(Core& core, table::Socket socket, uint32_t backlog);
// Resets what nobody will accept. The socket keeps its binding, which is returned.
uint32_t StopListening(Core& core, table::Socket socket);

// A segment for which there is no connection (RFC 9293 sections 3.10.7.1 and 3.10.7.2): for a
// listener if there is one, else to be answered with a reset. `isn_above`: an ISN must be beyond
// this number, if it is not null (RFC 6191).
void ListenerSegment(Core& core, Segment& segment, const Sequence* isn_above);

// Whether the connection queue takes no more.
bool ConnectionQueueFull(Core& core, const Listener& listener);

}  // namespace sluice::tcp
