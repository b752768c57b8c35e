// ARP (RFC 826) with conflict detection (RFC 5227). Internal to lib/ip.
#pragma once

#include <rte_mbuf.h>

#include "base/time.h"
#include "ip/core.h"

namespace sluice::ip {

// Reads an ARP packet; its data begins behind the link header. The packet stays the caller's.
void ArpInput(Core& core, Instant now, Interface& interface, const rte_mbuf* packet);

// Asks for `target`. `sender` unspecified: a probe; the same as `target`: an announcement.
void SendArpRequest(Core& core, Interface& interface, const wire::IpAddress& sender,
                    const wire::IpAddress& target, const wire::MacAddress& destination);

}  // namespace sluice::ip
