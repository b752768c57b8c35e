// What one turn of one socket sends: mbufs taken from the pool together, packets queued together.
//
//   Burst burst(ip, pool);
//   if (burst.IsReady(headers) && burst.RoomOn(headers) != 0) {
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
    if (count_ != 0) {
      rte_mempool_generic_put(pool_, reinterpret_cast<void**>(spare_.data()), count_, nullptr);
    }
  }
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;

  // An mbuf as it lay in the pool: one segment and no references but the caller's, all else
  // unspecified, as Prepared::Finish wants it. nullptr: the pool is empty. `expected`: how many
  // more will be asked for.
  rte_mbuf* Take(uint32_t expected) {
    if (count_ == 0) {
      for (uint32_t wanted : {std::clamp<uint32_t>(expected, 1, kMost), 1u}) {
        void** const to = reinterpret_cast<void**>(spare_.data());
        if (rte_mempool_generic_get(pool_, to, wanted, nullptr) != 0) continue;
        count_ = wanted;
        break;
      }
      if (count_ == 0) return nullptr;
    }
    return spare_[--count_];
  }
  // Gives back the one that was taken last.
  void PutBack(rte_mbuf* packet) { spare_[count_++] = packet; }
  // Whether prepared headers hold: what was found of one destination goes for all behind the same
  // neighbour, until Forget.
  bool IsReady(const ip::Prepared& headers) {
    if (headers.generation == ready_generation_ && headers.interface == ready_interface_ &&
        headers.neighbor == ready_neighbor_ &&
        headers.neighbor_generation == ready_neighbor_generation_) [[likely]] {
      return true;
    }
    if (!ip_.Ready(headers)) return false;
    ready_generation_ = headers.generation;
    ready_interface_ = headers.interface;
    ready_neighbor_ = headers.neighbor;
    ready_neighbor_generation_ = headers.neighbor_generation;
    return true;
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
  // The internet layer may have been given something: neighbours and tables may have changed.
  void Forget() { ready_generation_ = 0; }
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

  // What is known to be ready; 0: nothing, which is no generation.
  uint32_t ready_generation_ = 0;
  uint32_t ready_neighbor_ = 0;
  uint32_t ready_neighbor_generation_ = 0;
  uint16_t ready_interface_ = 0;
};

}  // namespace sluice::udp
