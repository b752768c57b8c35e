// The addresses that this host answers to: a flat hash table made anew whenever one is added or
// removed, and read once for every packet that arrives. What is in it is our own configuration, so
// a plain hash will do.
//
// Link-local addresses and groups belong to one interface (`interface` in the key); global ones are
// accepted on every interface, as RFC 1122 section 3.3.4.2 allows (weak end system model).
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "ip/packet.h"
#include "wire/address.h"

namespace sluice::ip {

struct LocalEntry {
  uint64_t high = 0;  // the address as two words, for a comparison without a loop
  uint64_t low = 0;
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

  void Clear() {
    for (LocalEntry& e : slots_) e.interface = 0;
    used_ = 0;
  }
  // Keeps the first of two with the same key. False: full.
  bool Insert(const wire::IpAddress& address, uint16_t interface, DestinationKind kind) {
    if (used_ * 2 >= slots_.size()) return false;
    const Key key(address, interface);
    LocalEntry& e = slots_[Slot(key)];
    if (e.interface != 0) return true;
    e = {key.high, key.low, key.interface, interface, kind};
    ++used_;
    return true;
  }
  // `interface`: where the packet arrived, or what a scope says.
  const LocalEntry* Find(const wire::IpAddress& address, uint16_t interface) const {
    const LocalEntry& e = slots_[Slot(Key(address, interface))];
    return e.interface != 0 ? &e : nullptr;
  }
  // The same for four bytes of an IPv4 header that are no group, as they were loaded.
  const LocalEntry* FindV4(uint32_t as_loaded) const {
    const LocalEntry& e = slots_[Slot(Key(as_loaded))];
    return e.interface != 0 ? &e : nullptr;
  }

 private:
  struct Key {
    explicit Key(uint32_t v4_as_loaded)
        : high(0), low(uint64_t{v4_as_loaded} << 32 | kMappedPrefix), interface(0) {}
    Key(const wire::IpAddress& address, uint16_t arrival) {
      static_assert(std::endian::native == std::endian::little);
      std::memcpy(&high, address.bytes().data(), 8);
      std::memcpy(&low, address.bytes().data() + 8, 8);
      // As IpAddress says it, on words: groups, and link-local addresses of IPv6.
      const bool v4 = high == 0 && static_cast<uint32_t>(low) == kMappedPrefix;
      const auto first = static_cast<uint8_t>(v4 ? low >> 32 : high);
      const bool scoped = v4 ? (first & 0xf0) == 0xe0
                             : first == 0xff || (first == 0xfe && (high >> 8 & 0xc0) == 0x80);
      interface = scoped ? arrival : 0;
    }
    static constexpr uint32_t kMappedPrefix = 0xffff0000;  // of IPv4 (RFC 4291 section 2.5.5.2)

    uint64_t high, low;
    uint16_t interface;
  };

  // The slot that holds the key, or the free one where it would go.
  size_t Slot(const Key& key) const {
    const uint64_t mixed =
        (key.high ^ key.low * 0x9e3779b97f4a7c15 ^ key.interface) * 0xd6e8feb86659fd93;
    size_t i = (mixed >> 32) & (slots_.size() - 1);
    // Ends: at most half of the slots are taken.
    while (slots_[i].interface != 0 && (slots_[i].low != key.low || slots_[i].high != key.high ||
                                        slots_[i].key_interface != key.interface)) {
      i = (i + 1) & (slots_.size() - 1);
    }
    return i;
  }

  std::vector<LocalEntry> slots_;
  size_t used_ = 0;
};

}  // namespace sluice::ip
