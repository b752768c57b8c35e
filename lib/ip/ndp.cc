#include "ip/ndp.h"

#include "ip/addresses.h"
#include "ip/resolve.h"
#include "wire/icmpv6.h"
#include "wire/ndp.h"

namespace sluice::ip {
namespace {

using wire::Icmpv6Type;
using wire::IpAddress;

constexpr uint8_t kHopLimit = 255;

// A neighbour showed its link address in a message of its own (RFC 4861 sections 7.2.3, 6.3.4).
void Heard(Core& core, Instant now, Interface& interface, const IpAddress& address,
           const wire::MacAddress& mac) {
  if (mac.is_multicast() || mac.is_zero()) return;
  const uint32_t index = core.neighbors.FindOrCreate(interface.index, address, core.counters);
  if (index == kNoNeighbor) return;
  if (core.neighbors.OnHeard(now, index, mac)) NeighborResolved(core, index);
}

// Section 7.2.3 and 7.2.4, RFC 4862 section 5.4.3.
void Solicited(Core& core, Instant now, Interface& interface, const Inbound* in) {
  ++core.counters.Icmp6InNeighborSolicits;
  const auto message = wire::NeighborSolicitation::Parse(FirstBytes(in->packet));
  const PacketInfo& info = in->info;
  const bool probe = info.source.is_unspecified();
  if (!message || (probe && (message->options.source_link ||
                             info.destination != SolicitedNodeGroup(message->target)))) {
    ++core.counters.Icmp6InErrors;
    return;
  }
  InterfaceAddress* target = interface.FindAddress(message->target);
  if (target == nullptr) return;
  if (target->state == AddressState::kTentative) {
    if (probe) AddressDuplicated(core, *target);
    return;
  }
  if (!target->usable()) return;
  if (probe) {
    if (!core.config.is_speaker) return;
    SendNeighborAdvertisement(core, now, interface, message->target, kAllNodes, false, true);
    return;
  }
  if (message->options.source_link) {
    Heard(core, now, interface, info.source, *message->options.source_link);
  }
  if (!core.config.is_speaker) return;
  SendNeighborAdvertisement(core, now, interface, message->target, info.source, true, true);
}

// Section 7.2.5, RFC 4862 section 5.4.4.
void Advertised(Core& core, Instant now, Interface& interface, const Inbound* in) {
  ++core.counters.Icmp6InNeighborAdvertisements;
  const auto message = wire::NeighborAdvertisement::Parse(FirstBytes(in->packet));
  if (!message || (in->info.destination.is_multicast() && message->solicited)) {
    ++core.counters.Icmp6InErrors;
    return;
  }
  if (InterfaceAddress* ours = interface.FindAddress(message->target)) {
    if (ours->state == AddressState::kTentative) AddressDuplicated(core, *ours);
    return;
  }
  const uint32_t index = core.neighbors.Find(interface.index, message->target);
  if (index == kNoNeighbor) return;
  NeighborClaim claim;
  claim.has_mac = message->options.target_link.has_value();
  if (claim.has_mac) claim.mac = *message->options.target_link;
  if (claim.has_mac && (claim.mac.is_multicast() || claim.mac.is_zero())) return;
  claim.solicited = message->solicited;
  claim.override_entry = message->override_cached;
  claim.router = message->router;
  claim.sets_router = true;
  const bool was_router = core.neighbors[index].router;
  if (core.neighbors.OnClaim(now, index, claim, core.timings[interface.index])) {
    NeighborResolved(core, index);
  }
  if (was_router && !core.neighbors[index].router) {
    RouterResigned(core, interface, message->target);
  }
}

}  // namespace

void NdpInput(Core& core, Instant now, Interface& interface, const Inbound* in) {
  // Sections 6.1, 7.1, 8.1: a hop limit of 255 proves that no router forwarded it.
  if (in->info.ttl != kHopLimit || in->info.looped || !interface.ethernet) {
    ++core.counters.Icmp6InErrors;
    return;
  }
  switch (Data(in->packet)[0]) {
    case Icmpv6Type::kRouterSolicitation:
      ++core.counters.Icmp6InRouterSolicits;  // for routers
      break;
    case Icmpv6Type::kRouterAdvertisement:
      ++core.counters.Icmp6InRouterAdvertisements;
      RouterAdvertised(core, now, interface, in);
      break;
    case Icmpv6Type::kNeighborSolicitation:
      Solicited(core, now, interface, in);
      break;
    case Icmpv6Type::kNeighborAdvertisement:
      Advertised(core, now, interface, in);
      break;
    case Icmpv6Type::kRedirect:
      ++core.counters.Icmp6InRedirects;
      Redirected(core, now, interface, in);
      break;
    default:
      break;
  }
}

void SendNeighborSolicitation(Core& core, Instant now, Interface& interface,
                              const Neighbor& neighbor, bool unicast) {
  const IpAddress target = neighbor.address;
  // Section 7.2.2: the source of the packet that waits, if it is the interface's.
  IpAddress source = neighbor.probe_source;
  const InterfaceAddress* ours = interface.FindAddress(source);
  if (ours == nullptr || !ours->usable()) {
    const auto chosen = ChooseSource(core, interface, target);
    if (!chosen) return;
    source = *chosen;
  }
  wire::NeighborSolicitation message;
  message.target = target;
  message.options.source_link = interface.mac;
  ++core.counters.Icmp6OutNeighborSolicits;
  SendNdp(core, now, interface, message, source, unicast ? target : SolicitedNodeGroup(target));
}

void SendDuplicateProbe(Core& core, Instant now, Interface& interface, const IpAddress& target) {
  wire::NeighborSolicitation message;
  message.target = target;
  ++core.counters.Icmp6OutNeighborSolicits;
  SendNdp(core, now, interface, message, IpAddress::AnyV6(), SolicitedNodeGroup(target));
}

void SendNeighborAdvertisement(Core& core, Instant now, Interface& interface,
                               const IpAddress& target, const IpAddress& destination,
                               bool solicited, bool override_cached) {
  wire::NeighborAdvertisement message;
  message.solicited = solicited;
  message.override_cached = override_cached;
  message.target = target;
  message.options.target_link = interface.mac;
  ++core.counters.Icmp6OutNeighborAdvertisements;
  SendNdp(core, now, interface, message, target, destination);
}

}  // namespace sluice::ip
