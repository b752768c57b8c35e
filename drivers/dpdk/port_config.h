// What DpdkPort::Open is told.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "wire/address.h"

namespace sluice::dpdk {

struct PortConfig {
  // A PCI address or a virtual device as DPDK's --vdev takes it; see device_string.h.
  std::string device;
  uint16_t queues = 1;  // queue pairs
  // How many share the port. Each has a pool, also those for which there is no queue; and the port
  // deals flows to the queues of their owners (wire/flow_hash.h) as far as it can.
  uint16_t engines = 1;
  // Bytes of an IP packet in one frame; 0 takes the device's own (the kernel interface's where the
  // device shares one, else 1500).
  uint16_t mtu = 0;
  // Without one: the device's address. For a tap, whose kernel end has the device's, the
  // device's with the last bit inverted.
  std::optional<wire::MacAddress> mac;
  uint32_t packets_per_queue = 8192;  // mbufs in each queue's pool
  uint16_t rx_descriptors = 1024;     // a wish: adjusted to what the device allows
  uint16_t tx_descriptors = 1024;
  // The peer is on this machine and frames cross memory only, as between the two ends of a veth:
  // transport checksums are neither computed nor verified. Both ends must be set alike. For
  // net_memif and net_ring; an error elsewhere.
  bool trusted_link = false;
};

inline uint16_t PoolsOf(const PortConfig& config) {
  return std::max(config.queues, config.engines);
}

}  // namespace sluice::dpdk
