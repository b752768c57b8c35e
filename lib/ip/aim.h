// Which engine a frame is for, where several share the ports: a look at the headers, before any
// engine has taken the frame in.
//
// Flows go to their owners (wire/flow_hash.h), and so do errors that routers report of them. What
// has no ports goes by its addresses. All engines need what tells of neighbours, routers, groups
// and paths; and fragments, since only the whole shows whose it is: each engine puts them together,
// and the owner keeps the result.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "wire/flow_hash.h"

namespace sluice::ip {

class Aim {
 public:
  static constexpr Aim At(uint8_t engine) { return Aim(engine); }
  static constexpr Aim AtAll() { return Aim(kAll); }
  // Whoever received it: nobody will make sense of it.
  static constexpr Aim Nowhere() { return Aim(kNowhere); }

  constexpr bool is_for_all() const { return value_ == kAll; }
  constexpr bool is_nowhere() const { return value_ == kNowhere; }
  // Whether `engine` keeps it.
  constexpr bool Has(uint8_t engine) const { return value_ == engine || value_ >= kNowhere; }
  constexpr uint8_t engine() const { return static_cast<uint8_t>(value_); }

  friend constexpr bool operator==(Aim, Aim) = default;

 private:
  static constexpr uint16_t kNowhere = 256, kAll = 257;
  explicit constexpr Aim(uint16_t value) : value_(value) {}
  uint16_t value_;
};

// `ethernet`: the frame begins with a link header; else with the IP header.
Aim AimOf(const wire::FlowOwners& owners, const rte_mbuf* frame, bool ethernet);

}  // namespace sluice::ip
