// Neighbour discovery (RFC 4861): neighbours here and in ndp.cc; routers, prefixes and address
// autoconfiguration (RFC 4862) in router.cc. Internal to lib/ip.
#pragma once

#include "base/time.h"
#include "ip/core.h"
#include "ip/link.h"
#include "ip/mbuf_bytes.h"
#include "ip/output.h"
#include "wire/icmpv4.h"

namespace sluice::ip {

// An ICMPv6 message that is no error and no echo; its checksum is right. The packet stays the
// caller's.
void NdpInput(Core& core, Instant now, Interface& interface, const Inbound* in);

void SendNeighborSolicitation(Core& core, Instant now, Interface& interface,
                              const Neighbor& neighbor, bool unicast);
// RFC 4862 section 5.4.2.
void SendDuplicateProbe(Core& core, Instant now, Interface& interface,
                        const wire::IpAddress& target);
void SendNeighborAdvertisement(Core& core, Instant now, Interface& interface,
                               const wire::IpAddress& target, const wire::IpAddress& destination,
                               bool solicited, bool override_cached);

// Routers (router.cc).
void RouterAdvertised(Core& core, Instant now, Interface& interface, const Inbound* in);
void Redirected(Core& core, Instant now, Interface& interface, const Inbound* in);
// A neighbour does not answer: if packets went through it, let them go another way.
void RouterFailed(Core& core, uint16_t interface, const wire::IpAddress& address);
// A neighbour says that it is no router (any more).
void RouterResigned(Core& core, Interface& interface, const wire::IpAddress& address);
// The interface can speak: ask for routers.
void LinkLocalReady(Core& core, Instant now, Interface& interface);
void RunRouterTimers(Core& core, Instant now);

// The link-local address of the interface (RFC 4862 section 5.3).
wire::IpAddress MakeLinkLocal(const Core& core, const Interface& interface);
// Replaces a generated address that is a duplicate; false: it stays as it is. True changes the
// list.
bool RegenerateAddress(Core& core, Instant now, Interface& interface, size_t index);

// Sends one message of wire/ndp.h with hop limit 255 (RFC 4861 section 11.2).
template <typename Message>
void SendNdp(Core& core, Instant now, Interface& interface, const Message& message,
             const wire::IpAddress& source, const wire::IpAddress& destination) {
  rte_mbuf* packet = NewPacket(core, interface);
  if (packet == nullptr) return;
  const auto bytes = static_cast<uint16_t>(message.size());
  packet->data_len = bytes;
  packet->pkt_len = bytes;
  message.Emit({Data(packet), bytes});
  Outbound outbound;
  outbound.protocol = kProtocolIcmpV6;
  outbound.ttl = 255;
  outbound.checksum_offset = wire::kIcmpChecksumOffset;
  outbound.multicast_loop = false;
  Path path = LinkPath(core, interface, source, destination);
  ++core.counters.Icmp6OutMsgs;
  Send(core, now, packet, outbound, path);
}

}  // namespace sluice::ip
