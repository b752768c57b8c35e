// One interface as the stack keeps it: its settings, addresses, transmit queue and what routers
// said about its link. Internal to lib/ip.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.h"
#include "ip/config.h"
#include "ip/mbuf_queue.h"
#include "wire/address.h"

namespace sluice::ip {

struct InterfaceAddress {
  wire::IpAddress address;
  int length = 0;
  AddressState state = AddressState::kPreferred;
  bool autoconfigured = false;
  Instant preferred_until = Instant::Never();
  Instant valid_until = Instant::Never();

  // Duplicate detection (RFC 4862 section 5.4, RFC 5227) and announcing.
  uint8_t probes_left = 0;
  uint8_t announcements_left = 0;
  uint8_t collisions = 0;  // of a generated interface identifier (RFC 7217 section 6)
  Instant deadline = Instant::Never();
  Instant defended = Instant::FromNanoseconds(INT64_MIN / 2);  // last time (RFC 5227 section 2.4)

  bool usable() const {
    return state == AddressState::kPreferred || state == AddressState::kDeprecated;
  }
};

struct Interface {
  Interface(uint16_t index_, const InterfaceConfig& config_)
      : index(index_),
        ethernet(config_.link == LinkLayer::kEthernet),
        up(config_.link_up),
        mtu(config_.mtu),
        mtu_v6(config_.mtu),
        mac(config_.mac),
        config(config_),
        transmit(config_.transmit_queue_packets) {}

  // Read for every packet.
  uint16_t index;
  bool ethernet;
  bool up;
  uint16_t mtu;
  uint16_t mtu_v6;        // lower where a router says so (RFC 4861 section 6.3.4)
  uint8_t hop_limit = 0;  // that a router recommends; 0: ours
  wire::MacAddress mac;
  InterfaceCounters counters;

  InterfaceConfig config;
  MbufQueue transmit;
  std::vector<InterfaceAddress> addresses;

  // Router solicitation (RFC 4861 section 6.3.7).
  uint8_t solicitations_left = 0;
  Instant solicit_at = Instant::Never();

  bool is_loopback() const { return index == kLoopbackInterface; }
  InterfaceAddress* FindAddress(const wire::IpAddress& address) {
    for (InterfaceAddress& a : addresses) {
      if (a.address == address) return &a;
    }
    return nullptr;
  }
  // The address that speaks for us on the link; nullptr if there is none in use.
  const InterfaceAddress* LinkLocal() const {
    for (const InterfaceAddress& a : addresses) {
      if (a.address.is_v6() && a.address.is_link_local() && a.usable()) return &a;
    }
    return nullptr;
  }
};

}  // namespace sluice::ip
