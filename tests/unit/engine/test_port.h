// Ports without a device: two of them joined by a cable, or one that leads nowhere.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>

#include "base/plain_pool.h"
#include "engine/port.h"

namespace sluice::engine {

class TestPort : public Port {
 public:
  TestPort(std::string name, uint8_t number, rte_mempool* pool)
      : name_(std::move(name)), pool_(pool) {
    capabilities_.mac = {{2, 0, 0, 0, 0, number}};
    capabilities_.tx_segments_max = 8;
  }
  ~TestPort() override {
    for (rte_mbuf* frame : arrived) rte_pktmbuf_free(frame);
  }
  void Join(TestPort& other) {
    peer_ = &other;
    other.peer_ = this;
  }

  std::string_view name() const override { return name_; }
  const PortCapabilities& capabilities() const override { return capabilities_; }
  rte_mempool* pool(uint16_t) override { return pool_; }
  uint16_t Receive(uint16_t, std::span<rte_mbuf*> packets) override {
    uint16_t count = 0;
    while (count < packets.size() && !arrived.empty()) {
      packets[count++] = arrived.front();
      arrived.pop_front();
    }
    statistics_.rx_packets += count;
    return count;
  }
  uint16_t Transmit(uint16_t, std::span<rte_mbuf*> packets) override {
    uint16_t count = 0;
    most_at_once = std::max(most_at_once, packets.size());
    while (count < packets.size() && room > 0) {
      rte_mbuf* frame = packets[count++];
      --room;
      if (peer_ != nullptr) {
        frame->ol_flags = 0;
        peer_->arrived.push_back(frame);
      } else {
        rte_pktmbuf_free(frame);
      }
    }
    statistics_.tx_packets += count;
    return count;
  }
  int wake_descriptor(uint16_t) override { return descriptor; }
  bool ArmWake(uint16_t) override {
    ++armed;
    return arrived.empty();
  }
  void DisarmWake(uint16_t) override { ++disarmed; }
  bool link_up() const override { return up; }
  PortStatistics statistics() const override { return statistics_; }

  std::deque<rte_mbuf*> arrived;
  size_t room = SIZE_MAX;   // frames that it still takes
  size_t most_at_once = 0;  // frames that it was given
  int descriptor = 7;
  int armed = 0, disarmed = 0;
  bool up = true;

 private:
  std::string name_;
  rte_mempool* pool_;
  PortCapabilities capabilities_;
  PortStatistics statistics_;
  TestPort* peer_ = nullptr;
};

}  // namespace sluice::engine
