// What this machine offers to a program that bypasses the kernel's network stack: read from /proc,
// /sys and the file system, without starting DPDK. Every function may be called by any user.
//
// Example:
//   for (const NetworkDevice& nic : PciNetworkDevices()) std::cout << nic.address;
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::apps {

struct HugepageSize {
  uint64_t page_kib = 0;
  uint64_t total = 0;  // pages reserved
  uint64_t free = 0;
};
// The sizes that the processor supports, smallest first; empty where the kernel has none.
std::vector<HugepageSize> Hugepages();
// Where hugetlbfs is mounted; empty if nowhere.
std::string HugepageMount();

struct NetworkDevice {
  std::string address;  // PCI, "0000:00:03.0"
  std::string model;    // "8086:1572", vendor and device
  std::string driver;   // bound kernel driver, empty: none
  std::vector<std::string> interfaces;
  // Whether DPDK can take it as it is: a user-space driver is bound, or one that can be shared.
  bool ready = false;
};
std::vector<NetworkDevice> PciNetworkDevices();
// The device at one address, if there is one.
bool PciDeviceExists(std::string_view address);

// Names of the DPDK network drivers installed, such as "net_memif", sorted.
std::vector<std::string> DpdkNetworkDrivers();
// Whether one of them makes virtual devices called `name`, such as "net_tap0".
bool HasDriverOf(std::string_view device_name);

struct Processor {
  std::string model;
  int usable = 0;                     // cores this process may run on
  std::vector<std::string> features;  // of those that matter here, what it has
  bool has_sse42 = false;             // what Debian's DPDK is compiled for
  bool has_steady_tsc = false;        // constant in rate and in sleep
};
Processor ThisProcessor();

// Bytes that this process may lock; UINT64_MAX: no limit.
uint64_t LockableBytes();

bool HasIommu();
bool HasVfio();
bool HasTun();
bool HasXdpSockets();

// The library that `sluice run` preloads: next to this executable in a build tree, otherwise where
// it was installed. Empty if it is not there.
std::string PreloadLibrary();

}  // namespace sluice::apps
