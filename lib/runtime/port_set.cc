#include "runtime/port_set.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "callback/port.h"
#include "dpdk/eal.h"
#include "dpdk/port.h"
#include "dpdk/preparation.h"

namespace sluice::runtime {
namespace {

bool IsCallback(const InterfaceSettings& interface) { return interface.device == kCallbackDevice; }

bool IsPciAddress(const std::string& device) {
  // "0000:03:00.0" or "03:00.0"; virtual devices begin with a driver's name.
  return device.find(':') != std::string::npos && device.find(',') == std::string::npos &&
         device.find_first_not_of("0123456789abcdefABCDEF:.") == std::string::npos;
}

dpdk::PortConfig MakePortConfig(const InterfaceSettings& interface,
                                const Configuration& configuration) {
  const LimitSettings& limits = configuration.limits;
  dpdk::PortConfig port;
  port.engines = configuration.engine.count;
  port.device = interface.device;
  port.queues = interface.queues;
  port.mtu = interface.mtu;
  port.mac = interface.mac;
  port.packets_per_queue = limits.mbufs;
  port.trusted_link = interface.trusted_link;
  return port;
}

dpdk::EalConfig MakeEalConfig(const Configuration& configuration) {
  constexpr uint64_t kPoolBytesPerMbuf = 256;  // headers, padding, the ring
  constexpr uint64_t kOtherMib = 64;
  dpdk::EalConfig eal;
  uint64_t bytes = 0;
  for (const InterfaceSettings& interface : configuration.interfaces) {
    if (IsCallback(interface)) continue;
    const dpdk::PortConfig port = MakePortConfig(interface, configuration);
    bytes += uint64_t{port.packets_per_queue} * dpdk::PoolsOf(port) *
             (dpdk::MbufBytes(port) + kPoolBytesPerMbuf);
    if (IsPciAddress(interface.device)) eal.pci_devices.push_back(interface.device);
  }
  eal.memory_mib = configuration.memory_mib != 0 ? configuration.memory_mib
                                                 : static_cast<uint32_t>((bytes >> 20) + kOtherMib);
  switch (configuration.hugepages) {
    case HugepageUse::kAuto:
      eal.hugepages = dpdk::Hugepages::kAuto;
      break;
    case HugepageUse::kNever:
      eal.hugepages = dpdk::Hugepages::kNever;
      break;
    case HugepageUse::kRequire:
      eal.hugepages = dpdk::Hugepages::kRequire;
      break;
  }
  eal.extra_arguments = configuration.eal_arguments;
  eal.verbose = configuration.log_level >= LogLevel::kInfo;
  return eal;
}

// A card negotiates with its switch, and a memif client meets its server: a program that connects
// at once would wait until its SYN is sent again. A link that stays down is no error. Memif servers
// and what else waits for nobody is not waited for.
void AwaitLink(const InterfaceSettings& interface, dpdk::DpdkPort* port) {
  constexpr auto kPatience = std::chrono::seconds(3);
  constexpr auto kPause = std::chrono::microseconds(200);
  const std::string& device = interface.device;
  const bool is_memif_client = device.starts_with("net_memif") &&
                               device.find("role=server") == std::string::npos &&
                               device.find("role=master") == std::string::npos;
  if (!is_memif_client && !IsPciAddress(device)) return;
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (!port->link_up() && std::chrono::steady_clock::now() < give_up) {
    port->TendLink();
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

PortSet::PortSet() = default;
PortSet::~PortSet() = default;
PortSet::PortSet(PortSet&&) noexcept = default;
PortSet& PortSet::operator=(PortSet&&) noexcept = default;

absl::Status PortSet::Open(const Configuration& configuration,
                           const std::vector<CallbackPortSettings>& callback_ports,
                           PortSet* ports) {
  PortSet opened;
  opened.under_.resize(configuration.interfaces.size());
  absl::Status status = opened.OpenCallbackPorts(configuration, callback_ports);
  if (status.ok()) status = opened.OpenDevices(configuration);
  if (status.ok()) *ports = std::move(opened);
  return status;
}

absl::Status PortSet::OpenCallbackPorts(const Configuration& configuration,
                                        const std::vector<CallbackPortSettings>& settings) {
  const auto& interfaces = configuration.interfaces;
  for (const CallbackPortSettings& port : settings) {
    auto interface =
        std::find_if(interfaces.begin(), interfaces.end(),
                     [&](const InterfaceSettings& i) { return i.name == port.interface; });
    if (interface == interfaces.end() || !IsCallback(*interface)) {
      return absl::InvalidArgumentError(
          absl::StrCat("no interface '", port.interface,
                       "' with 'device: callback' is in the configuration, but a port for it"));
    }
    absl::StatusOr<std::unique_ptr<callback::CallbackPort>> created =
        callback::CallbackPort::Create(port.config);
    if (!created.ok()) return created.status();
    callback_.push_back(created->get());
    under_[interface - interfaces.begin()] = created->get();
    ports_.push_back(*std::move(created));
  }
  for (size_t i = 0; i < interfaces.size(); ++i) {
    if (IsCallback(interfaces[i]) && under_[i] == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("interface '", interfaces[i].name,
                       "' has 'device: callback', but the program supplies no port for it"));
    }
  }
  return absl::OkStatus();
}

absl::Status PortSet::OpenDevices(const Configuration& configuration) {
  const auto& interfaces = configuration.interfaces;
  for (size_t i = 0; i < interfaces.size(); ++i) {
    if (under_[i] != nullptr) continue;
    auto same = std::find_if(
        interfaces.begin(), interfaces.begin() + i,
        [&](const InterfaceSettings& other) { return other.device == interfaces[i].device; });
    if (same != interfaces.begin() + i) {  // another VLAN of the same device
      under_[i] = under_[same - interfaces.begin()];
      continue;
    }
    absl::Status started = dpdk::Eal::Start(MakeEalConfig(configuration));
    if (!started.ok()) return started;
    absl::StatusOr<std::unique_ptr<dpdk::DpdkPort>> opened =
        dpdk::DpdkPort::Open(MakePortConfig(interfaces[i], configuration));
    if (!opened.ok()) return opened.status();
    AwaitLink(interfaces[i], opened->get());
    under_[i] = opened->get();
    ports_.push_back(*std::move(opened));
  }
  return absl::OkStatus();
}

}  // namespace sluice::runtime
