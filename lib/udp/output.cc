// Datagrams out: from a send queue to the internet layer.
#include <sys/socket.h>

#include <algorithm>

#include "ip/stack.h"
#include "udp/stack.h"
#include "wire/checksum.h"
#include "wire/udp.h"

namespace sluice::udp {

using ip::DestinationKind;
using ip::SendResult;
using table::Result;
using wire::Endpoint;
using wire::IpAddress;

namespace {

// RFC 768 and RFC 791: what the length fields hold.
constexpr uint32_t kPayloadMaxV4 = 65535 - 20 - wire::kUdpHeaderBytes;
constexpr uint32_t kPayloadMaxV6 = 65535 - wire::kUdpHeaderBytes;

Result ResultOf(SendResult result) {
  switch (result) {
    case SendResult::kSent:
    case SendResult::kQueued:
      return Result::kOk;
    case SendResult::kTooBig:
      return Result::kMessageTooBig;
    case SendResult::kNoRoute:
      return Result::kNetworkUnreachable;
    case SendResult::kNoAddress:
      return Result::kAddressNotAvailable;
    case SendResult::kNoBuffer:
    case SendResult::kQueueFull:
      return Result::kNoBuffers;
  }
  return Result::kNoBuffers;
}

ip::Fragmentation FragmentationOf(table::MtuDiscover discover) {
  switch (discover) {
    case table::MtuDiscover::kDont:
      return ip::Fragmentation::kAllowed;
    case table::MtuDiscover::kWant:
      return ip::Fragmentation::kWhenLarger;
    case table::MtuDiscover::kDo:
      return ip::Fragmentation::kForbidden;
    case table::MtuDiscover::kProbe:
      return ip::Fragmentation::kProbe;
  }
  return ip::Fragmentation::kWhenLarger;  // what the application scribbled
}

}  // namespace

Stack::Sent Stack::SendNext(Instant now, table::Socket socket, Control& control, Sending& sending) {
  sending.peer = sending.header.peer;
  Result result = Result::kOk;
  if (sending.peer.address == IpAddress::AnyV6() && sending.peer.port == 0) {
    if (control.connected) {
      sending.peer = {control.key.remote, control.key.remote_port, control.key.scope};
    } else {
      result = Result::kDestinationRequired;
    }
  } else if (sending.peer.address.is_unspecified()) {  // as on Linux, this host
    sending.peer.address =
        sending.peer.address.is_v4() ? IpAddress::V4(127, 0, 0, 1) : *wire::ParseIp("::1");
  }
  const bool v4 = sending.peer.address.is_v4();
  if (result == Result::kOk && sending.peer.port == 0) result = Result::kInvalid;
  if (result == Result::kOk && sending.header.segment_bytes == 0 &&
      sending.length > (v4 ? kPayloadMaxV4 : kPayloadMaxV6)) {
    result = Result::kMessageTooBig;
  }
  if (result == Result::kOk && control.binding == kNone) {
    result = BindAutomatically(control, socket);
    if (result == Result::kOk && socket.status() != table::Status::kBound) {
      socket.SetStatus(table::Status::kBound);
    }
  }
  if (result == Result::kOk) result = Route(now, socket, control, sending);
  if (result != Result::kOk) {
    ++counters_.UdpOutErrors;
    socket.SetError(result);
    return Sent::kDone;
  }
  ChooseOutbound(socket.entry().options, control, sending);
  return SendPieces(now, socket, control, sending);
}

// Which source and interface the socket, its options and the datagram's ancillary data ask for.
Stack::Wanted Stack::WantedOf(const table::Options& options, const Control& control,
                              const table::DatagramHeader& header, const Endpoint& peer) {
  const IpAddress& destination = peer.address;
  IpAddress source = header.local.address;  // IP_PKTINFO
  if (source.is_v4() != destination.is_v4() || source.is_unspecified()) {
    source = control.bound_to_group || control.bound.is_v4() != destination.is_v4() ? IpAddress()
                                                                                    : control.bound;
  }
  uint16_t interface = header.local.scope;
  if (interface == 0) interface = options.bound_interface.load();
  if (interface == 0) interface = peer.scope;
  if (interface == 0 && destination.is_multicast()) {
    interface =
        (destination.is_v4() ? options.multicast_interface_v4 : options.multicast_interface_v6)
            .load();
  }
  return {source, interface};
}

Result Stack::Route(Instant now, table::Socket socket, Control& control, Sending& sending) {
  const table::Options& options = socket.entry().options;
  const IpAddress& destination = sending.peer.address;
  const Wanted wanted = WantedOf(options, control, sending.header, sending.peer);
  const IpAddress& source = wanted.source;
  const uint16_t interface = wanted.interface;
  ip::Path& path = control.path;
  if (path.generation == 0 || path.destination != destination ||
      path.bound_interface != interface || control.path_source != source || ip_.Stale(path)) {
    const Result result = ResultOf(ip_.FindPath(now, destination, source, interface, &path));
    if (result != Result::kOk) {
      path.generation = 0;
      return result;
    }
    control.path_source = source;
  }
  if (path.destination_kind == DestinationKind::kBroadcast && !options.is_set(table::kBroadcast)) {
    return Result::kAccess;
  }
  return Result::kOk;
}

void Stack::ChooseOutbound(const table::Options& options, const Control& control,
                           Sending& sending) {
  const bool v4 = sending.peer.address.is_v4();
  const bool multicast = control.path.destination_kind == DestinationKind::kMulticast;
  int ttl = sending.header.ttl;
  if (ttl < 0 && multicast) ttl = (v4 ? options.multicast_ttl : options.multicast_hops).load();
  if (ttl < 0) ttl = (v4 ? options.ttl : options.hop_limit).load();
  int traffic_class = sending.header.traffic_class;
  if (traffic_class < 0) traffic_class = (v4 ? options.tos : options.traffic_class).load();

  ip::Outbound& out = sending.outbound;
  out.protocol = ip::kProtocolUdp;
  out.ttl = ttl > 0 ? static_cast<uint8_t>(ttl) : 0;
  out.traffic_class = static_cast<uint8_t>(traffic_class);
  out.fragmentation =
      FragmentationOf((v4 ? options.mtu_discover_v4 : options.mtu_discover_v6).load());
  if (!v4 && options.is_set(table::kDontFragmentV6)) {
    out.fragmentation = ip::Fragmentation::kForbidden;
  }
  out.multicast_loop = options.is_set(v4 ? table::kMulticastLoopV4 : table::kMulticastLoopV6);
  out.transport_header_bytes = wire::kUdpHeaderBytes;
  // RFC 8200 section 8.1: IPv6 does not go without.
  out.checksum_offset =
      v4 && options.is_set(table::kNoChecksum) ? ip::kNoChecksum : wire::kUdpChecksumOffset;
}

Stack::Sent Stack::SendPieces(Instant now, table::Socket socket, Control& control,
                              Sending& sending) {
  // UDP_SEGMENT: one send, many datagrams of equal size.
  const uint32_t step =
      sending.header.segment_bytes != 0 ? sending.header.segment_bytes : sending.length;
  const uint32_t packets = step == 0 ? 1 : (sending.length + step - 1) / step;
  if (packets > kSegmentsMax) {
    ++counters_.UdpOutErrors;
    socket.SetError(Result::kInvalid);
    return Sent::kDone;
  }
  const uint32_t fragments =
      packets * ((step + wire::kUdpHeaderBytes) / std::max<uint32_t>(control.path.mtu, 68) + 1);
  // What is longer than the whole queue is tried once the queue is empty: it would wait for ever.
  const size_t wanted =
      std::min<size_t>({fragments, 128, ip_.TransmitCapacity(control.path.interface)});
  if (ip_.TransmitRoom(control.path.interface) < wanted) return Sent::kBlocked;

  const uint16_t source_port = bindings_.Local(control.binding).port;
  uint32_t from = 0;
  do {
    const uint32_t bytes = std::min(step, sending.length - from);
    const bool fits = bytes + wire::kUdpHeaderBytes <= control.path.payload_bytes_max();
    const bool sum =
        sending.outbound.checksum_offset != ip::kNoChecksum && (!fits || !control.path.sums_udp);
    rte_mbuf* packet = Build(sending, from, bytes, source_port, sum);
    if (packet == nullptr) {
      ++counters_.UdpSndbufErrors;
      if (from == 0) return Sent::kBlocked;
      return Sent::kDone;  // the rest is lost, as datagrams may be
    }
    const SendResult sent = ip_.Send(now, packet, sending.outbound, control.path);
    const Result result = ResultOf(sent);
    if (result == Result::kOk) {
      ++counters_.UdpOutDatagrams;
      if (sent == SendResult::kSent) Remember(socket, control, sending);
    } else {
      ++counters_.UdpOutErrors;
      if (sent == SendResult::kTooBig) {
        ReportTooBig(socket, control, sending);
      } else if (result == Result::kNoBuffers) {
        ++counters_.UdpSndbufErrors;
      } else {
        socket.SetError(result);
      }
      return Sent::kDone;
    }
    from += bytes;
  } while (from < sending.length);
  return Sent::kDone;
}

// The UDP header and payload bytes [from, from + bytes), copied and summed in one pass.
rte_mbuf* Stack::Build(Sending& sending, uint32_t from, uint32_t bytes, uint16_t source_port,
                       bool sum) {
  rte_mbuf* const packet = rte_pktmbuf_alloc(config_.pool);
  if (packet == nullptr) return nullptr;
  const wire::UdpHeader header{source_port, sending.peer.port,
                               static_cast<uint16_t>(wire::kUdpHeaderBytes + bytes), 0};
  auto* out = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(packet, wire::kUdpHeaderBytes));
  header.Emit({out, wire::kUdpHeaderBytes});
  uint64_t total = sum ? wire::Sum({out, wire::kUdpHeaderBytes}) : 0;

  rte_mbuf* tail = packet;
  uint32_t done = 0, passed = 0;
  for (unsigned i = 0; i < sending.piece_count && done < bytes; ++i) {
    std::span<const uint8_t> piece = sending.pieces[i];
    const uint32_t skip = std::min<uint32_t>(from + done - passed, piece.size());
    passed += static_cast<uint32_t>(piece.size());
    piece = piece.subspan(skip, std::min<size_t>(piece.size() - skip, bytes - done));
    while (!piece.empty()) {
      if (rte_pktmbuf_tailroom(tail) == 0) {
        rte_mbuf* next = rte_pktmbuf_alloc(config_.pool);
        if (next == nullptr) {
          rte_pktmbuf_free(packet);
          return nullptr;
        }
        next->data_off = 0;  // no header will come before it
        tail->next = next;
        tail = next;
        ++packet->nb_segs;
      }
      const auto count =
          static_cast<uint16_t>(std::min<size_t>(piece.size(), rte_pktmbuf_tailroom(tail)));
      uint8_t* to = rte_pktmbuf_mtod(tail, uint8_t*) + tail->data_len;
      if (sum) {
        total += wire::AtOffset(done, wire::CopyAndSum(to, piece.data(), count));
      } else {
        std::memcpy(to, piece.data(), count);
      }
      tail->data_len = static_cast<uint16_t>(tail->data_len + count);
      packet->pkt_len += count;
      done += count;
      piece = piece.subspan(count);
    }
  }
  sending.outbound.transport_sum_valid = sum;
  sending.outbound.transport_sum = total;
  return packet;
}

}  // namespace sluice::udp
