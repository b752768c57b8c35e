#include "dpdk/device_string.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/str_cat.h"

namespace sluice::dpdk {
namespace {

constexpr size_t kNameBytesMax = 63;  // RTE_DEV_NAME_MAX_LEN without the terminator

absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

bool AllHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; });
}

// "bb:dd.f" at the end of `text`, after "dddd:" or nothing.
bool IsPciAddress(std::string_view text) {
  if (text.size() == 12) {
    if (!AllHex(text.substr(0, 4)) || text[4] != ':') return false;
    text.remove_prefix(5);
  }
  return text.size() == 7 && AllHex(text.substr(0, 2)) && text[2] == ':' &&
         AllHex(text.substr(3, 2)) && text[5] == '.' && text[6] >= '0' && text[6] <= '7';
}

bool IsNameCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

absl::Status Malformed(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("device '", ToAbsl(text), "': ", ToAbsl(why),
                   "; give a PCI address (0000:00:05.0) or a virtual device "
                   "(net_af_packet0,iface=eth1)"));
}

}  // namespace

const std::string* Device::Find(std::string_view key) const {
  for (const auto& [name, value] : arguments) {
    if (name == key) return &value;
  }
  return nullptr;
}

void Device::SetDefault(std::string_view key, std::string_view value) {
  if (Find(key) == nullptr) arguments.emplace_back(key, value);
}

void Device::Set(std::string_view key, std::string_view value) {
  for (auto& [name, present] : arguments) {
    if (name != key) continue;
    present = value;
    return;
  }
  arguments.emplace_back(key, value);
}

std::string Device::ArgumentText() const {
  std::string text;
  for (const auto& [key, value] : arguments) {
    absl::StrAppend(&text, text.empty() ? "" : ",", key);
    if (!value.empty()) absl::StrAppend(&text, "=", value);
  }
  return text;
}

absl::StatusOr<Device> ParseDevice(std::string_view text) {
  Device device;
  const size_t comma = std::min(text.find(','), text.size());
  const std::string_view name = text.substr(0, comma);
  if (name.empty()) return Malformed(text, "no name");
  if (name.size() > kNameBytesMax) return Malformed(text, "the name is too long");
  if (IsPciAddress(name)) {
    device.is_pci = true;
    device.name = name.size() == 12 ? std::string(name) : "0000:" + std::string(name);
  } else {
    if (!std::all_of(name.begin(), name.end(), IsNameCharacter)) {
      return Malformed(text, "neither a PCI address nor a driver's name");
    }
    device.name = name;
    device.driver = name.substr(0, name.find_last_not_of("0123456789") + 1);
    if (device.driver.empty()) return Malformed(text, "no driver's name before the number");
  }
  for (size_t at = comma; at < text.size();) {
    const size_t begin = at + 1;
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view argument = text.substr(begin, end - begin);
    const size_t equals = std::min(argument.find('='), argument.size());
    if (equals == 0) return Malformed(text, "an empty argument");
    device.arguments.emplace_back(argument.substr(0, equals),
                                  argument.substr(std::min(equals + 1, argument.size())));
    at = end;
  }
  return device;
}

}  // namespace sluice::dpdk
