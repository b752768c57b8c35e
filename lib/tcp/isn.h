// Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 section 5.4): a clock plus a
// keyed hash of the connection, so that nobody can guess one connection's from another's, and a new
// incarnation of a connection starts beyond the old.
#pragma once

#include <cstdint>

#include "base/sequence.h"
#include "base/siphash.h"
#include "base/time.h"
#include "ip/flow_map.h"

namespace sluice::tcp {

inline Sequence InitialSequence(const SipKey& key, const ip::FlowKey& flow, Instant now) {
  constexpr uint32_t kPurpose = 1;
  // RFC 9293 section 3.4.1: a clock of 4 us.
  const auto clock = static_cast<uint32_t>(now.nanoseconds() / 4000);
  return Sequence(clock +
                  static_cast<uint32_t>(SipHashOf(key, flow.local.bytes(), flow.remote.bytes(),
                                                  flow.local_port, flow.remote_port, kPurpose)));
}

// Without the ports' part of a clock: the same for every incarnation, so that PAWS and RFC 6191 can
// compare them.
inline uint32_t TimestampOffset(const SipKey& key, const ip::FlowKey& flow) {
  constexpr uint32_t kPurpose = 2;
  return static_cast<uint32_t>(SipHashOf(key, flow.local.bytes(), flow.remote.bytes(), kPurpose));
}

}  // namespace sluice::tcp
