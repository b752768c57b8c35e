// A host of a simulation: an engine on a simulated port, or several that share it, and an
// application's side of their region, played in the same thread. Commands are answered at once, by
// turns at the present instant. The port has one queue, which is the first engine's: all that
// others receive and send is handed over.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/hand_over.h"
#include "sim/network.h"
#include "table/application_queues.h"

namespace sluice::sim {

struct HostOptions {
  uint8_t number = 1;  // address 192.0.2.<number> and 2001:db8::<number>
  uint64_t seed = 1;
  table::RegionLimits region{.sockets = 256, .buffers = 4096, .buffer_bytes = 2048, .blocks = 8192};
  tcp::Config tcp;
  uint8_t engines = 1;
};

class Host {
 public:
  Host(SimNetwork* network, SimPort* port, const HostOptions& options);
  ~Host();

  // Runs turns at `now` until there is nothing left to do now (or a bound is met).
  void Run(Instant now);
  Instant NextDeadline();

  wire::IpAddress address(bool v6) const;
  uint8_t engine_count() const { return options_.engines; }
  engine::Engine& engine(uint8_t lane = 0) { return *engines_[lane]; }
  const table::Region& region() const { return region_; }
  table::Entry& entry(table::Handle handle) const { return region_.entry(handle.index); }

  // The application's calls. `value` receives what the answer carries.
  table::Result Ask(table::Command command, uint64_t* value = nullptr);
  table::Handle Open(table::Type type, uint8_t protocol, uint8_t family, uint8_t lane = 0);
  // Closes a socket without awaiting an answer.
  void Close(table::Handle handle);
  void Doorbell(table::Handle handle) { table::RingDoorbell(region_, handle.index); }

  // What should be nothing once every socket is closed: slots, buffers, blocks and packets in use.
  uint32_t open_sockets();
  uint32_t buffers_used();
  uint32_t blocks_used();
  uint32_t packets_used() const { return packets_ - port_->plain_pool().available(); }

 private:
  void AddEngine(uint8_t lane);
  table::Result AskAt(uint8_t lane, table::Command command, uint64_t* value);

  struct Free {
    void operator()(void* memory) const;
  };

  SimNetwork* network_;
  SimPort* port_;
  HostOptions options_;
  std::unique_ptr<void, Free> memory_;
  table::Region region_;
  uint32_t packets_;
  std::unique_ptr<engine::HandOver> hand_over_;  // of several engines
  std::vector<std::unique_ptr<engine::Engine>> engines_;
};

}  // namespace sluice::sim
