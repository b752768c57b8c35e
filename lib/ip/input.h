// From a frame to a transport packet: demultiplexing and validation. Internal to lib/ip.
#pragma once

#include <rte_mbuf.h>

#include "base/time.h"
#include "ip/core.h"
#include "ip/mbuf_bytes.h"

namespace sluice::ip {

// As Stack::Input.
Verdict Input(Core& core, Instant now, uint16_t interface, rte_mbuf* packet, Inbound* out);

// The short way (plain_input.cc) for what most frames from an Ethernet link are. True: deliver it.
// False: it is something else, and nothing has happened.
bool PlainInput(Core& core, const Interface& interface, rte_mbuf* packet, Inbound* out);

// The packet's data begins at the IP header; what is known of the frame stands in out->info.
Verdict Ipv4Input(Core& core, Instant now, Interface& interface, rte_mbuf* packet, Inbound* out);
Verdict Ipv6Input(Core& core, Instant now, Interface& interface, rte_mbuf* packet, Inbound* out);

// Datagrams whose fragments did not all come in time: reported to their senders.
void RunReassemblyTimer(Core& core, Instant now);

inline Verdict Drop(rte_mbuf* packet) {
  rte_pktmbuf_free(packet);
  return Verdict::kConsumed;
}

// Makes the transport header lie in the first mbuf. False: there is no room for it there.
inline bool GatherTransportHeader(rte_mbuf* packet) {
  return Gather(packet, std::min(packet->pkt_len, kTransportBytesTogether));
}

// What the port said of the transport checksum. NONE means that the field is wrong but the data is
// known to be right, as between virtual machines of one host.
inline ChecksumState TransportChecksumState(const rte_mbuf* packet) {
  switch (packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
    case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
    case RTE_MBUF_F_RX_L4_CKSUM_NONE:
      return ChecksumState::kGood;
    case RTE_MBUF_F_RX_L4_CKSUM_BAD:
      return ChecksumState::kBad;
    default:
      return ChecksumState::kUnknown;
  }
}

}  // namespace sluice::ip
