// The neighbours of all interfaces, with the reachability states of RFC 4861 section 7.3.2. IPv4
// neighbours go through the same states, with ARP requests for solicitations (RFC 1122 section
// 2.3.2.1 names unicast polling as one way to keep the cache true).
//
//                      answered                    30 s
//     INCOMPLETE ------------------> REACHABLE ------------> STALE
//       | 3 probes                     ^    ^                 | a packet is sent
//       v unanswered        confirmed  |    | answered        v
//     (removed)                      DELAY --------------> PROBE -- 3 probes unanswered -->
//     (removed)
//                                            5 s
//
// The table only decides: it says which probe is due, the caller writes the packet. A neighbour is
// named by its index and generation; the generation changes with everything that a ready-made link
// header depends on. Table and waiting packets are bounded; the entry that has been stale longest
// gives way.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <vector>

#include "base/siphash.h"
#include "base/time.h"
#include "ip/config.h"
#include "ip/counters.h"
#include "ip/path.h"
#include "wire/address.h"

namespace sluice::ip {

inline constexpr unsigned kLinkHeaderBytesMax = 18;  // Ethernet II with one 802.1Q tag

struct alignas(64) Neighbor {
  // What sending needs comes first, in one cache line.
  NeighborState state = NeighborState::kFree;
  uint8_t link_header_bytes = 0;
  std::array<uint8_t, kLinkHeaderBytesMax> link_header{};  // destination, source, tag, type
  uint32_t generation = 0;
  Instant confirmed;  // last proof of reachability
  Instant deadline = Instant::Never();
  uint16_t interface = 0;
  bool router = false;
  bool permanent = false;
  uint8_t probes = 0;  // sent in this state

  wire::MacAddress mac;
  wire::IpAddress address;
  wire::IpAddress probe_source;          // of the packet that asked for the resolution
  Instant changed;                       // last change of state
  uint32_t next = kNoNeighbor;           // in its hash chain or in the free list
  uint32_t waiting_first = kNoNeighbor;  // packets that wait, oldest first
  uint32_t waiting_last = kNoNeighbor;
  uint16_t waiting_count = 0;

  bool has_link_address() const { return state > NeighborState::kIncomplete; }
  // Whether a packet to it changes nothing here: not so in STALE, which the first one ends.
  bool is_settled() const { return has_link_address() && state != NeighborState::kStale; }
};

// What a neighbour's timer asks for.
enum class NeighborAction : uint8_t {
  kNone,
  kSolicit,         // by broadcast or solicited-node multicast
  kSolicitUnicast,  // to the link address we have
  kFailed,          // nobody answered: report what waits, then Remove
};

// How long the states last, by interface: router advertisements change it (RFC 4861 section 6.3.4).
struct NeighborTiming {
  Duration reachable = Seconds(30);
  Duration retransmit = Seconds(1);
  Duration delay = Seconds(5);
  uint8_t probes = 3;
};

// A neighbour advertisement or an ARP reply, as far as the state machine cares.
struct NeighborClaim {
  wire::MacAddress mac;
  bool has_mac = true;
  bool solicited = false;
  bool override_entry = true;
  bool router = false;
  bool sets_router = false;  // IPv6: the R flag counts; IPv4 has none
};

class NeighborTable {
 public:
  NeighborTable(uint32_t neighbors_max, uint16_t queue_packets_max, const SipKey& key);
  ~NeighborTable();  // frees the packets that wait

  Neighbor& operator[](uint32_t index) { return entries_[index]; }
  const Neighbor& operator[](uint32_t index) const { return entries_[index]; }
  uint32_t size() const { return static_cast<uint32_t>(entries_.size()); }

  uint32_t Find(uint16_t interface, const wire::IpAddress& address) const;
  // A new entry is kIncomplete without a deadline: BeginResolution starts its probes. kNoNeighbor
  // if every entry is permanent.
  uint32_t FindOrCreate(uint16_t interface, const wire::IpAddress& address, Counters& counters);
  void Remove(uint32_t index);  // frees what waits
  void RemoveInterface(uint16_t interface);

  // A packet is to be sent to a neighbour that is not REACHABLE. kSolicit: the first probe is due.
  NeighborAction Use(Instant now, uint32_t index, const NeighborTiming& timing);
  // Adds a packet to those that wait for the link address; the oldest gives way.
  void Enqueue(uint32_t index, rte_mbuf* packet, Counters& counters);
  // The oldest packet that waits, or nullptr.
  rte_mbuf* Dequeue(uint32_t index);

  // RFC 4861 section 7.2.5 and RFC 826. Returns true if the link address changed: the caller then
  // writes the link header and sends what waits.
  bool OnClaim(Instant now, uint32_t index, const NeighborClaim& claim,
               const NeighborTiming& timing);
  // The neighbour's own packet showed its link address (RFC 4861 section 7.2.3). Same result.
  bool OnHeard(Instant now, uint32_t index, const wire::MacAddress& mac);
  void SetPermanent(Instant now, uint32_t index, const wire::MacAddress& mac);
  void Confirm(Instant now, uint32_t index, const NeighborTiming& timing);

  // The next due entry at or after `*cursor` (start with 0), with what to do; kNone: no more.
  NeighborAction NextDue(Instant now, uint32_t* cursor, const NeighborTiming* timings,
                         uint32_t* index);
  Instant next_deadline() const { return next_deadline_; }

 private:
  uint32_t* Chain(uint16_t interface, const wire::IpAddress& address);
  uint32_t Claim(Counters& counters);
  void Enter(Instant now, Neighbor& n, NeighborState state, Instant deadline);
  bool SetMac(Neighbor& n, const wire::MacAddress& mac);
  NeighborAction Expire(Instant now, Neighbor& n, const NeighborTiming& timing);

  SipKey key_;
  std::vector<Neighbor> entries_;
  std::vector<uint32_t> chains_;
  struct Waiting {
    rte_mbuf* packet;
    uint32_t next;
  };
  std::vector<Waiting> waiting_;  // of all neighbours
  uint32_t waiting_free_ = kNoNeighbor;
  uint16_t queue_max_;
  uint32_t free_ = kNoNeighbor;
  Instant next_deadline_ = Instant::Never();
};

}  // namespace sluice::ip
