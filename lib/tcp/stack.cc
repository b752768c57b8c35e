#include "tcp/stack.h"

#include <algorithm>
#include <array>

#include "base/prefetch.h"
#include "ip/mbuf_bytes.h"
#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/handshake.h"
#include "tcp/icmp.h"
#include "tcp/information.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/packet_bytes.h"
#include "tcp/segment.h"
#include "tcp/timers.h"
#include "tcp/window.h"
#include "wire/bytes.h"

namespace sluice::tcp {
namespace {

// A fresh socket's EngineSide says kNoControlBlock, which reads as kNothing.
static_assert(table::EngineSide::kNoControlBlock >> 30 ==
              static_cast<uint32_t>(BlockKind::kNothing));

constexpr size_t kForeseenMax = 64;  // connections
// So many, with all that belongs to them, stay in the processor's caches.
constexpr uint32_t kFewConnections = 256;

// Reads the header and strips it. False: what this is, is no segment for us.
bool ParseSegment(Core& core, ip::Inbound& inbound, Segment* segment) {
  rte_mbuf* packet = inbound.packet;
  ++core.counters.TcpInSegs;
  // RFC 1122 section 4.2.3.10: TCP is between two.
  const ip::PacketInfo& info = inbound.info;
  if (info.destination_kind != ip::DestinationKind::kUnicast || info.link_multicast ||
      info.link_broadcast) {
    return false;
  }
  const auto span = [&] {
    return wire::ConstBytes(rte_pktmbuf_mtod(packet, const uint8_t*), packet->data_len);
  };
  ip::Gather(packet, std::min<uint32_t>(packet->pkt_len, wire::kTcpHeaderBytesMax));
  const auto header = wire::TcpHeader::Parse(span());
  if (!header) {
    ++core.counters.TcpInErrs;
    return false;
  }
  if (!ip::VerifyTransportChecksum(packet, info)) {
    ++core.counters.TcpInCsumErrors;
    ++core.counters.TcpInErrs;
    return false;
  }
  segment->info = &info;
  segment->header = *header;
  segment->options = wire::TcpOptions::Parse(
      span().subspan(wire::kTcpHeaderBytesMin, header->header_bytes - wire::kTcpHeaderBytesMin));
  ip::DropFront(packet, header->header_bytes);
  segment->packet = packet;
  segment->begin = header->sequence;
  segment->payload = packet->pkt_len;
  segment->fin = header->fin();
  segment->had_syn = header->syn();
  // A header of its own mbuf leaves an empty piece in front of the payload.
  if (packet->data_len == 0 && packet->next != nullptr) segment->packet = CutFront(packet, 0);
  return true;
}

ip::FlowKey KeyOf(const ip::PacketInfo& info, uint16_t remote_port, uint16_t local_port) {
  ip::FlowKey key;
  key.local = info.destination;
  key.remote = info.source;
  key.local_port = local_port;
  key.remote_port = remote_port;
  if (info.source.is_v6() && info.source.is_link_local()) key.scope = info.interface;
  return key;
}

void Dispatch(Core& core, Segment& segment, uint64_t flow_hash) {
  const wire::TcpHeader& header = segment.header;
  const ip::FlowKey key = KeyOf(*segment.info, header.source_port, header.destination_port);
  const FlowNumber number = core.FindFlow(key, flow_hash != 0 ? flow_hash : core.flows.Hash(key));
  if (number.is_none()) return ListenerSegment(core, segment, nullptr);
  switch (number.kind()) {
    case FlowKind::kConnection:
      return ConnectionSegment(core, core.connections[number.index()], segment);
    case FlowKind::kSynRequest:
      return SynRequestSegment(core, number.index(), segment);
    case FlowKind::kTimeWait:
      return TimeWaitSegment(core, number.index(), segment);
  }
}

}  // namespace

Stack::Stack(const Config& config, table::SocketTable& table, ip::Stack& ip, const SipKey& key)
    : core_(std::make_unique<Core>(config, table, ip, key)) {
  core_->bindings.SetPortRange(config.port_first, config.port_last);
}

Stack::~Stack() = default;

// In passes, since where a record lies stands in another one.
void Stack::Foresee(std::span<ip::Inbound> inbounds) const {
  Core& core = *core_;
  for (ip::Inbound& in : inbounds) {
    constexpr uint32_t kPortBytes = 4;
    if (in.info.protocol != ip::kProtocolTcp || in.packet->data_len < kPortBytes) continue;
    const auto* ports = rte_pktmbuf_mtod(in.packet, const uint8_t*);
    in.flow_hash = core.flows.Hash(KeyOf(in.info, wire::Load16(ports), wire::Load16(ports + 2)));
    core.flows.Prefetch(in.flow_hash);
  }
  if (core.connections.used() < kFewConnections) return;
  std::array<uint32_t, kForeseenMax> found;
  size_t count = 0;
  for (const ip::Inbound& in : inbounds) {
    if (in.flow_hash == 0 || count == found.size()) continue;
    const FlowNumber number = FlowNumber::FromBits(core.flows.Guess(in.flow_hash));
    if (number.is_none() || number.kind() != FlowKind::kConnection) continue;
    found[count++] = number.index();
    PrefetchAll(core.connections[number.index()]);
  }
  const std::span<uint32_t> sockets(found.data(), count);
  for (uint32_t& index : sockets) {
    index = core.connections[index].socket;
    core.table.Prefetch(index);
  }
  for (const uint32_t index : sockets) core.table.PrefetchBlocks(index);
  for (const uint32_t index : sockets) core.table.PrefetchBuffers(index);
}

void Stack::Input(Instant now, ip::Inbound& inbound) {
  core_->SetNow(now);
  Segment segment;
  if (!ParseSegment(*core_, inbound, &segment)) {
    rte_pktmbuf_free(inbound.packet);
    inbound.packet = nullptr;
    return;
  }
  inbound.packet = nullptr;
  Dispatch(*core_, segment, inbound.flow_hash);
  rte_pktmbuf_free(segment.packet);
}

void Stack::Error(Instant now, const ip::IcmpError& error) {
  core_->SetNow(now);
  IcmpReport(*core_, error);
}

void Stack::Doorbell(Instant now, table::Socket socket) {
  Core& core = *core_;
  core.SetNow(now);
  switch (KindOf(socket)) {
    case BlockKind::kListener:
      return socket.connection_queue().Reclaim();
    case BlockKind::kBinding:
    case BlockKind::kNothing:
      return socket.receive_queue().Reclaim();
    case BlockKind::kConnection:
      break;
  }
  Connection& c = core.connections[BlockOf(socket)];
  if (c.has(kOrphan)) return;
  socket.receive_queue().Reclaim();
  table::Entry& entry = socket.entry();
  if (c.has(kUrgentSeen) && static_cast<int32_t>(entry.receive_consumer.bytes.load() -
                                                 entry.urgent_position.load()) > 0) {
    c.clear(kUrgentSeen);
    entry.engine_flags.ClearBits(table::kUrgentPending);
  }
  TuneReceiveBuffer(core, c);
  c.set(kWindowUpdate);
  core.Touch(c);
}

bool Stack::EndOfBurst(Instant now, uint32_t segments) {
  Core& core = *core_;
  core.SetNow(now);
  core.segments_left = segments;
  core.backlog_max = 2ull * segments;
  // A connection that is touched while its turn comes is taken in the same pass; none is touched
  // again by its own output.
  while (core.touched_first != kNone && core.segments_left != 0) {
    Connection& c = core.connections[core.touched_first];
    core.touched_first = c.touched_next;
    c.clear(kTouched);
    if (c.has(kDead)) {
      core.connections.Return(c.index);
      continue;
    }
    if (c.has(kNotifyAgain)) core.SocketOf(c).Notify(table::kEventIn);
    c.clear(kNotified | kNotifyAgain);
    c.set(kTouched);  // so that an end in Output leaves the record to us
    const bool paused = Output(core, c);
    c.clear(kTouched);
    if (c.has(kDead)) {
      core.connections.Return(c.index);
      continue;
    }
    core.Reschedule(c);
    if (paused) core.Touch(c);  // behind the others
  }
  return core.touched_first != kNone;
}

void Stack::SetCopyReceived(bool copy) { core_->copy_received = copy; }

Instant Stack::NextDeadline() {
  // What was touched waits for EndOfBurst, not for a timer.
  if (core_->touched_first != kNone) return core_->now;
  return core_->wheel.NextDeadline();
}

bool Stack::TimersMayBeDue(Instant now) const { return core_->wheel.MayBeDue(now); }

void Stack::OnTimer(Instant now, unsigned budget) {
  Core& core = *core_;
  core.SetNow(now);
  core.wheel.Advance(now, budget, [&core](Timer& timer) {
    switch (timer.tag()) {
      case kConnectionTimer:
        return ConnectionTimeout(core, OwnerOf<&Connection::timer>(timer));
      case kSynRequestTimer:
        return SynRequestTimeout(core, OwnerOf<&SynRequest::timer>(timer));
      case kTimeWaitTimer:
        return RemoveTimeWait(core, OwnerOf<&TimeWait::timer>(timer).index);
    }
  });
}

const Counters& Stack::counters() const { return core_->counters; }

Population Stack::population() const {
  return {core_->connections.used(), core_->listeners.used(), core_->syn_requests.used(),
          core_->time_waits.used(), core_->orphans};
}

}  // namespace sluice::tcp
