// Link and network addresses as values.
//
// An IpAddress holds either family in 16 bytes: an IPv4 address is kept as its IPv4-mapped IPv6
// form (RFC 4291 section 2.5.5.2), so that every table has one key type and dual-stack sockets
// need no second path. All multi-byte values are in host order unless a name ends in _be.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::wire {

struct MacAddress {
  std::array<uint8_t, 6> bytes{};

  static constexpr MacAddress Broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
  constexpr bool is_multicast() const { return (bytes[0] & 1) != 0; }
  constexpr bool is_broadcast() const { return *this == Broadcast(); }
  constexpr bool is_zero() const { return *this == MacAddress{}; }
  friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

class IpAddress {
 public:
  // The unspecified IPv6 address "::".
  constexpr IpAddress() = default;
  static constexpr IpAddress V4(uint32_t host_order) {
    return V4(static_cast<uint8_t>(host_order >> 24), static_cast<uint8_t>(host_order >> 16),
              static_cast<uint8_t>(host_order >> 8), static_cast<uint8_t>(host_order));
  }
  static constexpr IpAddress V4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    IpAddress r;
    r.bytes_ = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
    return r;
  }
  static constexpr IpAddress V6(const std::array<uint8_t, 16>& network_order) {
    IpAddress r;
    r.bytes_ = network_order;
    return r;
  }
  // Four bytes (IPv4) and sixteen bytes (IPv6) in network order, as they stand in a header.
  static IpAddress FromV4Bytes(const void* p) {
    uint8_t b[4];
    std::memcpy(b, p, 4);
    return V4(b[0], b[1], b[2], b[3]);
  }
  static IpAddress FromV6Bytes(const void* p) {
    IpAddress r;
    std::memcpy(r.bytes_.data(), p, 16);
    return r;
  }
  static constexpr IpAddress AnyV4() { return V4(0, 0, 0, 0); }
  static constexpr IpAddress AnyV6() { return IpAddress(); }

  constexpr bool is_v4() const {
    // ::ffff:0:0/96, as the machine loads its second half, and the mask of that half's prefix.
    using Half = std::array<uint8_t, 8>;
    constexpr uint64_t kPrefix = std::bit_cast<uint64_t>(Half{0, 0, 0xff, 0xff});
    constexpr uint64_t kMask = std::bit_cast<uint64_t>(Half{0xff, 0xff, 0xff, 0xff});
    const Words own = words();
    return (own.high | ((own.low & kMask) ^ kPrefix)) == 0;
  }
  constexpr bool is_v6() const { return !is_v4(); }
  constexpr uint32_t v4() const {  // host order; meaningful only if is_v4()
    return uint32_t{bytes_[12]} << 24 | uint32_t{bytes_[13]} << 16 | uint32_t{bytes_[14]} << 8 |
           bytes_[15];
  }
  constexpr const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  const uint8_t* v4_bytes() const { return bytes_.data() + 12; }

  constexpr bool is_unspecified() const { return *this == AnyV4() || *this == AnyV6(); }
  constexpr bool is_multicast() const {
    return is_v4() ? (bytes_[12] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
  }
  constexpr bool is_limited_broadcast() const { return is_v4() && v4() == 0xffffffffu; }
  constexpr bool is_loopback() const {
    if (is_v4()) return bytes_[12] == 127;
    return *this == V6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  }
  // 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291).
  constexpr bool is_link_local() const {
    return is_v4() ? bytes_[12] == 169 && bytes_[13] == 254
                   : bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
  }
  // First `length` bits equal; IPv4 prefixes count from the first bit of the IPv4 address.
  constexpr bool HasPrefix(const IpAddress& prefix, int length) const {
    if (is_v4() != prefix.is_v4()) return false;
    int first = is_v4() ? 12 : 0;
    for (int i = first; length > 0; ++i, length -= 8) {
      uint8_t mask = length >= 8 ? 0xff : static_cast<uint8_t>(0xff00 >> length);
      if ((bytes_[i] & mask) != (prefix.bytes_[i] & mask)) return false;
    }
    return true;
  }

  friend constexpr bool operator==(const IpAddress& a, const IpAddress& b) {
    const Words x = a.words(), y = b.words();
    return ((x.high ^ y.high) | (x.low ^ y.low)) == 0;
  }
  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  // The two halves as the machine loads them: addresses are compared for every packet.
  struct Words {
    uint64_t high, low;
  };
  constexpr Words words() const { return std::bit_cast<Words>(bytes_); }

  alignas(8) std::array<uint8_t, 16> bytes_{};
};
static_assert(sizeof(IpAddress) == 16);

// A transport address. `scope` is the interface index (1-based) that a link-local address needs,
// 0 where none is given.
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;
  uint16_t scope = 0;

  friend constexpr bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct Prefix {
  IpAddress address;
  int length = 0;  // bits; 0..32 or 0..128 by the address's family

  friend constexpr bool operator==(const Prefix&, const Prefix&) = default;
};

// Text forms: "02:00:00:00:00:01"; "192.0.2.1"; RFC 5952 for IPv6; "192.0.2.0/24";
// "192.0.2.1:80", "[2001:db8::1]:80". Parsing accepts exactly one value and nothing around it.
std::string ToString(const MacAddress& mac);
std::string ToString(const IpAddress& address);
std::string ToString(const Endpoint& endpoint);
std::string ToString(const Prefix& prefix);
std::optional<MacAddress> ParseMac(std::string_view text);
std::optional<IpAddress> ParseIp(std::string_view text);
std::optional<Prefix> ParsePrefix(std::string_view text);

}  // namespace sluice::wire
