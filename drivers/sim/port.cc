#include "sim/port.h"

#include "sim/network.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kLinkHeaderBytesMax = 18;
constexpr uint16_t kSegmentsMax = 64;

uint32_t FrameBytesMax(const PortOptions& options) {
  return options.mtu + (options.link == engine::LinkType::kEthernet ? kLinkHeaderBytesMax : 0);
}

uint16_t DataRoom(const PortOptions& options) {
  return static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + std::max(2048u, FrameBytesMax(options)));
}

}  // namespace

SimPort::SimPort(SimNetwork* network, int node, PortOptions options)
    : network_(network),
      node_(node),
      options_(std::move(options)),
      pool_(options_.buffers, DataRoom(options_)),
      scratch_(FrameBytesMax(options_)) {
  capabilities_.link = options_.link;
  capabilities_.mac = options_.mac;
  capabilities_.mtu = options_.mtu;
  capabilities_.tx_segments_max = kSegmentsMax;
}

bool SimPort::Arrive(std::vector<uint8_t> bytes) {
  if (arrived_.size() >= options_.receive_frames_max) {
    ++statistics_.rx_missed;
    return false;
  }
  arrived_.push_back(std::move(bytes));
  return true;
}

uint16_t SimPort::Receive(uint16_t /*queue*/, std::span<rte_mbuf*> packets) {
  uint16_t count = 0;
  while (count < packets.size() && !arrived_.empty()) {
    const std::vector<uint8_t>& bytes = arrived_.front();
    if (bytes.size() > scratch_.size()) {  // from a port with a larger MTU
      ++statistics_.rx_errors;
      arrived_.pop_front();
      continue;
    }
    rte_mbuf* packet = rte_pktmbuf_alloc(pool_.get());
    if (packet == nullptr) {
      ++statistics_.rx_no_mbuf;
      break;
    }
    char* data = rte_pktmbuf_append(packet, static_cast<uint16_t>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), data);
    ++statistics_.rx_packets;
    statistics_.rx_bytes += bytes.size();
    packets[count++] = packet;
    arrived_.pop_front();
  }
  return count;
}

uint16_t SimPort::Transmit(uint16_t /*queue*/, std::span<rte_mbuf*> packets) {
  for (rte_mbuf* packet : packets) {
    const uint32_t size = packet->pkt_len;
    if (size > scratch_.size()) {
      ++statistics_.tx_errors;
    } else {
      ++statistics_.tx_packets;
      statistics_.tx_bytes += size;
      const auto* bytes =
          static_cast<const uint8_t*>(rte_pktmbuf_read(packet, 0, size, scratch_.data()));
      network_->SendFrom(this, {bytes, size});
    }
    rte_pktmbuf_free(packet);
  }
  return static_cast<uint16_t>(packets.size());
}

}  // namespace sluice::sim
