// Which path MTUs are believable, and remembering them (RFC 1191, RFC 8201). Internal to lib/ip.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "ip/core.h"

namespace sluice::ip {

// Below this no IPv4 path of today lies, while each byte less makes an attack dearer for us: what
// claims less is taken for this (RFC 791 itself would go down to 68).
inline constexpr uint32_t kPathMtuMinV4 = 552;
inline constexpr uint32_t kPathMtuMinV6 = 1280;

// The MTU that a "fragmentation needed" means, about a packet of `quoted_bytes`; 0 if it cannot be
// true. Routers older than RFC 1191 give none: then the next lower plateau (section 7.1).
uint32_t PlausiblePathMtuV4(uint32_t reported, uint32_t quoted_bytes);

void UpdatePathMtu(Core& core, Instant now, const wire::IpAddress& destination, uint32_t mtu);

}  // namespace sluice::ip
