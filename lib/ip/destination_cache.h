// What has been learnt about single destinations: a path MTU below the interface's (RFC 1191,
// RFC 8201) and, for IPv6, a better first hop (RFC 4861 section 8).
//
// Four records to a bucket under a keyed hash; a full bucket gives up the record that expires
// first, so nothing that peers send makes the table grow.
//
//   cache.SetMtu(now, destination, 1400, now + age);
//   if (const Destination* d = cache.Find(destination)) mtu = std::min(mtu, d->mtu);
#pragma once

#include <cstdint>
#include <vector>

#include "base/siphash.h"
#include "base/time.h"
#include "wire/address.h"

namespace sluice::ip {

struct Destination {
  wire::IpAddress address;
  wire::IpAddress next_hop;  // unspecified: as the routes say
  Instant mtu_until = Instant::Never();
  Instant used_until;  // the record is free from then on
  uint32_t mtu = 0;    // 0: the interface's
  uint16_t interface = 0;
  bool taken = false;
};

class DestinationCache {
 public:
  DestinationCache(uint32_t destinations_max, const SipKey& key);

  const Destination* Find(const wire::IpAddress& address) const;
  // Both return whether another record had to go.
  bool SetMtu(const wire::IpAddress& address, uint32_t mtu, Instant until);
  bool SetNextHop(const wire::IpAddress& address, const wire::IpAddress& next_hop,
                  uint16_t interface, Instant until);
  // Forgets redirects to a first hop that does not answer.
  bool ForgetNextHop(const wire::IpAddress& next_hop, uint16_t interface);

  // Removes what has expired; returns whether anything did.
  bool Expire(Instant now);
  Instant next_deadline() const { return next_deadline_; }

 private:
  static constexpr unsigned kWays = 4;

  Destination* Bucket(const wire::IpAddress& address);
  Destination* Claim(const wire::IpAddress& address, bool* evicted);

  SipKey key_;
  std::vector<Destination> records_;  // buckets of kWays
  Instant next_deadline_ = Instant::Never();
  uint32_t count_ = 0;  // so that a lookup in an empty cache costs nothing
};

}  // namespace sluice::ip
