// The link of a net_memif port: who the other end is, and when packets may go to it.
//
// DPDK's driver agrees with its peer in a thread of its own, and when the peer goes it unmaps the
// rings there, whoever is using them. So the driver never meets its peer. It talks to this class
// over a socket that nobody else can reach, and this class, in the thread of the engine, passes on
// what the two ends say, with the descriptors that go along:
//
//   peer <- the socket that the user named -> MemifLink <- a private socket -> driver
//
// Between them is a gate. It opens when both ends have agreed and the driver has done its part.
// Until it is closed again nothing more is passed to the driver, so nothing can make it unmap the
// rings. When the peer goes, first the gate is closed, then every queue's engine is seen to have
// left it, then the driver is told; it has unmapped the rings when it closes its private socket,
// and only then can the gate open again. (The socket's number is watched for that, as a forked
// child may have the socket, too, and no end would ever be read.)
//
//   if (link->MayPass(queue)) count = rte_eth_rx_burst(...);  // which also keeps the link going
//
// A server serves one client at a time; others wait in its backlog. A client tries until a server
// is there, again when that has gone, and waits as long as the server takes.
#pragma once

#include <rte_cycles.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "dpdk/memif_socket.h"

namespace sluice::dpdk {

// What has to be known of both sides of the link.
struct MemifEnds {
  bool is_server = false;
  MemifAddress meeting;  // where the peer listens, or is listened to
  MemifAddress driver;   // likewise for the driver: in a directory of this process's own
};

class MemifLink {
 public:
  // Takes over starting and stopping the device, which is configured. A server's driver listens
  // already.
  static absl::StatusOr<std::unique_ptr<MemifLink>> Open(MemifEnds ends, uint16_t port_id,
                                                         uint16_t queues);
  // No engine runs any more. Stops the device.
  ~MemifLink();
  MemifLink(const MemifLink&) = delete;
  MemifLink& operator=(const MemifLink&) = delete;

  // Whether the queue may receive; only the queue's engine may ask. The engine of queue 0 thereby
  // keeps the link going.
  bool MayPass(uint16_t queue) {
    if (queue == 0 && rte_get_tsc_cycles() >= due_cycles_) Advance();
    // Pairs with the release in OpenGate: what the driver set up is seen.
    const uint32_t gate = gate_.load(std::memory_order_acquire);
    if (IsOpen(gate)) return true;
    // Pairs with the acquire in AllLeft: the queue's last burst is over.
    left_[queue].gate.store(gate, std::memory_order_release);
    return false;
  }
  // Whether packets may pass. To an engine that sends it says the same until its next MayPass.
  bool is_up() const { return IsOpen(gate_.load(std::memory_order_acquire)); }

 private:
  enum class State : uint8_t {
    kApart,     // no peer
    kMet,       // a client is there, the driver is not yet connected
    kAgreeing,  // messages pass both ways
    kSettling,  // the driver has, or gets, its last message
    kUp,
    kParting,  // the gate is closed; the driver lets go
  };
  struct alignas(64) Left {
    std::atomic<uint32_t> gate{1};
  };

  MemifLink(MemifEnds ends, uint16_t port_id, uint16_t queues);

  static bool IsOpen(uint32_t gate) { return gate % 2 == 0; }
  void OpenGate() {
    gate_.store(gate_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  void CloseGate();
  bool AllLeft() const;

  void Advance();
  uint64_t PauseCycles() const;
  void Meet();
  void MeetClient();
  void MeetServer();
  void JoinDriver();
  bool StartDriver();
  void PassFromDriver();
  void PassFromPeer();
  void Settle();
  void Part();
  void FinishParting();
  Took HearDriver(MemifMessage* message, Descriptor* attached);
  void RememberDriver();
  bool DriverHasLetGo();
  bool DriverMayHear(MemifType type) const;
  bool DriverIsUp() const;

  const MemifEnds ends_;
  const uint16_t port_id_;
  const uint16_t queues_;
  const int process_id_;
  Descriptor listener_;  // a server's
  Descriptor peer_;
  Descriptor driver_;
  // The driver's own end of that: its number, and what it is.
  int driver_number_ = -1;
  uint64_t driver_identity_ = 0;
  State state_ = State::kApart;
  uint64_t due_cycles_ = 0;
  uint64_t give_up_cycles_ = 0;
  // Odd: closed. Written by the engine of queue 0.
  std::atomic<uint32_t> gate_{1};
  std::unique_ptr<Left[]> left_;  // the closed gate that each queue's engine saw last
};

}  // namespace sluice::dpdk
