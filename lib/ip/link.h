// From an IP packet to a frame in a transmit queue. Internal to lib/ip.
#pragma once

#include <rte_mbuf.h>

#include "base/time.h"
#include "ip/core.h"

namespace sluice::ip {

// An empty packet from the interface's pool with room for headers, or nullptr (counted).
rte_mbuf* NewPacket(Core& core, const Interface& interface);

// Sends an IP packet along its path: to the loop, to a group, or to the next hop, for whose link
// address it waits if need be. `path.neighbor` is looked up anew if it has gone.
SendResult SendIpPacket(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                        Path& path);

// Puts a link header before the packet and queues it.
SendResult SendFrame(Core& core, Interface& interface, rte_mbuf* packet,
                     const wire::MacAddress& destination, uint16_t ether_type);

// Queues a packet of ours for our own input, as if it had arrived on `interface`.
SendResult Loop(Core& core, uint16_t interface, rte_mbuf* packet);

// Sends to a neighbour whose link header is made.
SendResult SendToLink(Core& core, Interface& interface, rte_mbuf* packet, const Neighbor& neighbor);

// The link header for a destination; returns its length. An 802.1Q tag is left to the port where
// the port can insert it.
uint8_t WriteLinkHeader(const Interface& interface, const wire::MacAddress& destination,
                        uint16_t ether_type, uint8_t* to);

// RFC 1112 section 6.4, RFC 2464 section 7, and broadcast.
wire::MacAddress GroupMac(const wire::IpAddress& destination);

}  // namespace sluice::ip
