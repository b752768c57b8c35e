// From a send queue to the internet layer: in bursts, by headers that are ready, and one by one
// where something must be found out first (output.cc).
#include <algorithm>
#include <cstring>

#include "ip/stack.h"
#include "udp/burst.h"
#include "udp/stack.h"
#include "wire/checksum.h"
#include "wire/udp.h"

namespace sluice::udp {

using table::Result;
using wire::Endpoint;

namespace {

// All beside addresses and ports that headers depend on, in one word.
uint32_t ChoicesOf(const table::Options& options, const table::DatagramHeader& header, bool v4) {
  int ttl = header.ttl;
  if (ttl < 0) ttl = (v4 ? options.ttl : options.hop_limit).load();
  int traffic_class = header.traffic_class;
  if (traffic_class < 0) traffic_class = (v4 ? options.tos : options.traffic_class).load();
  const auto discover = (v4 ? options.mtu_discover_v4 : options.mtu_discover_v6).load();
  return static_cast<uint32_t>(ttl > 0 ? ttl & 0xff : 0) |
         static_cast<uint32_t>(traffic_class & 0xff) << 8 | static_cast<uint32_t>(discover) << 16 |
         static_cast<uint32_t>(options.is_set(v4 ? table::kNoChecksum : table::kDontFragmentV6))
             << 24;
}

}  // namespace

void Stack::Doorbell(Instant now, table::Socket socket) {
  socket.receive_queue().Reclaim();
  if (socket.has_third_queue()) socket.error_queue().Reclaim();
  const uint32_t block = BlockOf(socket);
  if (At(block).pending) return;  // has its turn at the end of the burst
  if (!Drain(now, block, config_.send_budget)) MarkPending(block);
}

void Stack::MarkPending(uint32_t block) {
  if (At(block).pending) return;
  At(block).pending = true;
  pending_.push_back(block);  // reserved for every block
}

void Stack::EndOfBurst(Instant now) {
  work_left_ = false;
  // Those that waited may have closed.
  if (pending_.empty()) retry_at_ = Instant::Never();
  if (pending_.empty() || (!retry_at_.is_never() && now < retry_at_)) return;
  retry_at_ = Instant::Never();
  for (size_t i = 0; i < pending_.size();) {
    const uint32_t block = pending_[i];
    if (Drain(now, block, config_.send_budget)) {
      At(block).pending = false;
      pending_[i] = pending_.back();
      pending_.pop_back();
    } else {
      ++i;
    }
  }
  work_left_ = !pending_.empty() && retry_at_.is_never();
}

// The key of a datagram's destination in destinations_. False: it is one for SendNext.
bool Stack::DestinationOf(const Control& control, const table::Options& options,
                          const table::DatagramHeader& header, ip::FlowKey& key) {
  Endpoint peer = header.peer;
  if (peer.port == 0) {
    if (!control.connected || peer.address != wire::IpAddress::AnyV6()) return false;
    peer = {control.key.remote, control.key.remote_port, control.key.scope};
  } else if (peer.address.is_unspecified()) {
    return false;
  }
  if (control.binding == kNone || header.segment_bytes != 0) return false;
  const Wanted wanted = WantedOf(options, control, header, peer);
  key.local = wanted.source;
  key.remote = peer.address;
  key.local_port = bindings_.Local(control.binding).port;
  key.remote_port = peer.port;
  key.scope = wanted.interface;
  return true;
}

// A datagram like the one that has just been sent goes by ready-made headers from now on.
void Stack::Remember(table::Socket socket, const Control& control, const Sending& sending) {
  ip::FlowKey key;
  const table::Options& options = socket.entry().options;
  if (!DestinationOf(control, options, sending.header, key)) return;
  ip::Prepared headers;
  if (!ip_.Prepare(sending.outbound, control.path, &headers)) return;
  const uint32_t choices = ChoicesOf(options, sending.header, key.remote.is_v4());
  destinations_.Slot(flows_.Hash(key), key, choices)->headers = headers;
}

// The headers of a datagram of so many bytes, or nullptr.
const Destination* Stack::ReadyDestination(const Control& control, const table::Options& options,
                                           const table::DatagramHeader& header, size_t bytes) {
  ip::FlowKey key;
  if (!DestinationOf(control, options, header, key)) return nullptr;
  const uint32_t choices = ChoicesOf(options, header, key.remote.is_v4());
  const Destination* known = destinations_.Find(flows_.Hash(key), key, choices);
  if (known == nullptr || bytes + wire::kUdpHeaderBytes > known->headers.payload_bytes_max ||
      !ip_.Ready(known->headers)) {
    return nullptr;
  }
  return known;
}

// Headers before the payload, whose sum is given if the port does not make the checksum.
void Stack::Finish(rte_mbuf* packet, const Destination& to, uint64_t payload_sum) {
  const auto bytes = static_cast<uint16_t>(packet->pkt_len + wire::kUdpHeaderBytes);
  packet->data_off = static_cast<uint16_t>(packet->data_off - wire::kUdpHeaderBytes);
  packet->data_len = bytes;
  packet->pkt_len = bytes;
  auto* out = rte_pktmbuf_mtod(packet, uint8_t*);
  wire::Store16(out, to.key.local_port);
  wire::Store16(out + 2, to.key.remote_port);
  wire::Store16(out + 4, bytes);
  uint64_t sum = to.headers.pseudo_sum + __builtin_bswap16(bytes);
  if (to.headers.port_sums_transport) {
    const uint16_t pseudo = wire::Fold(sum);
    std::memcpy(out + wire::kUdpChecksumOffset, &pseudo, sizeof(pseudo));
  } else {
    sum += payload_sum + __builtin_bswap16(bytes);
    sum += __builtin_bswap16(to.key.local_port);
    sum += __builtin_bswap16(to.key.remote_port);
    wire::Store16(out + wire::kUdpChecksumOffset, wire::UdpChecksumField(wire::Checksum(sum)));
  }
  to.headers.Prepend(packet);
}

// Sends the datagram that stands first, if it lies in one piece and goes where others went before.
Stack::Quick Stack::SendQuickly(const Control& control, const table::Options& options,
                                table::SendQueue& queue, Burst& burst) {
  table::DatagramHeader header;
  std::span<const uint8_t> payload;
  if (!queue.ReadWhole(header, payload)) return Quick::kNo;
  const Destination* to = ReadyDestination(control, options, header, payload.size());
  if (to == nullptr) return Quick::kNo;
  if (burst.RoomOn(to->headers) == 0) return Quick::kBlocked;
  rte_mbuf* const packet = burst.Take(queue.descriptors());
  if (packet == nullptr) {
    ++counters_.UdpSndbufErrors;
    return Quick::kBlocked;
  }
  if (rte_pktmbuf_tailroom(packet) < payload.size() + wire::kUdpHeaderBytes) {
    rte_pktmbuf_free(packet);
    return Quick::kNo;
  }
  packet->data_off = static_cast<uint16_t>(packet->data_off + wire::kUdpHeaderBytes);
  uint8_t* const data = rte_pktmbuf_mtod(packet, uint8_t*);
  uint64_t sum = 0;
  if (to->headers.port_sums_transport) {
    std::memcpy(data, payload.data(), payload.size());
  } else {
    sum = wire::CopyAndSum(data, payload.data(), payload.size());
  }
  packet->pkt_len = static_cast<uint32_t>(payload.size());
  Finish(packet, *to, sum);
  burst.Send(packet, to->headers);
  ++counters_.UdpOutDatagrams;
  return Quick::kSent;
}

bool Stack::Drain(Instant now, uint32_t block, uint32_t budget) {
  Control& control = At(block);
  const table::Socket socket = table_.At(control.slot);
  table::SendQueue queue = socket.send_queue();
  const table::Options& options = socket.entry().options;
  Burst burst(ip_, config_.pool);
  bool empty = false;
  bool blocked = !SendReplies(now, socket, control, budget, burst);
  uint32_t sent = 0;
  for (; !blocked && sent < budget; ++sent) {
    const Quick quick = SendQuickly(control, options, queue, burst);
    if (quick == Quick::kSent) {
      queue.DropDatagram();
      continue;
    }
    Sent outcome = Sent::kBlocked;
    if (quick == Quick::kNo) {
      burst.Flush();
      outcome = SendSlowly(now, socket, control, queue, &empty);
      if (empty) break;
    }
    blocked = outcome == Sent::kBlocked;
    if (blocked) break;
    queue.DropDatagram();
  }
  if (blocked) {
    ++counters_.UdpTransmitRetries;
    retry_at_ = std::min(retry_at_, now + config_.retry);
  }
  if (sent != 0) {
    queue.Publish();
    socket.Notify(table::kEventOut);
  }
  return empty;
}

// Datagrams that the application took without copying and wants sent back. The packet that came is
// the one that goes, where that can be. False: the way is blocked.
bool Stack::SendReplies(Instant now, table::Socket socket, Control& control, uint32_t& budget,
                        Burst& burst) {
  table::ReceiveQueue queue = socket.receive_queue();
  table::ReceiveQueue::Reply reply;
  for (; budget != 0 && queue.ReadReply(reply); --budget) {
    // The answer's source is the question's destination; all else is the socket's to choose.
    table::DatagramHeader& header = reply.header;
    header.local.scope = 0;
    header.ttl = header.traffic_class = -1;
    header.segment_bytes = 0;
    const table::Options& options = socket.entry().options;
    const Destination* to = ReadyDestination(control, options, header, reply.payload.size());
    if (to == nullptr && ip_.KindOf(header.local.address) != ip::DestinationKind::kUnicast) {
      header.local.address = wire::IpAddress();
      to = ReadyDestination(control, options, header, reply.payload.size());
    }
    const bool in_place =
        reply.packet != nullptr && reply.offset >= ip::Prepared::kBytes + wire::kUdpHeaderBytes;
    if (to != nullptr && in_place) {
      if (burst.RoomOn(to->headers) == 0) return false;
      rte_mbuf* const packet = reply.packet;
      packet->data_off = reply.offset;
      packet->pkt_len = static_cast<uint32_t>(reply.payload.size());
      const bool sums = !to->headers.port_sums_transport;
      Finish(packet, *to, sums ? wire::Sum(reply.payload) : 0);
      burst.Send(packet, to->headers);
      ++counters_.UdpOutDatagrams;
    } else {
      burst.Flush();
      Sending sending;
      sending.header = header;
      sending.length = static_cast<uint32_t>(reply.payload.size());
      sending.pieces[0] = reply.payload;
      sending.piece_count = reply.payload.empty() ? 0 : 1;
      if (SendNext(now, socket, control, sending) == Sent::kBlocked) return false;
    }
    queue.DropReply(to != nullptr && in_place);
  }
  return true;
}

// `empty`: there was none.
Stack::Sent Stack::SendSlowly(Instant now, table::Socket socket, Control& control,
                              table::SendQueue& queue, bool* empty) {
  Sending sending;
  const bool whole =
      queue.ReadDatagram(sending.header, sending.length, [&](std::span<const uint8_t> piece) {
        if (sending.piece_count < kPiecesMax) sending.pieces[sending.piece_count++] = piece;
      });
  *empty = !whole;
  if (whole) return SendNext(now, socket, control, sending);
  if (sending.piece_count != 0) ++counters_.UdpSendQueueCorrupt;
  return Sent::kDone;
}

}  // namespace sluice::udp
