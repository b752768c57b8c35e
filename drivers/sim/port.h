// An engine::Port in a simulated network. Made by SimNetwork::AddPort, which owns it.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "base/plain_pool.h"
#include "engine/port.h"

namespace sluice::sim {

class SimNetwork;

struct PortOptions {
  std::string name;  // default "port1", "port2" ...
  engine::LinkType link = engine::LinkType::kEthernet;
  wire::MacAddress mac;  // default 02:00:00:00:00:01, :02 ... in the order of AddPort
  uint16_t mtu = 1500;
  uint32_t buffers = 4096;             // mbufs in the port's pool
  uint32_t receive_frames_max = 4096;  // arrived and not yet received; more are dropped
};

class SimPort final : public engine::Port {
 public:
  SimPort(const SimPort&) = delete;
  SimPort& operator=(const SimPort&) = delete;

  std::string_view name() const override { return options_.name; }
  const engine::PortCapabilities& capabilities() const override { return capabilities_; }
  rte_mempool* pool(uint16_t) override { return pool_.get(); }
  PlainPool& plain_pool() { return pool_; }
  uint16_t Receive(uint16_t queue, std::span<rte_mbuf*> packets) override;
  // A frame is sent at the network's present time, and copied.
  uint16_t Transmit(uint16_t queue, std::span<rte_mbuf*> packets) override;
  int wake_descriptor(uint16_t) override { return -1; }
  bool ArmWake(uint16_t) override { return arrived_.empty(); }
  void DisarmWake(uint16_t) override {}
  bool link_up() const override { return is_up_; }
  engine::PortStatistics statistics() const override { return statistics_; }

  // Frames that arrived and were not received yet.
  size_t waiting() const { return arrived_.size(); }

 private:
  friend class SimNetwork;
  SimPort(SimNetwork* network, int node, PortOptions options);
  // False if receive_frames_max wait already.
  bool Arrive(std::vector<uint8_t> bytes);

  SimNetwork* const network_;
  const int node_;
  const PortOptions options_;
  engine::PortCapabilities capabilities_;
  engine::PortStatistics statistics_;
  PlainPool pool_;
  std::deque<std::vector<uint8_t>> arrived_;
  std::vector<uint8_t> scratch_;
  bool is_up_ = false;  // connected
};

}  // namespace sluice::sim
