// Datagrams whose fragments did not all come in time (RFC 1122 section 3.3.2, RFC 8200
// section 4.5).
#include "ip/icmp.h"
#include "ip/input.h"

namespace sluice::ip {

void RunReassemblyTimer(Core& core, Instant now) {
  Reassembled first;
  while (core.reassembler.TakeExpired(now, &first)) {
    const bool v4 = first.key.source.is_v4();
    ++(v4 ? core.counters.IpReasmTimeout : core.counters.Ip6ReasmTimeout);
    ++(v4 ? core.counters.IpReasmFails : core.counters.Ip6ReasmFails);
    // Without the first fragment the sender could not tell what it was about.
    if (first.packet == nullptr) continue;
    if (!core.config.is_speaker) {
      rte_pktmbuf_free(first.packet);
      continue;
    }
    PacketInfo info;
    info.source = first.key.source;
    info.destination = first.key.destination;
    info.protocol = first.protocol;
    info.interface = first.key.interface;
    info.network_header_bytes = first.header_bytes;
    const LocalEntry* entry = core.local.Find(info.destination, info.interface);
    if (entry != nullptr) info.destination_kind = entry->kind;
    constexpr uint8_t kCode = wire::IcmpTimeExceeded::kReassembly;
    if (v4) {
      SendIcmpV4Error(core, now, first.packet, info, wire::Icmpv4Header::TimeExceeded(kCode));
    } else {
      SendIcmpV6Error(core, now, first.packet, info, wire::Icmpv6Header::TimeExceeded(kCode),
                      false);
    }
    rte_pktmbuf_free(first.packet);
  }
}

}  // namespace sluice::ip
