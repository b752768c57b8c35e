// Bytes in tests, written as hexadecimal digits with spaces where they help the eye.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace sluice::wire {

inline std::vector<uint8_t> Hex(std::string_view text) {
  std::vector<uint8_t> bytes;
  int high = -1;
  for (char c : text) {
    if (c == ' ') continue;
    const int digit = c >= 'a' ? c - 'a' + 10 : c - '0';
    if (digit < 0 || digit > 15) throw std::invalid_argument("not a hexadecimal digit");
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<uint8_t>(high << 4 | digit));
      high = -1;
    }
  }
  return bytes;
}

// What a value emits.
template <typename Value>
std::vector<uint8_t> Emitted(const Value& value) {
  std::vector<uint8_t> out(value.size(), 0xee);
  value.Emit(out);
  return out;
}

// How many of the proper prefixes of `bytes` are accepted. Each is copied to a block of its own, so
// that a sanitizer sees a read behind its end.
template <typename Parse>
size_t PrefixesAccepted(std::span<const uint8_t> bytes, Parse&& parse) {
  size_t accepted = 0;
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::vector<uint8_t> prefix(bytes.begin(), bytes.begin() + static_cast<long>(n));
    accepted += static_cast<bool>(parse(std::span<const uint8_t>(prefix)));
  }
  return accepted;
}

}  // namespace sluice::wire
