#include "flags.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sluice::apps {
namespace {

constexpr const char* kInterface = "interface";

constexpr Flag kFlags[] = {
    {"--device,-d", "SLUICE_DEVICE", kInterface, "device", true, "DEVICE",
     "A DPDK device: PCI address or vdev, as net_af_packet0,iface=eth1 (starts an interface)"},
    {"--address,-a", "SLUICE_ADDRESS", kInterface, "addresses", true, "ADDRESS/LENGTH",
     "An address of the interface, IPv4 or IPv6"},
    {"--gateway,-g", "SLUICE_GATEWAY", kInterface, "gateways", true, "ADDRESS",
     "The router for what no route names, one for each family"},
    {"--route,-r", "SLUICE_ROUTE", kInterface, "routes", true, "PREFIX[,ADDRESS]",
     "A route over this interface, direct or via a router"},
    {"--mac", "SLUICE_MAC", kInterface, "mac", false, "MAC", "The interface's hardware address"},
    {"--mtu", "SLUICE_MTU", kInterface, "mtu", false, "BYTES", "Largest IP packet in one frame"},
    {"--vlan", "SLUICE_VLAN", kInterface, "vlan", false, "ID", "802.1Q VLAN, 1 to 4094"},
    {"--slaac", "SLUICE_SLAAC", kInterface, "slaac", false, "",
     "Take IPv6 addresses and routers from router advertisements"},
    {"--trusted-link", "SLUICE_TRUSTED_LINK", kInterface, "trusted_link", false, "",
     "The peer is on this machine: neither compute nor verify transport checksums"},
    {"--name", "SLUICE_NAME", "", "name", false, "NAME", "What sluice ss calls the program"},
    {"--loopback", "SLUICE_LOOPBACK", "", "loopback", false, "kernel|sluice",
     "Who serves 127.0.0.0/8 and ::1 (kernel)"},
    {"--progress", "SLUICE_PROGRESS", "", "progress", false, "inline|threads",
     "Who runs the engine: the threads that wait, or threads of its own (inline)"},
    {"--spin-us", "SLUICE_SPIN_US", "", "spin_us", false, "MICROSECONDS",
     "How long to poll after the last packet before sleeping"},
    {"--memory", "SLUICE_MEMORY", "eal", "memory_mib", false, "MIB", "Memory for packets"},
    {"--no-huge", "SLUICE_NO_HUGE", "eal", "no_huge", false, "", "Use no hugepages"},
    {"--eal", "SLUICE_EAL", "eal", "arguments", true, "ARGUMENT",
     "Pass this argument to DPDK's EAL as it stands"},
};

bool BelongsToInterface(const Flag& flag) { return strcmp(flag.section, kInterface) == 0; }
bool StartsInterface(const Flag& flag) { return strcmp(flag.key, "device") == 0; }
const char* GroupOf(const Flag& flag) { return BelongsToInterface(flag) ? "Interface" : "Options"; }
bool IsSwitch(const Flag& flag) { return *flag.type == '\0'; }

// One flag as given.
struct Occurrence {
  const Flag* flag;
  std::string value;
};

std::string ShortName(const Flag& flag) {
  std::string_view name = flag.name;
  return std::string(name.substr(0, name.find(',')));
}

// What a switch says: also an environment variable may turn one off.
std::string Settle(const Flag& flag, std::string value) {
  if (!IsSwitch(flag)) return value;
  return value == "0" || value == "false" || value == "no" || value == "off" ? "false" : "true";
}

// All flags with their values: first those that an environment variable gave, which may hold several
// separated by blanks, then the command line's in its order.
absl::StatusOr<std::vector<Occurrence>> Occurrences(const CLI::App& command) {
  std::vector<Occurrence> from_environment, from_command_line;
  std::map<const CLI::Option*, const Flag*> flag_of;
  for (const Flag& flag : kFlags) {
    const CLI::Option* option = command.get_option(ShortName(flag));
    flag_of[option] = &flag;
    const auto& order = command.parse_order();
    if (option->results().empty() || std::find(order.begin(), order.end(), option) != order.end()) {
      continue;
    }
    for (absl::string_view value :
         absl::StrSplit(option->results()[0], absl::ByAnyChar(" \t\n"), absl::SkipEmpty())) {
      from_environment.push_back({&flag, Settle(flag, std::string(value))});
    }
  }
  std::map<const CLI::Option*, size_t> taken;
  for (const CLI::Option* option : command.parse_order()) {
    if (!flag_of.contains(option)) continue;
    const Flag& flag = *flag_of[option];
    from_command_line.push_back({&flag, Settle(flag, option->results()[taken[option]++])});
  }
  from_environment.insert(from_environment.end(), from_command_line.begin(),
                          from_command_line.end());
  std::map<const Flag*, int> count;
  for (const Occurrence& given : from_environment) {
    if (!given.flag->many && !BelongsToInterface(*given.flag) && ++count[given.flag] > 1) {
      return absl::InvalidArgumentError(absl::StrCat(ShortName(*given.flag), " is given twice"));
    }
  }
  return from_environment;
}

void Apply(const Occurrence& given, YAML::Node mapping) {
  if (given.flag->many && !StartsInterface(*given.flag)) {
    mapping[given.flag->key].push_back(given.value);
  } else {
    mapping[given.flag->key] = given.value;
  }
}

absl::Status NeedsDevice(const Flag& flag, size_t interfaces) {
  return absl::InvalidArgumentError(
      interfaces == 0
          ? absl::StrCat(ShortName(flag), " needs an interface: add --device, for example ",
                         "--device net_af_packet0,iface=eth1")
          : absl::StrCat(ShortName(flag),
                         " must follow the --device that it belongs to, as there are several"));
}

absl::StatusOr<YAML::Node> ParseBase(const std::string& base) {
  YAML::Node document;
  try {
    document = YAML::Load(base);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("line ", error.mark.line + 1, ": ", error.msg));
  }
  if (!document.IsNull() && !document.IsMap()) {
    return absl::InvalidArgumentError("the configuration is not a mapping of keys to values");
  }
  if (document["interfaces"] && !document["interfaces"].IsSequence()) {
    return absl::InvalidArgumentError("'interfaces' is not a list");
  }
  return document;
}

}  // namespace

void ConfigurationFlags::Register(CLI::App& command) {
  for (const Flag& flag : kFlags) {
    Value& value = values_[flag.name];
    CLI::Option* option =
        IsSwitch(flag) ? command.add_flag(flag.name, value.on, flag.help)
                       : command.add_option(flag.name, value.given, flag.help);
    option->envname(flag.environment);
    if (IsSwitch(flag)) {
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)->group(GroupOf(flag));
      continue;
    }
    option->type_name(flag.type)->allow_extra_args(false);
    option->group(GroupOf(flag));
  }
}

absl::StatusOr<std::string> ConfigurationFlags::Document(const CLI::App& command,
                                                         const std::string& base) const {
  absl::StatusOr<YAML::Node> parsed = ParseBase(base);
  if (!parsed.ok()) return parsed.status();
  YAML::Node document = *parsed;

  absl::StatusOr<std::vector<Occurrence>> occurrences = Occurrences(command);
  if (!occurrences.ok()) return occurrences.status();

  const size_t in_base = document["interfaces"] ? document["interfaces"].size() : 0;
  for (const Occurrence& given : *occurrences) {
    if (!StartsInterface(*given.flag)) continue;
    YAML::Node interface(YAML::NodeType::Map);
    Apply(given, interface);
    document["interfaces"].push_back(interface);
  }
  const size_t interfaces = document["interfaces"] ? document["interfaces"].size() : 0;
  // The interface that flags belong to now: the only one, or that of the latest --device.
  size_t current = interfaces == 1 ? 1 : 0;
  size_t devices = 0;
  for (const Occurrence& given : *occurrences) {
    const Flag& flag = *given.flag;
    if (StartsInterface(flag)) {
      current = in_base + ++devices;
    } else if (BelongsToInterface(flag)) {
      if (current == 0) return NeedsDevice(flag, interfaces);
      Apply(given, document["interfaces"][current - 1]);
    } else if (*flag.section != '\0') {
      Apply(given, document[flag.section]);
    } else {
      Apply(given, document);
    }
  }
  return absl::StrCat(YAML::Dump(document), "\n");
}

}  // namespace sluice::apps
