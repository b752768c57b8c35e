// From a destination to a path, from a transport packet to IP packets. Internal to lib/ip; Stack's
// functions of the same names say what they promise.
#pragma once

#include <rte_mbuf.h>

#include <optional>

#include "base/time.h"
#include "ip/core.h"

namespace sluice::ip {

PathStatus FindPath(Core& core, const wire::IpAddress& destination, const wire::IpAddress& source,
                    uint16_t interface, Path* path);
inline PathStatus Refresh(Core& core, Path* path) {
  return FindPath(core, path->destination, path->source, path->bound_interface, path);
}

// A path to somebody on the interface's own link, past the routes: for ARP's and neighbour
// discovery's own packets, groups and routers.
Path LinkPath(const Core& core, const Interface& interface, const wire::IpAddress& source,
              const wire::IpAddress& destination);

// RFC 6724 section 5. nullopt if the host has no address of the family.
std::optional<wire::IpAddress> ChooseSource(const Core& core, const Interface& interface,
                                            const wire::IpAddress& destination);

SendResult Send(Core& core, Instant now, rte_mbuf* packet, const Outbound& outbound, Path& path);

// The identification of the next packet that may be fragmented.
uint16_t NextIdentification(Core& core, const Path& path);

// For fragments, too: puts an IPv4 header before the data. The fields that describe the piece are
// in `fragment`; false: no headroom.
struct PieceOfPacket {
  uint16_t identification = 0;
  uint16_t offset = 0;
  bool more = false;
  bool dont_fragment = false;
};
bool PrependIpv4(const Interface& interface, rte_mbuf* packet, const Outbound& outbound,
                 const Path& path, uint8_t ttl, const PieceOfPacket& piece);
bool PrependIpv6(rte_mbuf* packet, const Outbound& outbound, const Path& path, uint8_t ttl,
                 uint8_t next_header);

// Writes the checksum that Outbound asks for, by reading the packet where need be.
void StoreTransportChecksum(rte_mbuf* packet, const Outbound& outbound, const Path& path);

// Sends a whole IP packet, and a copy to ourselves where its group wants one.
SendResult SendWithCopy(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                        const Outbound& outbound, Path& path);

// The packet is larger than `mtu`: sends it in fragments (fragment.cc).
SendResult SendFragments(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                         const Outbound& outbound, Path& path, uint8_t ttl, uint16_t mtu);

}  // namespace sluice::ip
