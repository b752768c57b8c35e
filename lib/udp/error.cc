// Reports that a datagram did not arrive: SO_ERROR and the error queue (IP_RECVERR).
#include <time.h>  // linux/errqueue.h needs timespec
// clang-format off: and needs it before.
#include <linux/errqueue.h>
// clang-format on

#include <algorithm>
#include <cstring>

#include "ip/mbuf_bytes.h"
#include "ip/stack.h"
#include "udp/stack.h"
#include "wire/udp.h"

namespace sluice::udp {
namespace {

using ip::IcmpErrorKind;
using table::Result;

// RFC 1122 section 4.1.3.3 wants them all passed on; as on Linux, only hard ones are to a socket
// that has not asked for the error queue.
struct Meaning {
  Result result;
  bool hard;
};

Meaning MeaningOf(const ip::IcmpError& error, table::MtuDiscover discover) {
  switch (error.kind) {
    case IcmpErrorKind::kNetUnreachable:
      return {Result::kNetworkUnreachable, false};
    case IcmpErrorKind::kHostUnreachable:
    case IcmpErrorKind::kTimeExceeded:
      return {Result::kHostUnreachable, false};
    case IcmpErrorKind::kProtocolUnreachable:
      return {Result::kNoProtocolOption, true};
    case IcmpErrorKind::kPortUnreachable:
      return {Result::kRefused, true};
    case IcmpErrorKind::kAdministrativelyProhibited:
      return {error.source.address.is_v4() ? Result::kHostUnreachable : Result::kAccess, true};
    case IcmpErrorKind::kPacketTooBig:
      return {Result::kMessageTooBig, discover != table::MtuDiscover::kDont};
    case IcmpErrorKind::kParameterProblem:
      return {Result::kProtocol, true};
  }
  return {Result::kProtocol, false};
}

}  // namespace

void Stack::Error(Instant now, ip::Inbound& inbound, bool ours) {
  EndOfInput();
  const ip::IcmpError& error = inbound.error;
  ip::PacketInfo info;
  info.source = error.destination.address;
  info.destination = error.source.address;
  info.interface = error.interface;
  const uint32_t block = FindUnicast(info, error.destination.port, error.source.port);
  if (block == kNone) return Drop(inbound, counters_.UdpNoPorts);
  if (error.kind == IcmpErrorKind::kPacketTooBig && !error.local) {
    ip_.UpdatePathMtu(now, error.destination.address, error.mtu);
  }
  if (!ours) {
    rte_pktmbuf_free(inbound.packet);
    inbound.packet = nullptr;
    return;
  }
  const Control& control = At(block);
  const table::Socket socket = table_.At(control.slot);
  const table::Options& options = socket.entry().options;
  const bool v4 = error.source.address.is_v4();
  const Meaning meaning =
      MeaningOf(error, (v4 ? options.mtu_discover_v4 : options.mtu_discover_v6).load());
  const bool queues = options.is_set(v4 ? table::kReceiveErrorsV4 : table::kReceiveErrorsV6);
  if (!queues) {
    rte_pktmbuf_free(inbound.packet);
    inbound.packet = nullptr;
    if (meaning.hard && control.connected) socket.SetError(meaning.result);
    return;
  }
  table::DatagramHeader header;
  header.peer = error.destination;
  header.local = error.source;
  header.timestamp_ns = now.nanoseconds();
  header.error_origin = error.local ? SO_EE_ORIGIN_LOCAL
                        : v4        ? SO_EE_ORIGIN_ICMP
                                    : SO_EE_ORIGIN_ICMP6;
  header.error_type = error.type;
  header.error_code = error.code;
  header.error = static_cast<uint8_t>(meaning.result);
  header.error_info = error.kind == IcmpErrorKind::kParameterProblem ? error.pointer : error.mtu;
  header.offender = error.reporter;
  if (ip::Gather(inbound.packet, wire::kUdpHeaderBytes)) {
    ip::DropFront(inbound.packet, wire::kUdpHeaderBytes);
  }
  QueueReport(socket, header, inbound.packet);
  inbound.packet = nullptr;
}

// Takes the packet. Sets SO_ERROR too, as Linux does, so that whoever waits looks.
bool Stack::QueueReport(table::Socket socket, const table::DatagramHeader& header,
                        rte_mbuf* packet) {
  bool queued = false;
  if (socket.OpenThirdQueue()) {
    table::ReceiveQueue queue = socket.error_queue();
    queued =
        queue.descriptors() < config_.error_reports_max && queue.PushDatagram(header, packet, true);
  }
  if (queued) {
    ++counters_.UdpErrorReports;
  } else {
    ++counters_.UdpErrorReportsFull;
    rte_pktmbuf_free(packet);
  }
  socket.SetError(static_cast<Result>(header.error));
  return queued;
}

// What we find too large ourselves (IP_MTU_DISCOVER), with the path MTU and the datagram's start.
void Stack::ReportTooBig(table::Socket socket, Control& control, const Sending& sending) {
  const table::Options& options = socket.entry().options;
  const bool v4 = sending.peer.address.is_v4();
  if (!options.is_set(v4 ? table::kReceiveErrorsV4 : table::kReceiveErrorsV6)) {
    socket.SetError(Result::kMessageTooBig);
    return;
  }
  rte_mbuf* packet = rte_pktmbuf_alloc(config_.pool);
  if (packet == nullptr) {
    socket.SetError(Result::kMessageTooBig);
    return;
  }
  if (sending.piece_count != 0) {
    const size_t count = std::min<size_t>(sending.pieces[0].size(), rte_pktmbuf_tailroom(packet));
    std::memcpy(rte_pktmbuf_append(packet, static_cast<uint16_t>(count)), sending.pieces[0].data(),
                count);
  }
  table::DatagramHeader header;
  header.peer = sending.peer;
  header.local = {control.path.source, bindings_.Local(control.binding).port, 0};
  header.error_origin = SO_EE_ORIGIN_LOCAL;
  header.error = static_cast<uint8_t>(Result::kMessageTooBig);
  header.error_info = control.path.mtu;
  QueueReport(socket, header, packet);
}

}  // namespace sluice::udp
