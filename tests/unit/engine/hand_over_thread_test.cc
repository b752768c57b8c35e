// Two threads that pass packets to each other, each with a pool of its own.
#include <rte_mbuf.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "base/plain_pool.h"
#include "engine/hand_over.h"

namespace sluice::engine {
namespace {

constexpr uint32_t kPackets = 20000;

// Gives numbered packets to the other side, and checks that its own come in order and whole.
void Play(HandOver& hand_over, PlainPool& pool, uint8_t own, std::atomic<uint32_t>& wrong,
          std::atomic<uint32_t>& finished) {
  const uint8_t other = 1 - own;
  uint32_t given = 0, taken = 0;
  while (given < kPackets || taken < kPackets) {
    hand_over.Reclaim(own);
    bool idle = true;
    if (given < kPackets) {
      if (rte_mbuf* packet = rte_pktmbuf_alloc(pool.get())) {
        std::memcpy(rte_pktmbuf_append(packet, 4), &given, 4);
        if (hand_over.Give(own, other, {packet, own, Handed::Kind::kReceived})) {
          ++given;
          idle = false;
        } else {
          rte_pktmbuf_free(packet);
        }
      }
    }
    hand_over.Take(own, 32, [&](const Handed& handed) {
      const UniqueMbuf copy(CopyInto(pool.get(), handed.packet));
      if (copy == nullptr) return false;  // it stays until there is a packet again
      uint32_t number;
      std::memcpy(&number, rte_pktmbuf_mtod(copy.get(), const void*), 4);
      if (number != taken || handed.interface != other) ++wrong;
      ++taken;
      idle = false;
      return true;
    });
    if (idle) std::this_thread::yield();
  }
  // The other may yet read what this one gave.
  ++finished;
  while (finished.load() < 2) std::this_thread::yield();
  hand_over.Reclaim(own);
}

TEST_CASE("engines on threads of their own pass packets both ways") {
  PlainPool pools[2] = {PlainPool(600), PlainPool(600)};
  HandOver hand_over(2);
  std::atomic<uint32_t> wrong{0}, finished{0};
  std::thread first([&] { Play(hand_over, pools[0], 0, wrong, finished); });
  std::thread second([&] { Play(hand_over, pools[1], 1, wrong, finished); });
  first.join();
  second.join();
  CHECK(wrong.load() == 0);
  for (PlainPool& pool : pools) CHECK(pool.available() == pool.count());
}

}  // namespace
}  // namespace sluice::engine
