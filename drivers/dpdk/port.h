// An engine::Port on any DPDK ethdev: a physical card, virtio, memif, tap, af_packet, af_xdp ...
//
//   PortConfig config;
//   config.device = "net_af_packet0,iface=veth1";
//   absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(config);  // after Eal::Start
//   if (!port.ok()) return port.status();  // one line that says what to do
//   const uint16_t count = (*port)->Receive(0, packets);
//
// Open and the destructor belong to one thread, with no engine running on the port. Between them
// each queue, its pool and its wake descriptor belong to one engine; statistics, link_up and the
// constant accessors may be called by any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "dpdk/driver_descriptors.h"
#include "dpdk/memif_link.h"
#include "dpdk/port_config.h"
#include "dpdk/preparation.h"
#include "dpdk/segment_guard.h"
#include "dpdk/wake.h"
#include "engine/port.h"

namespace sluice::dpdk {

class DpdkPort final : public engine::Port {
 public:
  static absl::StatusOr<std::unique_ptr<DpdkPort>> Open(const PortConfig& config);
  // Stops and detaches the device and frees the pools: every packet of them must have come back.
  ~DpdkPort() override;
  DpdkPort(const DpdkPort&) = delete;
  DpdkPort& operator=(const DpdkPort&) = delete;

  std::string_view name() const override { return name_; }
  const engine::PortCapabilities& capabilities() const override { return capabilities_; }
  rte_mempool* pool(uint16_t queue) override { return queues_[queue].pool; }
  uint16_t Receive(uint16_t queue, std::span<rte_mbuf*> packets) override;
  uint16_t Transmit(uint16_t queue, std::span<rte_mbuf*> packets) override;
  int wake_descriptor(uint16_t queue) override;
  bool ArmWake(uint16_t queue) override;
  void DisarmWake(uint16_t queue) override;
  bool link_up() const override;
  engine::PortStatistics statistics() const override;
  // Receive does that too: for who waits for the link before an engine runs.
  void TendLink();

  uint16_t port_id() const { return port_id_; }
  std::string_view driver_name() const { return driver_name_; }
  // All counters that the device has, by the names its driver gives them.
  std::vector<std::pair<std::string, uint64_t>> ExtendedStatistics() const;

 private:
  friend class PortOpener;
  DpdkPort() = default;

  struct alignas(64) Queue {
    rte_mempool* pool = nullptr;
    std::unique_ptr<WakeSource> wake;
    // Written by the queue's engine only, read by whoever asks for statistics.
    std::atomic<uint64_t> refused{0};    // frames that could never be sent: too long, malformed
    std::atomic<uint64_t> oversized{0};  // received ones that were cut, dropped
  };

  // How many packets from the front may be handed to the device as they are.
  uint16_t CountSendable(uint16_t queue, std::span<rte_mbuf*> packets) const;
  void Refuse(uint16_t queue, rte_mbuf* packet);
  // Drops the frames that are larger than the MTU allows; returns how many are left.
  uint16_t DropOversized(uint16_t queue, std::span<rte_mbuf*> packets);

  std::string name_;
  std::string driver_name_;
  engine::PortCapabilities capabilities_;
  uint16_t port_id_ = 0;
  bool attached_ = false;
  std::unique_ptr<MemifLink> memif_;  // null for other devices
  bool trust_checksums_ = false;
  bool prepare_transmit_ = false;
  uint32_t frame_bytes_max_ = UINT32_MAX;
  SignalHandler tap_handler_ = nullptr;
  int veth_index_ = 0;  // of the interface if it is a veth, else 0
  SegmentGuard segment_guard_;
  std::string shared_interface_;    // of the kernel's, "" if none
  int membership_descriptor_ = -1;  // keeps multicast coming, see HoldMembership
  std::vector<int> packet_sockets_;
  mutable std::atomic<uint64_t> ring_drops_{0};
  std::unique_ptr<Queue[]> queues_;
  uint16_t pools_ = 0;  // in queues_, of which the first `capabilities_.queues` are queues
};

}  // namespace sluice::dpdk
