// From a send queue to the internet layer: in bursts, by headers that are ready, and one by one
// where something must be found out first (output.cc).
#include <algorithm>
#include <cstring>

#include "base/unset.h"
#include "ip/stack.h"
#include "udp/burst.h"
#include "udp/stack.h"
#include "wire/checksum.h"
#include "wire/udp.h"

namespace sluice::udp {

using table::Result;
using wire::Endpoint;

namespace {

// All beside addresses and ports that headers depend on, in one word, of a datagram that asks for
// nothing itself.
uint32_t ChoicesOf(const table::Options& options, bool v4) {
  const int ttl = (v4 ? options.ttl : options.hop_limit).load();
  const int traffic_class = (v4 ? options.tos : options.traffic_class).load();
  const auto discover = (v4 ? options.mtu_discover_v4 : options.mtu_discover_v6).load();
  return static_cast<uint32_t>(ttl > 0 ? ttl & 0xff : 0) |
         static_cast<uint32_t>(traffic_class & 0xff) << 8 | static_cast<uint32_t>(discover) << 16 |
         static_cast<uint32_t>(options.is_set(v4 ? table::kNoChecksum : table::kDontFragmentV6))
             << 24;
}

// The same where the datagram says more.
uint32_t ChoicesOf(uint32_t choices, const table::DatagramHeader& header) {
  if (header.ttl >= 0) {
    choices = (choices & ~uint32_t{0xff}) | static_cast<uint32_t>(header.ttl & 0xff);
  }
  if (header.traffic_class >= 0) {
    choices = (choices & ~uint32_t{0xff00}) | static_cast<uint32_t>(header.traffic_class & 0xff)
                                                  << 8;
  }
  return choices;
}

// Where the payload of a datagram stands in the mbuf that is made for it.
constexpr uint16_t kPayloadOffset = RTE_PKTMBUF_HEADROOM + wire::kUdpHeaderBytes;
static_assert(RTE_PKTMBUF_HEADROOM >= ip::Prepared::kBytes);

}  // namespace

void Stack::Doorbell(Instant now, table::Socket socket) {
  EndOfInput();
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

Stack::Sender Stack::SenderOf(const Control& control, const table::Options& options) const {
  Sender sender;
  sender.is_bound = control.binding != kNone;
  if (sender.is_bound) sender.port = bindings_.Local(control.binding).port;
  if (!control.bound_to_group) {
    (control.bound.is_v4() ? sender.source_v4 : sender.source_v6) = control.bound;
  }
  sender.interface = options.bound_interface.load();
  sender.choices_v4 = ChoicesOf(options, true);
  sender.choices_v6 = ChoicesOf(options, false);
  return sender;
}

// The key of a datagram's destination in destinations_. False: it is one for SendNext.
inline bool Stack::DestinationOf(const Sender& sender, const Control& control,
                                 const table::DatagramHeader& header, ip::FlowKey& key,
                                 uint32_t& choices) {
  Endpoint peer = header.peer;
  if (peer.port == 0) [[unlikely]] {
    if (!control.connected || peer.address != wire::IpAddress::AnyV6()) return false;
    peer = {control.key.remote, control.key.remote_port, control.key.scope};
  } else if (peer.address.is_unspecified()) {
    return false;
  }
  if (!sender.is_bound || header.segment_bytes != 0) return false;
  // As WantedOf has it; groups, whose interface it chooses, have no headers that are ready.
  const bool v4 = peer.address.is_v4();
  const wire::IpAddress& asked = header.local.address;
  key.local = v4 ? sender.source_v4 : sender.source_v6;
  if (!asked.is_unspecified() && asked.is_v4() == v4) key.local = asked;
  key.scope = header.local.scope != 0 ? header.local.scope
              : sender.interface != 0 ? sender.interface
                                      : peer.scope;
  key.remote = peer.address;
  key.local_port = sender.port;
  key.remote_port = peer.port;
  choices = v4 ? sender.choices_v4 : sender.choices_v6;
  if (header.ttl >= 0 || header.traffic_class >= 0) choices = ChoicesOf(choices, header);
  return true;
}

// A datagram like the one that has just been sent goes by ready-made headers from now on.
void Stack::Remember(table::Socket socket, const Control& control, const Sending& sending) {
  ip::FlowKey key;
  uint32_t choices;
  const Sender sender = SenderOf(control, socket.entry().options);
  if (!DestinationOf(sender, control, sending.header, key, choices)) return;
  ip::Prepared headers;
  if (!ip_.Prepare(sending.outbound, control.path, &headers)) return;
  destinations_.Slot(flows_.Hash(key), key, choices)->SetHeaders(headers);
}

// The headers of a datagram of so many bytes, or nullptr.
inline const Destination* Stack::ReadyDestination(Sender& sender, const Control& control,
                                                  const table::DatagramHeader& header, size_t bytes,
                                                  Burst& burst) {
  ip::FlowKey key;
  uint32_t choices;
  if (!DestinationOf(sender, control, header, key, choices)) return nullptr;
  const Destination* known = sender.last;
  if (known == nullptr || known->choices != choices || known->key != key) {
    known = destinations_.Find(flows_.Hash(key), key, choices);
    if (known == nullptr) return nullptr;
    sender.last = known;
  }
  if (bytes + wire::kUdpHeaderBytes > known->headers.payload_bytes_max ||
      !burst.IsReady(known->headers)) {
    return nullptr;
  }
  return known;
}

// Sends the datagram that stands first, if it lies in one piece and goes where others went before.
inline Stack::Quick Stack::SendQuickly(Sender& sender, const Control& control,
                                       table::SendQueue& queue, Burst& burst) {
  Unset<table::DatagramHeader> read;
  const table::DatagramHeader& header = read.value;
  table::SendQueue::Whole whole;
  if (!queue.ReadWhole(read.value, whole)) return Quick::kNo;
  const std::span<const uint8_t>& payload = whole.payload;
  const Destination* to = ReadyDestination(sender, control, header, payload.size(), burst);
  if (to == nullptr) return Quick::kNo;
  if (burst.RoomOn(to->headers) == 0) return Quick::kBlocked;
  rte_mbuf* const packet = burst.Take(queue.descriptors());
  if (packet == nullptr) {
    ++counters_.UdpSndbufErrors;
    return Quick::kBlocked;
  }
  if (packet->buf_len < kPayloadOffset + payload.size()) [[unlikely]] {
    burst.PutBack(packet);
    return Quick::kNo;
  }
  uint8_t* const data = static_cast<uint8_t*>(packet->buf_addr) + kPayloadOffset;
  uint64_t sum = 0;
  if (to->headers.port_sums_transport) {
    std::memcpy(data, payload.data(), payload.size());
  } else {
    sum = wire::CopyAndSum(data, payload.data(), payload.size());
  }
  to->Finish(packet, kPayloadOffset, static_cast<uint32_t>(payload.size()), sum);
  burst.Send(packet, to->headers);
  queue.DropWhole(whole);
  ++counters_.UdpOutDatagrams;
  return Quick::kSent;
}

bool Stack::Drain(Instant now, uint32_t block, uint32_t budget) {
  Control& control = At(block);
  const table::Socket socket = table_.At(control.slot);
  table::SendQueue queue = socket.send_queue();
  const table::Options& options = socket.entry().options;
  Burst burst(ip_, config_.pool);
  Sender sender = SenderOf(control, options);
  bool empty = false;
  bool blocked = !SendReplies(now, socket, control, sender, budget, burst);
  uint32_t sent = 0;
  for (; !blocked && sent < budget; ++sent) {
    const Quick quick = SendQuickly(sender, control, queue, burst);
    if (quick == Quick::kSent) continue;
    Sent outcome = Sent::kBlocked;
    if (quick == Quick::kNo) {
      burst.Flush();
      outcome = SendSlowly(now, socket, control, queue, &empty);
      if (empty) break;
      burst.Forget();
      sender = SenderOf(control, options);
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
bool Stack::SendReplies(Instant now, table::Socket socket, Control& control, Sender& sender,
                        uint32_t& budget, Burst& burst) {
  table::ReceiveQueue queue = socket.receive_queue();
  table::ReceiveQueue::Reply reply;
  for (; budget != 0 && queue.ReadReply(reply); --budget) {
    // The answer's source is the question's destination; all else is the socket's to choose.
    table::DatagramHeader& header = reply.header;
    header.local.scope = 0;
    header.ttl = header.traffic_class = -1;
    header.segment_bytes = 0;
    const size_t bytes = reply.payload.size();
    const Destination* to = ReadyDestination(sender, control, header, bytes, burst);
    if (to == nullptr && ip_.KindOf(header.local.address) != ip::DestinationKind::kUnicast) {
      header.local.address = wire::IpAddress();
      to = ReadyDestination(sender, control, header, bytes, burst);
    }
    const bool in_place =
        reply.packet != nullptr && reply.offset >= ip::Prepared::kBytes + wire::kUdpHeaderBytes;
    if (to != nullptr && in_place) {
      if (burst.RoomOn(to->headers) == 0) return false;
      const bool sums = !to->headers.port_sums_transport;
      to->Finish(reply.packet, reply.offset, static_cast<uint32_t>(bytes),
                 sums ? wire::Sum(reply.payload) : 0);
      burst.Send(reply.packet, to->headers);
      ++counters_.UdpOutDatagrams;
    } else {
      burst.Flush();
      Sending sending;
      sending.header = header;
      sending.length = static_cast<uint32_t>(bytes);
      sending.pieces[0] = reply.payload;
      sending.piece_count = reply.payload.empty() ? 0 : 1;
      if (SendNext(now, socket, control, sending) == Sent::kBlocked) return false;
      burst.Forget();
      sender = SenderOf(control, socket.entry().options);
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
