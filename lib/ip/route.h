// Routes by longest prefix, both families in one table: an IPv4 prefix lies in ::ffff:0:0/96, where
// an IPv4 address lies too, and no route shorter than that is ever asked for an IPv4 destination.
//
// Sorted by length (longest first), prefix and metric. A lookup is one binary search for each
// prefix length in use, so that thousands of routes of few lengths cost a few dozen comparisons;
// and it happens once for a path, not for a packet. Changes shift the array: they are
// configuration.
//
//   RouteTable routes(limit);
//   routes.Add({.destination = {IpAddress::AnyV4(), 0}, .gateway = gateway, .interface = 2});
//   const Route* route = routes.Find(destination, [](const Route& r) { return IsUp(r.interface);
//   });
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "ip/config.h"
#include "wire/address.h"

namespace sluice::ip {

// The address with all but its first `length` bits zero; `length` counts as in wire::Prefix.
wire::IpAddress MaskAddress(const wire::IpAddress& address, int length);

class RouteTable {
 public:
  explicit RouteTable(uint32_t routes_max) : routes_max_(routes_max) {}

  // kExists for the same prefix, gateway and interface. Bits after the prefix length are cleared.
  ConfigResult Add(const Route& route);
  // Removes the route with the same prefix and gateway, and interface unless that is 0.
  ConfigResult Remove(const Route& route);

  // The route with the longest prefix, then the smallest metric, that `usable` accepts, or nullptr.
  // Valid until the next change.
  template <typename Usable>
  const Route* Find(const wire::IpAddress& destination, Usable&& usable) const;

  std::span<const Route> routes() const { return routes_; }

 private:
  // Routes of one prefix length: [begin, end).
  struct Class {
    uint8_t bits;  // 0..128, of the 16-byte form
    uint32_t begin;
    uint32_t end;
  };

  static int Bits(const wire::Prefix& p) { return p.address.is_v4() ? p.length + 96 : p.length; }
  static bool Before(const Route& a, const Route& b);
  void IndexClasses();

  uint32_t routes_max_;
  std::vector<Route> routes_;
  std::vector<Class> classes_;
};

template <typename Usable>
const Route* RouteTable::Find(const wire::IpAddress& destination, Usable&& usable) const {
  const bool v4 = destination.is_v4();
  for (const Class& c : classes_) {
    if (v4 && c.bits < 96) break;
    const wire::IpAddress masked = MaskAddress(destination, v4 ? c.bits - 96 : c.bits);
    const auto end = routes_.begin() + c.end;
    auto it = std::lower_bound(
        routes_.begin() + c.begin, end, masked,
        [](const Route& r, const wire::IpAddress& a) { return r.destination.address < a; });
    for (; it != end && it->destination.address == masked; ++it) {
      if (usable(*it)) return &*it;
    }
  }
  return nullptr;
}

}  // namespace sluice::ip
