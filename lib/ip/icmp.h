// ICMP for both families: echo, errors that arrive, errors that we send. Internal to lib/ip.
#pragma once

#include <rte_mbuf.h>

#include "base/time.h"
#include "ip/core.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"

namespace sluice::ip {

// in->packet begins at the ICMP header; in->info describes it. Takes the packet unless it returns
// kError.
Verdict IcmpV4Input(Core& core, Instant now, Interface& interface, Inbound* in);
Verdict IcmpV6Input(Core& core, Instant now, Interface& interface, Inbound* in);

// Reports a packet to its sender, unless RFC 1122 section 3.2.2, RFC 4443 section 2.4(e) or the
// rate limit forbids it. info.network_header_bytes of headers stand before the packet's data; the
// packet is only read. `about_multicast`: the error is one of those that may answer a multicast
// packet.
void SendIcmpV4Error(Core& core, Instant now, const rte_mbuf* packet, const PacketInfo& info,
                     const wire::Icmpv4Header& header);
void SendIcmpV6Error(Core& core, Instant now, const rte_mbuf* packet, const PacketInfo& info,
                     const wire::Icmpv6Header& header, bool about_multicast);

// Where the number of the transport stands in the headers before the packet's data, counted from
// the IPv6 header.
uint16_t NextHeaderField(const rte_mbuf* packet, const PacketInfo& info);

}  // namespace sluice::ip
