// Counters of TCP, under the names of Linux's SNMP and netstat tables where those exist (RFC 4022
// gives the meaning of the first), and own ones for every limit that was hit.
#pragma once

#include <cstdint>

// One line a counter; the struct and the table of names are made of the same list.
// clang-format off
#define SLUICE_TCP_COUNTERS(X) \
  X(TcpActiveOpens) X(TcpPassiveOpens) X(TcpAttemptFails) X(TcpEstabResets) X(TcpInSegs) \
  X(TcpOutSegs) X(TcpRetransSegs) X(TcpInErrs) X(TcpOutRsts) X(TcpInCsumErrors) \
  X(TcpExtSyncookiesSent) X(TcpExtSyncookiesRecv) X(TcpExtSyncookiesFailed) \
  X(TcpExtEmbryonicRsts) X(TcpExtOutOfWindowIcmps) X(TcpExtTW) X(TcpExtTWRecycled) \
  X(TcpExtPAWSEstab) X(TcpExtDelayedACKs) X(TcpExtDelayedACKLost) X(TcpExtListenOverflows) \
  X(TcpExtListenDrops) X(TcpExtTCPHPHits) X(TcpExtTCPPureAcks) X(TcpExtTCPHPAcks) \
  X(TcpExtTCPSackRecovery) X(TcpExtTCPRenoRecovery) X(TcpExtTCPSACKReneging) \
  X(TcpExtTCPFastRetrans) X(TcpExtTCPSlowStartRetrans) X(TcpExtTCPTimeouts) \
  X(TcpExtTCPSpuriousRTOs) X(TcpExtTCPFullUndo) X(TcpExtTCPDSACKOldSent) X(TcpExtTCPDSACKOfoSent) \
  X(TcpExtTCPDSACKRecv) X(TcpExtTCPAbortOnData) X(TcpExtTCPAbortOnClose) \
  X(TcpExtTCPAbortOnTimeout) X(TcpExtTCPAbortOnLinger) X(TcpExtTCPTimeWaitOverflow) \
  X(TcpExtTCPReqQFullDoCookies) X(TcpExtTCPReqQFullDrop) X(TcpExtTCPRetransFail) \
  X(TcpExtTCPOFOQueue) X(TcpExtTCPOFODrop) X(TcpExtTCPOFOMerge) X(TcpExtTCPChallengeACK) \
  X(TcpExtTCPSYNChallenge) X(TcpExtTCPChallengeACKLimited) X(TcpExtTCPFromZeroWindowAdv) \
  X(TcpExtTCPToZeroWindowAdv) X(TcpExtTCPSynRetrans) X(TcpExtTCPKeepAlive) \
  X(TcpExtTCPDeferAcceptDrop) X(TcpExtTCPRcvQDrop) X(TcpExtTCPWinProbe) X(TcpExtTCPOrigDataSent) \
  X(TcpExtTCPDelivered) X(TcpExtTCPMTUPShrunk) X(ConnectionsFull) X(ListenersFull) X(SocketsFull) \
  X(TimeWaitFull) X(SynReceivedFull) X(OutOfOrderPacketsFull) X(DisorderedConnectionsFull) \
  X(ScoreboardsFull) X(ScoreboardRangesFull) X(ReceiveQueueFull) X(ConnectionQueueFull) \
  X(FlowMapFull) X(BuffersExhausted) X(TransmitQueueFull) X(SendQueueCorrupt) X(ResetsLimited) \
  X(UserTimeouts) X(FinWait2Timeouts) X(KeepAliveTimeouts) X(IcmpHardErrors) X(IcmpSoftErrors)
// clang-format on

namespace sluice::tcp {

struct Counters {
#define SLUICE_TCP_COUNTER_FIELD(name) uint64_t name = 0;
  SLUICE_TCP_COUNTERS(SLUICE_TCP_COUNTER_FIELD)
#undef SLUICE_TCP_COUNTER_FIELD

  // Calls visit("TcpActiveOpens", value) for each, in the order of the list.
  template <typename Visitor>
  void ForEach(Visitor&& visit) const {
#define SLUICE_TCP_COUNTER_VISIT(name) visit(#name, name);
    SLUICE_TCP_COUNTERS(SLUICE_TCP_COUNTER_VISIT)
#undef SLUICE_TCP_COUNTER_VISIT
  }
};

}  // namespace sluice::tcp
