// From the addresses and ports of a connection to the number its owner gave it.
//
// Buckets are cache lines of seven slots that hold 32 bits of a keyed hash and the number; the key
// itself stays with its owner, who is asked only when all 32 bits agree. A full bucket passes its
// entries on to the next and counts them, so lookups end at the first bucket that passed none on,
// and erasing leaves nothing behind. 12 to 25 bytes a flow.
//
// Reserve at start what is expected. Beyond it the map grows by itself: a table of twice the size
// is filled a few buckets at a time by the insertions and erasures that follow, so no packet waits
// for a rehash.
//
//   FlowMap flows(key, connections_expected);
//   uint64_t hash = flows.Hash(key);
//   flows.Prefetch(hash);                                   // and look at the next packet
//   uint32_t i = flows.Find(hash, key, [&](uint32_t i) -> const FlowKey& { return tcb[i].key; });
//   if (i != FlowMap::kNone) ...
//
// One thread.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/siphash.h"
#include "wire/address.h"

namespace sluice::ip {

// Local is this host's side. `scope` is the interface where a link-local address is involved, else
// 0.
struct FlowKey {
  wire::IpAddress local;
  wire::IpAddress remote;
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
  uint16_t scope = 0;
  uint16_t unused = 0;

  friend bool operator==(const FlowKey&, const FlowKey&) = default;
};
static_assert(sizeof(FlowKey) == 40);

class FlowMap {
 public:
  static constexpr uint32_t kNone = 0xffffffff;
  // What a flow costs at most, once there are more than were expected: just after the map has
  // grown.
  static constexpr uint32_t kFlowBytesMax = 25;

  FlowMap(const SipKey& key, uint32_t flows_expected);

  // Keyed, so that a peer cannot choose flows that fall into one bucket.
  uint64_t Hash(const FlowKey& key) const {
    uint64_t words[5];
    std::memcpy(words, &key, sizeof(words));
    const uint64_t addresses = Mix(words[0] ^ secrets_[0], words[1] ^ secrets_[1]) ^
                               Mix(words[2] ^ secrets_[2], words[3] ^ secrets_[3]);
    return Mix(addresses ^ secrets_[4], words[4] ^ secrets_[5]);
  }

  // Brings the bucket of a flow into the cache.
  void Prefetch(uint64_t hash) const {
    __builtin_prefetch(&current_.buckets[current_.Home(Tag(hash))]);
  }

  // The number that a flow with this hash has in all likelihood, if it is in the map; else kNone.
  uint32_t Guess(uint64_t hash) const {
    const Bucket& bucket = current_.buckets[current_.Home(Tag(hash))];
    const unsigned hits = bucket.WithTag(Tag(hash));
    if (hits == 0) return kNone;
    return bucket.numbers[std::countr_zero(hits)] - 1;  // kNone, if it was erased
  }

  // The number under which `key` was inserted, or kNone. `key_of(number)` gives the owner's copy of
  // the key of a flow that is in the map, or what can be compared with a key.
  template <typename KeyOf>
  uint32_t Find(uint64_t hash, const FlowKey& key, KeyOf&& key_of) const {
    const uint32_t tag = Tag(hash);
    uint32_t found = FindIn(current_, tag, key, key_of);
    if (found == kNone && old_.buckets != nullptr) [[unlikely]] {
      found = FindIn(old_, tag, key, key_of);
    }
    return found;
  }

  // Adds a flow that is not in the map. False: no memory.
  bool Insert(uint64_t hash, uint32_t number);
  // Gives the flow with this hash and number another number. False: it is not there.
  bool Renumber(uint64_t hash, uint32_t number, uint32_t to);
  // Takes out the flow with this hash and number. False: it is not there.
  bool Erase(uint64_t hash, uint32_t number);

  uint32_t size() const { return size_; }
  size_t bytes() const { return current_.bytes() + old_.bytes(); }

 private:
  static constexpr unsigned kSlots = 7;

  struct alignas(64) Bucket {
    uint32_t tags[kSlots];
    uint32_t passed;           // entries that wanted to be here or before, and stand further on
    uint32_t numbers[kSlots];  // plus one; 0: free
    uint32_t unused;

    // The slots with this tag, one bit each.
    unsigned WithTag(uint32_t tag) const {
#if defined(__SSE2__)
      const __m128i wanted = _mm_set1_epi32(static_cast<int>(tag));
      const auto four = [&](const uint32_t* from) {
        const __m128i found =
            _mm_cmpeq_epi32(wanted, _mm_load_si128(reinterpret_cast<const __m128i*>(from)));
        return static_cast<unsigned>(_mm_movemask_ps(_mm_castsi128_ps(found)));
      };
      constexpr unsigned kAll = (1u << kSlots) - 1;  // `passed` is no tag
      return (four(tags) | four(tags + 4) << 4) & kAll;
#else
      unsigned hits = 0;
      for (unsigned i = 0; i < kSlots; ++i) hits |= unsigned{tags[i] == tag} << i;
      return hits;
#endif
    }
  };
  static_assert(sizeof(Bucket) == 64);
  // Slots in use of a hundred, beyond which buckets pass on too much.
  static constexpr uint64_t kLoadPercentMax = 75;
  static_assert(sizeof(Bucket) * 2 * 100 <= kFlowBytesMax * kSlots * kLoadPercentMax);

  struct Table {
    std::unique_ptr<void, void (*)(void*)> memory{nullptr, nullptr};
    Bucket* buckets = nullptr;
    uint32_t mask = 0;

    uint32_t Home(uint32_t tag) const { return tag & mask; }
    uint32_t Next(uint32_t bucket) const { return (bucket + 1) & mask; }
    size_t bytes() const { return buckets == nullptr ? 0 : sizeof(Bucket) * (size_t{mask} + 1); }
  };

  __extension__ using Wide = unsigned __int128;
  static uint64_t Mix(uint64_t a, uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  static uint32_t Tag(uint64_t hash) { return static_cast<uint32_t>(hash); }

  template <typename KeyOf>
  static uint32_t FindIn(const Table& table, uint32_t tag, const FlowKey& key, KeyOf& key_of) {
    uint32_t at = table.Home(tag);
    for (uint32_t probes = 0; probes <= table.mask; ++probes, at = table.Next(at)) {
      const Bucket& bucket = table.buckets[at];
      for (unsigned hits = bucket.WithTag(tag); hits != 0; hits &= hits - 1) {
        const uint32_t number = bucket.numbers[std::countr_zero(hits)];
        if (number != 0 && key_of(number - 1) == key) return number - 1;
      }
      if (bucket.passed == 0) return kNone;
    }
    return kNone;
  }

  static bool Allocate(Table& table, uint32_t buckets);
  static void Place(Table& table, uint32_t tag, uint32_t number);
  static bool Replace(Table& table, uint32_t tag, uint32_t number, uint32_t to);
  static bool Remove(Table& table, uint32_t tag, uint32_t number);
  void Grow();
  void Migrate(unsigned buckets);

  uint64_t secrets_[6];
  Table current_;
  Table old_;              // while it is being emptied into current_
  uint32_t migrated_ = 0;  // buckets of old_ that are empty
  uint32_t size_ = 0;
  uint32_t grow_at_ = 0;
};

}  // namespace sluice::ip
