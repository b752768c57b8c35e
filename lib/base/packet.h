// Taking packets from a pool and giving them back, one at a time, without a detour through DPDK's
// caches for each lcore, which our pools (lifo_pool_ops.h) do not have. Like everything that
// touches a pool, for the thread of the engine that owns it.
#pragma once

#include <rte_mbuf.h>

namespace sluice {

// As rte_pktmbuf_alloc: nullptr if the pool is empty.
inline rte_mbuf* TakePacket(rte_mempool* pool) {
  void* object;
  if (rte_mempool_generic_get(pool, &object, 1, nullptr) != 0) return nullptr;
  auto* packet = static_cast<rte_mbuf*>(object);
  rte_pktmbuf_reset(packet);
  return packet;
}

// As rte_pktmbuf_free_seg.
inline void ReturnSegment(rte_mbuf* segment) {
  void* object = rte_pktmbuf_prefree_seg(segment);
  if (object != nullptr) rte_mempool_generic_put(segment->pool, &object, 1, nullptr);
}

// Gives segments back many at a time: as ReturnSegment for each, by the time it goes.
class ReturnedSegments {
 public:
  ReturnedSegments() = default;
  ~ReturnedSegments() { Flush(); }
  ReturnedSegments(const ReturnedSegments&) = delete;
  ReturnedSegments& operator=(const ReturnedSegments&) = delete;

  void Add(rte_mbuf* segment) {
    segment = rte_pktmbuf_prefree_seg(segment);
    if (segment == nullptr) return;
    if (count_ == kMost || segment->pool != pool_) [[unlikely]] {
      Flush();
      pool_ = segment->pool;
    }
    objects_[count_++] = segment;
  }

 private:
  static constexpr unsigned kMost = 32;

  void Flush() {
    if (count_ != 0) rte_mempool_generic_put(pool_, objects_, count_, nullptr);
    count_ = 0;
  }

  rte_mempool* pool_ = nullptr;
  unsigned count_ = 0;
  void* objects_[kMost];
};

}  // namespace sluice
