// Where datagrams went lately, with their headers ready: a cache of sets of four, so that a server
// which answers many peers in turn prepares each of them once.
//
//   Destination* known = destinations.Find(hash, key, choices);
//   if (known == nullptr) destinations.Slot(hash, key, choices)->SetHeaders(...);
//
// Bounded; the newest takes the place of another of its set. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

#include "ip/flow_map.h"
#include "ip/prepared.h"
#include "wire/checksum.h"
#include "wire/udp.h"

namespace sluice::udp {

struct Destination {
  ip::FlowKey key;  // as asked for: the local address may be unspecified
  uint32_t choices = 0;
  uint32_t ports = 0;  // as they stand in the UDP header, in one word
  // Of the pseudo header without its length; of the ports, too, unless the port makes checksums.
  uint64_t sum = 0;
  ip::Prepared headers;

  void SetHeaders(const ip::Prepared& prepared) {
    headers = prepared;
    const uint16_t in_order[2] = {__builtin_bswap16(key.local_port),
                                  __builtin_bswap16(key.remote_port)};
    std::memcpy(&ports, in_order, sizeof(ports));
    sum = headers.pseudo_sum;
    if (!headers.port_sums_transport) sum += uint64_t{in_order[0]} + in_order[1];
  }

  // Makes a frame of the `bytes` of payload that stand at `offset` of the packet's buffer, see
  // Prepared::Finish. `payload_sum` matters if the port does not make checksums.
  void Finish(rte_mbuf* packet, uint16_t offset, uint32_t bytes, uint64_t payload_sum) const {
    const auto total = static_cast<uint16_t>(bytes + wire::kUdpHeaderBytes);
    const uint16_t length = __builtin_bswap16(total);
    uint16_t checksum;
    if (headers.port_sums_transport) {
      checksum = wire::Fold(sum + length);
    } else {  // the length counts in the pseudo header and in the header
      checksum = wire::UdpChecksumField(
          static_cast<uint16_t>(~wire::Fold(sum + payload_sum + uint32_t{2} * length)));
    }
    const uint64_t header = uint64_t{checksum} << 48 | uint64_t{length} << 32 | ports;
    const auto at = static_cast<uint16_t>(offset - wire::kUdpHeaderBytes);
    std::memcpy(static_cast<uint8_t*>(packet->buf_addr) + at, &header, sizeof(header));
    headers.Finish(packet, at, total);
  }
};

class Destinations {
 public:
  Destinations()
      : sets_(std::make_unique<Set[]>(kSets)),
        entries_(std::make_unique<Destination[]>(kSets * kWays)) {}

  // `hash` is a keyed one of `key`. `choices`: all else that the headers depend on.
  Destination* Find(uint64_t hash, const ip::FlowKey& key, uint32_t choices) {
    const uint32_t index = IndexOf(hash);
    const uint32_t tag = TagOf(hash);
    for (uint32_t way = 0; way < kWays; ++way) {
      if (sets_[index].tags[way] != tag) continue;
      Destination& entry = entries_[index * kWays + way];
      if (entry.choices == choices && entry.key == key) return &entry;
    }
    return nullptr;
  }

  // A place for a destination that Find has not found, or that has changed.
  Destination* Slot(uint64_t hash, const ip::FlowKey& key, uint32_t choices) {
    Destination* entry = Find(hash, key, choices);
    if (entry != nullptr) return entry;
    Set& set = sets_[IndexOf(hash)];
    const uint32_t way = set.next++ % kWays;
    set.tags[way] = TagOf(hash);
    entry = &entries_[IndexOf(hash) * kWays + way];
    entry->key = key;
    entry->choices = choices;
    return entry;
  }

 private:
  static constexpr uint32_t kSets = 128;
  static constexpr uint32_t kWays = 4;

  struct Set {
    std::array<uint32_t, kWays> tags{};  // 0: free
    uint32_t next = 0;
  };

  static uint32_t IndexOf(uint64_t hash) { return static_cast<uint32_t>(hash) % kSets; }
  static uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32) | 1; }

  std::unique_ptr<Set[]> sets_;
  std::unique_ptr<Destination[]> entries_;
};

}  // namespace sluice::udp
