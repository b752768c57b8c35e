// Engines that share a port with several queues, and the program's side of their lanes. The other
// end of the cable is a Machine.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "engine/hand_over.h"
#include "machine.h"
#include "wire/flow_hash.h"

namespace sluice::engine {

// Which queue a frame comes to, of so many.
using Deal = std::function<uint16_t(const rte_mbuf* frame, uint16_t queues)>;

class DealtPort : public Port {
 public:
  DealtPort(uint16_t queues, unsigned pools, Deal deal) : deal_(std::move(deal)), dealt_(queues) {
    for (unsigned i = 0; i < pools; ++i) pools_.push_back(std::make_unique<PlainPool>(2048));
    inlet_ = std::make_unique<TestPort>("inlet", 9, pools_[0]->get());
    capabilities_.mac = {{2, 0, 0, 0, 0, 9}};
    capabilities_.tx_segments_max = 8;
    capabilities_.queues = queues;
  }
  ~DealtPort() override {
    for (auto& queue : dealt_) {
      for (rte_mbuf* frame : queue) rte_pktmbuf_free(frame);
    }
  }
  TestPort& inlet() { return *inlet_; }
  PlainPool& plain_pool(unsigned i) { return *pools_[i]; }

  std::string_view name() const override { return "dealt"; }
  const PortCapabilities& capabilities() const override { return capabilities_; }
  rte_mempool* pool(uint16_t queue) override { return pools_[queue]->get(); }
  uint16_t Receive(uint16_t queue, std::span<rte_mbuf*> packets) override {
    for (rte_mbuf* frame : inlet_->arrived) {
      dealt_[deal_(frame, capabilities_.queues)].push_back(frame);
    }
    inlet_->arrived.clear();
    uint16_t count = 0;
    std::deque<rte_mbuf*>& own = dealt_.at(queue);
    while (count < packets.size() && !own.empty()) {
      packets[count++] = own.front();
      own.pop_front();
    }
    return count;
  }
  uint16_t Transmit(uint16_t queue, std::span<rte_mbuf*> packets) override {
    REQUIRE(queue < capabilities_.queues);
    return inlet_->Transmit(0, packets);
  }
  int wake_descriptor(uint16_t) override { return 7; }
  bool ArmWake(uint16_t queue) override {
    return dealt_.at(queue).empty() && inlet_->arrived.empty();
  }
  void DisarmWake(uint16_t) override {}
  bool link_up() const override { return true; }
  PortStatistics statistics() const override { return {}; }

 private:
  Deal deal_;
  std::vector<std::deque<rte_mbuf*>> dealt_;
  std::vector<std::unique_ptr<PlainPool>> pools_;
  std::unique_ptr<TestPort> inlet_;
  PortCapabilities capabilities_;
};

class Cluster {
 public:
  Cluster(unsigned engines, uint16_t queues, Deal deal)
      : port(queues, engines, std::move(deal)),
        limits_{.sockets = 256, .buffers = 4096, .blocks = 8192, .lanes = engines},
        memory_(Allocate(limits_)),
        region(table::Region::Format(memory_.get(), limits_)),
        hand_over(engines),
        peer(1) {
    region.ShareMbufs(port.pool(0));
    hand_over.SetWaker([this](uint8_t engine) { woken.push_back(engine); });
    for (unsigned lane = 0; lane < engines; ++lane) {
      EngineConfig config;
      config.pool = port.pool(static_cast<uint16_t>(lane));
      config.key = {lane, 43};
      config.hand_over = engines > 1 ? &hand_over : nullptr;
      this->engines.push_back(std::make_unique<Engine>(config, region, static_cast<uint8_t>(lane)));
      Engine& engine = *this->engines.back();
      ip::InterfaceConfig interface;
      interface.name = "eth0";
      interface.announce = false;
      REQUIRE(engine.AddPort(now, &port, static_cast<uint16_t>(lane), interface, &eth0) ==
              ip::ConfigResult::kOk);
      engine.ip().AddAddress(now, eth0, {address, 24});
      engine.ip().AddAddress(now, eth0, {address6, 64});
    }
    port.inlet().Join(peer.port);
  }
  ~Cluster() {
    // Each may hold packets of the other's pool.
    engines.clear();
    peer.engine.reset();
  }

  unsigned size() const { return static_cast<unsigned>(engines.size()); }
  table::Entry& entry(table::Handle handle) { return region.entry(handle.index); }
  uint8_t OwnerOf(const wire::Endpoint& a, const wire::Endpoint& b) const {
    return hand_over.owners().Of(a.address, a.port, b.address, b.port);
  }
  uint64_t Given() const {
    uint64_t sum = 0;
    for (const auto& engine : engines) sum += engine->counters().HandOversGiven;
    return sum;
  }

  // Pushes a command and lets the engine answer it.
  Answer Ask(unsigned lane, table::Command command) {
    auto replies = region.replies(lane);
    command.reply = 5;
    replies[5].state.store(table::Reply::kWaiting);
    REQUIRE(region.commands(lane).Push(command));
    engines[lane]->Poll(now);
    REQUIRE(replies[5].state.Acquire() == table::Reply::kDone);
    Answer answer{replies[5].result.load(), replies[5].value.load(), {}};
    replies[5].state.Release(table::Reply::kFree);
    return answer;
  }
  table::Handle Open(unsigned lane, table::Type type, int family = AF_INET) {
    const Answer answer = Ask(lane, {.operation = table::Operation::kOpen,
                                     .argument = Machine::OpenArgument(type, 0, family)});
    REQUIRE(answer.result == table::Result::kOk);
    return table::Handle::FromBits(answer.value);
  }
  // One on every engine, bound alike.
  std::vector<table::Handle> OpenEverywhere(table::Type type, const wire::Endpoint& local,
                                            int family = AF_INET) {
    std::vector<table::Handle> handles;
    for (unsigned lane = 0; lane < size(); ++lane) {
      handles.push_back(Open(lane, type, family));
      REQUIRE(Ask(lane,
                  {.operation = table::Operation::kBind, .handle = handles.back(), .local = local})
                  .result == table::Result::kOk);
    }
    return handles;
  }

  void Run() {
    for (int turn = 0; turn < 20000; ++turn) {
      unsigned work = peer.engine->Poll(now);
      Instant next = peer.engine->NextDeadline();
      for (auto& engine : engines) {
        work += engine->Poll(now);
        next = std::min(next, engine->NextDeadline());
      }
      if (work == 0 && next > now) return;
      now += Microseconds(10);
    }
    FAIL("it does not come to rest");
  }
  void RunFor(Duration time) {
    const Instant end = now + time;
    for (;;) {
      Run();
      Instant next = peer.engine->NextDeadline();
      for (auto& engine : engines) next = std::min(next, engine->NextDeadline());
      if (next > end) break;
      now = next;
    }
    now = std::max(now, end);
  }

  Instant now = Instant::FromNanoseconds(1'000'000'000);
  wire::IpAddress address = wire::IpAddress::V4(192, 0, 2, 9);
  wire::IpAddress address6 = *wire::ParseIp("2001:db8::9");
  DealtPort port;

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  static void* Allocate(const table::RegionLimits& limits) {
    const size_t bytes = (table::Region::BytesNeeded(limits) + 127) / 128 * 128;
    void* memory = std::aligned_alloc(128, bytes);
    std::memset(memory, 0, bytes);
    return memory;
  }
  table::RegionLimits limits_;
  std::unique_ptr<void, Free> memory_;

 public:
  table::Region region;
  HandOver hand_over;
  std::vector<uint8_t> woken;
  std::vector<std::unique_ptr<Engine>> engines;
  uint16_t eth0 = 0;
  Machine peer;
};

}  // namespace sluice::engine
