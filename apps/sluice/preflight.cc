#include "preflight.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dpdk/capability.h"
#include "dpdk/device_string.h"
#include "dpdk/kernel_interface.h"
#include "machine.h"

namespace sluice::apps {
namespace {

absl::Status Lacks(const std::string& device, const char* capability) {
  return absl::PermissionDeniedError(absl::StrCat("the device ", device, " needs ", capability,
                                                  "; run as root: sudo sluice run ..."));
}

absl::Status CheckPciDevice(const dpdk::Device& device) {
  if (!PciDeviceExists(device.name)) {
    return absl::NotFoundError(
        absl::StrCat("no PCI device ", device.name, "; sluice doctor lists the network cards"));
  }
  for (const NetworkDevice& nic : PciNetworkDevices()) {
    if (nic.address != device.name) continue;
    if (!nic.ready) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the card ", nic.address, " is bound to ", nic.driver.empty() ? "no driver" : nic.driver,
          "; run: dpdk-devbind.py -b vfio-pci ", nic.address));
    }
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the PCI device ", device.name, " is no network card"));
}

absl::Status CheckKernelInterface(const dpdk::Device& device) {
  const std::string* name = device.Find("iface");
  if (name == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the device ", device.name, " needs an interface: ", device.name, ",iface=NAME"));
  }
  absl::StatusOr<dpdk::KernelInterface> interface = dpdk::FindKernelInterface(*name);
  if (!interface.ok()) return interface.status();
  if (!dpdk::HasCapability(dpdk::Capability::kNetRaw)) return Lacks(device.name, "CAP_NET_RAW");
  // The drivers set the interface's flags, even to what they are.
  if (!dpdk::HasCapability(dpdk::Capability::kNetAdmin)) return Lacks(device.name, "CAP_NET_ADMIN");
  return absl::OkStatus();
}

absl::Status CheckVirtualDevice(const dpdk::Device& device) {
  if (!HasDriverOf(device.name) && dpdk::FindKernelInterface(device.name).ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        device.name, " is an interface of the kernel's; to use it: --device net_af_packet0,iface=",
        device.name));
  }
  if (!HasDriverOf(device.name)) {
    return absl::NotFoundError(absl::StrCat("DPDK has no driver for ", device.name,
                                            "; sluice doctor lists the drivers installed"));
  }
  if (device.driver == "net_af_packet" || device.driver == "net_af_xdp") {
    return CheckKernelInterface(device);
  }
  if (device.driver == "net_tap") {
    if (!dpdk::HasCapability(dpdk::Capability::kNetAdmin))
      return Lacks(device.name, "CAP_NET_ADMIN");
    if (!HasTun()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the device ", device.name, " needs /dev/net/tun; run: modprobe tun"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckInterfaces(const runtime::Configuration& configuration) {
  if (configuration.interfaces.empty() && configuration.loopback == runtime::Loopback::kKernel) {
    return absl::InvalidArgumentError(
        "no interface is given; add --device, for example --device net_af_packet0,iface=eth1");
  }
  for (const runtime::InterfaceSettings& interface : configuration.interfaces) {
    absl::StatusOr<dpdk::Device> device = dpdk::ParseDevice(interface.device);
    if (!device.ok()) return device.status();
    absl::Status status = device->is_pci ? CheckPciDevice(*device) : CheckVirtualDevice(*device);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckMemory(const runtime::Configuration& configuration) {
  if (configuration.hugepages != runtime::HugepageUse::kRequire) return absl::OkStatus();
  auto sizes = Hugepages();
  if (std::any_of(sizes.begin(), sizes.end(), [](const auto& size) { return size.free > 0; })) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      "no hugepage is free; run: dpdk-hugepages.py -p 2M --setup 1G (or use --no-huge)");
}

}  // namespace sluice::apps
