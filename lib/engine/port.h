// The driver interface: what an engine needs of a network port.
//
// A port has one or more queue pairs; each queue belongs to one engine, which alone calls the
// functions that take its number. Calls move bursts, so the virtual call costs once a burst.
// Packets are rte_mbufs from `pool(queue)`, which like the queue belongs to that engine alone.
//
// Offloads are negotiated once: a driver says in PortCapabilities what it does, the protocols ask
// for it with DPDK's own mbuf flags (RTE_MBUF_F_TX_IP_CKSUM, RTE_MBUF_F_TX_TCP_SEG, ...) and do in
// software what is not there. On receive the driver leaves RTE_MBUF_F_RX_*_CKSUM_* as the port
// found them; UNKNOWN means that the protocols verify.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/time.h"
#include "wire/address.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice::engine {

enum class LinkType : uint8_t {
  kEthernet,  // frames begin with an Ethernet II header; ARP and neighbour discovery run
  kIp,        // frames begin with an IPv4 or IPv6 header; no link addresses, no neighbours
};

struct PortCapabilities {
  LinkType link = LinkType::kEthernet;
  wire::MacAddress mac;
  uint16_t mtu = 1500;           // bytes of an IP packet that one frame carries
  uint16_t queues = 1;           // queue pairs
  uint16_t tx_segments_max = 1;  // mbufs in one transmitted packet
  bool tx_ipv4_checksum = false;
  bool tx_tcp_checksum = false;
  bool tx_udp_checksum = false;
  bool tx_tcp_segmentation = false;  // TSO
  uint32_t tso_bytes_max = 0;        // payload of one packet handed over with TSO
  bool tx_vlan_insert = false;
  bool rx_checksum = false;    // sets RTE_MBUF_F_RX_{IP,L4}_CKSUM_{GOOD,BAD}
  bool rx_vlan_strip = false;  // moves an 802.1Q tag to mbuf::vlan_tci, RTE_MBUF_F_RX_VLAN_STRIPPED
  bool rx_rss_hash = false;    // mbuf::hash.rss is the Toeplitz hash of the flow
};

struct PortStatistics {
  uint64_t rx_packets = 0, rx_bytes = 0, rx_missed = 0, rx_errors = 0, rx_no_mbuf = 0;
  uint64_t tx_packets = 0, tx_bytes = 0, tx_errors = 0;
};

class Port {
 public:
  virtual ~Port() = default;

  virtual std::string_view name() const = 0;
  virtual const PortCapabilities& capabilities() const = 0;

  // The pool that received packets of `queue` come from and that transmitted ones are taken from.
  virtual rte_mempool* pool(uint16_t queue) = 0;

  // Takes up to packets.size() frames in; returns how many. The caller owns them then.
  virtual uint16_t Receive(uint16_t queue, std::span<rte_mbuf*> packets) = 0;

  // Hands frames out in order; returns how many were taken (the port owns and frees those). The
  // caller keeps the rest and may try again.
  virtual uint16_t Transmit(uint16_t queue, std::span<rte_mbuf*> packets) = 0;

  // A kernel descriptor that becomes readable when a frame waits on an armed queue, or -1 where
  // the port has none: then an idle engine naps and polls.
  virtual int wake_descriptor(uint16_t queue) = 0;
  // Arms the descriptor. Returns false if a frame may already wait: then poll instead of sleeping.
  virtual bool ArmWake(uint16_t queue) = 0;
  // Disarms and drains it. Called after every sleep, before the next Receive.
  virtual void DisarmWake(uint16_t queue) = 0;

  virtual bool link_up() const = 0;
  virtual PortStatistics statistics() const = 0;
};

}  // namespace sluice::engine
