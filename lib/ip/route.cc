#include "ip/route.h"

#include <tuple>

namespace sluice::ip {

wire::IpAddress MaskAddress(const wire::IpAddress& address, int length) {
  std::array<uint8_t, 16> bytes = address.bytes();
  const int bits = address.is_v4() ? length + 96 : length;
  for (int i = 0; i < 16; ++i) {
    const int keep = bits - 8 * i;
    if (keep >= 8) continue;
    bytes[i] = keep <= 0 ? 0 : static_cast<uint8_t>(bytes[i] & (0xff00 >> keep));
  }
  return wire::IpAddress::V6(bytes);
}

bool RouteTable::Before(const Route& a, const Route& b) {
  return std::forward_as_tuple(-Bits(a.destination), a.destination.address, a.metric) <
         std::forward_as_tuple(-Bits(b.destination), b.destination.address, b.metric);
}

ConfigResult RouteTable::Add(const Route& route) {
  const int bits_max = route.destination.address.is_v4() ? 32 : 128;
  if (route.destination.length < 0 || route.destination.length > bits_max) {
    return ConfigResult::kInvalid;
  }
  Route added = route;
  added.destination.address = MaskAddress(route.destination.address, route.destination.length);
  for (const Route& r : routes_) {
    if (r.destination.length == added.destination.length &&
        r.destination.address == added.destination.address && r.gateway == added.gateway &&
        r.interface == added.interface) {
      return ConfigResult::kExists;
    }
  }
  if (routes_.size() >= routes_max_) return ConfigResult::kFull;
  routes_.insert(std::upper_bound(routes_.begin(), routes_.end(), added, Before), added);
  IndexClasses();
  return ConfigResult::kOk;
}

ConfigResult RouteTable::Remove(const Route& route) {
  const wire::IpAddress masked = MaskAddress(route.destination.address, route.destination.length);
  for (auto it = routes_.begin(); it != routes_.end(); ++it) {
    if (it->destination.length == route.destination.length && it->destination.address == masked &&
        it->gateway == route.gateway &&
        (route.interface == 0 || it->interface == route.interface)) {
      routes_.erase(it);
      IndexClasses();
      return ConfigResult::kOk;
    }
  }
  return ConfigResult::kNotFound;
}

void RouteTable::IndexClasses() {
  classes_.clear();
  for (uint32_t i = 0; i < routes_.size(); ++i) {
    const auto bits = static_cast<uint8_t>(Bits(routes_[i].destination));
    if (classes_.empty() || classes_.back().bits != bits) classes_.push_back({bits, i, i});
    classes_.back().end = i + 1;
  }
}

}  // namespace sluice::ip
