// Rules that span several settings.

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "runtime/configuration.h"

namespace sluice::runtime {
namespace {

absl::Status Error(const std::string& text) {
  return absl::InvalidArgumentError("sluice: " + text);
}

std::string Quoted(const std::string& text) { return "'" + text + "'"; }

bool Reaches(const InterfaceSettings& interface, const wire::IpAddress& gateway) {
  if (gateway.is_link_local()) return true;
  return std::any_of(
      interface.addresses.begin(), interface.addresses.end(),
      [&](const wire::Prefix& prefix) { return gateway.HasPrefix(prefix.address, prefix.length); });
}

absl::Status CheckAddresses(const InterfaceSettings& interface) {
  for (const wire::Prefix& prefix : interface.addresses) {
    const wire::IpAddress& address = prefix.address;
    if (address.is_multicast() || address.is_unspecified() || address.is_limited_broadcast()) {
      return Error("interface " + Quoted(interface.name) + ": " + wire::ToString(address) +
                   " cannot be the address of an interface");
    }
    // RFC 8200 section 5.
    if (address.is_v6() && interface.mtu != 0 && interface.mtu < 1280) {
      return Error("interface " + Quoted(interface.name) + ": IPv6 needs an mtu of 1280, not " +
                   std::to_string(interface.mtu));
    }
  }
  bool has_v4 = false;
  bool has_v6 = false;
  for (const wire::IpAddress& gateway : interface.gateways) {
    bool& has_this_family = gateway.is_v4() ? has_v4 : has_v6;
    if (std::exchange(has_this_family, true)) {
      return Error("interface " + Quoted(interface.name) +
                   ": one gateway a family; put others under 'routes' with a metric");
    }
    if (!Reaches(interface, gateway) && !interface.slaac) {
      return Error("interface " + Quoted(interface.name) + ": gateway " + wire::ToString(gateway) +
                   " is in none of its addresses' prefixes");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckInterface(const InterfaceSettings& interface, const EngineSettings& engine) {
  constexpr size_t kNameBytesMax = 15;  // IFNAMSIZ, for SIOCGIF* and SO_BINDTODEVICE
  if (interface.name.size() > kNameBytesMax) {
    return Error("interface " + Quoted(interface.name) + ": a name has at most 15 letters");
  }
  if (interface.mac.has_value() && (interface.mac->is_multicast() || interface.mac->is_zero())) {
    return Error("interface " + Quoted(interface.name) + ": mac " + wire::ToString(*interface.mac) +
                 " cannot be the address of an interface");
  }
  if (interface.queues > engine.count) {
    return Error("interface " + Quoted(interface.name) + ": nobody would look at " +
                 std::to_string(interface.queues) + " queues with 'engine.count' " +
                 std::to_string(engine.count));
  }
  if (engine.count > 1 && interface.device == kCallbackDevice) {
    return Error("interface " + Quoted(interface.name) +
                 ": 'device: callback' serves one engine, " + "not " +
                 std::to_string(engine.count));
  }
  return CheckAddresses(interface);
}

absl::Status CheckEngines(const Configuration& c) {
  constexpr uint32_t kSocketsMin = 16;  // of each engine
  const std::string count = std::to_string(c.engine.count);
  if (c.engine.cores.size() > c.engine.count) {
    return Error("engine.cores has " + std::to_string(c.engine.cores.size()) +
                 " cores, but 'engine.count' is " + count);
  }
  if (!c.engine.cores.empty() && c.progress != Progress::kThreads) {
    return Error("engine.cores needs 'progress: threads': else the program's threads run engines");
  }
  if (c.engine.count == 1) return absl::OkStatus();
  if (c.progress != Progress::kThreads) {
    return Error("engine.count: " + count + " engines need 'progress: threads'");
  }
  if (c.interfaces.empty()) {
    return Error("engine.count: " + count + " engines need an interface to share");
  }
  if (c.limits.sockets / c.engine.count < kSocketsMin) {
    return Error("limits.sockets (" + std::to_string(c.limits.sockets) + ") is too few for " +
                 count + " engines");
  }
  return absl::OkStatus();
}

absl::Status CheckCallers(const Configuration& configuration) {
  if (configuration.callers == Callers::kMany || configuration.progress != Progress::kThreads) {
    return absl::OkStatus();
  }
  return Error("callers: one: with 'progress: threads' there are more; take out one of the two");
}

absl::Status CheckRoute(const RouteSettings& route, const std::set<std::string>& names) {
  const std::string where = "route " + wire::ToString(route.to);
  if (!route.interface.empty() && !names.contains(route.interface)) {
    return Error(where + ": there is no interface " + Quoted(route.interface));
  }
  if (!route.via.has_value() && route.interface.empty()) {
    return Error(where + ": give 'via', 'interface' or both");
  }
  if (route.via.has_value() && route.via->is_v4() != route.to.address.is_v4()) {
    return Error(where + ": 'via' " + wire::ToString(*route.via) + " is of the other family");
  }
  return absl::OkStatus();
}

absl::Status CheckOrder(const char* low_name, uint64_t low, const char* high_name, uint64_t high) {
  if (low <= high) return absl::OkStatus();
  return Error(std::string(low_name) + " (" + std::to_string(low) + ") is larger than " +
               high_name + " (" + std::to_string(high) + ")");
}

}  // namespace

absl::Status FinishConfiguration(Configuration* configuration) {
  Configuration& c = *configuration;
  std::set<std::string> names;
  for (size_t i = 0; i < c.interfaces.size(); ++i) {
    InterfaceSettings& interface = c.interfaces[i];
    if (interface.name.empty()) interface.name = "sluice" + std::to_string(i);
    if (!names.insert(interface.name).second) {
      return Error("two interfaces are called " + Quoted(interface.name));
    }
    absl::Status status = CheckInterface(interface, c.engine);
    if (!status.ok()) return status;
  }
  if (absl::Status status = CheckEngines(c); !status.ok()) return status;
  for (const RouteSettings& route : c.routes) {
    absl::Status status = CheckRoute(route, names);
    if (!status.ok()) return status;
  }
  for (const absl::Status& status :
       {CheckCallers(c),
        CheckOrder("tcp.receive_buffer_bytes", c.tcp.receive_buffer_bytes,
                   "tcp.receive_buffer_bytes_max", c.tcp.receive_buffer_bytes_max),
        CheckOrder("tcp.send_buffer_bytes", c.tcp.send_buffer_bytes, "tcp.send_buffer_bytes_max",
                   c.tcp.send_buffer_bytes_max),
        CheckOrder("engine.nap_us", c.engine.nap_us, "engine.nap_us_max", c.engine.nap_us_max)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace sluice::runtime
