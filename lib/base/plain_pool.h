// A packet pool in plain memory, for processes that never start DPDK's EAL: tests, simulations,
// fuzzers and programs that embed Sluice behind the callback driver.
//
// What get() returns is a genuine rte_mempool of rte_mbufs, built by hand where DPDK would take
// a memzone. Everything inline in rte_mbuf.h works on it: alloc, free, clone, attach, prepend,
// append, chain. Under AddressSanitizer a freed packet is poison until it is handed out again.
//
// The pool owns its packets: all of them must have come back before it is destroyed. One thread
// at a time may take from it or give back to it.
//
//   PlainPool pool(512);
//   rte_mbuf* packet = rte_pktmbuf_alloc(pool.get());  // nullptr when all 512 are out
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>

namespace sluice {

class PlainPool {
 public:
  static constexpr uint16_t kDefaultDataRoom = RTE_PKTMBUF_HEADROOM + 2048;

  // `count` packets of `data_room` bytes each, headroom included. Aborts if memory runs out.
  explicit PlainPool(unsigned count, uint16_t data_room = kDefaultDataRoom);
  ~PlainPool();
  PlainPool(const PlainPool&) = delete;
  PlainPool& operator=(const PlainPool&) = delete;

  rte_mempool* get() { return pool_; }
  unsigned count() const { return pool_->size; }
  // Packets that can still be taken.
  unsigned available() const { return rte_mempool_avail_count(pool_); }

 private:
  rte_mempool* pool_;
};

// What rte_mempool::pool_config of every plain pool points at.
extern const char kPlainPoolMark;

// A packet (or chain) that frees itself.
struct MbufDeleter {
  void operator()(rte_mbuf* packet) const { rte_pktmbuf_free(packet); }
};
using UniqueMbuf = std::unique_ptr<rte_mbuf, MbufDeleter>;

}  // namespace sluice
