// Packets that one engine of a process passes to another: what a port brought to an engine that
// does not own it, what an engine sends by a port of which it has no queue, and what the host sends
// to itself. Where ports steer every flow to its owner and each engine has queues of its own,
// nothing comes by here but what all must hear.
//
// A ring for each ordered pair of engines, with one producer and one consumer. Pools belong to one
// engine, so the taker copies the packet into one of its own pool; the giver frees the original
// once the taker has passed its slot. Full means dropped and counted, by the giver.
//
//   HandOver hand_over(2);                       // outlives no pool, and is outlived by no engine
//   engine_config.hand_over = &hand_over;        // of both engines; lanes are their numbers
//   hand_over.SetWaker([&](uint8_t engine) { home.WakeEngine(engine); });
//
// Threads: Give and Reclaim with `from`, Take and HasFor with `to` belong to that engine's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "wire/flow_hash.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice::engine {

struct Handed {
  enum class Kind : uint8_t {
    kReceived,  // a frame, by `interface`
    kLooped,    // an IP packet that this host sent to itself
    kTransmit,  // a frame, for `interface`
  };
  rte_mbuf* packet = nullptr;
  uint16_t interface = 0;
  Kind kind = Kind::kReceived;
};

class HandOver {
 public:
  static constexpr uint32_t kSlots = 512;  // of each ring

  explicit HandOver(unsigned engines);
  ~HandOver();  // frees every packet that is still in a ring; the pools are there yet
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;

  const wire::FlowOwners& owners() const { return owners_; }
  unsigned engines() const { return owners_.engines(); }
  // Wakes an engine that sleeps; from the thread of another one. Set before the engines run.
  void SetWaker(std::function<void(uint8_t)> waker) { waker_ = std::move(waker); }
  void Wake(uint8_t engine) const {
    if (waker_) waker_(engine);
  }

  // Appends a packet, which the giver must leave alone from now on. False: the ring is full, and
  // the packet still the caller's.
  bool Give(uint8_t from, uint8_t to, const Handed& handed);
  // Frees what takers are done with. Cheap when there is nothing.
  void Reclaim(uint8_t from);

  // Shows the oldest packet of each giver in turn, at most `budget` of each, until visit(handed)
  // answers false: then that one stays. The packet is to be read only. Returns how many were taken.
  template <typename Visit>
  unsigned Take(uint8_t to, unsigned budget, Visit&& visit);
  // Whether anything waits for this engine.
  bool HasFor(uint8_t to) const;

 private:
  struct Ring {
    alignas(64) std::atomic<uint32_t> tail{0};  // packets ever given
    uint32_t reclaimed = 0;                     // the giver's: packets ever freed
    alignas(64) std::atomic<uint32_t> head{0};  // packets ever taken
    alignas(64) Handed slots[kSlots];
  };
  Ring& ring(unsigned from, unsigned to) const { return *rings_[from * owners_.engines() + to]; }
  static void Reclaim(Ring& ring);

  wire::FlowOwners owners_;
  std::vector<std::unique_ptr<Ring>> rings_;  // by giver, then taker; none to oneself
  std::function<void(uint8_t)> waker_;
};

template <typename Visit>
unsigned HandOver::Take(uint8_t to, unsigned budget, Visit&& visit) {
  unsigned taken = 0;
  for (unsigned from = 0; from < owners_.engines(); ++from) {
    if (from == to) continue;
    Ring& r = ring(from, to);
    const uint32_t first = r.head.load(std::memory_order_relaxed);
    const uint32_t waiting = r.tail.load(std::memory_order_acquire) - first;  // pairs with Give
    const uint32_t most = waiting < budget ? waiting : budget;
    uint32_t done = 0;
    while (done < most && visit(static_cast<const Handed&>(r.slots[(first + done) % kSlots]))) {
      ++done;
    }
    if (done != 0) r.head.store(first + done, std::memory_order_release);  // pairs with Reclaim
    taken += done;
  }
  return taken;
}

// A copy of a packet, or a chain, in packets of `pool`, with what its port said of it. nullptr: the
// pool is exhausted.
rte_mbuf* CopyInto(rte_mempool* pool, const rte_mbuf* packet);

}  // namespace sluice::engine
