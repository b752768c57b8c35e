// net_af_packet lets the kernel put IPv4 fragments together before it hands them over: its sockets
// are in a fanout group with PACKET_FANOUT_FLAG_DEFRAG, whatever the number of queues. What comes
// out is one frame as large as the whole datagram, which no slot of the ring has room for, so it
// arrives cut and is lost. No argument of the driver's changes that, and a socket never leaves its
// group.
//
// But a socket's place can be taken. Before the device is started, each of the driver's sockets is
// replaced by one that is set up alike but for that flag: it gets the same descriptor number, and
// its ring is mapped where the driver's was, with the same shape. The driver knows its sockets by
// these two alone. Fragments then arrive as they came, and are put together by ip::Reassembly.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace sluice::dpdk {

// The driver's arguments blocksz, framesz and framecnt.
struct PacketRing {
  uint32_t block_bytes = 0;
  uint32_t frame_bytes = 0;
  uint32_t frames = 0;
};

// Replaces the packet sockets of this process that are bound to the interface and reassemble; does
// nothing if there are none (another DPDK may do without). To be called before the device starts.
absl::Status StopReassembly(int interface_index, const PacketRing& ring);

}  // namespace sluice::dpdk
