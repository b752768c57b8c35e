#include "observe/engine_json.h"

#include <string>
#include <string_view>

#include "table/region.h"
#include "wire/address.h"

namespace sluice::observe {
namespace {

using nlohmann::json;

constexpr std::string_view kAddressStates[] = {"tentative", "preferred", "deprecated",
                                               "duplicated"};
constexpr std::string_view kNeighborStates[] = {"free",  "incomplete", "reachable",
                                                "stale", "delay",      "probe"};

template <size_t n, typename State>
std::string_view NameOf(const std::string_view (&names)[n], State state) {
  const auto i = static_cast<size_t>(state);
  return i < n ? names[i] : "unknown";
}

json PortJson(const engine::PortReport& port) {
  const engine::PortCapabilities& can = port.capabilities;
  const engine::PortStatistics& s = port.statistics;
  return {{"name", port.name},
          {"queue", port.queue},
          {"interface", port.interface},
          {"link_up", port.link_up},
          {"capabilities",
           {{"ethernet", can.link == engine::LinkType::kEthernet},
            {"mtu", can.mtu},
            {"queues", can.queues},
            {"tx_segments_max", can.tx_segments_max},
            {"tx_ipv4_checksum", can.tx_ipv4_checksum},
            {"tx_tcp_checksum", can.tx_tcp_checksum},
            {"tx_udp_checksum", can.tx_udp_checksum},
            {"tx_tcp_segmentation", can.tx_tcp_segmentation},
            {"tx_vlan_insert", can.tx_vlan_insert},
            {"rx_checksum", can.rx_checksum},
            {"rx_vlan_strip", can.rx_vlan_strip},
            {"rx_rss_hash", can.rx_rss_hash}}},
          {"statistics",
           {{"rx_packets", s.rx_packets},
            {"rx_bytes", s.rx_bytes},
            {"rx_missed", s.rx_missed},
            {"rx_errors", s.rx_errors},
            {"rx_no_mbuf", s.rx_no_mbuf},
            {"tx_packets", s.tx_packets},
            {"tx_bytes", s.tx_bytes},
            {"tx_errors", s.tx_errors}}}};
}

json InterfaceJson(const ip::InterfaceView& view) {
  json addresses = json::array();
  for (const ip::AddressView& address : view.addresses) {
    addresses.push_back({{"prefix", wire::ToString(address.prefix)},
                         {"state", NameOf(kAddressStates, address.state)},
                         {"autoconfigured", address.autoconfigured}});
  }
  const ip::InterfaceCounters& c = view.counters;
  return {{"name", view.name},
          {"index", view.index},
          {"mac", view.link == ip::LinkLayer::kEthernet ? json(wire::ToString(view.mac)) : json()},
          {"mtu", view.mtu},
          {"vlan", view.vlan_id},
          {"up", view.up},
          {"addresses", std::move(addresses)},
          {"counters",
           {{"rx_packets", c.rx_packets},
            {"rx_bytes", c.rx_bytes},
            {"rx_dropped", c.rx_dropped},
            {"tx_packets", c.tx_packets},
            {"tx_bytes", c.tx_bytes},
            {"tx_dropped", c.tx_dropped}}}};
}

json NeighborJson(const ip::NeighborView& view) {
  return {{"interface", view.interface},     {"address", wire::ToString(view.address)},
          {"mac", wire::ToString(view.mac)}, {"state", NameOf(kNeighborStates, view.state)},
          {"router", view.router},           {"permanent", view.permanent}};
}

json RouteJson(const ip::Route& route) {
  return {
      {"destination", wire::ToString(route.destination)},
      {"gateway", route.gateway.is_unspecified() ? json() : json(wire::ToString(route.gateway))},
      {"interface", route.interface},
      {"metric", route.metric}};
}

json PoolJson(const table::IndexPool& pool, uint32_t capacity, uint32_t used) {
  return {{"limit", capacity},
          {"used", used},
          {"hits", pool.exhausted.load()},
          {"corrupt", pool.corrupt.load()}};
}

json Limit(uint64_t limit, uint64_t hits) { return {{"limit", limit}, {"hits", hits}}; }
json Limit(uint64_t limit, uint64_t used, uint64_t hits) {
  return {{"limit", limit}, {"used", used}, {"hits", hits}};
}

void AddTransportLimits(const EngineFacts& facts, json& limits) {
  const engine::Report& r = facts.report;
  const tcp::Config& tcp = facts.config.tcp;
  const udp::Config& udp = facts.config.udp;
  limits["tcp_connections"] =
      Limit(tcp.connections_max, r.population.connections, r.tcp.ConnectionsFull);
  limits["tcp_listeners"] = Limit(tcp.listeners_max, r.population.listeners, r.tcp.ListenersFull);
  limits["tcp_syn_received"] =
      Limit(tcp.syn_received_max, r.population.syn_received, r.tcp.SynReceivedFull);
  limits["tcp_time_wait"] = Limit(tcp.time_wait_max, r.population.time_wait, r.tcp.TimeWaitFull);
  limits["tcp_backlog"] = Limit(tcp.somaxconn, r.tcp.TcpExtListenOverflows);
  limits["tcp_out_of_order_packets"] =
      Limit(tcp.out_of_order_packets_max, r.tcp.OutOfOrderPacketsFull);
  limits["tcp_disordered_connections"] =
      Limit(tcp.disordered_connections_max, r.tcp.DisorderedConnectionsFull);
  limits["tcp_scoreboards"] = Limit(tcp.scoreboards_max, r.tcp.ScoreboardsFull);
  limits["tcp_resets_per_second"] = Limit(tcp.resets_per_second, r.tcp.ResetsLimited);
  limits["udp_sockets"] = Limit(udp.sockets_max, r.open_datagram_sockets, r.udp.UdpSocketsFull);
  limits["udp_receive_datagrams"] = Limit(udp.receive_datagrams_max, r.udp.UdpReceiveDatagramsFull);
  limits["udp_memberships"] = Limit(udp.memberships_max, r.udp.UdpMembershipsFull);
  limits["udp_error_reports"] = Limit(udp.error_reports_max, r.udp.UdpErrorReportsFull);
}

void AddInternetLimits(const EngineFacts& facts, json& limits) {
  const engine::Report& r = facts.report;
  const ip::StackConfig& ip = facts.config.ip;
  limits["routes"] = Limit(ip.routes_max, r.routes.size(), r.ip.RouteTableFull);
  limits["neighbors"] = Limit(ip.neighbors_max, r.neighbors.size(), r.ip.NeighborTableFull);
  limits["neighbor_queue_packets"] = Limit(ip.neighbor_queue_packets_max, r.ip.NeighborQueueFull);
  limits["destinations"] = Limit(ip.destinations_max, r.ip.DestinationTableFull);
  limits["reassembly_datagrams"] = Limit(ip.reassembly_datagrams_max, r.ip.ReassemblyDatagramsFull);
  limits["reassembly_fragments"] = Limit(ip.reassembly_fragments_max, r.ip.ReassemblyFragmentsFull);
  limits["groups"] = Limit(ip.groups_max, r.ip.GroupTableFull);
  limits["memberships"] = Limit(ip.memberships_max, r.ip.MembershipTableFull);
  limits["loop_queue_packets"] = Limit(ip.loop_queue_packets, r.ip.LoopQueueFull);
  limits["icmp_per_second"] = Limit(ip.icmp_per_second, r.ip.IcmpOutRateLimitGlobal);
}

}  // namespace

json LimitsJson(const EngineFacts& facts) {
  const table::RegionLimits& region = facts.region->limits();
  const table::RegionHeader& header = facts.region->header();
  json limits;
  limits["buffers"] = PoolJson(header.buffers, region.buffers, facts.region->buffers_used());
  limits["blocks"] = PoolJson(header.blocks, region.blocks, facts.region->blocks_used());
  limits["buffer_bytes"] = {{"limit", region.buffer_bytes}};
  if (!facts.answered) {
    limits["sockets"] = {{"limit", region.sockets}};
    return limits;
  }
  limits["sockets"] =
      Limit(region.sockets, facts.report.open_sockets, facts.report.table.refused_sockets);
  AddTransportLimits(facts, limits);
  AddInternetLimits(facts, limits);
  return limits;
}

json CountersJson(const engine::Report& report) {
  json counters = json::object();
  const auto add = [&](const char* name, uint64_t value) { counters[name] = value; };
  report.ip.ForEach(add);
  report.tcp.ForEach([&](const char* name, uint64_t value) {
    // Own names that the internet layer has too get their layer's.
    const std::string key = counters.contains(name) ? "Tcp" + std::string(name) : name;
    counters[key] = value;
  });
  report.udp.ForEach(add);
  report.engine.ForEach(
      [&](const char* name, uint64_t value) { counters["Engine" + std::string(name)] = value; });
  const table::TableCounters& t = report.table;
  counters["TableOpened"] = t.opened;
  counters["TableClosed"] = t.closed;
  counters["TableRefusedSockets"] = t.refused_sockets;
  counters["TableStaleHandles"] = t.stale_handles;
  counters["TableEvents"] = t.events;
  counters["TableIllegalChanges"] = t.illegal_changes;
  return counters;
}

json EngineJson(const EngineFacts& facts) {
  json engine;
  engine["lane"] = facts.lane;
  engine["state"] = facts.state;
  engine["answered"] = facts.answered;
  engine["limits"] = LimitsJson(facts);
  const engine::Report& r = facts.report;
  for (const char* list : {"ports", "interfaces", "routes", "neighbors"}) {
    engine[list] = json::array();
  }
  if (!facts.answered) return engine;
  engine["taken_at_ns"] = r.taken_at.nanoseconds();
  for (const engine::PortReport& port : r.ports) engine["ports"].push_back(PortJson(port));
  for (const ip::InterfaceView& i : r.interfaces) {
    engine["interfaces"].push_back(InterfaceJson(i));
  }
  for (const ip::Route& route : r.routes) engine["routes"].push_back(RouteJson(route));
  for (const ip::NeighborView& n : r.neighbors) engine["neighbors"].push_back(NeighborJson(n));
  engine["population"] = {
      {"connections", r.population.connections},   {"listeners", r.population.listeners},
      {"syn_received", r.population.syn_received}, {"time_wait", r.population.time_wait},
      {"orphans", r.population.orphans},           {"datagram_sockets", r.open_datagram_sockets}};
  engine["counters"] = CountersJson(r);
  return engine;
}

}  // namespace sluice::observe
