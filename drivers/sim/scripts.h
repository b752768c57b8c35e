// Predicates for Impairments::drop: losing exactly the frame that a test is about.
//
//   network.from(a).drop = DropNth(3, IsTcpData(engine::LinkType::kEthernet));
#pragma once

#include <cstdint>
#include <functional>
#include <set>

#include "engine/port.h"
#include "sim/impairments.h"

namespace sluice::sim {

using FramePredicate = std::function<bool(const SentFrame&)>;

// The n-th frame (from 1) for which `counts` is true, once.
FramePredicate DropNth(uint64_t n, FramePredicate counts);
// Each of the given ordinals among the frames for which `counts` is true.
FramePredicate DropEach(std::set<uint64_t> ordinals, FramePredicate counts);
// Everything sent in [begin, end): a cable that was pulled for a while.
FramePredicate DropBetween(Instant begin, Instant end);

FramePredicate AnyFrame();
// TCP over IPv4 or IPv6 (no extension headers) with at least one byte of payload.
FramePredicate IsTcpData(engine::LinkType link);
// TCP with all of `set` among its flags and none of `clear` (RFC 9293 section 3.1 order: FIN is 1,
// SYN 2, RST 4, PSH 8, ACK 16).
FramePredicate HasTcpFlags(engine::LinkType link, uint8_t set, uint8_t clear = 0);

}  // namespace sluice::sim
