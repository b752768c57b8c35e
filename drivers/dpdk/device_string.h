// How a user names a DPDK device: a PCI address ("0000:00:05.0", "00:05.0") or a virtual device as
// DPDK's --vdev takes it ("net_af_packet0,iface=veth1").
//
//   auto device = ParseDevice("net_tap0,iface=tap0");
//   device->driver == "net_tap"; *device->Find("iface") == "tap0";
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::dpdk {

struct Device {
  bool is_pci = false;
  std::string name;    // what DPDK calls it: "net_tap0", or the full PCI address
  std::string driver;  // of a virtual device: the name without its number
  std::vector<std::pair<std::string, std::string>> arguments;  // in the order given

  const std::string* Find(std::string_view key) const;
  // Adds the argument unless the user gave one of that name.
  void SetDefault(std::string_view key, std::string_view value);
  void Set(std::string_view key, std::string_view value);
  std::string ArgumentText() const;  // "iface=tap0,mac=fixed"
};

absl::StatusOr<Device> ParseDevice(std::string_view text);

}  // namespace sluice::dpdk
