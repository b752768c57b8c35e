#include "tcp/emit.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "base/packet.h"
#include "tcp/core.h"
#include "tcp/segment.h"
#include "tcp/window.h"
#include "wire/checksum.h"

namespace sluice::tcp {
namespace {

constexpr uint32_t kTimestampBytes = 12;

Emitted OutcomeOf(Core& core, ip::SendResult result) {
  switch (result) {
    case ip::SendResult::kSent:
    case ip::SendResult::kQueued:
      ++core.counters.TcpOutSegs;
      return Emitted::kSent;
    case ip::SendResult::kTooBig:
      return Emitted::kTooBig;
    case ip::SendResult::kNoBuffer:
      ++core.counters.BuffersExhausted;
      return Emitted::kRetry;
    case ip::SendResult::kQueueFull:
      ++core.counters.TransmitQueueFull;
      return Emitted::kRetry;
    case ip::SendResult::kNoRoute:
    case ip::SendResult::kNoAddress:
      break;
  }
  return Emitted::kLost;
}

rte_mbuf* NewPacket(Core& core) {
  rte_mbuf* packet = core.config.pool == nullptr ? nullptr : TakePacket(core.config.pool);
  if (packet == nullptr) ++core.counters.BuffersExhausted;
  return packet;
}

ip::Outbound TcpOutbound(uint8_t ttl, uint8_t traffic_class, ip::Fragmentation fragmentation) {
  ip::Outbound outbound;
  outbound.protocol = ip::kProtocolTcp;
  outbound.ttl = ttl;
  outbound.traffic_class = traffic_class;
  outbound.fragmentation = fragmentation;
  outbound.checksum_offset = wire::kTcpChecksumOffset;
  return outbound;
}

// Copies the pieces of a send queue behind the header, into further packets of the chain where the
// first is full, and sums them on the way if the path wants that.
class PayloadWriter {
 public:
  PayloadWriter(Core& core, rte_mbuf* head, uint16_t segments_max, bool sum)
      : core_(core), head_(head), tail_(head), segments_left_(segments_max - 1), summing_(sum) {}

  void Append(std::span<const uint8_t> bytes, uint16_t flags) {
    Append(bytes);
    if ((flags & table::kUrgent) != 0) urgent_end_ = static_cast<uint32_t>(written_);
  }

  void Append(std::span<const uint8_t> bytes) {
    while (!bytes.empty() && ok_) {
      if (rte_pktmbuf_tailroom(tail_) == 0 && !Extend()) return;
      const size_t count = std::min<size_t>(bytes.size(), rte_pktmbuf_tailroom(tail_));
      uint8_t* to = rte_pktmbuf_mtod_offset(tail_, uint8_t*, tail_->data_len);
      if (summing_) {
        sum_ += wire::AtOffset(written_, wire::CopyAndSum(to, bytes.data(), count));
      } else {
        std::memcpy(to, bytes.data(), count);
      }
      tail_->data_len = static_cast<uint16_t>(tail_->data_len + count);
      head_->pkt_len += static_cast<uint32_t>(count);
      written_ += count;
      bytes = bytes.subspan(count);
    }
  }

  bool ok() const { return ok_; }
  uint64_t sum() const { return sum_; }
  // Bytes up to and with the last urgent one; 0: none is urgent.
  uint32_t urgent_end() const { return urgent_end_; }

 private:
  bool Extend() {
    rte_mbuf* next = segments_left_ > 0 ? NewPacket(core_) : nullptr;
    if (next == nullptr) {
      ok_ = false;
      return false;
    }
    --segments_left_;
    next->data_off = 0;  // headers stand in the first only
    tail_->next = next;
    tail_ = next;
    ++head_->nb_segs;
    return true;
  }

  Core& core_;
  rte_mbuf* head_;
  rte_mbuf* tail_;
  int segments_left_;
  bool summing_;
  bool ok_ = true;
  size_t written_ = 0;
  uint32_t urgent_end_ = 0;
  uint64_t sum_ = 0;
};

// RFC 2018 section 4 and RFC 2883 section 4: a duplicate comes first, then the latest blocks.
void AddSackBlocks(const Core& core, const Connection& c, wire::TcpOptions* options) {
  const unsigned room = c.has(kTimestamps) ? 3 : 4;
  if (c.has(kDsackPending)) options->sack[options->sack_count++] = {c.dsack_begin, c.dsack_end};
  for (const wire::SackBlock& block : core.assembly.Blocks(c.assembly)) {
    if (options->sack_count == room) break;
    options->sack[options->sack_count++] = block;
  }
}

// Writes the options of a synchronized connection; returns their size.
uint32_t WriteOptions(const Core& core, const Connection& c, uint8_t* at) {
  const bool sack = c.has(kSack) && (c.assembly != kNone || c.has(kDsackPending));
  const uint32_t ts_value = core.clock_ms() + c.ts_offset;
  if (!sack) [[likely]] {
    if (!c.has(kTimestamps)) return 0;
    wire::Store32(at, 0x0101080a);  // RFC 7323 appendix A
    wire::Store32(at + 4, ts_value);
    wire::Store32(at + 8, c.ts_recent);
    return kTimestampBytes;
  }
  wire::TcpOptions options;
  options.has_timestamps = c.has(kTimestamps);
  options.timestamps = {ts_value, c.ts_recent};
  AddSackBlocks(core, c, &options);
  const auto bytes = static_cast<uint32_t>(options.size());
  options.Emit({at, bytes});
  return bytes;
}

// Bytes of a header without SACK blocks.
uint32_t PlainHeader(const Connection& c) {
  return wire::kTcpHeaderBytesMin + (c.has(kTimestamps) ? kTimestampBytes : 0);
}

// What a segment with an acknowledgment settles. It has also told the window as it is now.
void Acknowledged(Connection& c) {
  c.rcv_acked = c.rcv_nxt;
  c.clear(kAckNow | kAckDelayed | kDsackPending | kWindowUpdate);
  c.deadlines[kDelayedAck] = Instant::Never();
  ++c.segments_out;
}

}  // namespace

uint32_t SackOptionBytes(const Core& core, const Connection& c) {
  if (!c.has(kSack) || (c.assembly == kNone && !c.has(kDsackPending))) [[likely]]
    return 0;
  wire::TcpOptions options;
  AddSackBlocks(core, c, &options);
  return options.sack_count == 0 ? 0 : 4 + 8u * options.sack_count;
}

Emitted EmitControl(Core& core, ip::Path& path, wire::TcpHeader header,
                    const wire::TcpOptions& options, const ControlStyle& style) {
  rte_mbuf* packet = NewPacket(core);
  if (packet == nullptr) return Emitted::kRetry;
  const size_t bytes = wire::kTcpHeaderBytesMin + options.size();
  auto* at = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(packet, static_cast<uint16_t>(bytes)));
  if (at == nullptr) {
    rte_pktmbuf_free(packet);
    return Emitted::kRetry;
  }
  header.header_bytes = static_cast<uint8_t>(bytes);
  header.checksum = 0;
  header.Emit({at, bytes});
  options.Emit({at + wire::kTcpHeaderBytesMin, options.size()});
  ip::Outbound outbound =
      TcpOutbound(style.ttl, style.traffic_class, ip::Fragmentation::kForbidden);
  outbound.transport_header_bytes = static_cast<uint16_t>(bytes);
  if (header.rst()) ++core.counters.TcpOutRsts;
  return OutcomeOf(core, core.ip.Send(core.now, packet, outbound, path));
}

Emitted EmitSegment(Core& core, Connection& c, Sequence begin, uint32_t bytes, uint8_t flags) {
  rte_mbuf* packet = NewPacket(core);
  if (packet == nullptr) return Emitted::kRetry;
  uint8_t* at = rte_pktmbuf_mtod(packet, uint8_t*);
  const uint32_t header_bytes =
      wire::kTcpHeaderBytesMin + WriteOptions(core, c, at + wire::kTcpHeaderBytesMin);
  packet->data_len = static_cast<uint16_t>(header_bytes);
  packet->pkt_len = header_bytes;

  const Sequence edge_before = c.rcv_adv;
  wire::TcpHeader header;
  header.source_port = c.local_port;
  header.destination_port = c.remote_port;
  header.sequence = begin;
  header.acknowledgment = c.rcv_nxt;
  header.flags = flags | wire::kTcpAck;
  header.header_bytes = static_cast<uint8_t>(header_bytes);
  header.window = AdvertiseWindow(core, c);
  header.Emit({at, header_bytes});

  ip::Outbound outbound =
      TcpOutbound(c.ttl, c.traffic_class, static_cast<ip::Fragmentation>(c.fragmentation));
  outbound.transport_header_bytes = static_cast<uint16_t>(header_bytes);
  outbound.transport_sum_valid = !c.path.sums_tcp;
  if (bytes != 0) {
    PayloadWriter writer(core, packet, c.path.segments_max, outbound.transport_sum_valid);
    const bool held = core.SocketOf(c).send_queue().Read(
        static_cast<uint32_t>(begin - c.snd_una), bytes,
        [&](std::span<const uint8_t> piece, uint16_t marks) { writer.Append(piece, marks); });
    if (!held || !writer.ok()) {
      rte_pktmbuf_free(packet);
      c.rcv_adv = edge_before;
      return held ? Emitted::kRetry : Emitted::kCorrupt;
    }
    outbound.transport_sum = writer.sum();
    const uint32_t beside =
        header_bytes - wire::kTcpHeaderBytesMin - (c.has(kTimestamps) ? kTimestampBytes : 0);
    const uint32_t full = c.mss - beside;
    if (bytes > full) packet->tso_segsz = static_cast<uint16_t>(full);
    if (writer.urgent_end() != 0) {
      if (bytes > full) {
        rte_pktmbuf_free(packet);
        c.rcv_adv = edge_before;
        return Emitted::kSplit;
      }
      // The pointer names the byte behind the urgent one, as everybody has it (RFC 6093 section
      // 2.1).
      header.flags |= wire::kTcpUrg;
      header.urgent_pointer = static_cast<uint16_t>(writer.urgent_end());
      header.Emit({at, header_bytes});
    }
  }
  if (outbound.transport_sum_valid) outbound.transport_sum += wire::Sum({at, header_bytes});
  core.emitted = packet;
  const Emitted outcome = OutcomeOf(core, core.ip.Send(core.now, packet, outbound, c.path));
  if (outcome == Emitted::kRetry || outcome == Emitted::kTooBig) {
    c.rcv_adv = edge_before;
  } else {
    Acknowledged(c);
  }
  return outcome;
}

const rte_mbuf* ModelFrame(const Core& core, const Connection& c, uint32_t bytes) {
  // As the last of those that wait it is certainly whole, and still there.
  const rte_mbuf* frame = core.ip.LastQueued(c.path.interface);
  const bool is_plain = frame != nullptr && frame == core.emitted && frame->nb_segs == 1 &&
                        frame->tso_segsz == 0 &&
                        frame->pkt_len == frame->l2_len + frame->l3_len + PlainHeader(c) + bytes;
  return is_plain ? frame : nullptr;
}

Emitted EmitLike(Core& core, Connection& c, const rte_mbuf& model, Sequence begin, uint32_t bytes) {
  rte_mbuf* packet = NewPacket(core);
  if (packet == nullptr) return Emitted::kRetry;
  const uint32_t header_bytes = model.data_len - bytes;
  const uint32_t tcp_bytes = PlainHeader(c);
  packet->data_off = model.data_off;
  packet->ol_flags = model.ol_flags;
  packet->tx_offload = model.tx_offload;
  packet->vlan_tci = model.vlan_tci;
  packet->data_len = static_cast<uint16_t>(header_bytes);
  packet->pkt_len = header_bytes;
  uint8_t* at = rte_pktmbuf_mtod(packet, uint8_t*);
  std::memcpy(at, rte_pktmbuf_mtod(&model, const uint8_t*), header_bytes);

  PayloadWriter writer(core, packet, 1, !c.path.sums_tcp);
  const bool held = core.SocketOf(c).send_queue().Read(
      static_cast<uint32_t>(begin - c.snd_una), bytes,
      [&](std::span<const uint8_t> piece, uint16_t marks) { writer.Append(piece, marks); });
  if (!held || !writer.ok() || writer.urgent_end() != 0) {
    rte_pktmbuf_free(packet);
    return held ? Emitted::kSplit : Emitted::kCorrupt;
  }
  uint8_t* tcp = at + header_bytes - tcp_bytes;
  wire::Store32(tcp + wire::kTcpSequenceOffset, begin.value());
  if (!c.path.sums_tcp) {
    wire::Store16(tcp + wire::kTcpChecksumOffset, 0);
    const uint64_t sum = writer.sum() + wire::Sum({tcp, tcp_bytes}) +
                         wire::PseudoHeaderSum(c.path.source, c.path.destination, ip::kProtocolTcp,
                                               tcp_bytes + bytes);
    wire::Store16(tcp + wire::kTcpChecksumOffset, wire::Checksum(sum));
  }
  if (!core.ip.SendLike(c.path, packet)) {
    rte_pktmbuf_free(packet);
    ++core.counters.TransmitQueueFull;
    return Emitted::kRetry;
  }
  ++core.counters.TcpOutSegs;
  ++c.segments_out;
  return Emitted::kSent;
}

bool EmitAcknowledgment(Core& core, Connection& c) {
  return EmitSegment(core, c, c.snd_nxt, 0, 0) != Emitted::kRetry;
}

bool EmitProbe(Core& core, Connection& c, Sequence sequence) {
  return EmitSegment(core, c, sequence, 0, 0) != Emitted::kRetry;
}

void EmitResetFor(Core& core, const Segment& segment) {
  const wire::TcpHeader& in = segment.header;
  if (in.rst()) return;
  if (!core.resets.Take(core.now)) {
    ++core.counters.ResetsLimited;
    return;
  }
  ip::Path path;
  const ip::PacketInfo& info = *segment.info;
  const bool link_local = info.source.is_v6() && info.source.is_link_local();
  if (core.ip.FindPath(core.now, info.source, info.destination, link_local ? info.interface : 0,
                       &path) != ip::PathStatus::kOk) {
    return;
  }
  wire::TcpHeader out;
  out.source_port = in.destination_port;
  out.destination_port = in.source_port;
  // RFC 9293 section 3.5.2, group 1.
  if (in.ack()) {
    out.sequence = in.acknowledgment;
    out.flags = wire::kTcpRst;
  } else {
    out.acknowledgment = in.sequence + segment.payload + (in.syn() ? 1 : 0) + (in.fin() ? 1 : 0);
    out.flags = wire::kTcpRst | wire::kTcpAck;
  }
  EmitControl(core, path, out, {});
}

void EmitReset(Core& core, Connection& c) {
  wire::TcpHeader out;
  out.source_port = c.local_port;
  out.destination_port = c.remote_port;
  out.sequence = c.snd_nxt;
  out.acknowledgment = c.rcv_nxt;
  out.flags = wire::kTcpRst | wire::kTcpAck;
  EmitControl(core, c.path, out, {}, {c.ttl, c.traffic_class});
}

}  // namespace sluice::tcp
