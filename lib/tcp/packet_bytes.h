// Cutting received packets, whole or in several mbufs.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "ip/mbuf_bytes.h"

namespace sluice::tcp {

// Drops `count` bytes from the front; mbufs that this empties are freed. The packet must be longer
// than that.
inline rte_mbuf* CutFront(rte_mbuf* packet, uint32_t count) {
  uint32_t total = packet->pkt_len;
  uint16_t segments = packet->nb_segs;
  total -= count;
  while (count >= packet->data_len && packet->next != nullptr) {
    rte_mbuf* next = packet->next;
    count -= packet->data_len;
    packet->next = nullptr;
    packet->nb_segs = 1;
    rte_pktmbuf_free_seg(packet);
    packet = next;
    --segments;
  }
  packet->data_off = static_cast<uint16_t>(packet->data_off + count);
  packet->data_len = static_cast<uint16_t>(packet->data_len - count);
  packet->pkt_len = total;
  packet->nb_segs = segments;
  return packet;
}

}  // namespace sluice::tcp
