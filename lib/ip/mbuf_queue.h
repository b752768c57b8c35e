// A bounded queue of packets inside one thread.
//
//   if (!queue.Push(packet)) { ++dropped; rte_pktmbuf_free(packet); }
//   queue.Pop(port.Transmit(0, queue.Front()));
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::ip {

class MbufQueue {
 public:
  // The capacity is rounded up to a power of two.
  explicit MbufQueue(size_t capacity)
      : ring_(std::bit_ceil(std::max<size_t>(capacity, 2))), mask_(ring_.size() - 1) {}
  ~MbufQueue() { Clear(); }
  MbufQueue(const MbufQueue&) = delete;
  MbufQueue& operator=(const MbufQueue&) = delete;

  size_t size() const { return tail_ - head_; }
  size_t capacity() const { return ring_.size(); }
  size_t room() const { return ring_.size() - size(); }
  bool empty() const { return head_ == tail_; }

  // Takes the packet; or returns false and takes nothing.
  bool Push(rte_mbuf* packet) {
    if (room() == 0) return false;
    ring_[tail_++ & mask_] = packet;
    return true;
  }
  // The oldest packets that lie in one piece.
  std::span<rte_mbuf*> Front() {
    const size_t at = head_ & mask_;
    return {ring_.data() + at, std::min(size(), ring_.size() - at)};
  }
  // The newest; nullptr: there is none.
  const rte_mbuf* Last() const { return empty() ? nullptr : ring_[(tail_ - 1) & mask_]; }
  void Pop(size_t count) {
    assert(count <= size());
    head_ += count;
  }
  rte_mbuf* Take() {
    if (empty()) return nullptr;
    return ring_[head_++ & mask_];
  }
  void Clear() {
    while (rte_mbuf* packet = Take()) rte_pktmbuf_free(packet);
  }

 private:
  std::vector<rte_mbuf*> ring_;
  size_t mask_;
  size_t head_ = 0;  // counts for ever
  size_t tail_ = 0;
};

}  // namespace sluice::ip
