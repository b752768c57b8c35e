// Counters of UDP, under the names of Linux's SNMP table where those exist (RFC 4113 gives the
// meaning), for both families together, and own ones for every limit that was hit.
#pragma once

#include <cstdint>

// One line a counter; the struct and the table of names are made of the same list.
// clang-format off
#define SLUICE_UDP_COUNTERS(X) \
  X(UdpInDatagrams) X(UdpNoPorts) X(UdpInErrors) X(UdpOutDatagrams) X(UdpRcvbufErrors) \
  X(UdpSndbufErrors) X(UdpInCsumErrors) X(UdpIgnoredMulti) X(UdpMemErrors) \
  X(UdpReceiveDatagramsFull) X(UdpSocketsFull) X(UdpBindingsFull) X(UdpPortsExhausted) \
  X(UdpFlowMapFull) X(UdpMembershipsFull) X(UdpErrorReports) X(UdpErrorReportsFull) \
  X(UdpMinimumTtlDrops) X(UdpOutErrors) X(UdpCloseDrops) X(UdpTransmitRetries) \
  X(UdpSendQueueCorrupt)
// clang-format on

namespace sluice::udp {

struct Counters {
#define SLUICE_UDP_COUNTER_FIELD(name) uint64_t name = 0;
  SLUICE_UDP_COUNTERS(SLUICE_UDP_COUNTER_FIELD)
#undef SLUICE_UDP_COUNTER_FIELD

  // Calls visit("UdpInDatagrams", value) for each, in the order of the list.
  template <typename Visitor>
  void ForEach(Visitor&& visit) const {
#define SLUICE_UDP_COUNTER_VISIT(name) visit(#name, name);
    SLUICE_UDP_COUNTERS(SLUICE_UDP_COUNTER_VISIT)
#undef SLUICE_UDP_COUNTER_VISIT
  }
};

}  // namespace sluice::udp
