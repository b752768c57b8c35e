#include "ip/arp.h"

#include "ip/addresses.h"
#include "ip/link.h"
#include "ip/mbuf_bytes.h"
#include "ip/resolve.h"
#include "wire/arp.h"
#include "wire/ethernet.h"

namespace sluice::ip {
namespace {

using wire::ArpOperation;
using wire::ArpPacket;

constexpr Duration kDefendInterval = Seconds(10);  // RFC 5227 section 1.1

void SendArp(Core& core, Interface& interface, const ArpPacket& arp,
             const wire::MacAddress& destination) {
  rte_mbuf* packet = NewPacket(core, interface);
  if (packet == nullptr) return;
  packet->data_len = wire::kArpBytes;
  packet->pkt_len = wire::kArpBytes;
  arp.Emit({Data(packet), wire::kArpBytes});
  SendFrame(core, interface, packet, destination, wire::kEtherTypeArp);
}

void Reply(Core& core, Interface& interface, const ArpPacket& request) {
  ArpPacket reply;
  reply.operation = ArpOperation::kReply;
  reply.sender_mac = interface.mac;
  reply.sender_ip = request.target_ip;
  reply.target_mac = request.sender_mac;
  reply.target_ip = request.sender_ip;
  ++core.counters.ArpOutReplies;
  SendArp(core, interface, reply, request.sender_mac);
}

// Somebody else uses, or is about to use, an address of ours. True: the packet is dealt with.
bool Conflict(Core& core, Instant now, Interface& interface, const ArpPacket& arp) {
  InterfaceAddress* ours = interface.FindAddress(arp.sender_ip);
  // RFC 5227 section 2.1.1: while we probe, another's probe for the same address counts, too.
  if (ours == nullptr && arp.is_probe()) {
    InterfaceAddress* wanted = interface.FindAddress(arp.target_ip);
    if (wanted != nullptr && wanted->state == AddressState::kTentative) ours = wanted;
  }
  if (ours == nullptr) return false;
  ++core.counters.ArpConflicts;
  if (ours->state == AddressState::kTentative) {
    AddressDuplicated(core, *ours);
    return true;
  }
  // Section 2.4 (b): one announcement, not more than one in ten seconds, so that two hosts that
  // both insist do not fill the link.
  if (core.config.is_speaker && ours->usable() && now - ours->defended >= kDefendInterval) {
    ours->defended = now;
    SendArpRequest(core, interface, ours->address, ours->address, wire::MacAddress::Broadcast());
  }
  return true;
}

// On the link, as far as our routes tell: who is not has no place in the neighbour table.
bool IsOnLink(const Core& core, const Interface& interface, const wire::IpAddress& address) {
  const Route* route =
      core.routes.Find(address, [&](const Route& r) { return r.interface == interface.index; });
  return route != nullptr && route->gateway.is_unspecified();
}

bool IsHostAddress(const wire::IpAddress& address) {
  return !address.is_multicast() && !address.is_limited_broadcast() && !address.is_loopback();
}

}  // namespace

void ArpInput(Core& core, Instant now, Interface& interface, const rte_mbuf* packet) {
  Counters& counters = core.counters;
  const auto arp = ArpPacket::Parse(FirstBytes(packet));
  if (!arp || arp->sender_mac.is_multicast() || arp->sender_mac.is_zero() ||
      !IsHostAddress(arp->sender_ip)) {
    ++counters.ArpInErrors;
    return;
  }
  if (arp->sender_mac == interface.mac) return;  // our own, reflected by the link
  const bool request = arp->operation == ArpOperation::kRequest;
  ++(request ? counters.ArpInRequests : counters.ArpInReplies);
  if (Conflict(core, now, interface, *arp)) return;

  const InterfaceAddress* target = interface.FindAddress(arp->target_ip);
  const bool for_us = target != nullptr && target->usable();
  if (!arp->is_probe() && arp->sender_ip != wire::IpAddress::AnyV4()) {
    // RFC 826: what is known is updated, whoever is asked; who asks us is learnt.
    uint32_t index = core.neighbors.Find(interface.index, arp->sender_ip);
    if (index == kNoNeighbor && for_us && request && IsOnLink(core, interface, arp->sender_ip)) {
      index = core.neighbors.FindOrCreate(interface.index, arp->sender_ip, counters);
    }
    if (index != kNoNeighbor) {
      NeighborClaim claim;
      claim.mac = arp->sender_mac;
      claim.solicited = !request && for_us;
      if (core.neighbors.OnClaim(now, index, claim, core.timings[interface.index])) {
        NeighborResolved(core, index);
      }
    }
  }
  if (request && for_us && core.config.is_speaker) Reply(core, interface, *arp);
}

void SendArpRequest(Core& core, Interface& interface, const wire::IpAddress& sender,
                    const wire::IpAddress& target, const wire::MacAddress& destination) {
  ArpPacket request;
  request.sender_mac = interface.mac;
  request.sender_ip = sender.is_v4() ? sender : wire::IpAddress::AnyV4();
  request.target_ip = target;
  ++core.counters.ArpOutRequests;
  SendArp(core, interface, request, destination);
}

}  // namespace sluice::ip
