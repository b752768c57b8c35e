#include "table/socket_table.h"

#include <cassert>
#include <new>
#include <utility>

#include "base/prefetch.h"

namespace sluice::table {

void CopyOptions(const Options& from, Options& to) {
  to.flags.store(from.flags.load());
  to.receive_timeout_ns.store(from.receive_timeout_ns.load());
  to.send_timeout_ns.store(from.send_timeout_ns.load());
  to.send_buffer_bytes.store(from.send_buffer_bytes.load());
  to.receive_buffer_bytes.store(from.receive_buffer_bytes.load());
  to.receive_low_water_bytes.store(from.receive_low_water_bytes.load());
  to.not_sent_low_water_bytes.store(from.not_sent_low_water_bytes.load());
  to.linger_s.store(from.linger_s.load());
  to.keepalive_idle_s.store(from.keepalive_idle_s.load());
  to.keepalive_interval_s.store(from.keepalive_interval_s.load());
  to.keepalive_count.store(from.keepalive_count.load());
  to.user_timeout_ms.store(from.user_timeout_ms.load());
  to.defer_accept_s.store(from.defer_accept_s.load());
  to.fin_wait2_timeout_s.store(from.fin_wait2_timeout_s.load());
  to.window_clamp_bytes.store(from.window_clamp_bytes.load());
  to.priority.store(from.priority.load());
  to.mark.store(from.mark.load());
  to.maximum_segment_bytes.store(from.maximum_segment_bytes.load());
  to.bound_interface.store(from.bound_interface.load());
  to.multicast_interface_v4.store(from.multicast_interface_v4.load());
  to.multicast_interface_v6.store(from.multicast_interface_v6.load());
  to.syn_retries.store(from.syn_retries.load());
  to.ttl.store(from.ttl.load());
  to.hop_limit.store(from.hop_limit.load());
  to.tos.store(from.tos.load());
  to.traffic_class.store(from.traffic_class.load());
  to.multicast_ttl.store(from.multicast_ttl.load());
  to.multicast_hops.store(from.multicast_hops.load());
  to.mtu_discover_v4.store(from.mtu_discover_v4.load());
  to.mtu_discover_v6.store(from.mtu_discover_v6.load());
  to.congestion.store(from.congestion.load());
  to.minimum_ttl.store(from.minimum_ttl.load());
}

namespace {

void SetDefaults(Options& o) {
  o.flags.store(kMulticastLoopV4 | kMulticastLoopV6 | kMulticastAllV4 | kMulticastAllV6);
  o.send_buffer_bytes.store(256 * 1024);
  o.receive_buffer_bytes.store(128 * 1024);
  o.receive_low_water_bytes.store(1);
  o.keepalive_idle_s.store(7200);  // RFC 1122 section 4.2.3.6
  o.keepalive_interval_s.store(75);
  o.keepalive_count.store(9);
  o.fin_wait2_timeout_s.store(60);
  o.ttl.store(-1);
  o.hop_limit.store(-1);
  o.multicast_ttl.store(1);
  o.multicast_hops.store(1);
  o.mtu_discover_v4.store(MtuDiscover::kWant);
  o.mtu_discover_v6.store(MtuDiscover::kWant);
}

void ReclaimThirdQueue(Socket socket) {
  if (socket.type() == Type::kStream) {
    socket.connection_queue().Reclaim();
  } else {
    socket.error_queue().Reclaim();
  }
}

uint32_t ShareStart(const RegionLimits& limits, uint32_t lane) {
  return static_cast<uint32_t>(uint64_t{limits.sockets} * lane / limits.lanes);
}

}  // namespace

SocketTable::SocketTable(const Region& region, uint8_t lane)
    : storage_(region.limits()),
      region_(region),
      lane_(lane),
      defaults_(std::make_unique<Options>()),
      first_(ShareStart(region.limits(), lane)),
      end_(ShareStart(region.limits(), lane + 1u)),
      fresh_(first_),
      swept_(first_),
      next_socket_id_(lane + uint64_t{1}) {
  sides_ = std::make_unique<EngineSide[]>(end_ - first_);
  region_.UseCache(&storage_);
  SetDefaults(*defaults_);
  free_.reserve(end_ - first_);
}

SocketTable::~SocketTable() {
  for (uint32_t index = first_; index < fresh_; ++index) {
    if (Socket socket = At(index)) Close(socket);
  }
  region_.ReleaseStorage();
}

// Every field but the generation and the options starts from zero or "none".
void SocketTable::ResetEntry(Entry& e) {
  for (RingProducer* p : {&e.receive_producer, &e.connection_producer, &e.send_producer}) {
    p->tail.store(0);
    p->first_position.store(0);
    p->first_block.store(kNone);
    p->bytes.store(0);
  }
  for (RingConsumer* c : {&e.send_consumer, &e.receive_consumer, &e.connection_consumer}) {
    c->head.store(0);
    c->bytes.store(0);
  }
  for (Cursor* c : {&e.send_cursor, &e.receive_cursor, &e.connection_cursor}) *c = Cursor{};
  e.local.Store({});
  e.remote.Store({});
  e.engine_flags.store(0);
  e.urgent_position.store(0);
  e.error.store(0);
  e.interface.store(0);
  e.engine.store(lane_);
  e.close_reason.store(0);
  e.bytes_sent.store(0);
  e.event_mask.store(0);
  e.application_flags.store(0);
  e.backlog.store(0);
  e.descriptor.store(kNone);
  e.process_id.store(0);
  e.receive_offset = 0;
  e.open_buffer = kNone;
  e.open_used = 0;
  e.held_heads = 0;
}

Handle SocketTable::Open(Type type, uint8_t protocol, uint8_t family, Status status) {
  uint32_t index;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else if (fresh_ < end_) {
    index = fresh_++;
    new (&region_.entry(index)) Entry();
  } else {
    ++counters_.refused_sockets;
    return {};
  }
  EngineSide& side = sides_[index - first_];
  side.send = SendState{};
  side.receive = ReceiveState{};
  side.control_block = EngineSide::kNoControlBlock;
  side.type = type;
  side.status = status;
  ++side.generation;  // odd: in use

  Entry& entry = region_.entry(index);
  ResetEntry(entry);
  CopyOptions(*defaults_, entry.options);
  entry.socket_id.store(next_socket_id_);
  next_socket_id_ += region_.limits().lanes;
  entry.type.store(type);
  entry.protocol.store(protocol);
  entry.family.store(family);
  entry.generation.Release(side.generation);
  entry.status.Release(status);
  ++open_;
  ++counters_.opened;
  return {index, side.generation};
}

Socket SocketTable::Find(Handle handle) {
  if (handle.index < first_ || handle.index >= fresh_ || (handle.generation & 1) == 0 ||
      sides_[handle.index - first_].generation != handle.generation) {
    ++counters_.stale_handles;
    return {};
  }
  return {this, handle.index};
}

Socket SocketTable::At(uint32_t index) {
  if (index < first_ || index >= fresh_ || (sides_[index - first_].generation & 1) == 0) return {};
  return {this, index};
}

void SocketTable::Prefetch(uint32_t index) const {
  if (!Owns(index)) return;
  PrefetchAll(region_.entry(index));
  PrefetchAll(sides_[index - first_]);
}

void SocketTable::PrefetchBlocks(uint32_t index) const {
  if (!Owns(index)) return;
  const EngineSide& side = sides_[index - first_];
  for (const Cursor& cursor : {side.send.first, side.receive.write}) {
    if (region_.HasBlock(cursor.block())) PrefetchAll(region_.block(cursor.block()));
  }
}

void SocketTable::PrefetchBuffers(uint32_t index) const {
  if (!Owns(index)) return;
  const Cursor& first = sides_[index - first_].send.first;
  if (!region_.HasBlock(first.block()) || first.at_end()) return;
  const uint32_t buffer = RingAt(region_, first).buffer;
  if (region_.HasBuffer(buffer)) __builtin_prefetch(&region_.buffer_header(buffer), 1);
}

void SocketTable::Inherit(Socket from, Socket to) {
  CopyOptions(from.entry().options, to.entry().options);
}

void SocketTable::Close(Socket socket) {
  EngineSide& side = socket.side();
  Entry& entry = socket.entry();
  assert((side.generation & 1) == 1);
  if (socket.has_third_queue()) CloseThirdQueue(socket);
  socket.send_queue().Clear();
  socket.receive_queue().Clear();
  socket.SetStatus(Status::kTerminated);
  ++side.generation;  // even: free
  entry.generation.Release(side.generation);
  entry.type.store(Type::kNone);
  free_.push_back(socket.index());
  --open_;
  ++counters_.closed;
}

bool SocketTable::OpenThirdQueue(EngineSide& side) {
  if (side.third != 0) return true;
  if (!free_third_queues_.empty()) {
    side.third = free_third_queues_.back();
    free_third_queues_.pop_back();
    third_queues_[side.third - 1u] = ThirdQueue{};
    return true;
  }
  if (third_queues_.size() == UINT16_MAX) return false;
  third_queues_.emplace_back();
  side.third = static_cast<uint16_t>(third_queues_.size());
  return true;
}

void SocketTable::CloseThirdQueue(Socket socket) {
  if (socket.type() == Type::kStream) {
    socket.connection_queue().Clear();
  } else {
    socket.error_queue().Clear();
  }
  free_third_queues_.push_back(socket.side().third);
  socket.side().third = 0;
}

SocketTable::Sweep SocketTable::SweepIdle(uint32_t budget) {
  for (; budget != 0 && swept_ < fresh_; --budget, ++swept_) {
    const Socket socket = At(swept_);
    if (!socket) continue;
    const EngineSide& side = socket.side();
    if (side.receive.write.in_block()) socket.receive_queue().Reclaim();
    if (side.third != 0) ReclaimThirdQueue(socket);
    if (side.send.first.in_block() && !socket.send_queue().GiveBackIdleBlock()) sweep_again_ = true;
  }
  if (swept_ < fresh_) return Sweep::kGoesOn;
  swept_ = first_;
  return std::exchange(sweep_again_, false) ? Sweep::kAgain : Sweep::kDone;
}

bool Socket::OpenThirdQueue() const { return table_->OpenThirdQueue(side()); }

void Socket::SetStatus(Status status) const {
  Entry& e = entry();
  if (!CanChange(side().status, status)) ++table_->counters_.illegal_changes;
  side().status = status;
  e.status.Release(status);  // pairs with Readiness and the application's look at the endpoints
}

void Socket::SetError(Result error) const {
  entry().error.store(static_cast<uint32_t>(error));
  Notify(kEventErr);
}

void Socket::Notify(uint32_t events) const {
  Entry& e = entry();
  events |= events & (kEventErr | kEventHup) ? uint32_t{kEventIn | kEventOut} : 0;
  if ((e.event_mask.load() & events) == 0) {
    // Somebody may just have said that he waits: either this look finds it, or his own look at the
    // queues, which comes after it, finds what this notice is about.
    FullFence();
    if ((e.event_mask.load() & events) == 0 &&
        region().lane(table_->lane_).announce_all.load() == 0) {
      return;
    }
  }
  // A full fence: what the event is about is visible before the application clears the flag.
  if (e.event_pending.Exchange(1) != 0) return;
  const Region& r = region();
  r.events(table_->lane_).Push(index_);
  r.lane(table_->lane_).notices.Add(1);
  ++table_->counters_.events;
}

}  // namespace sluice::table
