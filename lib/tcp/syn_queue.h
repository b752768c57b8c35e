// SYN-RECEIVED connections of listeners: small records without a socket until the handshake ends.
// Bounded for each listener and in all; beyond that, SYN cookies (syn_cookies.h).
#pragma once

#include <cstdint>

#include "base/sequence.h"
#include "base/time.h"
#include "base/timer_wheel.h"
#include "ip/flow_map.h"
#include "ip/path.h"
#include "tcp/slab.h"

namespace sluice::tcp {

struct Core;
struct Listener;
struct Segment;

struct SynRequest {
  SynRequest() : timer(1) {}

  ip::FlowKey key() const {
    ip::FlowKey k;
    k.local = path.source;
    k.remote = path.destination;
    k.local_port = local_port;
    k.remote_port = remote_port;
    k.scope = scope;
    return k;
  }

  Timer timer;
  uint32_t index = kNone;  // of this record
  ip::Path path;
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
  uint16_t scope = 0;
  uint16_t peer_mss = 536;
  uint16_t advertised_mss = 536;
  uint8_t snd_scale = 0;
  uint8_t rcv_scale = 0;
  uint32_t listener = kNone;
  Sequence iss;
  Sequence irs;
  uint32_t window = 0;  // bytes, as we offer
  uint32_t ts_recent = 0;
  uint32_t ts_offset = 0;
  uint8_t retransmits = 0;
  bool timestamps = false;
  bool sack = false;
  bool window_scaling = false;
  bool acknowledged = false;  // the handshake is done, but the connection could not be taken yet
  bool cookie = false;        // made from a SYN cookie
  Instant started;
};

// Puts a SYN in the queue (or answers it with a cookie) and sends the SYN-ACK.
void ReceiveSyn(Core& core, uint32_t listener_index, Segment& segment, const Sequence* isn_above);
// A segment for a half-open connection (RFC 9293 section 3.10.7.4 for SYN-RECEIVED).
void SynRequestSegment(Core& core, uint32_t index, Segment& segment);
// An ACK that may answer a cookie. False: it does not, and belongs to nothing.
bool CookieSegment(Core& core, uint32_t listener_index, Segment& segment);
void SynRequestTimeout(Core& core, SynRequest& request);
void RemoveSynRequest(Core& core, uint32_t index);
// The same for one whose place in the flow map another record has taken.
void ReturnSynRequest(Core& core, uint32_t index);
bool SendSynAck(Core& core, SynRequest& request);

}  // namespace sluice::tcp
