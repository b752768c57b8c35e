// Counters of the internet layer, under the names of Linux's SNMP and netstat tables where those
// exist (RFC 4293 and RFC 4292 give their meaning), and own ones for every limit that was hit.
#pragma once

#include <cstdint>

// One line a counter; the struct and the table of names are made of the same list.
// clang-format off
#define SLUICE_IP_COUNTERS(X) \
  X(IpInReceives) X(IpInHdrErrors) X(IpInAddrErrors) X(IpInUnknownProtos) X(IpInDiscards) \
  X(IpInDelivers) X(IpInTruncatedPkts) X(IpInCsumErrors) X(IpOutRequests) X(IpOutDiscards) \
  X(IpOutNoRoutes) X(IpReasmTimeout) X(IpReasmReqds) X(IpReasmOKs) X(IpReasmFails) \
  X(IpFragOKs) X(IpFragFails) X(IpFragCreates) X(IpInMcastPkts) X(IpInBcastPkts) \
  X(Ip6InReceives) X(Ip6InHdrErrors) X(Ip6InAddrErrors) X(Ip6InUnknownProtos) X(Ip6InDiscards) \
  X(Ip6InDelivers) X(Ip6InTruncatedPkts) X(Ip6OutRequests) X(Ip6OutDiscards) X(Ip6OutNoRoutes) \
  X(Ip6ReasmTimeout) X(Ip6ReasmReqds) X(Ip6ReasmOKs) X(Ip6ReasmFails) X(Ip6FragOKs) \
  X(Ip6FragFails) X(Ip6FragCreates) X(Ip6InMcastPkts) X(IcmpInMsgs) X(IcmpInErrors) \
  X(IcmpInCsumErrors) X(IcmpInDestUnreachs) X(IcmpInTimeExcds) X(IcmpInParmProbs) \
  X(IcmpInSrcQuenchs) X(IcmpInRedirects) X(IcmpInEchos) X(IcmpInEchoReps) X(IcmpOutMsgs) \
  X(IcmpOutDestUnreachs) X(IcmpOutTimeExcds) X(IcmpOutParmProbs) X(IcmpOutEchoReps) \
  X(IcmpOutRateLimitGlobal) X(Icmp6InMsgs) X(Icmp6InErrors) X(Icmp6InCsumErrors) \
  X(Icmp6InDestUnreachs) X(Icmp6InPktTooBigs) X(Icmp6InTimeExcds) X(Icmp6InParmProblems) \
  X(Icmp6InEchos) X(Icmp6InEchoReplies) X(Icmp6InRouterSolicits) \
  X(Icmp6InRouterAdvertisements) X(Icmp6InNeighborSolicits) X(Icmp6InNeighborAdvertisements) \
  X(Icmp6InRedirects) X(Icmp6InMLDQueries) X(Icmp6InMLDReports) X(Icmp6OutMsgs) \
  X(Icmp6OutDestUnreachs) X(Icmp6OutTimeExcds) X(Icmp6OutParmProblems) X(Icmp6OutEchoReplies) \
  X(Icmp6OutRouterSolicits) X(Icmp6OutNeighborSolicits) X(Icmp6OutNeighborAdvertisements) \
  X(Icmp6OutMLDv2Reports) X(IgmpInQueries) X(IgmpOutReports) X(IgmpInErrors) X(ArpInRequests) \
  X(ArpInReplies) X(ArpInErrors) X(ArpOutRequests) X(ArpOutReplies) X(ArpConflicts) \
  X(LinkInErrors) X(LinkInUnknownProtocols) X(LinkInOtherHost) X(LinkInOtherVlan) \
  X(NeighborTableFull) X(NeighborQueueFull) X(NeighborFailures) X(NeighborEvictions) \
  X(TransmitQueueFull) X(TransmitSegmentsFull) X(LoopQueueFull) X(UnreachableQueueFull) \
  X(BuffersExhausted) X(ReassemblyDatagramsFull) X(ReassemblyFragmentsFull) \
  X(ReassemblyOverlaps) X(RouteTableFull) X(AddressTableFull) X(DestinationTableFull) \
  X(GroupTableFull) X(MembershipTableFull) X(RouterTableFull) X(DuplicateAddresses) \
  X(InterfaceDownDrops)
// clang-format on

namespace sluice::ip {

struct Counters {
#define SLUICE_IP_COUNTER_FIELD(name) uint64_t name = 0;
  SLUICE_IP_COUNTERS(SLUICE_IP_COUNTER_FIELD)
#undef SLUICE_IP_COUNTER_FIELD

  // Calls visit("IpInReceives", value) for each, in the order of the list.
  template <typename Visitor>
  void ForEach(Visitor&& visit) const {
#define SLUICE_IP_COUNTER_VISIT(name) visit(#name, name);
    SLUICE_IP_COUNTERS(SLUICE_IP_COUNTER_VISIT)
#undef SLUICE_IP_COUNTER_VISIT
  }
};

}  // namespace sluice::ip
