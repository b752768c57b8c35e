// sluice doctor: what this machine offers, and the command that mends what is missing.

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "dpdk/capability.h"
#include "machine.h"
#include "rte_version.h"
#include "verb.h"

namespace sluice::apps {
namespace {

enum class State {
  kGood,
  kOptional,  // works without it, less well or not on every device
  kMissing,   // no program can run under Sluice
};

struct Finding {
  std::string subject;
  State state = State::kGood;
  std::string detail;
  std::string remedy;  // a command or a setting; empty if nothing is to be done
};

const char* NameOf(State state) {
  switch (state) {
    case State::kGood:
      return "ok";
    case State::kOptional:
      return "optional";
    case State::kMissing:
      break;
  }
  return "missing";
}

Finding ExaminePrivileges() {
  std::vector<std::string> lacking;
  if (!dpdk::HasCapability(dpdk::Capability::kNetRaw)) lacking.push_back("CAP_NET_RAW");
  if (!dpdk::HasCapability(dpdk::Capability::kNetAdmin)) lacking.push_back("CAP_NET_ADMIN");
  if (lacking.empty())
    return {"privilege", State::kGood, "may open packet sockets and devices", ""};
  return {"privilege", State::kMissing, absl::StrCat("lacks ", absl::StrJoin(lacking, ", ")),
          "sudo sluice run ..."};
}

Finding ExamineProcessor() {
  Processor processor = ThisProcessor();
  std::string detail = absl::StrFormat("%d usable core%s, %s; %s", processor.usable,
                                       processor.usable == 1 ? "" : "s", processor.model,
                                       absl::StrJoin(processor.features, " "));
  if (!processor.has_sse42) {
    return {"processor", State::kMissing, detail + "; no SSE4.2, which Debian's DPDK needs",
            "another machine, or a DPDK compiled for this processor"};
  }
  if (!processor.has_steady_tsc) {
    return {"processor", State::kOptional, detail + "; the time-stamp counter is not steady",
            "in a virtual machine, pass the invariant TSC through"};
  }
  return {"processor", State::kGood, detail, ""};
}

Finding ExamineHugepages() {
  const char* remedy = "dpdk-hugepages.py -p 2M --setup 1G    (or sluice run --no-huge)";
  std::vector<std::string> sizes;
  uint64_t free_kib = 0;
  for (const HugepageSize& size : Hugepages()) {
    sizes.push_back(
        absl::StrFormat("%d MiB: %d of %d free", size.page_kib / 1024, size.free, size.total));
    free_kib += size.free * size.page_kib;
  }
  if (sizes.empty()) return {"hugepages", State::kOptional, "this kernel has none", "--no-huge"};
  std::string detail = absl::StrJoin(sizes, "; ");
  if (free_kib == 0) return {"hugepages", State::kOptional, detail, remedy};
  std::string mount = HugepageMount();
  if (mount.empty()) {
    return {"hugepages", State::kOptional, detail + "; hugetlbfs is not mounted",
            "mkdir -p /dev/hugepages && mount -t hugetlbfs none /dev/hugepages"};
  }
  return {"hugepages", State::kGood, absl::StrCat(detail, "; mounted at ", mount), ""};
}

Finding ExamineLocking() {
  uint64_t bytes = LockableBytes();
  if (bytes == UINT64_MAX || dpdk::HasCapability(dpdk::Capability::kIpcLock)) {
    return {"memory lock", State::kGood, "no limit", ""};
  }
  return {"memory lock", State::kOptional, absl::StrCat("at most ", bytes >> 10, " KiB"),
          "ulimit -l unlimited"};
}

Finding ExamineDpdk() {
  std::vector<std::string> drivers = DpdkNetworkDrivers();
  if (drivers.empty()) {
    return {"DPDK", State::kMissing, "no drivers under " SLUICE_DPDK_DRIVERS,
            "apt-get install dpdk"};
  }
  return {"DPDK", State::kGood,
          absl::StrFormat("%d.%02d.%d; %d network drivers: %s", RTE_VER_YEAR, RTE_VER_MONTH,
                          RTE_VER_MINOR, drivers.size(), absl::StrJoin(drivers, " ")),
          ""};
}

Finding ExamineTap() {
  if (HasTun()) return {"net_tap", State::kGood, "/dev/net/tun can be opened", ""};
  return {"net_tap", State::kOptional, "/dev/net/tun cannot be opened", "modprobe tun"};
}

Finding ExamineXdp() {
  if (HasXdpSockets()) return {"net_af_xdp", State::kGood, "this kernel has XDP sockets", ""};
  return {"net_af_xdp", State::kOptional, "this kernel has no XDP sockets",
          "a kernel with CONFIG_XDP_SOCKETS; net_af_packet works without"};
}

Finding ExamineIommu() {
  if (HasIommu()) return {"IOMMU", State::kGood, "on", ""};
  return {"IOMMU", State::kOptional, "off or absent; only a PCI device needs it",
          "boot with intel_iommu=on iommu=pt (AMD: amd_iommu=on), or echo 1 > "
          "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"};
}

Finding ExamineVfio() {
  if (HasVfio()) return {"vfio-pci", State::kGood, "loaded", ""};
  return {"vfio-pci", State::kOptional, "not loaded; only a PCI device needs it",
          "modprobe vfio-pci"};
}

Finding ExamineDevice(const NetworkDevice& device) {
  std::string detail =
      absl::StrCat(device.model, ", driver ", device.driver.empty() ? "none" : device.driver);
  if (!device.interfaces.empty()) {
    absl::StrAppend(&detail, ", in the kernel as ", absl::StrJoin(device.interfaces, " "));
  }
  std::string subject = "NIC " + device.address;
  if (device.ready) return {subject, State::kGood, detail, ""};
  std::string down =
      device.interfaces.empty() ? "" : "ip link set " + device.interfaces[0] + " down && ";
  return {subject, State::kOptional, detail,
          absl::StrCat(down, "dpdk-devbind.py -b vfio-pci ", device.address,
                       device.interfaces.empty() ? "" : "    (the kernel loses it)")};
}

Finding ExamineLibrary() {
  std::string library = PreloadLibrary();
  if (library.empty()) {
    return {"library", State::kMissing, "libsluice-preload.so is not where it belongs",
            "meson install -C build"};
  }
  return {"library", State::kGood, library, ""};
}

std::vector<Finding> Examine() {
  std::vector<Finding> findings = {
      ExaminePrivileges(), ExamineProcessor(), ExamineHugepages(), ExamineLocking(), ExamineDpdk(),
      ExamineLibrary(),    ExamineTap(),       ExamineXdp(),       ExamineIommu(),   ExamineVfio()};
  for (const NetworkDevice& device : PciNetworkDevices()) findings.push_back(ExamineDevice(device));
  return findings;
}

void PrintText(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    absl::PrintF("%-9s %-17s %s\n", NameOf(finding.state), finding.subject, finding.detail);
    if (!finding.remedy.empty()) absl::PrintF("%-27s to mend: %s\n", "", finding.remedy);
  }
}

void PrintJson(const std::vector<Finding>& findings) {
  nlohmann::json document = nlohmann::json::array();
  for (const Finding& finding : findings) {
    document.push_back({{"subject", finding.subject},
                        {"state", NameOf(finding.state)},
                        {"detail", finding.detail},
                        {"remedy", finding.remedy}});
  }
  std::cout << document.dump(1) << "\n";
}

class DoctorVerb : public Verb {
 public:
  CLI::App* Register(CLI::App& sluice) override {
    CLI::App* doctor = sluice.add_subcommand(
        "doctor", "Say what this machine offers and how to mend what is missing");
    doctor->add_flag("--json", json_, "Print JSON");
    return doctor;
  }

  // Status 1 if something is missing without which no program can run.
  absl::StatusOr<int> Execute() override {
    std::vector<Finding> findings = Examine();
    json_ ? PrintJson(findings) : PrintText(findings);
    for (const Finding& finding : findings) {
      if (finding.state == State::kMissing) return 1;
    }
    return 0;
  }

 private:
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Verb> MakeDoctorVerb() { return std::make_unique<DoctorVerb>(); }

}  // namespace sluice::apps
