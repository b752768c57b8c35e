#include "ip/destination_cache.h"

#include <algorithm>
#include <bit>

namespace sluice::ip {

DestinationCache::DestinationCache(uint32_t destinations_max, const SipKey& key)
    : key_(key), records_(std::bit_ceil(std::max(destinations_max, kWays))) {}

Destination* DestinationCache::Bucket(const wire::IpAddress& address) {
  const uint64_t hash = SipHash(key_, address.bytes());
  return &records_[hash & (records_.size() - 1) & ~uint64_t{kWays - 1}];
}

const Destination* DestinationCache::Find(const wire::IpAddress& address) const {
  if (count_ == 0) return nullptr;
  const Destination* bucket = const_cast<DestinationCache*>(this)->Bucket(address);
  for (unsigned i = 0; i < kWays; ++i) {
    if (bucket[i].taken && bucket[i].address == address) return &bucket[i];
  }
  return nullptr;
}

Destination* DestinationCache::Claim(const wire::IpAddress& address, bool* evicted) {
  *evicted = false;
  Destination* bucket = Bucket(address);
  Destination* victim = bucket;
  for (unsigned i = 0; i < kWays; ++i) {
    Destination& record = bucket[i];
    if (record.taken && record.address == address) return &record;
    if (!record.taken) {
      if (victim->taken) victim = &record;
    } else if (victim->taken && record.used_until < victim->used_until) {
      victim = &record;
    }
  }
  *evicted = victim->taken;
  if (!victim->taken) ++count_;
  *victim = Destination{};
  victim->address = address;
  victim->taken = true;
  return victim;
}

bool DestinationCache::SetMtu(const wire::IpAddress& address, uint32_t mtu, Instant until) {
  bool evicted;
  Destination* record = Claim(address, &evicted);
  record->mtu = mtu;
  record->mtu_until = until;
  record->used_until = std::max(record->used_until, until);
  next_deadline_ = std::min(next_deadline_, until);
  return evicted;
}

bool DestinationCache::SetNextHop(const wire::IpAddress& address, const wire::IpAddress& next_hop,
                                  uint16_t interface, Instant until) {
  bool evicted;
  Destination* record = Claim(address, &evicted);
  record->next_hop = next_hop;
  record->interface = interface;
  record->used_until = std::max(record->used_until, until);
  next_deadline_ = std::min(next_deadline_, until);
  return evicted;
}

bool DestinationCache::ForgetNextHop(const wire::IpAddress& next_hop, uint16_t interface) {
  bool forgot = false;
  if (count_ == 0) return forgot;
  for (Destination& record : records_) {
    if (!record.taken || record.interface != interface || record.next_hop != next_hop) continue;
    record.next_hop = wire::IpAddress();
    record.interface = 0;
    forgot = true;
  }
  return forgot;
}

bool DestinationCache::Expire(Instant now) {
  if (now < next_deadline_) return false;
  bool changed = false;
  next_deadline_ = Instant::Never();
  for (Destination& record : records_) {
    if (!record.taken) continue;
    if (record.mtu != 0 && record.mtu_until <= now) {
      record.mtu = 0;
      changed = true;
    }
    if (record.used_until <= now) {
      record.taken = false;
      --count_;
      changed = true;
      continue;
    }
    next_deadline_ = std::min(next_deadline_, record.used_until);
    if (record.mtu != 0) next_deadline_ = std::min(next_deadline_, record.mtu_until);
  }
  return changed;
}

}  // namespace sluice::ip
