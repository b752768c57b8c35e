// Headers made ready for packets that go the same way again and again: link and IP header in one
// piece, copied before each packet, with only lengths and checksums filled in.
//
//   if (stack.Ready(prepared) && bytes <= prepared.payload_bytes_max) {
//     prepared.Finish(packet, offset, bytes);  // where its transport header stands
//     stack.SendPrepared(prepared.interface, prepared.v4, {&packet, 1});
//   } else if (stack.Send(now, packet, outbound, path) == SendResult::kSent) {
//     stack.Prepare(outbound, path, &prepared);
//   }
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "ip/path.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

namespace sluice::ip {

struct Prepared {
  // Ethernet with a tag and IPv6 without extension headers need 58.
  static constexpr unsigned kBytes = 64;

  uint32_t generation = 0;  // of the tables that the path was made of; 0: nothing is prepared
  uint32_t neighbor = kNoNeighbor;
  uint32_t neighbor_generation = 0;
  uint16_t interface = 0;
  uint16_t payload_bytes_max = 0;  // transport header and payload that go in one packet
  uint16_t header_bytes = 0;       // of link and IP header together
  uint8_t network_bytes = 0;
  bool v4 = false;
  bool port_sums_network = false;    // the port makes the IPv4 header's checksum
  bool port_sums_transport = false;  // and the transport's, out of the pseudo header's sum
  uint64_t network_sum = 0;          // of the IPv4 header without its length
  uint64_t pseudo_sum = 0;           // of the pseudo header without its length
  uint64_t ol_flags = 0;
  uint64_t tx_offload = 0;
  // They end with the array; what stands before them is copied into headroom and means nothing.
  alignas(16) std::array<uint8_t, kBytes> headers{};

  // Makes a frame of `bytes` of transport header and payload that stand `offset`, at least kBytes,
  // behind the start of the buffer. The packet is one mbuf that nobody else refers to: all that
  // matters of it is set here, whatever it said before.
  void Finish(rte_mbuf* packet, uint16_t offset, uint16_t bytes) const {
    uint8_t* const transport = static_cast<uint8_t*>(packet->buf_addr) + offset;
    std::memcpy(transport - kBytes, headers.data(), kBytes);
    uint8_t* const network = transport - network_bytes;
    if (v4) {
      const auto total = static_cast<uint16_t>(bytes + network_bytes);
      wire::Store16(network + 2, total);
      if (!port_sums_network) {
        wire::Store16(network + 10, wire::Checksum(network_sum + __builtin_bswap16(total)));
      }
    } else {
      wire::Store16(network + 4, bytes);
    }
    packet->data_off = static_cast<uint16_t>(offset - header_bytes);
    packet->data_len = static_cast<uint16_t>(bytes + header_bytes);
    packet->pkt_len = packet->data_len;
    packet->ol_flags = ol_flags;
    packet->tx_offload = tx_offload;
  }
};

}  // namespace sluice::ip
