// A host of a simulation: an engine on a simulated port, and an application's side of its region,
// played in the same thread. Commands are answered at once, by turns at the present instant.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/engine.h"
#include "sim/network.h"
#include "table/application_queues.h"

namespace sluice::sim {

struct HostOptions {
  uint8_t number = 1;  // address 192.0.2.<number> and 2001:db8::<number>
  uint64_t seed = 1;
  table::RegionLimits region{.sockets = 256, .buffers = 4096, .buffer_bytes = 2048, .blocks = 8192};
  tcp::Config tcp;
};

class Host {
 public:
  Host(SimNetwork* network, SimPort* port, const HostOptions& options);
  ~Host();

  // Runs turns at `now` until there is nothing left to do now (or a bound is met).
  void Run(Instant now);
  Instant NextDeadline() { return engine_->NextDeadline(); }

  wire::IpAddress address(bool v6) const;
  engine::Engine& engine() { return *engine_; }
  const table::Region& region() const { return region_; }
  table::Entry& entry(table::Handle handle) const { return region_.entry(handle.index); }

  // The application's calls. `value` receives what the answer carries.
  table::Result Ask(table::Command command, uint64_t* value = nullptr);
  table::Handle Open(table::Type type, uint8_t protocol, uint8_t family);
  void Doorbell(table::Handle handle) { table::RingDoorbell(region_, handle.index); }

  // What should be nothing once every socket is closed: slots, buffers, blocks and packets in use.
  uint32_t open_sockets() { return engine_->sockets().open_sockets(); }
  uint32_t buffers_used() { return engine_->sockets().region().buffers_used(); }
  uint32_t blocks_used() { return engine_->sockets().region().blocks_used(); }
  uint32_t packets_used() const { return packets_ - port_->plain_pool().available(); }

 private:
  struct Free {
    void operator()(void* memory) const;
  };

  SimNetwork* network_;
  SimPort* port_;
  HostOptions options_;
  std::unique_ptr<void, Free> memory_;
  table::Region region_;
  uint32_t packets_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace sluice::sim
