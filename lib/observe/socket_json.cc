#include "observe/socket_json.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <span>

#include "observe/names.h"
#include "table/index_pool.h"
#include "wire/address.h"

namespace sluice::observe {
namespace {

using nlohmann::json;
using table::Entry;

json Names(uint64_t bits, std::span<const BitName> names) {
  json list = json::array();
  for (const BitName& each : names) {
    if ((bits & each.bit) != 0) list.push_back(each.name);
  }
  return list;
}

// An address that is not set reads as the family's own "any".
json EndpointJson(const wire::Endpoint& endpoint, uint8_t family) {
  wire::IpAddress address = endpoint.address;
  if (family == AF_INET && address == wire::IpAddress::AnyV6()) address = wire::IpAddress::AnyV4();
  return {{"address", wire::ToString(address)}, {"port", endpoint.port}, {"scope", endpoint.scope}};
}

json OptionsJson(const table::Options& o) {
  json options;
  const uint64_t flags = o.flags.load();
  for (const BitName& each : kOptionNames) {
    options[std::string(each.name)] = (flags & each.bit) != 0;
  }
  options["receive_timeout_ns"] = o.receive_timeout_ns.load();
  options["send_timeout_ns"] = o.send_timeout_ns.load();
  options["send_buffer_bytes"] = o.send_buffer_bytes.load();
  options["receive_buffer_bytes"] = o.receive_buffer_bytes.load();
  options["receive_low_water_bytes"] = o.receive_low_water_bytes.load();
  options["not_sent_low_water_bytes"] = o.not_sent_low_water_bytes.load();
  options["linger_s"] = o.linger_s.load();
  options["keepalive_idle_s"] = o.keepalive_idle_s.load();
  options["keepalive_interval_s"] = o.keepalive_interval_s.load();
  options["keepalive_count"] = o.keepalive_count.load();
  options["user_timeout_ms"] = o.user_timeout_ms.load();
  options["defer_accept_s"] = o.defer_accept_s.load();
  options["fin_wait2_timeout_s"] = o.fin_wait2_timeout_s.load();
  options["window_clamp_bytes"] = o.window_clamp_bytes.load();
  options["priority"] = o.priority.load();
  options["mark"] = o.mark.load();
  options["maximum_segment_bytes"] = o.maximum_segment_bytes.load();
  options["bound_interface"] = o.bound_interface.load();
  options["multicast_interface_v4"] = o.multicast_interface_v4.load();
  options["multicast_interface_v6"] = o.multicast_interface_v6.load();
  options["syn_retries"] = o.syn_retries.load();
  options["ttl"] = o.ttl.load();
  options["hop_limit"] = o.hop_limit.load();
  options["tos"] = o.tos.load();
  options["traffic_class"] = o.traffic_class.load();
  options["multicast_ttl"] = o.multicast_ttl.load();
  options["multicast_hops"] = o.multicast_hops.load();
  options["mtu_discover_v4"] = ToString(o.mtu_discover_v4.load());
  options["mtu_discover_v6"] = ToString(o.mtu_discover_v6.load());
  options["congestion"] = ToString(o.congestion.load());
  options["minimum_ttl"] = o.minimum_ttl.load();
  return options;
}

std::string_view ProtocolName(uint8_t protocol) {
  if (protocol == IPPROTO_TCP) return "tcp";
  if (protocol == IPPROTO_UDP) return "udp";
  return "unknown";
}

std::string_view FamilyName(uint8_t family) {
  if (family == AF_INET) return "inet";
  if (family == AF_INET6) return "inet6";
  return "unknown";
}

std::string_view StatusName(table::Status status) {
  return static_cast<int>(status) < table::kStatusCount ? table::ToString(status) : "unknown";
}

void AddQueues(const Entry& e, json& socket) {
  socket["send_queue"] = {
      {"bytes", table::SendQueueBytes(e)},
      {"descriptors", e.send_producer.tail.load() - e.send_consumer.head.load()},
      {"limit_bytes", e.options.send_buffer_bytes.load()}};
  socket["receive_queue"] = {
      {"bytes", table::ReceiveQueueBytes(e)},
      {"descriptors", e.receive_producer.tail.load() - e.receive_consumer.head.load()},
      {"limit_bytes", e.options.receive_buffer_bytes.load()}};
  // What is not a listener keeps its error queue in the same ring.
  const bool listens = e.status.load() == table::Status::kListening;
  socket["connection_queue"] = {{"length", listens ? table::ConnectionQueueLength(e) : 0},
                                {"limit", e.backlog.load()}};
  socket["error_queue"] = {
      {"length", e.type.load() == table::Type::kStream ? 0 : table::ConnectionQueueLength(e)}};
}

}  // namespace

json SocketJson(const Entry& e, uint32_t slot, const std::vector<std::string>& devices) {
  const uint8_t family = e.family.load();
  const uint32_t application = e.application_flags.load();
  const uint16_t device = e.interface.load();
  json socket;
  socket["id"] = e.socket_id.load();
  socket["slot"] = slot;
  socket["generation"] = e.generation.load();
  const uint32_t descriptor = e.descriptor.load();
  socket["descriptor"] = descriptor == table::kNone ? json() : json(descriptor);
  socket["process_id"] = e.process_id.load();
  socket["engine"] = e.engine.load();
  socket["type"] = ToString(e.type.load());
  socket["protocol"] = ProtocolName(e.protocol.load());
  socket["family"] = FamilyName(family);
  socket["local"] = EndpointJson(e.local.Load(), family);
  socket["remote"] = EndpointJson(e.remote.Load(), family);
  socket["device"] = {{"index", device},
                      {"name", device < devices.size() ? devices[device] : std::string()}};
  socket["status"] = StatusName(e.status.Acquire());
  socket["activity"] = Names(table::ActivityOf(e), kActivityNames);
  socket["blocking"] = (application & table::kNonBlocking) == 0;
  socket["event_mask"] = Names(e.event_mask.load(), kEventNames);
  socket["readiness"] = Names(table::Readiness(e), kEventNames);
  socket["engine_flags"] = Names(e.engine_flags.load(), kEngineFlagNames);
  socket["application_flags"] = Names(application, kApplicationFlagNames);
  socket["error"] = ToString(static_cast<table::Result>(e.error.load()));
  socket["close_reason"] = ToString(static_cast<table::Result>(e.close_reason.load()));
  socket["urgent_position"] = e.urgent_position.load();
  AddQueues(e, socket);
  socket["options"] = OptionsJson(e.options);
  return socket;
}

json TcpJson(const table::TcpInformation& i) {
  return {{"state", TcpStateName(i.state)},
          {"congestion_state", i.congestion_state},
          {"retransmits", i.retransmits},
          {"probes", i.probes},
          {"backoff", i.backoff},
          {"timestamps", i.timestamps != 0},
          {"sack", i.sack != 0},
          {"window_scaling", i.window_scaling != 0},
          {"ecn", i.ecn != 0},
          {"send_scale", i.send_scale},
          {"receive_scale", i.receive_scale},
          {"rto_us", i.rto_us},
          {"ato_us", i.ato_us},
          {"srtt_us", i.srtt_us},
          {"rttvar_us", i.rttvar_us},
          {"min_rtt_us", i.min_rtt_us},
          {"send_mss", i.send_mss},
          {"receive_mss", i.receive_mss},
          {"advertised_mss", i.advertised_mss},
          {"path_mtu", i.path_mtu},
          {"unacked_segments", i.unacked_segments},
          {"sacked_segments", i.sacked_segments},
          {"lost_segments", i.lost_segments},
          {"retransmitted_segments", i.retransmitted_segments},
          {"send_ssthresh_segments", i.send_ssthresh_segments},
          {"send_cwnd_segments", i.send_cwnd_segments},
          {"reordering_segments", i.reordering_segments},
          {"receive_ssthresh_bytes", i.receive_ssthresh_bytes},
          {"receive_space_bytes", i.receive_space_bytes},
          {"send_window_bytes", i.send_window_bytes},
          {"not_sent_bytes", i.not_sent_bytes},
          {"last_data_sent_ms", i.last_data_sent_ms},
          {"last_data_received_ms", i.last_data_received_ms},
          {"last_ack_received_ms", i.last_ack_received_ms},
          {"total_retransmits", i.total_retransmits},
          {"bytes_acked", i.bytes_acked},
          {"bytes_received", i.bytes_received},
          {"bytes_sent", i.bytes_sent},
          {"bytes_retransmitted", i.bytes_retransmitted},
          {"segments_out", i.segments_out},
          {"segments_in", i.segments_in},
          {"data_segments_out", i.data_segments_out},
          {"data_segments_in", i.data_segments_in},
          {"busy_time_us", i.busy_time_us},
          {"pacing_rate_bytes", i.pacing_rate_bytes},
          {"delivery_rate_bytes", i.delivery_rate_bytes}};
}

}  // namespace sluice::observe
