#include "tcp/core.h"

#include <rte_mbuf.h>

#include <algorithm>

namespace sluice::tcp {

Core::Core(const Config& config_, table::SocketTable& table_, ip::Stack& ip_, const SipKey& key_)
    : config(config_),
      table(table_),
      ip(ip_),
      key(key_),
      flows(key_, config_.connections_max / 4),
      bindings(ip::BindRules::kTcp, config_.connections_max + config_.listeners_max, key_),
      connections(config_.connections_max),
      listeners(config_.listeners_max),
      syn_requests(config_.syn_received_max),
      time_waits(config_.time_wait_max),
      scoreboards(config_.scoreboards_max),
      assembly(config_.disordered_connections_max, config_.out_of_order_packets_max,
               config_.out_of_order_packets_per_connection),
      packet_bytes(config_.pool == nullptr ? RTE_MBUF_DEFAULT_BUF_SIZE
                                           : rte_pktmbuf_data_room_size(config_.pool)),
      challenges(config_.challenge_acks_per_second, 100),
      resets(config_.resets_per_second, 1000) {}

// Timers must not stay scheduled in a wheel that dies, nor packets outlive their pool.
Core::~Core() {
  connections.ForEach([this](uint32_t, Connection& c) {
    wheel.Cancel(c.timer);
    assembly.Clear(&c.assembly);
  });
  syn_requests.ForEach([this](uint32_t, SynRequest& r) { wheel.Cancel(r.timer); });
  time_waits.ForEach([this](uint32_t, TimeWait& r) { wheel.Cancel(r.timer); });
}

ip::FlowKey Core::KeyOf(FlowNumber number) const {
  switch (number.kind()) {
    case FlowKind::kConnection:
      return connections[number.index()].key();
    case FlowKind::kSynRequest:
      return syn_requests[number.index()].key();
    case FlowKind::kTimeWait:
      return time_waits[number.index()].key;
  }
  return {};
}

namespace {

// A flow's key for comparison, which for connections needs no copy of it.
struct OwnKey {
  const Core& core;
  FlowNumber number;

  friend bool operator==(const OwnKey& own, const ip::FlowKey& key) {
    if (own.number.kind() != FlowKind::kConnection) return own.core.KeyOf(own.number) == key;
    const Connection& c = own.core.connections[own.number.index()];
    return c.path.destination == key.remote && c.remote_port == key.remote_port &&
           c.local_port == key.local_port && c.path.source == key.local && c.scope == key.scope;
  }
};

}  // namespace

FlowNumber Core::FindFlow(const ip::FlowKey& flow, uint64_t hash) const {
  const auto own = [this](uint32_t bits) { return OwnKey{*this, FlowNumber::FromBits(bits)}; };
  return FlowNumber::FromBits(flows.Find(hash, flow, own));
}

bool Core::AddFlow(FlowNumber number) {
  if (flows.Insert(flows.Hash(KeyOf(number)), number.bits())) return true;
  ++counters.FlowMapFull;
  return false;
}

void Core::ReplaceFlow(FlowNumber number, FlowNumber to) {
  flows.Renumber(flows.Hash(KeyOf(number)), number.bits(), to.bits());
}

void Core::RemoveFlow(FlowNumber number) { flows.Erase(flows.Hash(KeyOf(number)), number.bits()); }

void Core::Reschedule(Connection& c) {
  Instant earliest = c.deadlines[0];
  for (int i = 1; i < kDeadlineCount; ++i) earliest = std::min(earliest, c.deadlines[i]);
  // Deadlines mostly move away, with every segment: a timer that fires early finds nothing due and
  // comes back here, which is cheaper than to move it each time.
  if (c.timer.deadline() > earliest || earliest.is_never()) wheel.Schedule(c.timer, earliest);
}

void Core::NotifyOnce(Connection& c, uint32_t events) {
  if (c.has(kOrphan)) return;
  if (c.has(kNotified)) {
    c.set(kNotifyAgain);
    return;
  }
  c.set(kNotified);
  SocketOf(c).Notify(events);
}

bool Core::MayChallenge() {
  if (challenges.Take(now)) return true;
  ++counters.TcpExtTCPChallengeACKLimited;
  return false;
}

}  // namespace sluice::tcp
