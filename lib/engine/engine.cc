#include "engine/engine.h"

#include <rte_mempool.h>

#include <algorithm>
#include <atomic>
#include <cassert>

namespace sluice::engine {
namespace {

// Each part has a key of its own, all made of one.
SipKey KeyFor(const SipKey& key, uint64_t purpose) {
  return {SipHashOf(key, purpose, uint64_t{0}), SipHashOf(key, purpose, uint64_t{1})};
}

ip::StackConfig IpConfig(const EngineConfig& config, uint8_t lane) {
  ip::StackConfig ip = config.ip;
  ip.is_speaker = config.hand_over == nullptr || lane == 0;
  ip.key = KeyFor(config.key, 1);
  ip.seed = KeyFor(config.key, 2).k0;
  if (ip.pool == nullptr) ip.pool = config.pool;
  return ip;
}

tcp::Config TcpConfig(const EngineConfig& config, uint8_t lane) {
  tcp::Config tcp = config.tcp;
  tcp.owners = config.hand_over != nullptr ? &config.hand_over->owners() : nullptr;
  tcp.engine = lane;
  if (tcp.pool == nullptr) tcp.pool = config.pool;
  return tcp;
}

udp::Config UdpConfig(const EngineConfig& config) {
  udp::Config udp = config.udp;
  if (udp.pool == nullptr) udp.pool = config.pool;
  return udp;
}

constexpr unsigned kTurnsBetweenPoolChecks = 64;

// What idle sockets hold is taken back in rounds over all of them, a few at a time.
constexpr Duration kSweepRound = Seconds(1);
constexpr Duration kSweepStep = Milliseconds(8);
constexpr uint32_t kSlotsPerSweep = 256;

}  // namespace

Engine::Engine(const EngineConfig& config, const table::Region& region, uint8_t lane)
    : config_(config),
      region_(region),
      lane_(lane),
      hand_over_(config.hand_over),
      table_(region, lane),
      ip_(IpConfig(config, lane)),
      tcp_(TcpConfig(config, lane), table_, ip_, KeyFor(config.key, 3)),
      udp_(UdpConfig(config), table_, ip_, KeyFor(config.key, 4)) {
  config_.receive_burst = std::clamp<uint16_t>(config.receive_burst, 1, kBurstMax);
}

// What sockets still hold goes back to the pools, which outlive the engine.
Engine::~Engine() {
  for (uint32_t i = 0; i < region_.limits().sockets; ++i) {
    const table::Socket socket = table_.At(i);
    if (socket && udp::Stack::Owns(socket)) udp_.Close(now_, socket);
  }
}

ip::ConfigResult Engine::AddPort(Instant now, Port* port, uint16_t queue,
                                 ip::InterfaceConfig interface, uint16_t* index) {
  const PortCapabilities& can = port->capabilities();
  interface.link =
      can.link == LinkType::kEthernet ? ip::LinkLayer::kEthernet : ip::LinkLayer::kNone;
  if (interface.mac.is_zero()) interface.mac = can.mac;
  interface.mtu = std::min(interface.mtu, can.mtu);
  interface.tx_segments_max = can.tx_segments_max;
  interface.tx_ipv4_checksum = can.tx_ipv4_checksum;
  interface.tx_tcp_checksum = can.tx_tcp_checksum;
  interface.tx_udp_checksum = can.tx_udp_checksum;
  interface.tx_tcp_segmentation = can.tx_tcp_segmentation;
  interface.tx_vlan_insert = can.tx_vlan_insert;
  interface.tso_bytes_max = can.tso_bytes_max;
  interface.pool = port->pool(queue);
  interface.link_up = port->link_up();
  const ip::ConfigResult result = ip_.AddInterface(now, interface, index);
  if (result != ip::ConfigResult::kOk) return result;

  const bool has_queue = queue < can.queues;
  assert(has_queue || hand_over_ != nullptr);
  ports_.push_back({.port = port,
                    .queue = queue,
                    .interface = *index,
                    .link_up = interface.link_up,
                    .has_queue = has_queue,
                    .ethernet = can.link == LinkType::kEthernet,
                    .sender = static_cast<uint8_t>(queue % can.queues),
                    .pool = interface.pool});
  if (!has_queue) return result;
  const int descriptor = port->wake_descriptor(queue);
  if (descriptor >= 0) {
    wake_descriptors_.push_back(descriptor);
  } else {
    ports_can_wake_ = false;
  }
  return result;
}

unsigned Engine::Poll(Instant now) {
  now_ = std::max(now_, now);  // a clock that runs backwards stands still
  now = now_;
  CheckPool();
  if (now >= next_link_check_) [[unlikely]]
    CheckLinks(now);
  if (now >= next_sweep_) [[unlikely]]
    SweepIdle(now);

  unsigned work = ReceiveBursts(now);
  if (hand_over_ != nullptr) work += TakeHandedOver(now);
  work += TakeLooped(now);
  udp_.EndOfInput();
  work += TakeCommands(now);
  work += TakeDoorbells(now);
  work += RunTimers(now);
  bool more = tcp_.EndOfBurst(now, config_.data_burst);
  udp_.EndOfBurst(now);
  work += TransmitBursts(now);
  for (unsigned i = 1; more && i < config_.data_bursts_per_turn; ++i) {
    more = tcp_.EndOfBurst(now, config_.data_burst);
    work += TransmitBursts(now);
  }

  if (takers_ != 0) WakeTakers();

  ++counters_.Turns;
  if (work == 0) {
    ++counters_.IdleTurns;
  } else if (next_sweep_.is_never()) [[unlikely]] {
    next_sweep_ = now + kSweepRound;
  }
  if (report_state_.load(std::memory_order_acquire) == kReportAsked) [[unlikely]] {
    ServeReport(now);
  }
  return work;
}

unsigned Engine::TakeDoorbells(Instant now) {
  unsigned taken = 0;
  uint32_t index;
  while (taken < config_.doorbells_per_turn &&
         region_.doorbells(lane_).Pop(index, region_.slot_queue_mask())) {
    ++taken;
    if (!region_.HasSlot(index)) {
      ++counters_.DoorbellsStale;
      continue;
    }
    // A full fence: who rings from now on is heard again; what was pushed before is seen below.
    // Pairs with the exchange in RingDoorbell.
    region_.entry(index).doorbell_pending.Exchange(0);
    const table::Socket socket = table_.At(index);
    if (!socket) {
      ++counters_.DoorbellsStale;
      continue;
    }
    if (udp::Stack::Owns(socket)) {
      udp_.Doorbell(now, socket);
    } else {
      tcp_.Doorbell(now, socket);
    }
  }
  counters_.Doorbells += taken;
  return taken;
}

unsigned Engine::RunTimers(Instant now) {
  unsigned fired = 0;
  if (ip_.NextDeadline() <= now) {
    ip_.OnTimer(now);
    ++fired;
  }
  if (tcp_.TimersMayBeDue(now)) {
    tcp_.OnTimer(now, config_.timers_per_turn);
    ++fired;
  }
  if (udp_.NextDeadline() <= now) ++fired;  // EndOfBurst tries again
  counters_.Timers += fired;
  return fired;
}

// Where packets run low, received ones are no longer lent to the application.
void Engine::CheckPool() {
  if (turns_to_pool_check_-- != 0 || config_.pool == nullptr) return;
  turns_to_pool_check_ = kTurnsBetweenPoolChecks;
  const bool low = rte_mempool_avail_count(config_.pool) < config_.pool_low_water;
  if (low == copy_received_) return;
  copy_received_ = low;
  if (low) ++counters_.PoolLow;
  tcp_.SetCopyReceived(low);
  udp_.SetCopyReceived(low);
}

void Engine::CheckLinks(Instant now) {
  next_link_check_ = now + config_.link_check;
  for (Attachment& a : ports_) {
    const bool up = a.port->link_up();
    if (up == a.link_up) continue;
    a.link_up = up;
    ++counters_.LinkChanges;
    ip_.SetLinkUp(now, a.interface, up);
  }
}

void Engine::SweepIdle(Instant now) {
  switch (table_.SweepIdle(kSlotsPerSweep)) {
    case table::SocketTable::Sweep::kGoesOn:
      next_sweep_ = now + kSweepStep;
      break;
    case table::SocketTable::Sweep::kAgain:
      next_sweep_ = now + kSweepRound;
      break;
    case table::SocketTable::Sweep::kDone:
      next_sweep_ = Instant::Never();  // until the next turn that does something
      break;
  }
}

bool Engine::LaneEmpty() const {
  return region_.commands(lane_).empty(table::Region::kCommandMask) &&
         region_.doorbells(lane_).empty(region_.slot_queue_mask());
}

bool Engine::HasWork() {
  return receive_left_ || ip_.looped_packets() != 0 || udp_.HasWork() || !LaneEmpty() ||
         (hand_over_ != nullptr && hand_over_->HasFor(lane_)) ||
         report_state_.load(std::memory_order_relaxed) == kReportAsked;
}

Instant Engine::NextDeadline() {
  if (HasWork()) return Instant::FromNanoseconds(0);
  Instant next =
      std::min({ip_.NextDeadline(), tcp_.NextDeadline(), udp_.NextDeadline(), next_sweep_});
  if (transmit_left_) next = std::min(next, now_ + config_.transmit_retry);
  return next;
}

bool Engine::PrepareToSleep() {
  table::Lane& lane = region_.lane(lane_);
  if (!HasWork()) {
    lane.engine_sleeps.store(1);
    // Either the application sees that the engine sleeps, or the engine sees what it pushed. Pairs
    // with the fence before the application's look at engine_sleeps.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!HasWork()) {
      bool armed = true;
      for (Attachment& a : ports_) {
        if (!a.has_queue) continue;
        a.armed = true;
        armed = a.port->ArmWake(a.queue);
        if (!armed) break;
      }
      if (armed) {
        ++counters_.Sleeps;
        return true;
      }
      DisarmPorts();
    }
    lane.engine_sleeps.store(0);
  }
  ++counters_.SleepsRefused;
  return false;
}

void Engine::WakeUp() {
  region_.lane(lane_).engine_sleeps.store(0);
  DisarmPorts();
}

void Engine::DisarmPorts() {
  for (Attachment& a : ports_) {
    if (a.armed) a.port->DisarmWake(a.queue);
    a.armed = false;
  }
}

}  // namespace sluice::engine
