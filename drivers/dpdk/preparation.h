// What each kind of DPDK device wants done before it is opened, and what has to be known of it
// afterwards. All that is particular to one driver stands in preparation.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "dpdk/device_string.h"
#include "dpdk/kernel_interface.h"
#include "dpdk/memif_link.h"
#include "dpdk/packet_socket.h"
#include "dpdk/port_config.h"

namespace sluice::dpdk {

// How an idle engine learns that a frame came.
enum class WakeKind : uint8_t {
  kNone,          // no way: nap and poll
  kInterrupt,     // the device's receive interrupt
  kPacketSocket,  // the driver's own AF_PACKET socket, which the kernel makes readable
  kXdpSocket,     // likewise, AF_XDP
  kTapDevice,     // likewise, /dev/net/tun
};

struct Preparation {
  Device device;                             // with defaults that suit this driver filled in
  std::optional<KernelInterface> interface;  // that the device shares with the kernel
  PacketRing packet_ring;                    // af_packet's
  std::optional<MemifEnds> memif;
  uint16_t mtu = 1500;
  uint16_t data_room_bytes = 2048;  // of one mbuf, headroom not counted
  WakeKind wake = WakeKind::kInterrupt;
  // The driver's "offloads" are software of its own: Sluice's are checked against hostile frames.
  bool ignore_offloads = false;
  bool single_segment = false;   // chained mbufs are not safe with this driver
  bool trust_checksums = false;  // received frames count as verified
  bool omit_checksums = false;   // and sent ones need none
  bool drop_oversized = false;   // the driver does not check lengths against the MTU itself
  bool set_mtu = false;          // rte_eth_dev_set_mtu is wanted
  bool invert_mac = false;       // the kernel's end has the device's address
};

// Bytes that one mbuf of such a port takes with all its headers: what memory for
// `queues * packets_per_queue` of them has to be reserved before EAL starts. Changes nothing.
uint32_t MbufBytes(const PortConfig& config);

absl::StatusOr<Preparation> Prepare(Device device, const PortConfig& config);

}  // namespace sluice::dpdk
