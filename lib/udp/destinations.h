// Where datagrams went lately, with their headers ready: a cache of sets of four, so that a server
// which answers many peers in turn prepares each of them once.
//
//   Destination* known = destinations.Find(hash, key, choices);
//   if (known == nullptr) destinations.Slot(hash, key, choices)->headers = ...;
//
// Bounded; the newest takes the place of another of its set. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "ip/flow_map.h"
#include "ip/prepared.h"

namespace sluice::udp {

struct Destination {
  ip::FlowKey key;  // as asked for: the local address may be unspecified
  uint32_t choices = 0;
  ip::Prepared headers;
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
