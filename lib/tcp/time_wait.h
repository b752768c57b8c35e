// Connections in TIME-WAIT: small records that answer what is left of a closed connection (RFC 9293
// section 3.10.7.4), and that a new one may replace (RFC 6191, RFC 7323 section 5.5).
#pragma once

#include <cstdint>

#include "base/sequence.h"
#include "base/timer_wheel.h"
#include "ip/flow_map.h"
#include "tcp/slab.h"

namespace sluice::tcp {

struct Core;
struct Connection;
struct Segment;

struct TimeWait {
  TimeWait() : timer(2) {}

  Timer timer;
  uint32_t index = kNone;  // of this record
  ip::FlowKey key;
  Sequence snd_nxt;
  Sequence rcv_nxt;
  uint32_t window = 0;  // bytes that we still offered
  uint32_t ts_recent = 0;
  uint32_t ts_recent_ms = 0;
  uint32_t ts_offset = 0;
  uint32_t binding = kNone;
  uint16_t bound_interface = 0;
  uint8_t rcv_scale = 0;
  bool timestamps = false;
};

// Leaves a record behind for the connection, which the caller then ends. False: no room.
bool EnterTimeWait(Core& core, Connection& c);
void TimeWaitSegment(Core& core, uint32_t index, Segment& segment);
void RemoveTimeWait(Core& core, uint32_t index);
// Whether connect() may take the four-tuple over (RFC 6191); `isn_above` is then what the new
// sequence numbers must be beyond.
bool MayReplace(const Core& core, const TimeWait& record, Sequence* isn_above);

}  // namespace sluice::tcp
