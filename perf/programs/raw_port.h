// One DPDK port, opened the way testpmd opens it, and frames for it: what Sluice stands on, without
// Sluice.
#pragma once

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <cstdint>

namespace sluice::perf {

constexpr uint16_t kRawBurst = 32;

// The first port of the EAL's, started, with one queue pair; the link is up. Exits with a message
// if there is none.
class RawPort {
 public:
  RawPort();
  ~RawPort();
  RawPort(const RawPort&) = delete;
  RawPort& operator=(const RawPort&) = delete;

  uint16_t Receive(rte_mbuf** frames, uint16_t room) {
    return rte_eth_rx_burst(0, 0, frames, room);
  }
  // Takes all; frames for which there is no room are freed. Returns how many were taken.
  uint16_t Send(rte_mbuf** frames, uint16_t count);
  // A new frame with this length, uninitialised; exits if there is no memory.
  rte_mbuf* NewFrame(uint16_t bytes);

  const rte_ether_addr& address() const { return address_; }

 private:
  rte_mempool* pool_;
  rte_ether_addr address_;
};

// Swaps the link addresses, as testpmd's macswap does.
inline void SwapAddresses(rte_mbuf* frame) {
  auto* header = rte_pktmbuf_mtod(frame, rte_ether_hdr*);
  const rte_ether_addr source = header->src_addr;
  header->src_addr = header->dst_addr;
  header->dst_addr = source;
}

}  // namespace sluice::perf
