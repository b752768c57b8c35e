// What the drivers that share an interface with the kernel (af_packet, af_xdp) and those that make
// one (tap) need to know of it. Set-up only.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "wire/address.h"

namespace sluice::dpdk {

struct KernelInterface {
  std::string name;
  int index = 0;
  uint16_t mtu = 0;
  wire::MacAddress mac;
  bool is_up = false;
  bool is_ethernet = false;
  bool is_veth = false;
  bool is_tap = false;       // made by /dev/net/tun
  bool rx_checksum = false;  // the interface vouches for the checksums of what it receives
};

// NotFound names the interfaces that there are.
absl::StatusOr<KernelInterface> FindKernelInterface(const std::string& name);

absl::Status SetInterfaceUp(const std::string& name);
absl::Status SetInterfaceMtu(const std::string& name, uint16_t mtu);
// IFF_UP and IFF_RUNNING; false if the interface is gone.
bool InterfaceRunning(const std::string& name);

// Turns off what merges received frames into ones larger than the MTU (GRO, LRO). A frame merged
// so would not fit the ring and arrive cut. Best effort: not every interface has them.
void DisableReceiveMerging(const std::string& name);

// Makes the interface take all multicast, and all frames if `promiscuous`, for as long as the
// returned descriptor is open: the kernel undoes it even after a SIGKILL.
absl::StatusOr<int> HoldMembership(const KernelInterface& interface, bool promiscuous);

}  // namespace sluice::dpdk
