#include "engine/hand_over.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

namespace sluice::engine {

HandOver::HandOver(unsigned engines) : owners_(engines), rings_(size_t{engines} * engines) {
  for (unsigned from = 0; from < engines; ++from) {
    for (unsigned to = 0; to < engines; ++to) {
      if (from != to) rings_[from * engines + to] = std::make_unique<Ring>();
    }
  }
}

HandOver::~HandOver() {
  for (const auto& r : rings_) {
    if (r == nullptr) continue;
    r->head.store(r->tail.load());
    Reclaim(*r);
  }
}

bool HandOver::Give(uint8_t from, uint8_t to, const Handed& handed) {
  Ring& r = ring(from, to);
  const uint32_t tail = r.tail.load(std::memory_order_relaxed);
  if (tail - r.reclaimed == kSlots) Reclaim(r);
  if (tail - r.reclaimed == kSlots) return false;
  r.slots[tail % kSlots] = handed;
  r.tail.store(tail + 1, std::memory_order_release);  // pairs with Take
  return true;
}

void HandOver::Reclaim(Ring& r) {
  const uint32_t head = r.head.load(std::memory_order_acquire);  // pairs with Take
  for (; r.reclaimed != head; ++r.reclaimed) {
    rte_pktmbuf_free(r.slots[r.reclaimed % kSlots].packet);
  }
}

void HandOver::Reclaim(uint8_t from) {
  for (unsigned to = 0; to < owners_.engines(); ++to) {
    if (to == from) continue;
    Ring& r = ring(from, to);
    if (r.tail.load(std::memory_order_relaxed) != r.reclaimed) Reclaim(r);
  }
}

bool HandOver::HasFor(uint8_t to) const {
  for (unsigned from = 0; from < owners_.engines(); ++from) {
    if (from == to) continue;
    const Ring& r = ring(from, to);
    if (r.tail.load(std::memory_order_acquire) != r.head.load(std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

rte_mbuf* CopyInto(rte_mempool* pool, const rte_mbuf* packet) {
  rte_mbuf* const copy = rte_pktmbuf_alloc(pool);
  if (copy == nullptr) return nullptr;
  copy->port = packet->port;
  copy->packet_type = packet->packet_type;
  copy->vlan_tci = packet->vlan_tci;
  copy->hash = packet->hash;
  copy->tx_offload = packet->tx_offload;
  copy->ol_flags = packet->ol_flags & ~uint64_t{RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL};
  // The headroom is kept: what is to be put in front of it still fits.
  copy->data_off = std::min(packet->data_off, copy->data_off);
  rte_mbuf* last = copy;
  for (const rte_mbuf* from = packet; from != nullptr; from = from->next) {
    uint32_t done = 0;
    while (done < from->data_len) {
      uint32_t room = rte_pktmbuf_tailroom(last);
      if (room == 0) {
        rte_mbuf* const next = rte_pktmbuf_alloc(pool);
        if (next == nullptr) {
          rte_pktmbuf_free(copy);
          return nullptr;
        }
        next->data_off = 0;
        last->next = next;
        last = next;
        ++copy->nb_segs;
        room = rte_pktmbuf_tailroom(last);
      }
      const uint32_t count = std::min<uint32_t>(room, from->data_len - done);
      std::memcpy(rte_pktmbuf_mtod_offset(last, char*, last->data_len),
                  rte_pktmbuf_mtod_offset(from, const char*, done), count);
      last->data_len = static_cast<uint16_t>(last->data_len + count);
      copy->pkt_len += count;
      done += count;
    }
  }
  return copy;
}

}  // namespace sluice::engine
