// The list of all settings: their keys, ranges and words. Each Visit names every field of one
// struct once; readers, writers and listers are the visitors. Internal to the configuration.
#pragma once

#include "runtime/configuration.h"

namespace sluice::runtime {

template <typename Enum>
struct Word {
  const char* text;
  Enum value;
};

inline constexpr Word<Progress> kProgressWords[] = {
    {"inline", Progress::kInline}, {"threads", Progress::kThreads}, {"manual", Progress::kManual}};
inline constexpr Word<Callers> kCallerWords[] = {{"many", Callers::kMany}, {"one", Callers::kOne}};
inline constexpr Word<Descriptors> kDescriptorWords[] = {{"kernel", Descriptors::kKernel},
                                                         {"own", Descriptors::kOwn}};
inline constexpr Word<Loopback> kLoopbackWords[] = {{"kernel", Loopback::kKernel},
                                                    {"sluice", Loopback::kSluice}};
inline constexpr Word<HugepageUse> kHugepageWords[] = {{"auto", HugepageUse::kAuto},
                                                       {"never", HugepageUse::kNever},
                                                       {"require", HugepageUse::kRequire}};
inline constexpr Word<LogLevel> kLogLevelWords[] = {{"error", LogLevel::kError},
                                                    {"warning", LogLevel::kWarning},
                                                    {"notice", LogLevel::kNotice},
                                                    {"info", LogLevel::kInfo},
                                                    {"debug", LogLevel::kDebug}};
inline constexpr Word<CongestionControl> kCongestionWords[] = {
    {"cubic", CongestionControl::kCubic}, {"newreno", CongestionControl::kNewReno}};
inline constexpr Word<SynCookies> kSynCookieWords[] = {{"auto", SynCookies::kAuto},
                                                       {"never", SynCookies::kNever}};

template <typename Visitor>
void Visit(Visitor& v, InterfaceSettings& s) {
  v.Text("name", s.name);
  v.Text("device", s.device);
  v.List("addresses", s.addresses);
  v.List("gateways", s.gateways);
  v.Optional("mac", s.mac);
  v.Number("mtu", s.mtu, 0, 65000);
  v.Number("vlan", s.vlan, 0, 4094);
  v.Number("queues", s.queues, 1, 64);
  v.Bool("ipv6", s.ipv6);
  v.Bool("slaac", s.slaac);
  v.Bool("detect_duplicates", s.detect_duplicates);
  v.Bool("trusted_link", s.trusted_link);
  v.Require("device", !s.device.empty(), "a PCI address or net_af_packet0,iface=eth1");
}

template <typename Visitor>
void Visit(Visitor& v, RouteSettings& s) {
  v.Value("to", s.to);
  v.Optional("via", s.via);
  v.Text("interface", s.interface);
  v.Number("metric", s.metric, 0, 0xffffffff);
  v.RequireGiven("to", "a prefix like 0.0.0.0/0");
}

template <typename Visitor>
void Visit(Visitor& v, EngineSettings& s) {
  v.Number("count", s.count, 1, 64);
  v.List("cores", s.cores);
  v.Number("spin_us", s.spin_us, 0, 1'000'000);
  v.Number("nap_us", s.nap_us, 1, 100'000);
  v.Number("nap_us_max", s.nap_us_max, 1, 100'000);
  v.Number("burst", s.burst, 1, 64);
}

template <typename Visitor>
void Visit(Visitor& v, LimitSettings& s) {
  v.Number("sockets", s.sockets, 16, 1u << 24);
  v.Number("buffers", s.buffers, 64, 1u << 24);
  v.Number("buffer_bytes", s.buffer_bytes, 256, 32768);
  v.Number("ring_blocks", s.ring_blocks, 0, 1u << 24);
  v.Number("mbufs", s.mbufs, 1024, 1u << 24);
  v.Number("connection_queue_max", s.connection_queue_max, 1, 65535);
  v.Number("syn_backlog", s.syn_backlog, 1, 1u << 20);
  v.Number("time_wait_max", s.time_wait_max, 0, 1u << 24);
  v.Number("out_of_order_packets", s.out_of_order_packets, 16, 1u << 24);
  v.Number("neighbors", s.neighbors, 8, 1u << 20);
  v.Number("neighbor_queue_packets", s.neighbor_queue_packets, 1, 1024);
  v.Number("routes", s.routes, 8, 1u << 20);
  v.Number("destinations", s.destinations, 8, 1u << 20);
  v.Number("reassembly_datagrams", s.reassembly_datagrams, 1, 65535);
  v.Number("reassembly_fragments", s.reassembly_fragments, 2, 1u << 20);
  v.Number("memberships", s.memberships, 1, 1u << 20);
}

template <typename Visitor>
void Visit(Visitor& v, TcpSettings& s) {
  constexpr uint32_t kBufferMin = 2048;
  constexpr uint32_t kBufferMax = 1u << 30;  // RFC 7323 section 2.3: the largest window
  v.Enum("congestion", s.congestion, kCongestionWords);
  v.Number("receive_buffer_bytes", s.receive_buffer_bytes, kBufferMin, kBufferMax);
  v.Number("receive_buffer_bytes_max", s.receive_buffer_bytes_max, kBufferMin, kBufferMax);
  v.Number("send_buffer_bytes", s.send_buffer_bytes, kBufferMin, kBufferMax);
  v.Number("send_buffer_bytes_max", s.send_buffer_bytes_max, kBufferMin, kBufferMax);
  v.Bool("sack", s.sack);
  v.Bool("timestamps", s.timestamps);
  v.Bool("window_scaling", s.window_scaling);
  v.Enum("syncookies", s.syncookies, kSynCookieWords);
  v.Number("initial_window_segments", s.initial_window_segments, 1, 1000);
  v.Number("keepalive_idle_s", s.keepalive_idle_s, 1, 32767);
  v.Number("keepalive_interval_s", s.keepalive_interval_s, 1, 32767);
  v.Number("keepalive_count", s.keepalive_count, 1, 127);
  v.Number("delayed_ack_ms", s.delayed_ack_ms, 0, 500);  // RFC 1122 section 4.2.3.2
  v.Number("min_rto_ms", s.min_rto_ms, 1, 60'000);
  v.Number("time_wait_s", s.time_wait_s, 0, 600);
  v.Number("fin_wait2_s", s.fin_wait2_s, 1, 3600);
  v.Number("syn_retries", s.syn_retries, 1, 127);
  v.Number("retries", s.retries, 1, 127);
}

template <typename Visitor>
void Visit(Visitor& v, Configuration& s) {
  v.Text("name", s.name);
  v.Text("run_directory", s.run_directory);
  v.Enum("progress", s.progress, kProgressWords);
  v.Enum("descriptors", s.descriptors, kDescriptorWords);
  v.Enum("callers", s.callers, kCallerWords);
  v.Enum("log_level", s.log_level, kLogLevelWords);
  v.Text("capture_file", s.capture_file);
  v.Structs("interfaces", s.interfaces);
  v.Structs("routes", s.routes);
  v.Enum("loopback", s.loopback, kLoopbackWords);
  v.List("kernel_prefixes", s.kernel_prefixes);
  v.Value("ephemeral_ports", s.ephemeral_ports);
  v.List("eal_arguments", s.eal_arguments);
  v.Enum("hugepages", s.hugepages, kHugepageWords);
  v.Number("memory_mib", s.memory_mib, 0, 1u << 20);
  v.Struct("engine", s.engine);
  v.Struct("limits", s.limits);
  v.Struct("tcp", s.tcp);
}

}  // namespace sluice::runtime
