// Settings of the internet layer. Every limit is here, and has a counter in counters.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/siphash.h"
#include "base/time.h"
#include "wire/address.h"

struct rte_mempool;

namespace sluice::ip {

// Interface 1 always exists: the host itself, 127.0.0.1/8 and ::1/128.
inline constexpr uint16_t kLoopbackInterface = 1;

enum class LinkLayer : uint8_t {
  kEthernet,  // Ethernet II frames, neighbours are resolved
  kNone,      // bare IP packets, no link addresses
};

// One interface over one port (or over one VLAN of a port).
struct InterfaceConfig {
  std::string name;
  LinkLayer link = LinkLayer::kEthernet;
  wire::MacAddress mac;
  uint16_t mtu = 1500;           // bytes of IP packet in one frame
  uint16_t vlan_id = 0;          // 802.1Q: 0 is untagged
  uint16_t tx_segments_max = 1;  // mbufs in one transmitted packet
  bool tx_ipv4_checksum = false;
  bool tx_tcp_checksum = false;
  bool tx_udp_checksum = false;
  bool tx_tcp_segmentation = false;
  bool tx_vlan_insert = false;
  uint32_t tso_bytes_max = 0;
  rte_mempool* pool = nullptr;  // where packets that the stack itself writes come from

  bool link_up = true;
  bool ipv6 = true;                    // give it a link-local address, run neighbour discovery
  bool router_advertisements = false;  // solicit and accept them (RFC 4861, RFC 4862)
  bool opaque_identifiers = false;     // RFC 7217 instead of EUI-64 for autoconfigured addresses
  bool detect_duplicates = false;  // RFC 4862 section 5.4 and RFC 5227 before an address is used
  bool announce = true;            // gratuitous ARP, unsolicited neighbour advertisement
  uint16_t transmit_queue_packets = 1024;  // a power of two
};

struct StackConfig {
  uint64_t seed = 1;            // of jitter and identification numbers
  rte_mempool* pool = nullptr;  // for packets to ourselves; else the first interface's
  SipKey key;  // of hashes that a peer must not predict, and of RFC 7217 interface identifiers

  uint16_t interfaces_max = 16;
  uint16_t addresses_per_interface_max = 16;
  uint32_t routes_max = 16384;
  uint32_t neighbors_max = 1024;
  uint16_t neighbor_queue_packets_max = 64;  // packets that wait for one link address
  uint32_t destinations_max = 1024;          // path MTU and redirect records
  uint16_t reassembly_datagrams_max = 64;
  uint32_t reassembly_fragments_max = 1024;  // mbufs held in all
  uint16_t groups_max = 256;                 // (interface, group) pairs
  uint16_t memberships_max = 1024;           // (socket, interface, group) triples
  uint16_t loop_queue_packets = 512;         // a power of two
  uint16_t unreachable_queue_packets = 64;   // reports that wait for TakeUnreachable

  // Whether it speaks for the host: answers who asks for addresses of ours, announces and probes
  // them, solicits routers, reports groups. Of several engines that share ports, one does.
  bool is_speaker = true;
  uint8_t hop_limit = 64;
  uint16_t loopback_mtu = 1500;     // packets to ourselves
  uint32_t icmp_per_second = 1000;  // errors we send (RFC 1812 section 4.3.2.8, RFC 4443 2.4(f))
  uint32_t icmp_burst = 50;
  bool echo_reply = true;
  Duration reassembly_v4 = Seconds(30);
  Duration reassembly_v6 = Seconds(60);       // RFC 8200 section 4.5
  Duration neighbor_reachable = Seconds(30);  // RFC 4861 section 10
  Duration neighbor_retransmit = Seconds(1);
  Duration neighbor_delay = Seconds(5);
  uint8_t neighbor_probes = 3;
  Duration path_mtu_age = Seconds(600);  // RFC 1191 section 6.3, RFC 8201 section 4
};

enum class ConfigResult : uint8_t {
  kOk,
  kInvalid,      // a value that makes no sense: EINVAL
  kNoInterface,  // ENODEV
  kExists,       // EEXIST, EADDRINUSE
  kNotFound,     // EADDRNOTAVAIL, ESRCH
  kFull,         // a limit of StackConfig: ENOBUFS
};

struct Route {
  wire::Prefix destination;  // length 0: the default route
  wire::IpAddress gateway;   // unspecified: on-link
  uint16_t interface = 0;    // 0: found by the gateway's address
  uint32_t metric = 0;       // smaller is better
};

// RFC 3376 and RFC 3810 section 3.1: whose packets a socket wants of a group.
enum class FilterMode : uint8_t { kInclude, kExclude };
inline constexpr unsigned kFilterSourcesMax = 16;

enum class AddressState : uint8_t { kTentative, kPreferred, kDeprecated, kDuplicated };

// Views for `ss`, tools and SIOCGIF*: copies, made when asked for.
struct AddressView {
  wire::Prefix prefix;
  AddressState state = AddressState::kPreferred;
  bool autoconfigured = false;
};

struct InterfaceCounters {
  uint64_t rx_packets = 0, rx_bytes = 0, rx_dropped = 0;
  uint64_t tx_packets = 0, tx_bytes = 0, tx_dropped = 0;
};

struct InterfaceView {
  std::string name;
  uint16_t index = 0;
  LinkLayer link = LinkLayer::kEthernet;
  wire::MacAddress mac;
  uint16_t mtu = 0;
  uint16_t vlan_id = 0;
  bool up = false;
  std::vector<AddressView> addresses;
  InterfaceCounters counters;
};

// RFC 4861 section 7.3.2, for IPv4 as well.
enum class NeighborState : uint8_t { kFree, kIncomplete, kReachable, kStale, kDelay, kProbe };

struct NeighborView {
  uint16_t interface = 0;
  wire::IpAddress address;
  wire::MacAddress mac;
  NeighborState state = NeighborState::kFree;
  bool router = false;
  bool permanent = false;
};

}  // namespace sluice::ip
