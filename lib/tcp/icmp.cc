#include "tcp/icmp.h"

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/handshake.h"
#include "tcp/recovery.h"

namespace sluice::tcp {
namespace {

using ip::IcmpErrorKind;
using table::Result;

Result ResultOf(const ip::IcmpError& error) {
  switch (error.kind) {
    case IcmpErrorKind::kNetUnreachable:
      return Result::kNetworkUnreachable;
    case IcmpErrorKind::kHostUnreachable:
    case IcmpErrorKind::kTimeExceeded:
      return Result::kHostUnreachable;
    case IcmpErrorKind::kProtocolUnreachable:
      return Result::kNoProtocolOption;
    case IcmpErrorKind::kPortUnreachable:
      return Result::kRefused;
    case IcmpErrorKind::kAdministrativelyProhibited:
      return error.destination.address.is_v6() ? Result::kAccess : Result::kHostUnreachable;
    case IcmpErrorKind::kPacketTooBig:
      return Result::kMessageTooBig;
    case IcmpErrorKind::kParameterProblem:
      return Result::kProtocol;
  }
  return Result::kProtocol;
}

// RFC 1191, RFC 8201: smaller segments from now on, and what is out once more.
void ShrinkPath(Core& core, Connection& c, const ip::IcmpError& error) {
  // RFC 5927 section 7.2: not below what the protocol needs, not above what is in use.
  if (error.mtu >= c.path.mtu) return;
  core.ip.UpdatePathMtu(core.now, c.path.destination, error.mtu);
  core.ip.Refresh(core.now, &c.path);
  const uint16_t before = c.mss;
  UpdateMss(core, c);
  if (c.mss >= before) return;
  ++core.counters.TcpExtTCPMTUPShrunk;
  if (c.synchronized() && c.flight() != 0) ResendAll(core, c);
}

void ReportToConnection(Core& core, Connection& c, const ip::IcmpError& error) {
  // RFC 5927 section 4.1: whoever forges this would have to know what is in flight.
  const Sequence quoted(error.tcp_sequence);
  if (!error.local && !(c.snd_una <= quoted && quoted < c.snd_nxt)) {
    ++core.counters.TcpExtOutOfWindowIcmps;
    return;
  }
  if (error.kind == IcmpErrorKind::kPacketTooBig) return ShrinkPath(core, c, error);
  // RFC 5461 section 4.1: a connection that is being opened need not wait for its timeouts. One
  // that stands takes every report for soft (RFC 5927 section 5.2).
  if (!c.synchronized()) {
    ++core.counters.IcmpHardErrors;
    ++core.counters.TcpAttemptFails;
    return EndConnection(core, c, ResultOf(error));
  }
  ++core.counters.IcmpSoftErrors;
  c.soft_error = ResultOf(error);
}

}  // namespace

void IcmpReport(Core& core, const ip::IcmpError& error) {
  ip::FlowKey key;
  key.local = error.source.address;
  key.remote = error.destination.address;
  key.local_port = error.source.port;
  key.remote_port = error.destination.port;
  if (key.remote.is_v6() && key.remote.is_link_local()) key.scope = error.interface;
  const FlowNumber number = core.FindFlow(key);
  if (number.is_none()) return;
  switch (number.kind()) {
    case FlowKind::kConnection:
      return ReportToConnection(core, core.connections[number.index()], error);
    case FlowKind::kSynRequest: {
      const SynRequest& request = core.syn_requests[number.index()];
      if (!error.local && request.iss.value() != error.tcp_sequence) {
        ++core.counters.TcpExtOutOfWindowIcmps;
        return;
      }
      if (error.kind == IcmpErrorKind::kPacketTooBig) return;  // a SYN-ACK is never that big
      return RemoveSynRequest(core, number.index());
    }
    case FlowKind::kTimeWait:
      return;
  }
}

}  // namespace sluice::tcp
