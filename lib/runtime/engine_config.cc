#include "runtime/engine_config.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "runtime/port_set.h"

namespace sluice::runtime {
namespace {

// Longer than a program on a thread of its own takes to wake and answer.
constexpr Duration kQuickAckDelay = Microseconds(100);

// Settings are 32 bits wide; some of the stack's counts are narrower.
uint16_t Narrow(uint32_t value) {
  return static_cast<uint16_t>(std::min<uint32_t>(value, std::numeric_limits<uint16_t>::max()));
}
uint8_t NarrowToByte(uint32_t value) {
  return static_cast<uint8_t>(std::min<uint32_t>(value, std::numeric_limits<uint8_t>::max()));
}

std::string_view Describe(ip::ConfigResult result) {
  switch (result) {
    case ip::ConfigResult::kOk:
      return "no error";
    case ip::ConfigResult::kInvalid:
      return "it makes no sense there";
    case ip::ConfigResult::kNoInterface:
      return "no interface reaches it";
    case ip::ConfigResult::kExists:
      return "it is there already";
    case ip::ConfigResult::kNotFound:
      return "it is not there";
    case ip::ConfigResult::kFull:
      return "the table is full; raise its limit";
  }
  return "unknown error";
}

absl::Status Check(ip::ConfigResult result, std::string_view what, const std::string& which) {
  if (result == ip::ConfigResult::kOk) return absl::OkStatus();
  const std::string_view reason = Describe(result);
  return absl::InvalidArgumentError(absl::StrCat(absl::string_view(what.data(), what.size()), " ",
                                                 which, ": ",
                                                 absl::string_view(reason.data(), reason.size())));
}

void FillIp(const Configuration& configuration, ip::StackConfig* ip) {
  const LimitSettings& limits = configuration.limits;
  ip->interfaces_max =
      std::max<uint16_t>(ip->interfaces_max, Narrow(configuration.interfaces.size() + 1));
  ip->routes_max = limits.routes;
  ip->neighbors_max = limits.neighbors;
  ip->neighbor_queue_packets_max = Narrow(limits.neighbor_queue_packets);
  ip->destinations_max = limits.destinations;
  ip->reassembly_datagrams_max = Narrow(limits.reassembly_datagrams);
  ip->reassembly_fragments_max = limits.reassembly_fragments;
  ip->memberships_max = Narrow(limits.memberships);
}

void FillTcp(const Configuration& configuration, tcp::Config* tcp) {
  const LimitSettings& limits = configuration.limits;
  const TcpSettings& settings = configuration.tcp;
  tcp->connections_max = limits.sockets;
  tcp->port_first = configuration.ephemeral_ports.low;
  tcp->port_last = configuration.ephemeral_ports.high;
  tcp->syn_received_max = limits.syn_backlog;
  tcp->time_wait_max = limits.time_wait_max;
  tcp->somaxconn = limits.connection_queue_max;
  tcp->out_of_order_packets_max = limits.out_of_order_packets;
  tcp->receive_buffer_max_bytes = settings.receive_buffer_bytes_max;
  tcp->send_buffer_max_bytes = settings.send_buffer_bytes_max;
  tcp->window_scaling = settings.window_scaling;
  tcp->timestamps = settings.timestamps;
  tcp->sack = settings.sack;
  tcp->syn_cookies = settings.syncookies != SynCookies::kNever;
  tcp->initial_window_segments = settings.initial_window_segments;
  tcp->rto_min = Milliseconds(settings.min_rto_ms);
  tcp->delayed_ack = Milliseconds(settings.delayed_ack_ms);
  tcp->quick_ack_delay = std::min(kQuickAckDelay, tcp->delayed_ack);
  tcp->time_wait = Seconds(settings.time_wait_s);
  tcp->fin_wait_2 = Seconds(settings.fin_wait2_s);
  tcp->syn_retries = NarrowToByte(settings.syn_retries);
  tcp->retries = NarrowToByte(settings.retries);
}

absl::Status AddRoutes(const Configuration& configuration, Instant now, engine::Engine* engine) {
  for (const InterfaceSettings& interface : configuration.interfaces) {
    for (const wire::IpAddress& gateway : interface.gateways) {
      ip::Route route;
      route.destination.address =
          gateway.is_v4() ? wire::IpAddress::AnyV4() : wire::IpAddress::AnyV6();
      route.gateway = gateway;
      route.interface = engine->ip().InterfaceByName(interface.name);
      absl::Status status =
          Check(engine->ip().AddRoute(now, route), "default route by", wire::ToString(gateway));
      if (!status.ok()) return status;
    }
  }
  for (const RouteSettings& settings : configuration.routes) {
    ip::Route route;
    route.destination = settings.to;
    if (settings.via.has_value()) route.gateway = *settings.via;
    if (!settings.interface.empty()) {
      route.interface = engine->ip().InterfaceByName(settings.interface);
    }
    route.metric = settings.metric;
    absl::Status status =
        Check(engine->ip().AddRoute(now, route), "route to", wire::ToString(settings.to));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

engine::EngineConfig MakeEngineConfig(const Configuration& configuration, const SipKey& key,
                                      rte_mempool* pool, engine::HandOver* hand_over) {
  engine::EngineConfig engine;
  engine.hand_over = hand_over;
  FillIp(configuration, &engine.ip);
  FillTcp(configuration, &engine.tcp);
  engine.udp.sockets_max = configuration.limits.sockets;
  engine.udp.memberships_max = configuration.limits.memberships;
  engine.udp.port_first = configuration.ephemeral_ports.low;
  engine.udp.port_last = configuration.ephemeral_ports.high;
  engine.key = key;
  engine.pool = pool;
  // What arrives is copied into the region once an eighth of the packets is left.
  engine.pool_low_water = configuration.limits.mbufs / 8;
  engine.receive_burst = configuration.engine.burst;
  return engine;
}

table::RegionLimits MakeRegionLimits(const Configuration& configuration) {
  constexpr uint32_t kBlocksForSocket = 4;
  const uint32_t blocks = configuration.limits.ring_blocks;
  return {.sockets = configuration.limits.sockets,
          .buffers = configuration.limits.buffers,
          .buffer_bytes = configuration.limits.buffer_bytes,
          .blocks = blocks != 0 ? blocks : configuration.limits.sockets * kBlocksForSocket,
          .lanes = configuration.engine.count};
}

void SetSocketDefaults(const Configuration& configuration, table::Options* options) {
  const TcpSettings& tcp = configuration.tcp;
  options->send_buffer_bytes.store(tcp.send_buffer_bytes);
  options->receive_buffer_bytes.store(tcp.receive_buffer_bytes);
  // The ranges of configuration_fields.h fit.
  options->keepalive_idle_s.store(static_cast<uint16_t>(tcp.keepalive_idle_s));
  options->keepalive_interval_s.store(static_cast<uint16_t>(tcp.keepalive_interval_s));
  options->keepalive_count.store(static_cast<uint8_t>(tcp.keepalive_count));
  options->fin_wait2_timeout_s.store(static_cast<uint16_t>(tcp.fin_wait2_s));
  options->congestion.store(tcp.congestion == CongestionControl::kNewReno
                                ? table::Congestion::kNewReno
                                : table::Congestion::kCubic);
}

absl::Status ConfigureEngine(const Configuration& configuration, const PortSet& ports,
                             uint16_t queue, Instant now, engine::Engine* engine) {
  for (size_t i = 0; i < configuration.interfaces.size(); ++i) {
    const InterfaceSettings& settings = configuration.interfaces[i];
    ip::InterfaceConfig interface;
    interface.name = settings.name;
    if (settings.mac.has_value()) interface.mac = *settings.mac;
    interface.mtu = settings.mtu != 0 ? settings.mtu : std::numeric_limits<uint16_t>::max();
    interface.vlan_id = settings.vlan;
    interface.ipv6 = settings.ipv6;
    interface.router_advertisements = settings.slaac;
    interface.detect_duplicates = settings.detect_duplicates;
    uint16_t index = 0;
    absl::Status status = Check(engine->AddPort(now, ports.under(i), queue, interface, &index),
                                "interface", settings.name);
    if (!status.ok()) return status;
    for (const wire::Prefix& address : settings.addresses) {
      status =
          Check(engine->ip().AddAddress(now, index, address), "address", wire::ToString(address));
      if (!status.ok()) return status;
    }
  }
  return AddRoutes(configuration, now, engine);
}

}  // namespace sluice::runtime
