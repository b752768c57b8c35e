// Small things that are done to packets, whole or in several mbufs. Internal to lib/ip.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace sluice::ip {

inline uint8_t* Data(rte_mbuf* packet) { return rte_pktmbuf_mtod(packet, uint8_t*); }
inline const uint8_t* Data(const rte_mbuf* packet) {
  return rte_pktmbuf_mtod(packet, const uint8_t*);
}

// What of the packet lies in its first mbuf.
inline wire::ConstBytes FirstBytes(const rte_mbuf* packet) {
  return {Data(packet), packet->data_len};
}

// Copies `count` bytes from `offset` on; returns how many there were.
inline uint32_t CopyBytes(const rte_mbuf* packet, uint32_t offset, uint8_t* to, uint32_t count) {
  uint32_t copied = 0;
  for (const rte_mbuf* m = packet; m != nullptr && copied < count; m = m->next) {
    if (offset >= m->data_len) {
      offset -= m->data_len;
      continue;
    }
    const uint32_t n = std::min<uint32_t>(m->data_len - offset, count - copied);
    std::memcpy(to + copied, Data(m) + offset, n);
    copied += n;
    offset = 0;
  }
  return copied;
}

// Makes the first `count` bytes lie in the first mbuf. False if the packet is shorter, or if they
// do not fit there.
inline bool Gather(rte_mbuf* packet, uint32_t count) {
  if (packet->data_len >= count) [[likely]]
    return true;
  if (packet->pkt_len < count || packet->next == nullptr) return false;
  const uint32_t missing = count - packet->data_len;
  if (missing > rte_pktmbuf_tailroom(packet)) return false;
  CopyBytes(packet->next, 0, Data(packet) + packet->data_len, missing);
  packet->data_len = static_cast<uint16_t>(count);
  uint32_t remove = missing;
  while (remove > 0) {
    rte_mbuf* next = packet->next;
    if (next->data_len > remove) {
      next->data_off = static_cast<uint16_t>(next->data_off + remove);
      next->data_len = static_cast<uint16_t>(next->data_len - remove);
      break;
    }
    remove -= next->data_len;
    packet->next = next->next;
    --packet->nb_segs;
    next->next = nullptr;
    next->nb_segs = 1;
    rte_pktmbuf_free_seg(next);
  }
  return true;
}

// Cuts the packet to its first `length` bytes, which it must have.
inline void TrimTo(rte_mbuf* packet, uint32_t length) {
  if (packet->pkt_len == length) [[likely]]
    return;
  uint32_t left = length;
  rte_mbuf* m = packet;
  while (left > m->data_len) {
    left -= m->data_len;
    m = m->next;
  }
  m->data_len = static_cast<uint16_t>(left);
  rte_mbuf* rest = m->next;
  m->next = nullptr;
  packet->pkt_len = length;
  while (rest != nullptr) {
    rte_mbuf* next = rest->next;
    rest->next = nullptr;
    rest->nb_segs = 1;
    --packet->nb_segs;
    rte_pktmbuf_free_seg(rest);
    rest = next;
  }
}

// Drops `count` bytes from the front, which must lie in the first mbuf.
inline void DropFront(rte_mbuf* packet, uint16_t count) {
  packet->data_off = static_cast<uint16_t>(packet->data_off + count);
  packet->data_len = static_cast<uint16_t>(packet->data_len - count);
  packet->pkt_len -= count;
}

// The partial sum of the whole packet.
inline uint64_t SumPacket(const rte_mbuf* packet) {
  uint64_t sum = wire::Sum({Data(packet), packet->data_len});
  uint32_t offset = packet->data_len;
  for (const rte_mbuf* m = packet->next; m != nullptr; m = m->next) {
    sum += wire::AtOffset(offset, wire::Sum({Data(m), m->data_len}));
    offset += m->data_len;
  }
  return sum;
}

}  // namespace sluice::ip
