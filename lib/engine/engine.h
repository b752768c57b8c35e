// An engine: the loop that one core runs. It owns a queue pair of each of its ports, the protocols
// with all their connections, and one lane of a region whose other end the application holds.
//
// Several engines of one process share ports: each owns the flows that wire/flow_hash.h says are
// its own, and passes on what comes to it of others' (hand_over.h). The first one speaks for the
// host where only one voice may be heard.
//
//   Engine engine(config, region, /*lane=*/0);
//   engine.AddPort(now, &port, /*queue=*/0, {.name = "eth0"}, &eth0);
//   engine.ip().AddAddress(now, eth0, *wire::ParsePrefix("192.0.2.1/24"));
//   for (;;) {
//     Instant now = clock();
//     if (engine.Poll(now) != 0) continue;
//     if (... idle for long enough ... && engine.PrepareToSleep()) {
//       poll(engine.wake_descriptors() and one's own, until engine.NextDeadline());
//       engine.WakeUp();
//     }
//   }
//
// Poll does a bounded piece of work, never blocks and never waits for the application. It may be
// called as seldom as one likes: what was left waits in queues. One thread at a time, which may be
// another for each call if the calls are ordered; the functions that any thread may call say so.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "engine/config.h"
#include "engine/counters.h"
#include "engine/hand_over.h"
#include "engine/port.h"
#include "engine/report.h"
#include "ip/packet.h"
#include "ip/stack.h"
#include "table/command.h"
#include "table/region.h"
#include "table/result.h"
#include "table/socket_table.h"
#include "tcp/stack.h"
#include "udp/stack.h"

struct rte_mbuf;

namespace sluice::engine {

// Sees the frames that pass, for captures.
class FrameTap {
 public:
  virtual ~FrameTap() = default;
  virtual void Received(Instant now, uint16_t interface, std::span<rte_mbuf* const> frames) = 0;
  virtual void Transmitted(Instant now, uint16_t interface, std::span<rte_mbuf* const> frames) = 0;
};

class Engine {
 public:
  static constexpr uint16_t kBurstMax = 64;

  // `lane` of the region is this engine's. The region, the ports and the pools outlive it.
  Engine(const EngineConfig& config, const table::Region& region, uint8_t lane);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Makes an interface over a queue of a port. What `interface` leaves open (link, link address,
  // MTU, offloads, pool) is the port's. Where the port has no such queue, the engine of another one
  // receives and sends for this one: then `queue` is its lane. The pool is pool(queue) all the
  // same.
  ip::ConfigResult AddPort(Instant now, Port* port, uint16_t queue, ip::InterfaceConfig interface,
                           uint16_t* index);

  // One turn. Returns how much there was to do; 0: nothing.
  unsigned Poll(Instant now);

  // When the next Poll has something to do, if nothing arrives before: in the past where there is
  // something now.
  Instant NextDeadline();

  // --- Sleep ------------------------------------------------------------------------------------

  // Tells the application that from now on it must wake the engine, and arms the ports. False:
  // something has arrived; do not sleep. After true, call WakeUp before the next Poll.
  bool PrepareToSleep();
  void WakeUp();
  // The ports' descriptors, readable once a frame waits.
  std::span<const int> wake_descriptors() const { return wake_descriptors_; }
  // Every port has one. If not, sleep no longer than the program can wait for a frame.
  bool ports_can_wake() const { return ports_can_wake_; }

  // --- Parts, for configuration and questions ---------------------------------------------------

  ip::Stack& ip() { return ip_; }
  tcp::Stack& tcp() { return tcp_; }
  udp::Stack& udp() { return udp_; }
  table::SocketTable& sockets() { return table_; }
  const Counters& counters() const { return counters_; }
  uint8_t lane() const { return lane_; }
  // Frames are shown to `tap` from now on; nullptr ends it. It outlives its use.
  void SetTap(FrameTap* tap) { tap_ = tap; }

  // --- Report: any thread, but only one at a time -----------------------------------------------

  // Asks for a report; the next turns make it. Wake the engine if it sleeps.
  void AskReport();
  // True: the report is made, and moved to `report`.
  bool TakeReport(Report* report);

 private:
  struct Attachment {
    Port* port;
    uint16_t queue;
    uint16_t interface;
    bool link_up;
    bool has_queue;
    bool ethernet;
    uint8_t sender;     // the engine that sends for this one, where it has no queue
    rte_mempool* pool;  // where copies of what others received come from
    bool armed = false;
    size_t tapped = 0;  // frames at the head of the transmit queue that the tap has seen
  };
  enum ReportState : uint32_t { kReportIdle, kReportAsked, kReportReady };

  // --- dispatch.cc
  unsigned ReceiveBursts(Instant now);
  void TakeBurst(Instant now, uint16_t interface, std::span<rte_mbuf*> frames);
  void TakeFrame(Instant now, uint16_t interface, rte_mbuf* frame);
  unsigned TakeLooped(Instant now);
  void Dispatch(Instant now, ip::Verdict verdict, ip::Inbound& inbound);
  void DispatchError(Instant now, ip::Inbound& inbound);
  unsigned TransmitBursts(Instant now);

  // --- sharing.cc
  bool Give(uint8_t to, const Handed& handed);
  void GiveToAll(rte_mempool* pool, const Handed& handed);
  bool Keep(rte_mempool* pool, bool ethernet, const Handed& handed);
  uint16_t KeepOwn(const Attachment& a, std::span<rte_mbuf*> frames);
  bool KeepLooped(rte_mbuf* packet);
  uint16_t GiveFrames(const Attachment& a, std::span<rte_mbuf*> frames);
  unsigned TakeHandedOver(Instant now);
  void WakeTakers();
  const Attachment* AttachmentOf(uint16_t interface) const;
  bool OwnsDatagram(const ip::Inbound& inbound) const;
  bool OwnsError(const ip::IcmpError& error) const;

  // --- commands.cc
  unsigned TakeCommands(Instant now);
  void Execute(Instant now, const table::Command& command);
  table::Result Run(Instant now, const table::Command& command, table::Reply* reply);
  table::Result RunOnSocket(Instant now, const table::Command& command, table::Socket socket,
                            table::Reply* reply);
  table::Result RunOnDatagram(Instant now, const table::Command& command, table::Socket socket);
  table::Result RunOnStream(Instant now, const table::Command& command, table::Socket socket,
                            table::Reply* reply);
  table::Result Open(uint32_t argument, table::Reply* reply);
  table::Result Describe(Instant now, table::Socket socket, table::Reply* reply);
  table::Result ListInterfaces(uint32_t first, table::Reply* reply);

  // --- engine.cc
  unsigned TakeDoorbells(Instant now);
  unsigned RunTimers(Instant now);
  void CheckPool();
  void CheckLinks(Instant now);
  void SweepIdle(Instant now);
  bool LaneEmpty() const;
  bool HasWork();
  void DisarmPorts();

  // --- report.cc
  void ServeReport(Instant now);

  EngineConfig config_;
  const table::Region& region_;
  uint8_t lane_;
  HandOver* hand_over_;  // nullptr: alone
  uint64_t takers_ = 0;  // engines that were given something in this turn
  table::SocketTable table_;
  ip::Stack ip_;
  tcp::Stack tcp_;
  udp::Stack udp_;
  std::vector<Attachment> ports_;
  std::vector<int> wake_descriptors_;
  bool ports_can_wake_ = true;
  FrameTap* tap_ = nullptr;

  std::array<ip::Inbound, kBurstMax> inbound_;
  Instant now_ = Instant::FromNanoseconds(0);
  bool receive_left_ = false;   // a burst was full: more may wait
  bool transmit_left_ = false;  // a port took less than it was given
  bool copy_received_ = false;
  unsigned turns_to_pool_check_ = 0;
  Instant next_link_check_;
  Instant next_sweep_ = Instant::Never();

  std::atomic<uint32_t> report_state_{kReportIdle};
  bool collecting_ = false;
  uint32_t next_slot_ = 0;  // of the report that is being made
  Report report_;
  Counters counters_;
};

}  // namespace sluice::engine
