// The internet layer of one engine: interfaces, addresses, routes, neighbours, reassembly, ICMP,
// path MTU and multicast groups, for IPv4 and IPv6.
//
// Deterministic: time is an argument, the next deadline an answer, chance comes from the seed. No
// callbacks: what a frame leads to is returned, what is to be transmitted waits in a queue.
// One thread, the engine's. The steady state allocates nothing.
//
//   Stack stack(config);
//   stack.AddInterface(now, interface_config, &eth0);
//   stack.AddAddress(now, eth0, *wire::ParsePrefix("192.0.2.1/24"));
//   stack.AddRoute(now, {.destination = {IpAddress::AnyV4(), 0}, .gateway = gateway});
//   for (rte_mbuf* frame : received) {
//     switch (stack.Input(now, eth0, frame, &inbound)) { ... }
//   }
//   while (rte_mbuf* packet = stack.TakeLooped()) stack.Input(now, kLoopbackInterface, packet,
//   ...); if (now >= stack.NextDeadline()) stack.OnTimer(now); while
//   (stack.TakeUnreachable(&inbound)) ...;   // as after Verdict::kError auto frames =
//   stack.TransmitQueue(eth0); stack.Transmitted(eth0, port.Transmit(queue, frames));
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "ip/config.h"
#include "ip/counters.h"
#include "ip/packet.h"
#include "ip/path.h"
#include "ip/prepared.h"
#include "wire/address.h"

namespace sluice::ip {

struct Core;

// What to tell the sender of a packet that nobody here takes.
enum class Refusal : uint8_t {
  kPort,      // no socket has this port
  kProtocol,  // no transport has this protocol number
  kProhibited,
};

class Stack {
 public:
  explicit Stack(const StackConfig& config);
  ~Stack();  // frees every packet it still holds
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // --- Packets in -------------------------------------------------------------------------------

  // Takes one frame that arrived on `interface` (for kLoopbackInterface: one that TakeLooped gave).
  // The packet is the stack's; after kDeliver and kError `out->packet` is the caller's.
  // `out->info` and `out->error` hold only where the verdict says so.
  Verdict Input(Instant now, uint16_t interface, rte_mbuf* packet, Inbound* out);

  // The next packet that this host sent to itself, or nullptr. A caller takes at most as many in
  // one round as there were at its start: answers queue behind.
  rte_mbuf* TakeLooped();
  size_t looped_packets() const;

  // The next packet whose neighbour never answered: fills out->error (with `local` set) and
  // out->packet, as Input does with kError. False: no more.
  bool TakeUnreachable(Inbound* out);

  // Answers a delivered packet with an ICMP error, unless RFC 1122 section 3.2.2, RFC 4443 section
  // 2.4(e) or the rate limit forbids it. Only reads `inbound.packet`, which must still be as
  // delivered; it stays the caller's.
  void SendRefusal(Instant now, const Inbound& inbound, Refusal refusal);

  // --- Packets out ------------------------------------------------------------------------------

  // Finds how to reach `destination`. `source`, if it is not unspecified, must be ours; otherwise
  // one is chosen (RFC 6724). `interface` binds the path to an interface; 0 is any. Link-local and
  // IPv6 multicast destinations need one unless only one interface could be meant.
  PathStatus FindPath(Instant now, const wire::IpAddress& destination,
                      const wire::IpAddress& source, uint16_t interface, Path* path);

  // The tables have changed since the path was found. Send looks by itself; callers look where they
  // depend on path.mtu.
  bool Stale(const Path& path) const { return path.generation != generation_; }
  // Makes a stale path current: same destination, source and binding.
  PathStatus Refresh(Instant now, Path* path);

  // Puts IP and link headers before a transport packet and queues it for transmission. The packet
  // is taken, whatever the result. Refreshes the path if it is stale. The first mbuf must be
  // unshared and should have kHeaderRoomBytes of headroom.
  SendResult Send(Instant now, rte_mbuf* packet, const Outbound& outbound, Path& path);

  // Makes headers ready for packets that are to leave as the one that Send just took along `path`.
  // False: such packets must go by Send, each by itself.
  bool Prepare(const Outbound& outbound, const Path& path, Prepared* prepared) const;
  // Whether they still hold: the tables, the interface and the neighbour are as they were. Ask for
  // every packet.
  bool Ready(const Prepared& prepared) const;
  // Queues packets of one interface and family before which prepared headers stand. All are taken;
  // returns how many found room.
  size_t SendPrepared(uint16_t interface, bool v4, std::span<rte_mbuf* const> packets);

  // The upper layer has seen a proof of two-way reachability, such as an acknowledgement of new
  // data (RFC 4861 section 7.3.1). Cheap: call it for every such segment.
  void ConfirmReachable(Instant now, const Path& path);
  // A transport believes an IcmpError's MTU for this destination (or found by itself that packets
  // above it vanish). Forgotten with age. Values below 552 (IPv4) or 1280 (IPv6) count as those.
  void UpdatePathMtu(Instant now, const wire::IpAddress& destination, uint32_t mtu);

  // Frames that wait on an interface, oldest first: as many as lie in one piece. The caller hands
  // them to the port and says how many it took; ask again for the rest.
  std::span<rte_mbuf*> TransmitQueue(uint16_t interface);
  // The frame that was queued last; nullptr: none waits.
  const rte_mbuf* LastQueued(uint16_t interface) const;
  // Queues a frame made after the model of one that waits: its headers, another payload of the same
  // size. False: there is no room, and the frame is still the caller's.
  bool SendLike(const Path& path, rte_mbuf* frame);
  // Puts a whole frame behind those that wait: another engine's, which has no queue of the port.
  // False: there is no room, and the frame is still the caller's.
  bool QueueFrame(uint16_t interface, rte_mbuf* frame);
  void Transmitted(uint16_t interface, size_t count);
  // Frames that still fit, if no more than `most` are to wait.
  size_t TransmitRoom(uint16_t interface, size_t most = SIZE_MAX) const;
  // Frames that fit when none wait.
  size_t TransmitCapacity(uint16_t interface) const;

  // --- Time -------------------------------------------------------------------------------------

  Instant NextDeadline() const;
  void OnTimer(Instant now);

  // --- Configuration ----------------------------------------------------------------------------

  ConfigResult AddInterface(Instant now, const InterfaceConfig& config, uint16_t* index);
  ConfigResult SetLinkUp(Instant now, uint16_t interface, bool up);
  // With it comes the on-link route of its prefix, and for IPv6 the solicited-node group.
  ConfigResult AddAddress(Instant now, uint16_t interface, const wire::Prefix& prefix);
  ConfigResult RemoveAddress(Instant now, uint16_t interface, const wire::IpAddress& address);
  ConfigResult AddRoute(Instant now, const Route& route);
  ConfigResult RemoveRoute(Instant now, const Route& route);
  // A permanent neighbour.
  ConfigResult AddNeighbor(Instant now, uint16_t interface, const wire::IpAddress& address,
                           const wire::MacAddress& mac);

  // --- Groups (RFC 3376, RFC 3810) --------------------------------------------------------------

  // `member` names the socket, uniquely. Joining twice is kExists, leaving without kNotFound.
  ConfigResult JoinGroup(Instant now, uint16_t interface, const wire::IpAddress& group,
                         uint64_t member);
  ConfigResult LeaveGroup(Instant now, uint16_t interface, const wire::IpAddress& group,
                          uint64_t member);
  // Sets what `member` wants of the group: joins if it was not in; include of nothing leaves.
  ConfigResult SetSourceFilter(Instant now, uint16_t interface, const wire::IpAddress& group,
                               uint64_t member, FilterMode mode,
                               std::span<const wire::IpAddress> sources);
  // Forgets all that `member` joined: its socket is closed.
  void LeaveAllGroups(Instant now, uint64_t member);
  // Whether `member` is in the group and wants packets from `source`.
  bool MemberAccepts(uint16_t interface, const wire::IpAddress& group,
                     const wire::IpAddress& source, uint64_t member) const;
  // The interface that a join without one means: the route's to the group; 0 if there is none.
  uint16_t DefaultGroupInterface(const wire::IpAddress& group) const;

  // --- Questions --------------------------------------------------------------------------------

  // One of our unicast addresses, in use (not tentative). 127.0.0.0/8 is ours as a whole.
  bool IsLocalAddress(const wire::IpAddress& address) const;
  // What `address` is as a destination, seen from this host.
  DestinationKind KindOf(const wire::IpAddress& address) const;
  // The interface that has this unicast address; 0: none.
  uint16_t InterfaceForAddress(const wire::IpAddress& address) const;

  uint16_t interface_count() const;  // indices 1 ... count
  InterfaceView DescribeInterface(uint16_t interface) const;
  uint16_t InterfaceByName(std::string_view name) const;  // 0: none
  std::vector<NeighborView> Neighbors() const;
  std::vector<Route> Routes() const;
  const Counters& counters() const;

 private:
  std::unique_ptr<Core> core_;
  const uint32_t& generation_;  // the core's
};

// Headroom that the stack's headers may need: 802.1Q Ethernet header, IPv6, hop-by-hop options.
inline constexpr uint16_t kHeaderRoomBytes = 18 + 40 + 8;

}  // namespace sluice::ip
