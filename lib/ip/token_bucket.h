// A token bucket: at most `per_second` events on average, at most `burst` at once.
//
//   TokenBucket errors(1000, 50);
//   if (!errors.Take(now)) { ++counters.rate_limited; return; }
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace sluice::ip {

class TokenBucket {
 public:
  TokenBucket(uint32_t per_second, uint32_t burst)
      : interval_(Duration::FromNanoseconds(per_second == 0 ? 0 : 1000000000 / per_second)),
        depth_(interval_ * burst),
        refused_(per_second == 0) {}

  bool Take(Instant now) {
    if (refused_) return false;
    // `full_at_` is when the bucket would be full again: each token taken moves it on.
    const Instant start = std::max(full_at_, now);
    if (start + interval_ - now > depth_) return false;
    full_at_ = start + interval_;
    return true;
  }

 private:
  Duration interval_;  // in which one token comes
  Duration depth_;
  bool refused_;
  Instant full_at_;
};

}  // namespace sluice::ip
