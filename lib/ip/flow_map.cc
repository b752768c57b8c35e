#include "ip/flow_map.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

namespace sluice::ip {
namespace {

constexpr unsigned kBucketsPerStep = 4;

}  // namespace

FlowMap::FlowMap(const SipKey& key, uint32_t flows_expected) {
  for (uint64_t i = 0; i < std::size(secrets_); ++i) secrets_[i] = SipHashOf(key, i) | 1;
  const uint64_t slots = std::max<uint64_t>(flows_expected, 8) * 100 / kLoadPercentMax;
  const uint64_t buckets = std::bit_ceil(slots / kSlots + 1);
  if (!Allocate(current_, static_cast<uint32_t>(std::min<uint64_t>(buckets, 1u << 28)))) {
    throw std::bad_alloc();
  }
  grow_at_ = static_cast<uint32_t>(std::min<uint64_t>(
      (uint64_t{current_.mask} + 1) * kSlots * kLoadPercentMax / 100, kNone - 1));
}

// calloc hands out pages that the kernel zeroes when they are first touched: a large table costs
// nothing at once.
bool FlowMap::Allocate(Table& table, uint32_t buckets) {
  void* memory = std::calloc(size_t{buckets} + 1, sizeof(Bucket));
  if (memory == nullptr) return false;
  table.memory = {memory, std::free};
  const uintptr_t address = reinterpret_cast<uintptr_t>(memory);
  table.buckets =
      reinterpret_cast<Bucket*>((address + sizeof(Bucket) - 1) & ~uintptr_t{sizeof(Bucket) - 1});
  table.mask = buckets - 1;
  return true;
}

// There is always a free slot: tables grow long before they are full.
void FlowMap::Place(Table& table, uint32_t tag, uint32_t number) {
  for (uint32_t at = table.Home(tag);; at = table.Next(at)) {
    Bucket& bucket = table.buckets[at];
    for (unsigned i = 0; i < kSlots; ++i) {
      if (bucket.numbers[i] != 0) continue;
      bucket.tags[i] = tag;
      bucket.numbers[i] = number + 1;
      return;
    }
    ++bucket.passed;
  }
}

bool FlowMap::Remove(Table& table, uint32_t tag, uint32_t number) {
  const uint32_t home = table.Home(tag);
  uint32_t at = home;
  for (uint32_t probes = 0; probes <= table.mask; ++probes, at = table.Next(at)) {
    Bucket& bucket = table.buckets[at];
    for (unsigned i = 0; i < kSlots; ++i) {
      if (bucket.numbers[i] != number + 1 || bucket.tags[i] != tag) continue;
      bucket.numbers[i] = 0;
      for (uint32_t before = home; before != at; before = table.Next(before)) {
        --table.buckets[before].passed;
      }
      return true;
    }
    if (bucket.passed == 0) return false;
  }
  return false;
}

bool FlowMap::Replace(Table& table, uint32_t tag, uint32_t number, uint32_t to) {
  uint32_t at = table.Home(tag);
  for (uint32_t probes = 0; probes <= table.mask; ++probes, at = table.Next(at)) {
    Bucket& bucket = table.buckets[at];
    for (unsigned hits = bucket.WithTag(tag); hits != 0; hits &= hits - 1) {
      uint32_t& found = bucket.numbers[std::countr_zero(hits)];
      if (found != number + 1) continue;
      found = to + 1;
      return true;
    }
    if (bucket.passed == 0) return false;
  }
  return false;
}

bool FlowMap::Renumber(uint64_t hash, uint32_t number, uint32_t to) {
  return Replace(current_, Tag(hash), number, to) ||
         (old_.buckets != nullptr && Replace(old_, Tag(hash), number, to));
}

bool FlowMap::Insert(uint64_t hash, uint32_t number) {
  if (size_ >= grow_at_) Grow();
  // Growth failed, again and again: leave the slots that keep probing short.
  if (size_ >= (uint64_t{current_.mask} + 1) * kSlots * 9 / 10) return false;
  Place(current_, Tag(hash), number);
  ++size_;
  if (old_.buckets != nullptr) Migrate(kBucketsPerStep);
  return true;
}

bool FlowMap::Erase(uint64_t hash, uint32_t number) {
  if (!Remove(current_, Tag(hash), number) &&
      (old_.buckets == nullptr || !Remove(old_, Tag(hash), number))) {
    return false;
  }
  --size_;
  if (old_.buckets != nullptr) Migrate(kBucketsPerStep);
  return true;
}

void FlowMap::Grow() {
  if (old_.buckets != nullptr) Migrate(old_.mask + 1);  // growing again before that was done
  const uint64_t buckets = (uint64_t{current_.mask} + 1) * 2;
  Table larger;
  if (buckets > (1u << 28) || !Allocate(larger, static_cast<uint32_t>(buckets))) return;
  old_ = std::move(current_);
  current_ = std::move(larger);
  migrated_ = 0;
  grow_at_ = static_cast<uint32_t>(
      std::min<uint64_t>(buckets * kSlots * kLoadPercentMax / 100, kNone - 1));
}

// Four buckets of at most 28 entries each time make the old table empty long before the new one is
// full.
void FlowMap::Migrate(unsigned buckets) {
  for (; buckets > 0 && migrated_ <= old_.mask; --buckets, ++migrated_) {
    Bucket& bucket = old_.buckets[migrated_];
    for (unsigned i = 0; i < kSlots; ++i) {
      if (bucket.numbers[i] == 0) continue;
      const uint32_t tag = bucket.tags[i];
      const uint32_t number = bucket.numbers[i] - 1;
      bucket.numbers[i] = 0;
      for (uint32_t before = old_.Home(tag); before != migrated_; before = old_.Next(before)) {
        --old_.buckets[before].passed;
      }
      Place(current_, tag, number);
    }
  }
  if (migrated_ > old_.mask) old_ = Table();
}

}  // namespace sluice::ip
