// SYN cookies: when the queue of half-open connections is full, what must be remembered of a SYN
// goes into the sequence number and the timestamp of the SYN-ACK, and comes back with the ACK (RFC
// 4987 section 3.6). A keyed hash says whether we made it, and how long ago.
//
// The number: 5 bits of a clock of 64 s, 3 bits for the peer's MSS, 24 bits of hash. The
// timestamp's lowest 6 bits: window scale, or 15 for none, SACK.
#pragma once

#include <cstdint>
#include <optional>

#include "base/sequence.h"
#include "base/siphash.h"
#include "base/time.h"
#include "ip/flow_map.h"

namespace sluice::tcp {

// The sequence number for a SYN-ACK.
Sequence MakeCookie(const SipKey& key, const ip::FlowKey& flow, Sequence irs, uint16_t mss,
                    Instant now);
// The MSS that a cookie holds, if we made it for this flow within the last two minutes.
std::optional<uint16_t> CheckCookie(const SipKey& key, const ip::FlowKey& flow, Sequence irs,
                                    Sequence cookie, Instant now);

struct CookieOptions {
  bool window_scaling = false;
  bool sack = false;
  uint8_t scale = 0;
};
// A timestamp not later than `clock_ms` that holds the options, and back.
uint32_t CookieTimestamp(uint32_t clock_ms, const CookieOptions& options);
CookieOptions OptionsOfCookie(uint32_t timestamp);

}  // namespace sluice::tcp
