// Opening connections (RFC 9293 sections 3.5, 3.10.1 and 3.10.7.3).
#pragma once

#include <cstdint>

#include "base/sequence.h"
#include "ip/path.h"
#include "table/result.h"
#include "table/socket_table.h"
#include "wire/address.h"
#include "wire/tcp_options.h"

namespace sluice::tcp {

struct Connection;
struct Core;
struct Segment;
struct SynRequest;

// Active open.
// As Stack::Connect.
table::Result StartConnect(Core& core, table::Socket socket, const wire::Endpoint& remote,
                           uint8_t* owner);
// A segment in SYN-SENT (section 3.10.7.3).
void SynSentSegment(Core& core, Connection& c, Segment& segment);
// The SYN, or in SYN-RECEIVED the SYN-ACK, once more.
void ResendSyn(Core& core, Connection& c);
// SYN-SENT or SYN-RECEIVED becomes ESTABLISHED: `segment` acknowledges our SYN.
void Establish(Core& core, Connection& c, const Segment& segment);

// Makes a connection with a socket out of a half-open one, and puts it in the listener's queue.
// The request with this index (kNone: it never had one) is removed. nullptr: a limit was hit, and
// nothing has changed.
Connection* PromoteRequest(Core& core, SynRequest& request, uint32_t request_index);

// --- What all openers share ---

// Takes what options say of the connections that the socket makes: TTL, TOS, ...
void TakeOptions(Core& core, Connection& c);
// Payload of a full segment from the peer's MSS, the path's MTU and TCP_MAXSEG.
void UpdateMss(Core& core, Connection& c);
// The MSS option for a path (RFC 9293 section 3.7.1, RFC 6691).
uint16_t MssToAdvertise(const ip::Path& path, const table::Options& options);
// What a peer that sends no MSS option takes (RFC 9293 MUST-15).
uint16_t DefaultMss(const ip::Path& path);
// Options of a SYN or SYN-ACK.
struct SynOffer {
  uint16_t mss = 536;
  bool timestamps = false;
  bool sack = false;
  bool window_scaling = false;
  uint8_t scale = 0;
  uint32_t ts_value = 0;
  uint32_t ts_echo = 0;
};
wire::TcpOptions SynOptions(const SynOffer& offer);

}  // namespace sluice::tcp
