#include "dpdk/port.h"

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <unistd.h>

#include <algorithm>

namespace sluice::dpdk {
namespace {

constexpr size_t kTransmitBurst = 64;

// Of a counter that one thread writes.
void Count(std::atomic<uint64_t>* counter) {
  counter->store(counter->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

DpdkPort::~DpdkPort() {
  for (uint16_t queue = 0; queue < capabilities_.queues && queues_ != nullptr; ++queue) {
    queues_[queue].wake.reset();  // before the driver closes what it watches
  }
  memif_.reset();
  if (attached_) {
    rte_eth_dev_stop(port_id_);
    rte_eth_dev_info info;
    const bool known = rte_eth_dev_info_get(port_id_, &info) == 0;
    rte_eth_dev_close(port_id_);
    if (known && info.device != nullptr) rte_dev_remove(info.device);
  }
  for (uint16_t queue = 0; queue < pools_; ++queue) {
    rte_mempool_free(queues_[queue].pool);
  }
  if (membership_descriptor_ >= 0) ::close(membership_descriptor_);
}

uint16_t DpdkPort::Receive(uint16_t queue, std::span<rte_mbuf*> packets) {
  if (tap_handler_ != nullptr) tap_handler_(0);
  if (memif_ != nullptr && !memif_->MayPass(queue)) return 0;
  uint16_t count =
      rte_eth_rx_burst(port_id_, queue, packets.data(), static_cast<uint16_t>(packets.size()));
  if (veth_index_ != 0) count = DropOversized(queue, packets.first(count));
  if (trust_checksums_) {
    for (uint16_t i = 0; i < count; ++i) {
      packets[i]->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    }
  }
  return count;
}

uint16_t DpdkPort::DropOversized(uint16_t queue, std::span<rte_mbuf*> packets) {
  uint16_t kept = 0;
  for (rte_mbuf* packet : packets) {
    if (packet->pkt_len <= frame_bytes_max_) {
      packets[kept++] = packet;
      continue;
    }
    rte_pktmbuf_free(packet);
    Count(&queues_[queue].oversized);
    // If that fails, the counter tells.
    if (queue == 0) segment_guard_.Engage(veth_index_).IgnoreError();
  }
  return kept;
}

void DpdkPort::TendLink() {
  if (memif_ != nullptr) memif_->MayPass(0);
}

uint16_t DpdkPort::Transmit(uint16_t queue, std::span<rte_mbuf*> packets) {
  uint16_t done = 0;
  while (done < packets.size()) {
    // A long backlog is looked at no further than the port is likely to take it.
    const size_t step = std::min<size_t>(packets.size() - done, kTransmitBurst);
    const std::span<rte_mbuf*> rest = packets.subspan(done, step);
    const uint16_t sendable = CountSendable(queue, rest);
    if (sendable == 0) {
      Refuse(queue, rest[0]);
      ++done;
      continue;
    }
    if (memif_ != nullptr && !memif_->is_up()) {  // as a card without a carrier does
      Refuse(queue, rest[0]);
      ++done;
      continue;
    }
    const uint16_t sent = rte_eth_tx_burst(port_id_, queue, rest.data(), sendable);
    done = static_cast<uint16_t>(done + sent);
    if (sent < sendable) break;
  }
  return done;
}

uint16_t DpdkPort::CountSendable(uint16_t queue, std::span<rte_mbuf*> packets) const {
  uint16_t count = 0;
  while (count < packets.size() && packets[count]->pkt_len <= frame_bytes_max_) ++count;
  if (!prepare_transmit_ || count == 0) return count;
  return rte_eth_tx_prepare(port_id_, queue, packets.data(), count);
}

void DpdkPort::Refuse(uint16_t queue, rte_mbuf* packet) {
  rte_pktmbuf_free(packet);
  Count(&queues_[queue].refused);
}

int DpdkPort::wake_descriptor(uint16_t queue) {
  return queues_[queue].wake != nullptr ? queues_[queue].wake->descriptor() : -1;
}

bool DpdkPort::ArmWake(uint16_t queue) {
  return queues_[queue].wake == nullptr || queues_[queue].wake->Arm();
}

void DpdkPort::DisarmWake(uint16_t queue) {
  if (queues_[queue].wake != nullptr) queues_[queue].wake->Disarm();
}

bool DpdkPort::link_up() const {
  if (memif_ != nullptr) return memif_->is_up();
  if (!shared_interface_.empty()) return InterfaceRunning(shared_interface_);
  rte_eth_link link;
  return rte_eth_link_get_nowait(port_id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

engine::PortStatistics DpdkPort::statistics() const {
  engine::PortStatistics result;
  rte_eth_stats stats;
  if (rte_eth_stats_get(port_id_, &stats) == 0) {
    result.rx_packets = stats.ipackets;
    result.rx_bytes = stats.ibytes;
    result.rx_missed = stats.imissed;
    result.rx_errors = stats.ierrors;
    result.rx_no_mbuf = stats.rx_nombuf;
    result.tx_packets = stats.opackets;
    result.tx_bytes = stats.obytes;
    result.tx_errors = stats.oerrors;
  }
  // Asking the kernel resets its count, so the sum is kept here.
  for (int descriptor : packet_sockets_) {
    ring_drops_.fetch_add(TakeDropCount(descriptor), std::memory_order_relaxed);
  }
  result.rx_missed += ring_drops_.load(std::memory_order_relaxed);
  for (uint16_t queue = 0; queue < capabilities_.queues; ++queue) {
    result.tx_errors += queues_[queue].refused.load(std::memory_order_relaxed);
    result.rx_errors += queues_[queue].oversized.load(std::memory_order_relaxed);
  }
  return result;
}

std::vector<std::pair<std::string, uint64_t>> DpdkPort::ExtendedStatistics() const {
  std::vector<std::pair<std::string, uint64_t>> result;
  const int count = rte_eth_xstats_get_names(port_id_, nullptr, 0);
  if (count <= 0) return result;
  std::vector<rte_eth_xstat_name> names(count);
  std::vector<rte_eth_xstat> values(count);
  const auto size = static_cast<unsigned>(count);
  if (rte_eth_xstats_get_names(port_id_, names.data(), size) != count) return result;
  if (rte_eth_xstats_get(port_id_, values.data(), size) != count) return result;
  for (int i = 0; i < count; ++i) result.emplace_back(names[i].name, values[i].value);
  return result;
}

}  // namespace sluice::dpdk
