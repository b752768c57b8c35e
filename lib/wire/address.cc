#include "wire/address.h"

#include <charconv>
#include <cstdio>

#include "wire/bytes.h"

namespace sluice::wire {
namespace {

// A decimal number without sign or leading zeros, at most `max`, taken off the front of `text`.
std::optional<int> TakeDecimal(std::string_view& text, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const size_t digits = static_cast<size_t>(end - text.data());
  if (error != std::errc() || text[0] == '-' || value > max) return std::nullopt;
  if (digits > 1 && text[0] == '0') return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool TakeChar(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<int> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::optional<IpAddress> ParseV4(std::string_view text) {
  uint32_t address = 0;
  for (int i = 0; i < 4; ++i) {
    if (i > 0 && !TakeChar(text, '.')) return std::nullopt;
    const auto octet = TakeDecimal(text, 255);
    if (!octet) return std::nullopt;
    address = address << 8 | static_cast<uint32_t>(*octet);
  }
  if (!text.empty()) return std::nullopt;
  return IpAddress::V4(address);
}

// One group of one to four hexadecimal digits, taken off the front of `text`.
std::optional<uint16_t> TakeGroup(std::string_view& text) {
  unsigned value = 0;
  size_t digits = 0;
  for (; digits < text.size() && digits < 5; ++digits) {
    const auto digit = HexDigit(text[digits]);
    if (!digit) break;
    value = value << 4 | static_cast<unsigned>(*digit);
  }
  if (digits == 0 || digits > 4) return std::nullopt;
  text.remove_prefix(digits);
  return static_cast<uint16_t>(value);
}

// RFC 4291 section 2.2: eight groups; one "::" for any number of zero groups; the last two groups
// perhaps as an IPv4 address.
std::optional<IpAddress> ParseV6(std::string_view text) {
  std::array<uint8_t, 16> bytes{};
  size_t count = 0;  // bytes filled
  std::optional<size_t> gap;
  if (text.substr(0, 2) == "::") {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    if (count == 16) return std::nullopt;
    const size_t group_end = text.find(':');
    if (group_end == text.npos && text.find('.') != text.npos) {
      const auto v4 = ParseV4(text);
      if (!v4 || count > 12) return std::nullopt;
      std::memcpy(bytes.data() + count, v4->v4_bytes(), 4);
      count += 4;
      break;
    }
    const auto group = TakeGroup(text);
    if (!group) return std::nullopt;
    Store16(bytes.data() + count, *group);
    count += 2;
    if (text.empty()) break;
    if (!TakeChar(text, ':') || text.empty()) return std::nullopt;
    if (TakeChar(text, ':')) {
      if (gap) return std::nullopt;
      gap = count;
    }
  }
  if (gap) {
    // "::" stands for at least one group.
    if (count > 14) return std::nullopt;
    const size_t tail = count - *gap;
    std::memmove(bytes.data() + 16 - tail, bytes.data() + *gap, tail);
    std::memset(bytes.data() + *gap, 0, 16 - count);
  } else if (count != 16) {
    return std::nullopt;
  }
  return IpAddress::V6(bytes);
}

// RFC 5952 section 4.2: "::" replaces the longest run of zero groups, the first of equal ones, and
// never a single group.
std::string V6ToString(const IpAddress& address) {
  uint16_t groups[8];
  for (int i = 0; i < 8; ++i) groups[i] = Load16(address.bytes().data() + 2 * i);
  int best = -1, best_length = 1;
  for (int i = 0; i < 8;) {
    int end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > best_length) {
      best = i;
      best_length = end - i;
    }
    i = end + 1;
  }
  std::string text;
  for (int i = 0; i < 8;) {
    if (i == best) {
      text += "::";
      i += best_length;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    char group[5];
    std::snprintf(group, sizeof(group), "%x", groups[i++]);
    text += group;
  }
  return text;
}

}  // namespace

std::string ToString(const MacAddress& mac) {
  char text[18];
  const auto& b = mac.bytes;
  std::snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
                b[5]);
  return text;
}

std::string ToString(const IpAddress& address) {
  if (address.is_v6()) return V6ToString(address);
  char text[16];
  const uint8_t* b = address.v4_bytes();
  std::snprintf(text, sizeof(text), "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
  return text;
}

std::string ToString(const Endpoint& endpoint) {
  const std::string address = ToString(endpoint.address);
  const std::string port = std::to_string(endpoint.port);
  return endpoint.address.is_v4() ? address + ":" + port : "[" + address + "]:" + port;
}

std::string ToString(const Prefix& prefix) {
  return ToString(prefix.address) + "/" + std::to_string(prefix.length);
}

std::optional<MacAddress> ParseMac(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac;
  for (size_t i = 0; i < 6; ++i) {
    const auto high = HexDigit(text[3 * i]), low = HexDigit(text[3 * i + 1]);
    if (!high || !low || (i < 5 && text[3 * i + 2] != ':')) return std::nullopt;
    mac.bytes[i] = static_cast<uint8_t>(*high << 4 | *low);
  }
  return mac;
}

std::optional<IpAddress> ParseIp(std::string_view text) {
  return text.find(':') == text.npos ? ParseV4(text) : ParseV6(text);
}

std::optional<Prefix> ParsePrefix(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto address = ParseIp(text.substr(0, slash));
  if (!address) return std::nullopt;
  std::string_view rest = text.substr(slash + 1);
  // An IPv4-mapped address is an IPv4 one, whose prefix counts from its own first bit.
  const auto length = TakeDecimal(rest, address->is_v4() ? 32 : 128);
  if (!length || !rest.empty()) return std::nullopt;
  return Prefix{*address, *length};
}

}  // namespace sluice::wire
