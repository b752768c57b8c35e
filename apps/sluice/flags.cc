#include "flags.h"

#include <charconv>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wire/address.h"

namespace sluice::apps {
namespace {

using runtime::ApplySetting;
using runtime::Configuration;
using runtime::InterfaceSettings;

// What one occurrence of a flag changes: the whole, and the interface that it belongs to.
struct Target {
  Configuration* configuration;
  InterfaceSettings* interface;  // null for flags that belong to none
};

// False: the value is not what the flag expects.
using Setter = bool (*)(const std::string& value, const Target& target);

struct Flag {
  const char* name;   // without its short form
  const char* names;  // as CLI11 wants them
  const char* type;   // of the value; nullptr: a switch
  const char* help;
  const char* path;  // of the setting, for those that ApplySetting does; else nullptr
  Setter set;        // for the others
  bool of_interface = false;
};

template <typename T>
bool Take(std::optional<T> parsed, T* to) {
  if (!parsed.has_value()) return false;
  *to = *std::move(parsed);
  return true;
}

template <typename T>
bool Append(std::optional<T> parsed, std::vector<T>* to) {
  if (!parsed.has_value()) return false;
  to->push_back(*std::move(parsed));
  return true;
}

bool TakeNumber(const std::string& text, uint16_t low, uint16_t high, uint16_t* to) {
  uint16_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if (number < low || number > high) return false;
  *to = number;
  return true;
}

// "10.1.0.0/16" or "10.1.0.0/16,10.0.0.254", over the interface in question.
bool AppendRoute(const std::string& value, const Target& target) {
  size_t comma = value.find(',');
  runtime::RouteSettings route;
  if (!Take(wire::ParsePrefix(value.substr(0, comma)), &route.to)) return false;
  if (comma != std::string::npos) {
    route.via = wire::ParseIp(value.substr(comma + 1));
    if (!route.via.has_value()) return false;
  }
  InterfaceSettings& interface = *target.interface;
  if (interface.name.empty()) {
    size_t index = &interface - target.configuration->interfaces.data();
    interface.name = absl::StrCat("sluice", index);
  }
  route.interface = interface.name;
  target.configuration->routes.push_back(std::move(route));
  return true;
}

constexpr char kDevice[] = "--device";

const Flag kFlags[] = {
    {kDevice, "-d,--device", "DEVICE",
     "Add an interface: PCI address or DPDK virtual device, as net_af_packet0,iface=eth1", nullptr,
     nullptr},
    {"--address", "-a,--address", "ADDRESS/LENGTH", "An address of it, IPv4 or IPv6", nullptr,
     [](const std::string& value, const Target& target) {
       return Append(wire::ParsePrefix(value), &target.interface->addresses);
     },
     true},
    {"--gateway", "-g,--gateway", "ADDRESS", "Its default gateway, one for each family", nullptr,
     [](const std::string& value, const Target& target) {
       return Append(wire::ParseIp(value), &target.interface->gateways);
     },
     true},
    {"--route", "-r,--route", "PREFIX[,ADDRESS]", "A route over it, direct or via a router",
     nullptr, AppendRoute, true},
    {"--mac", "--mac", "MAC", "Its link address", nullptr,
     [](const std::string& value, const Target& target) {
       target.interface->mac = wire::ParseMac(value);
       return target.interface->mac.has_value();
     },
     true},
    {"--mtu", "--mtu", "BYTES", "Largest IP packet in one frame", nullptr,
     [](const std::string& value, const Target& target) {
       return TakeNumber(value, 68, 65000, &target.interface->mtu);
     },
     true},
    {"--vlan", "--vlan", "1-4094", "802.1Q tag of its frames", nullptr,
     [](const std::string& value, const Target& target) {
       return TakeNumber(value, 1, 4094, &target.interface->vlan);
     },
     true},
    {"--queues", "--queues", "1-64",
     "Queue pairs of it: one for each engine, if it has as many (1)", nullptr,
     [](const std::string& value, const Target& target) {
       return TakeNumber(value, 1, 64, &target.interface->queues);
     },
     true},
    {"--slaac", "--slaac", nullptr, "IPv6 addresses and routers from router advertisements",
     nullptr,
     [](const std::string&, const Target& target) { return target.interface->slaac = true; }, true},
    {"--trusted-link", "--trusted-link", nullptr,
     "The peer is a process of this machine (net_memif): no transport checksums", nullptr,
     [](const std::string&, const Target& target) { return target.interface->trusted_link = true; },
     true},
    {"--name", "--name", "NAME", "What sluice ss calls the program", nullptr,
     [](const std::string& value, const Target& target) {
       target.configuration->name = value;
       return true;
     }},
    {"--loopback", "--loopback", "kernel|sluice", "Who has 127.0.0.0/8 and ::1 (kernel)",
     "loopback", nullptr},
    {"--kernel-prefix", "--kernel-prefix", "PREFIX", "Leave these destinations to the kernel",
     nullptr,
     [](const std::string& value, const Target& target) {
       return Append(wire::ParsePrefix(value), &target.configuration->kernel_prefixes);
     }},
    {"--progress", "--progress", "inline|threads",
     "Who runs the engine: the threads that wait, or its own (inline)", "progress", nullptr},
    {"--engines", "--engines", "1-64", "Engines, each with a thread and a core of its own (1)",
     "engine.count", nullptr},
    {"--spin-us", "--spin-us", "MICROSECONDS", "How long to poll before sleeping (200)",
     "engine.spin_us", nullptr},
    {"--no-huge", "--no-huge", nullptr, "Use no hugepages", nullptr,
     [](const std::string&, const Target& target) {
       target.configuration->hugepages = runtime::HugepageUse::kNever;
       return true;
     }},
    {"--memory", "--memory", "MIB", "Memory for DPDK (as the limits need)", "memory_mib", nullptr},
    {"--eal", "--eal", "ARGUMENT", "Pass this argument to DPDK's EAL as it stands", nullptr,
     [](const std::string& value, const Target& target) {
       target.configuration->eal_arguments.push_back(value);
       return true;
     }},
    {"--log-level", "--log-level", "LEVEL", "error, warning (default), notice, info or debug",
     "log_level", nullptr},
    {"--capture", "--capture", "FILE", "Write all frames to this file (pcapng)", nullptr,
     [](const std::string& value, const Target& target) {
       target.configuration->capture_file = value;
       return true;
     }},
    {"--set", "--set", "KEY=VALUE", "Any other setting, as limits.sockets=1000", nullptr, nullptr},
};

// The flags given, in the order of the command line.
std::vector<std::pair<const Flag*, std::string>> Given(const CLI::App& command) {
  std::map<const CLI::Option*, const Flag*> flag_of;
  for (const Flag& flag : kFlags) flag_of[command.get_option(flag.name)] = &flag;
  std::vector<std::pair<const Flag*, std::string>> given;
  std::map<const CLI::Option*, size_t> taken;
  for (const CLI::Option* option : command.parse_order()) {
    auto found = flag_of.find(option);
    if (found == flag_of.end()) continue;
    given.emplace_back(found->second, option->results()[taken[option]++]);
  }
  return given;
}

absl::Status NeedsDevice(const Flag& flag, size_t interfaces) {
  return absl::InvalidArgumentError(
      interfaces == 0
          ? absl::StrCat(flag.name, " needs an interface: add --device, for example ",
                         "--device net_af_packet0,iface=eth1")
          : absl::StrCat(flag.name,
                         " must follow the --device that it belongs to, as there are several"));
}

absl::Status ApplyOne(const Flag& flag, const std::string& value, const Target& target) {
  if (flag.path != nullptr) {
    return ApplySetting(flag.path, value, flag.name, target.configuration);
  }
  if (flag.set == nullptr) {  // --set
    size_t equals = value.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("--set: '", value, "' is not of the form limits.sockets=1000"));
    }
    std::string path = value.substr(0, equals);
    return ApplySetting(path, value.substr(equals + 1), "--set " + path, target.configuration);
  }
  if (flag.set(value, target)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag.name, " needs ", flag.type, ", not '", value, "'"));
}

}  // namespace

void ConfigurationFlags::Register(CLI::App& command) {
  for (const Flag& flag : kFlags) {
    CLI::Option* option;
    if (flag.type == nullptr) {
      option = command.add_flag(flag.names, switches_[flag.name], flag.help);
    } else {
      option = command.add_option(flag.names, values_[flag.name], flag.help);
      option->type_name(flag.type)->allow_extra_args(false);
    }
    bool of_interface = flag.of_interface || flag.name == kDevice;
    option->group(of_interface ? "Interface" : "Settings");
  }
}

absl::Status ConfigurationFlags::Apply(const CLI::App& command,
                                       Configuration* configuration) const {
  auto given = Given(command);
  std::vector<InterfaceSettings>& interfaces = configuration->interfaces;
  const size_t in_file = interfaces.size();
  for (const auto& [flag, value] : given) {
    if (flag->name != kDevice) continue;
    InterfaceSettings interface;
    interface.device = value;
    interfaces.push_back(std::move(interface));
  }
  // The interface that flags belong to now: the only one, or that of the latest --device.
  size_t current = interfaces.size() == 1 ? 1 : 0;
  size_t devices = 0;
  for (const auto& [flag, value] : given) {
    if (flag->name == kDevice) {
      current = in_file + ++devices;
      continue;
    }
    if (flag->of_interface && current == 0) return NeedsDevice(*flag, interfaces.size());
    Target target{configuration, flag->of_interface ? &interfaces[current - 1] : nullptr};
    if (absl::Status status = ApplyOne(*flag, value, target); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace sluice::apps
