// What a Stack is made of: settings and tables, with no behaviour of its own. The protocols are
// free functions over it, one file an idea: link.h, output.h, input.h, arp.h, ndp.h, icmp.h, ...
// Internal to lib/ip.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/random.h"
#include "ip/config.h"
#include "ip/counters.h"
#include "ip/destination_cache.h"
#include "ip/group_table.h"
#include "ip/interface.h"
#include "ip/local_table.h"
#include "ip/mbuf_queue.h"
#include "ip/neighbor.h"
#include "ip/packet.h"
#include "ip/path.h"
#include "ip/reassembly.h"
#include "ip/route.h"
#include "ip/token_bucket.h"

namespace sluice::ip {

// A router that advertises itself (RFC 4861 section 6.3.4).
struct DefaultRouter {
  wire::IpAddress address;
  uint16_t interface = 0;  // 0: free
  Instant until;
};

// A prefix that a router said is on-link (RFC 4861 section 5.1).
struct OnLinkPrefix {
  wire::Prefix prefix;
  uint16_t interface = 0;  // 0: free
  Instant until;
};

// Which older routers the groups of an interface must be reported to (RFC 3376 section 7.2.1).
struct GroupCompatibility {
  Instant v1_until;                       // IGMPv1
  Instant v2_until;                       // IGMPv2 or MLDv1
  Instant respond_at = Instant::Never();  // to a general query
};

inline constexpr unsigned kRoutersMax = 8;
inline constexpr unsigned kOnLinkPrefixesMax = 16;

struct Core {
  explicit Core(const StackConfig& config);

  // Changes with everything that a Path was made of. 0 is no generation.
  void TablesChanged() {
    if (++generation == 0) generation = 1;
  }
  Interface* FindInterface(uint16_t index) {
    return index == 0 || index >= interfaces.size() ? nullptr : interfaces[index].get();
  }
  const Interface* FindInterface(uint16_t index) const {
    return const_cast<Core*>(this)->FindInterface(index);
  }

  StackConfig config;
  uint32_t generation = 1;
  Counters counters;
  Random random;

  std::vector<std::unique_ptr<Interface>> interfaces;  // by index; [0] is empty
  std::vector<NeighborTiming> timings;                 // by index
  std::vector<GroupCompatibility> compatibility_v4;    // by index
  std::vector<GroupCompatibility> compatibility_v6;
  LocalTable local;
  RouteTable routes;
  NeighborTable neighbors;
  DestinationCache destinations;
  Reassembler reassembler;
  GroupTable groups;
  TokenBucket icmp_errors;
  MbufQueue loop;
  std::array<DefaultRouter, kRoutersMax> routers;
  std::array<OnLinkPrefix, kOnLinkPrefixesMax> on_link_prefixes;

  Instant address_deadline = Instant::Never();
  Instant router_deadline = Instant::Never();
  Instant group_deadline = Instant::Never();  // responses to general queries

  // Packets that no neighbour took, as IP packets; mbuf::port holds the interface.
  MbufQueue unreachable;
  // Identification numbers, by a keyed hash of the addresses (RFC 7739 section 5.3).
  std::array<uint16_t, 1024> identifications;
};

}  // namespace sluice::ip
