// From a header and bytes of a send queue to a packet, handed to the internet layer.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "base/sequence.h"
#include "ip/path.h"
#include "wire/tcp.h"
#include "wire/tcp_options.h"

namespace sluice::tcp {

struct Connection;
struct Core;
struct Segment;

// What became of a segment.
enum class Emitted : uint8_t {
  kSent,
  kRetry,    // no packet, or no room in the transmit queue: soon there will be
  kTooBig,   // path.mtu has shrunk
  kLost,     // no way to the peer just now: as if the network had lost it
  kSplit,    // urgent data: it must go in segments that the port does not cut
  kCorrupt,  // the send queue does not hold the bytes it was said to hold
};

// A segment without payload. Ports, flags, window are the header's; its length is set here.
struct ControlStyle {
  uint8_t ttl = 0;
  uint8_t traffic_class = 0;
};
Emitted EmitControl(Core& core, ip::Path& path, wire::TcpHeader header,
                    const wire::TcpOptions& options, const ControlStyle& style = {});

// A segment of a synchronized connection: `bytes` of its send queue from `begin` on. Carries the
// acknowledgment, timestamps and SACK blocks that are due; if it is sent, they no longer are.
Emitted EmitSegment(Core& core, Connection& c, Sequence begin, uint32_t bytes, uint8_t flags);

// The frame of the segment with so many bytes that EmitSegment sent last, as the model of others;
// nullptr: it can be none. It serves as long as nothing is received or handed to the port.
const rte_mbuf* ModelFrame(const Core& core, const Connection& c, uint32_t bytes);
// Another segment like that one, where only sequence number and payload differ: as many bytes, with
// no flag but ACK, and nothing new to tell the peer. kSplit: use EmitSegment.
Emitted EmitLike(Core& core, Connection& c, const rte_mbuf& model, Sequence begin, uint32_t bytes);

// An acknowledgment, at once. False: it could not be sent.
bool EmitAcknowledgment(Core& core, Connection& c);
// The same with a sequence number of its own: probes and keepalives.
bool EmitProbe(Core& core, Connection& c, Sequence sequence);

// A reset that follows from nothing but the segment (RFC 9293 section 3.10.7.1). Rate limited.
void EmitResetFor(Core& core, const Segment& segment);
// A reset of a connection: sequence numbers as the peer expects them.
void EmitReset(Core& core, Connection& c);

// Options bytes that EmitSegment will use beside payload, timestamps not counted.
uint32_t SackOptionBytes(const Core& core, const Connection& c);

}  // namespace sluice::tcp
