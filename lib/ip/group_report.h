// IGMPv3 (RFC 3376) and MLDv2 (RFC 3810) for hosts, with the older versions where a router speaks
// no better. Internal to lib/ip.
#pragma once

#include "base/time.h"
#include "ip/core.h"

namespace sluice::ip {

// Queries and other hosts' reports. The packet stays the caller's.
void IgmpInput(Core& core, Instant now, Interface& interface, const Inbound* in);
void MldInput(Core& core, Instant now, Interface& interface, const Inbound* in);

// Reports that are due.
void RunGroupTimers(Core& core, Instant now);

}  // namespace sluice::ip
