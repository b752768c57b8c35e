// What one turn of one socket sends: mbufs taken from the pool together, packets queued together.
//
//   Burst burst(ip, pool);
//   if (burst.RoomOn(headers) != 0) {
//     rte_mbuf* packet = burst.Take(expected);
//     ... fill it, put headers before it ...
//     burst.Send(packet, headers);
//   }
//   burst.Flush();  // before the internet layer is given anything else
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "ip/prepared.h"
#include "ip/stack.h"

namespace sluice::udp {

class Burst {
 public:
  Burst(ip::Stack& ip, rte_mempool* pool) : ip_(ip), pool_(pool) {}
  ~Burst() {
    Flush();
    while (count_ > 0) rte_pktmbuf_free(spare_[--count_]);
  }
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;

  // nullptr: the pool is empty. `expected`: how many more will be asked for.
  rte_mbuf* Take(uint32_t expected) {
    if (count_ == 0) {
      const uint32_t wanted = std::clamp<uint32_t>(expected, 1, kMost);
      if (rte_pktmbuf_alloc_bulk(pool_, spare_.data(), wanted) == 0) {
        count_ = wanted;
      } else if (rte_mbuf* single = rte_pktmbuf_alloc(pool_)) {
        spare_[count_++] = single;
      } else {
        return nullptr;
      }
    }
    return spare_[--count_];
  }
  void Send(rte_mbuf* packet, const ip::Prepared& headers) {
    if (ready_ == kMost || headers.interface != interface_ || headers.v4 != v4_) Flush();
    interface_ = headers.interface;
    v4_ = headers.v4;
    packets_[ready_++] = packet;
    --room_;
  }
  // Before anything else is sent, so that all leaves in its order.
  void Flush() {
    if (ready_ != 0) ip_.SendPrepared(interface_, v4_, {packets_.data(), ready_});
    ready_ = 0;
    room_interface_ = 0;
  }
  // Frames that the interface has room for beside those that wait here.
  size_t RoomOn(const ip::Prepared& headers) {
    if (headers.interface != room_interface_) {
      Flush();
      room_interface_ = headers.interface;
      room_ = ip_.TransmitRoom(headers.interface);
    }
    return room_;
  }

 private:
  static constexpr uint32_t kMost = 32;

  ip::Stack& ip_;
  rte_mempool* pool_;
  std::array<rte_mbuf*, kMost> spare_;
  std::array<rte_mbuf*, kMost> packets_;
  uint32_t count_ = 0;
  uint32_t ready_ = 0;
  uint16_t interface_ = 0;
  uint16_t room_interface_ = 0;
  bool v4_ = false;
  size_t room_ = 0;
};

}  // namespace sluice::udp
