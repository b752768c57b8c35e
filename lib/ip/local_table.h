// The addresses that this host answers to: a flat hash table made anew whenever one is added or
// removed, and read once for every packet that arrives. What is in it is our own configuration, so
// a plain hash will do.
//
// Link-local addresses and groups belong to one interface (`interface` in the key); global ones are
// accepted on every interface, as RFC 1122 section 3.3.4.2 allows (weak end system model).
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "ip/packet.h"
#include "wire/address.h"

namespace sluice::ip {

struct LocalEntry {
  wire::IpAddress address;
  uint16_t key_interface = 0;  // 0: any
  uint16_t interface = 0;      // that has the address; 0: a free slot
  DestinationKind kind = DestinationKind::kUnicast;
};

class LocalTable {
 public:
  explicit LocalTable(size_t entries_max) {
    size_t slots = 16;
    while (slots < entries_max * 2) slots *= 2;
    slots_.resize(slots);
  }

  static uint16_t KeyInterface(const wire::IpAddress& address, uint16_t interface) {
    return address.is_multicast() || (address.is_v6() && address.is_link_local()) ? interface : 0;
  }

  void Clear() {
    for (LocalEntry& e : slots_) e.interface = 0;
    used_ = 0;
  }
  // Keeps the first of two with the same key. False: full.
  bool Insert(const wire::IpAddress& address, uint16_t interface, DestinationKind kind) {
    if (used_ * 2 >= slots_.size()) return false;
    LocalEntry& e = slots_[Slot(address, KeyInterface(address, interface))];
    if (e.interface != 0) return true;
    e = {address, KeyInterface(address, interface), interface, kind};
    ++used_;
    return true;
  }
  // `interface`: where the packet arrived, or what a scope says.
  const LocalEntry* Find(const wire::IpAddress& address, uint16_t interface) const {
    const LocalEntry& e = slots_[Slot(address, KeyInterface(address, interface))];
    return e.interface != 0 ? &e : nullptr;
  }

 private:
  // The slot that holds the key, or the free one where it would go.
  size_t Slot(const wire::IpAddress& address, uint16_t interface) const {
    uint64_t high, low;
    std::memcpy(&high, address.bytes().data(), 8);
    std::memcpy(&low, address.bytes().data() + 8, 8);
    const uint64_t mixed = (high ^ low * 0x9e3779b97f4a7c15 ^ interface) * 0xd6e8feb86659fd93;
    size_t i = (mixed >> 32) & (slots_.size() - 1);
    // Ends: at most half of the slots are taken.
    while (slots_[i].interface != 0 &&
           (slots_[i].address != address || slots_[i].key_interface != interface)) {
      i = (i + 1) & (slots_.size() - 1);
    }
    return i;
  }

  std::vector<LocalEntry> slots_;
  size_t used_ = 0;
};

}  // namespace sluice::ip
