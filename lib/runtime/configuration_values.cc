#include "runtime/configuration_values.h"

#include <algorithm>
#include <charconv>

namespace sluice::runtime {
namespace {

template <typename T>
bool Take(const std::optional<T>& parsed, T* value) {
  if (parsed.has_value()) *value = *parsed;
  return parsed.has_value();
}

}  // namespace

bool ParseValue(const std::string& text, std::string* value) {
  *value = text;
  return true;
}
bool ParseValue(const std::string& text, wire::Prefix* value) {
  return Take(wire::ParsePrefix(text), value);
}
bool ParseValue(const std::string& text, wire::IpAddress* value) {
  return Take(wire::ParseIp(text), value);
}
bool ParseValue(const std::string& text, wire::MacAddress* value) {
  return Take(wire::ParseMac(text), value);
}

bool ParseValue(const std::string& text, PortRange* value) {
  const size_t dash = text.find('-');
  if (dash == std::string::npos) return false;
  uint64_t low = 0;
  uint64_t high = 0;
  if (!ParseValue(text.substr(0, dash), &low) || !ParseValue(text.substr(dash + 1), &high)) {
    return false;
  }
  if (low < 1 || low > high || high > 65535) return false;
  value->low = static_cast<uint16_t>(low);
  value->high = static_cast<uint16_t>(high);
  return true;
}

bool ParseValue(const std::string& text, bool* value) {
  for (const char* word : {"true", "yes", "on"}) {
    if (text == word) return *value = true;
  }
  for (const char* word : {"false", "no", "off"}) {
    if (text == word) return !(*value = false);
  }
  return false;
}

bool ParseValue(const std::string& text, uint64_t* value) {
  const bool is_hex = text.starts_with("0x");
  const char* begin = text.data() + (is_hex ? 2 : 0);
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(begin, end, *value, is_hex ? 16 : 10);
  return error == std::errc() && rest == end && begin != end;
}

bool ParseValue(const std::string& text, uint16_t* value) {
  uint64_t number = 0;
  if (!ParseValue(text, &number) || number > UINT16_MAX) return false;
  *value = static_cast<uint16_t>(number);
  return true;
}

std::string FormatValue(const std::string& value) { return value; }
std::string FormatValue(const wire::Prefix& value) { return wire::ToString(value); }
std::string FormatValue(const wire::IpAddress& value) { return wire::ToString(value); }
std::string FormatValue(const wire::MacAddress& value) { return wire::ToString(value); }
std::string FormatValue(uint16_t value) { return std::to_string(value); }
std::string FormatValue(const PortRange& value) {
  return std::to_string(value.low) + "-" + std::to_string(value.high);
}

const char* Describe(const std::string&) { return "text"; }
const char* Describe(const wire::Prefix&) {
  return "an address with its prefix length, like 192.0.2.1/24 or 2001:db8::1/64";
}
const char* Describe(const wire::IpAddress&) { return "an address like 192.0.2.1 or 2001:db8::1"; }
const char* Describe(const wire::MacAddress&) { return "a link address like 02:00:00:00:00:01"; }
const char* Describe(const PortRange&) { return "a range of ports like 32768-60999"; }
const char* Describe(uint16_t) { return "a number up to 65535"; }

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::string Suggestion(const std::string& wrong, const std::vector<std::string>& words) {
  constexpr size_t kComparedBytesMax = 64;
  if (wrong.size() > kComparedBytesMax) return "";
  const std::string* nearest = nullptr;
  size_t least = 1 + std::max<size_t>(1, wrong.size() / 3);
  for (const std::string& word : words) {
    const size_t distance = EditDistance(wrong, word);
    if (distance >= least) continue;
    least = distance;
    nearest = &word;
  }
  return nearest == nullptr ? "" : " (did you mean '" + *nearest + "'?)";
}

}  // namespace sluice::runtime
