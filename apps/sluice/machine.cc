#include "machine.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

namespace sluice::apps {
namespace {

namespace fs = std::filesystem;

std::string ReadWord(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

uint64_t ReadNumber(const fs::path& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  file >> number;
  return number;
}

// What follows the colon on the first line of `path` that begins with `key`.
std::string ValueOf(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

std::vector<std::string> NamesIn(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(directory, error)) {
    names.push_back(item.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string LinkTarget(const fs::path& link) {
  std::error_code error;
  fs::path target = fs::read_symlink(link, error);
  return error ? "" : target.filename().string();
}

bool BindsForUserSpace(const std::string& driver) {
  // The last two share their device with the kernel: DPDK takes it with that driver in place.
  static const std::set<std::string> kDrivers = {"vfio-pci",       "igb_uio",   "uio_pci_generic",
                                                 "uio_hv_generic", "mlx4_core", "mlx5_core"};
  return kDrivers.contains(driver);
}

}  // namespace

std::vector<HugepageSize> Hugepages() {
  std::vector<HugepageSize> sizes;
  const fs::path root = "/sys/kernel/mm/hugepages";
  for (const std::string& name : NamesIn(root)) {
    HugepageSize size;
    size.page_kib = strtoull(name.c_str() + name.find('-') + 1, nullptr, 10);
    size.total = ReadNumber(root / name / "nr_hugepages");
    size.free = ReadNumber(root / name / "free_hugepages");
    sizes.push_back(size);
  }
  std::sort(sizes.begin(), sizes.end(),
            [](const auto& a, const auto& b) { return a.page_kib < b.page_kib; });
  return sizes;
}

std::string HugepageMount() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device, directory, type;
    if (words >> device >> directory >> type && type == "hugetlbfs") return directory;
  }
  return "";
}

std::vector<NetworkDevice> PciNetworkDevices() {
  std::vector<NetworkDevice> devices;
  const fs::path root = "/sys/bus/pci/devices";
  for (const std::string& address : NamesIn(root)) {
    if (!ReadWord(root / address / "class").starts_with("0x02")) continue;
    NetworkDevice device;
    device.address = address;
    std::string vendor = ReadWord(root / address / "vendor");
    std::string model = ReadWord(root / address / "device");
    if (vendor.size() > 2 && model.size() > 2)
      device.model = vendor.substr(2) + ":" + model.substr(2);
    device.driver = LinkTarget(root / address / "driver");
    device.interfaces = NamesIn(root / address / "net");
    // A virtio device has its interface one level further down.
    for (const std::string& below : NamesIn(root / address)) {
      if (!below.starts_with("virtio")) continue;
      for (const std::string& name : NamesIn(root / address / below / "net")) {
        device.interfaces.push_back(name);
      }
    }
    device.ready = BindsForUserSpace(device.driver);
    devices.push_back(std::move(device));
  }
  return devices;
}

bool PciDeviceExists(std::string_view address) {
  std::string full(address);
  if (std::count(full.begin(), full.end(), ':') == 1) full = "0000:" + full;
  std::error_code error;
  return fs::exists(fs::path("/sys/bus/pci/devices") / full, error);
}

std::vector<std::string> DpdkNetworkDrivers() {
  std::vector<std::string> drivers;
  for (const std::string& directory : NamesIn(SLUICE_DPDK_DRIVERS)) {
    if (!directory.starts_with("pmds-")) continue;
    for (const std::string& file : NamesIn(fs::path(SLUICE_DPDK_DRIVERS) / directory)) {
      if (file.starts_with("librte_net_") && file.ends_with(".so")) {
        drivers.push_back(file.substr(7, file.size() - 10));
      }
    }
  }
  return drivers;
}

bool HasDriverOf(std::string_view device_name) {
  // These virtual devices are not called as the file that holds their driver.
  static const std::pair<std::string_view, std::string_view> kOthers[] = {
      {"net_virtio_user", "net_virtio"},
      {"net_bonding", "net_bond"},
      {"net_tun", "net_tap"},
      {"net_vdev_netvsc", "net_vdev_netvsc"},
      {"eth_", "net_"}};
  std::string name(device_name.substr(0, device_name.find_last_not_of("0123456789") + 1));
  for (const auto& [prefix, driver] : kOthers) {
    if (name.starts_with(prefix)) name = std::string(driver) + name.substr(prefix.size());
  }
  std::vector<std::string> drivers = DpdkNetworkDrivers();
  return std::any_of(drivers.begin(), drivers.end(), [&](const std::string& driver) {
    // "net_memif" makes net_memif0, and also net_memif_left.
    return name == driver || name.starts_with(driver + "_");
  });
}

Processor ThisProcessor() {
  Processor processor;
  processor.model = ValueOf("/proc/cpuinfo", "model name");
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) processor.usable = CPU_COUNT(&allowed);
  std::istringstream words(ValueOf("/proc/cpuinfo", "flags"));
  std::set<std::string> flags;
  for (std::string flag; words >> flag;) flags.insert(flag);
  for (const char* flag : {"sse4_2", "avx", "avx2", "avx512f", "constant_tsc", "nonstop_tsc"}) {
    if (flags.contains(flag)) processor.features.push_back(flag);
  }
  processor.has_sse42 = flags.contains("sse4_2");
  processor.has_steady_tsc = flags.contains("constant_tsc") && flags.contains("nonstop_tsc");
  return processor;
}

uint64_t LockableBytes() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 0;
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

bool HasIommu() { return !NamesIn("/sys/kernel/iommu_groups").empty(); }

bool HasVfio() { return access("/sys/bus/pci/drivers/vfio-pci", F_OK) == 0; }

bool HasTun() { return access("/dev/net/tun", R_OK | W_OK) == 0; }

bool HasXdpSockets() {
  int descriptor = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  // Without privilege the kernel that knows the family answers EPERM.
  if (descriptor < 0) return errno == EPERM;
  close(descriptor);
  return true;
}

std::string PreloadLibrary() {
  std::error_code error;
  fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& candidate :
       {here / "../../lib/preload/libsluice-preload.so",
        here / ".." / SLUICE_LIBDIR / "libsluice-preload.so",
        fs::path(SLUICE_PREFIX) / SLUICE_LIBDIR / "libsluice-preload.so"}) {
    if (fs::exists(candidate, error)) return fs::canonical(candidate, error);
  }
  return "";
}

}  // namespace sluice::apps
