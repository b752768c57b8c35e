// Where the stack fuzzer happens: an engine on one port, its region and pool, all small, and the
// API's context on top of them, in virtual time. A call that waits runs the engine and lets time
// pass; where nothing can come any more, it is interrupted.
//
//   World world(config);
//   int fd = api::Socket(...);          // real calls
//   world.DeliverPacket(packet);        // from the network
//   world.Rest();                       // until the engine has nothing left to do
//   world.AdvanceTo(world.now() + Seconds(1));
//   world.Finish();                     // closes everything: all must come back
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "api/home.h"
#include "base/plain_pool.h"
#include "engine/engine.h"
#include "stack_peer.h"
#include "table/region.h"

namespace sluice::fuzz {

// Every choice is a bit of the input's first bytes.
struct WorldConfig {
  bool checksum_offload = false;
  bool segmentation_offload = false;
  bool many_segments = false;  // a transmitted packet may lie in several mbufs
  bool bare_ip = false;        // no Ethernet
  bool small_mtu = false;
  bool plain_tcp = false;  // no timestamps, no SACK, no window scaling
  bool peer_answers = false;
  bool no_cookies = false;
  bool copies_received = false;
  bool detects_duplicates = false;
  bool router_advertisements = false;
  bool tiny_region = false;
  bool tiny_pool = false;
  bool tiny_tables = false;

  static WorldConfig From(uint16_t bits);
};

// What scripts name by number.
wire::IpAddress AddressNamed(uint8_t number);
inline constexpr unsigned kOurAddresses = 4;  // the first of them are ours

class World : public api::Home, private engine::Port {
 public:
  explicit World(const WorldConfig& config);
  ~World() override;

  Instant now() const { return now_; }
  engine::Engine& engine() { return *engine_; }
  table::Region& region() { return region_; }
  Peer& peer() { return peer_; }

  // A frame arrives, in mbufs of at most `piece` bytes. `verified`: the port found the checksums
  // right.
  void DeliverFrame(wire::ConstBytes frame, size_t piece, bool verified);
  // The same for an IP packet, of our peer at the other end of the link.
  void DeliverPacket(wire::ConstBytes packet, size_t piece = 2048, bool verified = false);

  // Turns until nothing is left to do at this time.
  void Rest();
  void AdvanceTo(Instant then);
  // A step of the script begins: what it may cause is counted from here.
  void BeginStep();
  // Frames that the port still takes.
  void SetRoom(size_t frames) { room_ = frames; }
  void SetLinkUp(bool up) { link_up_ = up; }

  // Uninstalls the API, lets everybody fall silent and an hour pass, and checks that all is back.
  void Finish();

  // api::Home
  Instant Now() override { return now_; }
  void Turn() override;
  api::WaitOutcome Wait(api::Waiter& waiter, const api::WaitRequest& request) override;
  void Signal(api::Waiter& waiter) override { waiter.signaled.Exchange(1); }
  void WakeEngine(uint8_t) override {}

 private:
  static engine::EngineConfig MakeConfig(const WorldConfig& config, rte_mempool* pool);
  void AddAddresses(const WorldConfig& config);
  void TakeAnswers();
  bool IsEmpty();
  void CheckEmpty();

  // engine::Port
  std::string_view name() const override { return "fuzz0"; }
  const engine::PortCapabilities& capabilities() const override { return capabilities_; }
  rte_mempool* pool(uint16_t) override { return pool_.get(); }
  uint16_t Receive(uint16_t queue, std::span<rte_mbuf*> packets) override;
  uint16_t Transmit(uint16_t queue, std::span<rte_mbuf*> packets) override;
  int wake_descriptor(uint16_t) override { return -1; }
  bool ArmWake(uint16_t) override { return true; }
  void DisarmWake(uint16_t) override {}
  bool link_up() const override { return link_up_; }
  engine::PortStatistics statistics() const override { return {}; }

  // --- stack_check.cc: what leaves is well formed.
  void Sent(const rte_mbuf* frame);
  void CheckOffloads(const rte_mbuf* frame, wire::Bytes bytes);
  wire::Bytes CheckLink(wire::Bytes frame);
  static void CheckPacket(wire::ConstBytes packet);

  Instant now_ = Instant::FromNanoseconds(1'000'000'000);
  table::RegionLimits limits_;
  PlainPool& pool_;
  table::Region region_;
  engine::PortCapabilities capabilities_;
  std::deque<rte_mbuf*> arrived_;
  Peer peer_;
  std::unique_ptr<engine::Engine> engine_;
  uint16_t interface_ = 0;
  size_t room_ = SIZE_MAX;
  bool link_up_ = true;
  unsigned waits_ = 0;    // of this step
  unsigned answers_ = 0;  // likewise
};

}  // namespace sluice::fuzz
