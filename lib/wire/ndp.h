// Neighbour discovery (RFC 4861): its five messages and their options.
//
// Parse takes the whole ICMPv6 message, type and checksum included, and checks what the message
// alone can tell (RFC 4861 sections 6.1, 7.1 and 8.1): code, lengths, addresses that must not be
// multicast. Hop limit, source address and checksum are for the caller. Emit writes a zero
// checksum.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "wire/address.h"
#include "wire/bytes.h"

namespace sluice::wire {

// RFC 4861 section 4.6.2.
struct PrefixInformation {
  Prefix prefix;
  bool on_link = false;
  bool autonomous = false;
  uint32_t valid_seconds = 0;  // UINT32_MAX: for ever
  uint32_t preferred_seconds = 0;

  friend bool operator==(const PrefixInformation&, const PrefixInformation&) = default;
};

struct NdpOptions {
  static constexpr int kPrefixesMax = 8;  // those behind are ignored

  std::optional<MacAddress> source_link;
  std::optional<MacAddress> target_link;
  std::optional<uint32_t> mtu;
  std::array<PrefixInformation, kPrefixesMax> prefixes;
  uint8_t prefix_count = 0;

  // nullopt if an option has length 0 or ends behind the message (RFC 4861 section 4.6). Unknown
  // ones, RDNSS (RFC 8106) and redirected headers among them, are skipped.
  static std::optional<NdpOptions> Parse(ConstBytes bytes);
  size_t size() const;
  void Emit(Bytes out) const;

  friend bool operator==(const NdpOptions&, const NdpOptions&) = default;
};

struct RouterSolicitation {
  NdpOptions options;

  static std::optional<RouterSolicitation> Parse(ConstBytes message);
  size_t size() const { return 8 + options.size(); }
  void Emit(Bytes out) const;

  friend bool operator==(const RouterSolicitation&, const RouterSolicitation&) = default;
};

struct RouterAdvertisement {
  uint8_t hop_limit = 0;  // 0: unspecified, as are the times
  bool managed = false;
  bool other_configuration = false;
  uint16_t lifetime_seconds = 0;  // 0: not a default router
  uint32_t reachable_ms = 0;
  uint32_t retransmit_ms = 0;
  NdpOptions options;

  static std::optional<RouterAdvertisement> Parse(ConstBytes message);
  size_t size() const { return 16 + options.size(); }
  void Emit(Bytes out) const;

  friend bool operator==(const RouterAdvertisement&, const RouterAdvertisement&) = default;
};

struct NeighborSolicitation {
  IpAddress target;
  NdpOptions options;

  static std::optional<NeighborSolicitation> Parse(ConstBytes message);
  size_t size() const { return 24 + options.size(); }
  void Emit(Bytes out) const;

  friend bool operator==(const NeighborSolicitation&, const NeighborSolicitation&) = default;
};

struct NeighborAdvertisement {
  bool router = false;
  bool solicited = false;
  bool override_cached = false;  // the O flag
  IpAddress target;
  NdpOptions options;

  static std::optional<NeighborAdvertisement> Parse(ConstBytes message);
  size_t size() const { return 24 + options.size(); }
  void Emit(Bytes out) const;

  friend bool operator==(const NeighborAdvertisement&, const NeighborAdvertisement&) = default;
};

struct Redirect {
  IpAddress target;       // the better first hop, or the destination itself
  IpAddress destination;  // which is redirected
  NdpOptions options;

  static std::optional<Redirect> Parse(ConstBytes message);
  size_t size() const { return 40 + options.size(); }
  void Emit(Bytes out) const;

  friend bool operator==(const Redirect&, const Redirect&) = default;
};

}  // namespace sluice::wire
