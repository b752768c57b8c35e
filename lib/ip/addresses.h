// The addresses of interfaces: taking one into use with duplicate detection (RFC 4862 section 5.4,
// RFC 5227 section 2.1), announcing it, lifetimes, giving it up. Internal to lib/ip.
#pragma once

#include "base/time.h"
#include "ip/core.h"

namespace sluice::ip {

struct NewAddress {
  wire::Prefix prefix;
  bool on_link_route = true;  // false for SLAAC: there the router says what is on-link
  bool autoconfigured = false;
  uint8_t collisions = 0;
  Instant preferred_until = Instant::Never();
  Instant valid_until = Instant::Never();
};

ConfigResult AddAddress(Core& core, Instant now, Interface& interface, const NewAddress& added);
ConfigResult RemoveAddress(Core& core, Instant now, Interface& interface,
                           const wire::IpAddress& address);

// Another host has the tentative address.
void AddressDuplicated(Core& core, InterfaceAddress& address);

// The link has come up: detect duplicates and announce anew.
void StartAddresses(Core& core, Instant now, Interface& interface);

// Probes, announcements and lifetimes that are due.
void RunAddressTimers(Core& core, Instant now);
void ScheduleAddress(Core& core, Instant at);

// Makes the table of local destinations anew, and every path look again.
void RebuildLocal(Core& core);

// EUI-64 in the modified form of RFC 4291 appendix A, after a prefix of 64 bits.
wire::IpAddress FromMac(const wire::IpAddress& prefix, const wire::MacAddress& mac);
// ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1).
wire::IpAddress SolicitedNodeGroup(const wire::IpAddress& address);
inline constexpr wire::IpAddress kAllNodes =
    wire::IpAddress::V6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
inline constexpr wire::IpAddress kAllRouters =
    wire::IpAddress::V6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
inline constexpr wire::IpAddress kAllHostsV4 = wire::IpAddress::V4(224, 0, 0, 1);

}  // namespace sluice::ip
