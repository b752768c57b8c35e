#include "tcp/syn_cookies.h"

#include <iterator>

namespace sluice::tcp {
namespace {

// Values that are common on the wire, in order.
constexpr uint16_t kMss[8] = {216, 536, 1200, 1360, 1400, 1440, 1460, 8960};
constexpr uint32_t kPeriods = 32;  // what 5 bits count
constexpr uint32_t kNoScale = 15;

uint32_t Period(Instant now) {
  return static_cast<uint32_t>(now.milliseconds() / 64000) % kPeriods;
}

uint32_t HashOf(const SipKey& key, const ip::FlowKey& flow, Sequence irs, uint32_t period,
                uint32_t mss_index) {
  constexpr uint32_t kPurpose = 3;
  const uint32_t upper = period << 27 | mss_index << 24;
  const uint64_t hash = SipHashOf(key, flow.local.bytes(), flow.remote.bytes(), flow.local_port,
                                  flow.remote_port, irs.value(), upper, kPurpose);
  return upper | static_cast<uint32_t>(hash & 0xffffff);
}

}  // namespace

Sequence MakeCookie(const SipKey& key, const ip::FlowKey& flow, Sequence irs, uint16_t mss,
                    Instant now) {
  uint32_t index = 0;
  while (index + 1 < std::size(kMss) && kMss[index + 1] <= mss) ++index;
  return Sequence(HashOf(key, flow, irs, Period(now), index));
}

std::optional<uint16_t> CheckCookie(const SipKey& key, const ip::FlowKey& flow, Sequence irs,
                                    Sequence cookie, Instant now) {
  const uint32_t period = cookie.value() >> 27;
  const uint32_t index = cookie.value() >> 24 & 7;
  if ((Period(now) + kPeriods - period) % kPeriods > 1) return std::nullopt;
  if (HashOf(key, flow, irs, period, index) != cookie.value()) return std::nullopt;
  return kMss[index];
}

uint32_t CookieTimestamp(uint32_t clock_ms, const CookieOptions& options) {
  const uint32_t bits =
      (options.window_scaling ? options.scale : kNoScale) | (options.sack ? 1u << 4 : 0);
  const uint32_t timestamp = (clock_ms & ~0x3fu) | bits;
  return static_cast<int32_t>(timestamp - clock_ms) > 0 ? timestamp - 0x40 : timestamp;
}

CookieOptions OptionsOfCookie(uint32_t timestamp) {
  CookieOptions options;
  const uint32_t scale = timestamp & 0xf;
  options.window_scaling = scale != kNoScale;
  options.scale = static_cast<uint8_t>(options.window_scaling ? scale : 0);
  options.sack = (timestamp >> 4 & 1) != 0;
  return options;
}

}  // namespace sluice::tcp
