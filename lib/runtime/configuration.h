// What a user can set: plain values, with the default of each beside it. YAML, environment
// variables and single settings fill it in; one list of fields (configuration_fields.h) serves them
// all, so that no setting exists in one of them only.
//
//   absl::StatusOr<Configuration> configuration = LoadConfiguration("sluice.yaml");
//   if (!configuration.ok()) ...  // "sluice: sluice.yaml:3:5: unknown key 'adress' (did you ..."
//   absl::Status status = ApplyEnvironment(environ, &*configuration);
//
// Every error is one line that begins with "sluice: " and says where and what. Keys that nobody
// knows are errors. Any thread; nothing is shared.
//
//   interfaces:
//     - device: net_af_packet0,iface=veth1
//       addresses: [192.0.2.1/24, "2001:db8::1/64"]
//       gateways: 192.0.2.254
//   limits: { sockets: 100000 }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wire/address.h"

namespace sluice::runtime {

enum class Progress : uint8_t {
  kInline,   // whoever waits in a call runs the engine
  kThreads,  // a thread for each engine
  kManual,   // the program calls sluice_poll
};
enum class Descriptors : uint8_t {
  kKernel,  // a socket's number is reserved in the kernel
  kOwn,     // it lies above the kernel's
};
enum class Callers : uint8_t {
  kMany,  // any thread may make any call at any time
  kOne,   // one thread makes all calls
};
enum class Loopback : uint8_t { kKernel, kSluice };
enum class HugepageUse : uint8_t { kAuto, kNever, kRequire };
enum class LogLevel : uint8_t { kError, kWarning, kNotice, kInfo, kDebug };
enum class CongestionControl : uint8_t { kCubic, kNewReno };
enum class SynCookies : uint8_t { kAuto, kNever };

// What stands in an interface's `device` for a port of the embedding program's own.
inline constexpr std::string_view kCallbackDevice = "callback";

struct InterfaceSettings {
  std::string name;                     // default: "sluice0", "sluice1" ... in the order given
  std::string device;                   // PCI address, or virtual device as DPDK takes it; required
  std::vector<wire::Prefix> addresses;  // "192.0.2.1/24", "2001:db8::1/64"
  std::vector<wire::IpAddress> gateways;  // default routes, at most one a family
  std::optional<wire::MacAddress> mac;    // default: the device's
  uint16_t mtu = 0;                       // bytes of an IP packet; 0: the device's
  uint16_t vlan = 0;                      // 802.1Q; 0: untagged
  uint16_t queues = 1;                    // queue pairs; at most one for each engine
  bool ipv6 = true;                       // a link-local address and neighbour discovery
  bool slaac = false;                     // addresses and routes from router advertisements
  bool detect_duplicates = false;         // before an address is used (RFC 4862, RFC 5227)
  bool trusted_link = false;  // net_memif between processes of one machine: no checksums
};

struct RouteSettings {
  wire::Prefix to;                     // required; "0.0.0.0/0" and "::/0" are default routes
  std::optional<wire::IpAddress> via;  // default: on-link
  std::string interface;               // default: the one that `via` is on
  uint32_t metric = 0;                 // smaller is better
};

struct PortRange {
  uint16_t low = 32768;
  uint16_t high = 60999;
};

struct EngineSettings {
  uint16_t count = 1;           // engines; several need progress: threads
  std::vector<uint16_t> cores;  // where each engine's thread runs; missing: anywhere
  uint32_t spin_us = 200;       // busy after the last work, before sleeping
  uint32_t nap_us = 50;         // first nap where a port has no wake descriptor; naps then double
  uint32_t nap_us_max = 2000;   // up to this
  uint16_t burst = 32;          // frames received at once
};

// Full means: refused, with an errno for the program and a counter that shows it.
struct LimitSettings {
  uint32_t sockets = 16384;
  uint32_t buffers = 16384;      // payload buffers in the region, shared by all sockets
  uint32_t buffer_bytes = 2048;  // of each
  uint32_t ring_blocks = 0;      // of ring descriptors; a ring takes one when first used; 0: four
                                 // for each socket
  uint32_t mbufs = 16384;        // packet buffers of each interface queue
  uint32_t connection_queue_max = 4096;   // the largest backlog of listen (somaxconn)
  uint32_t syn_backlog = 4096;            // half-open connections of all listeners
  uint32_t time_wait_max = 32768;         // connections in TIME-WAIT
  uint32_t out_of_order_packets = 8192;   // held by all connections together
  uint32_t neighbors = 1024;              // ARP and neighbour discovery entries
  uint32_t neighbor_queue_packets = 256;  // waiting for one neighbour's address
  uint32_t routes = 16384;
  uint32_t destinations = 1024;          // path MTU records
  uint32_t reassembly_datagrams = 64;    // being reassembled at a time
  uint32_t reassembly_fragments = 1024;  // held for them
  uint32_t memberships = 1024;           // multicast, of all sockets
};

struct TcpSettings {
  CongestionControl congestion = CongestionControl::kCubic;
  uint32_t receive_buffer_bytes = 131072;  // of a new socket; grows as needed
  uint32_t receive_buffer_bytes_max = 6291456;
  uint32_t send_buffer_bytes = 87040;
  uint32_t send_buffer_bytes_max = 4194304;
  bool sack = true;                           // RFC 2018
  bool timestamps = true;                     // RFC 7323
  bool window_scaling = true;                 // RFC 7323
  SynCookies syncookies = SynCookies::kAuto;  // auto: when syn_backlog is full
  uint32_t initial_window_segments = 10;      // RFC 6928
  uint32_t keepalive_idle_s = 7200;           // of sockets that set SO_KEEPALIVE
  uint32_t keepalive_interval_s = 75;
  uint32_t keepalive_count = 9;
  uint32_t delayed_ack_ms = 40;  // RFC 1122 section 4.2.3.2
  uint32_t min_rto_ms = 200;     // RFC 6298 section 2.4 lets an implementation choose below 1 s
  uint32_t time_wait_s = 60;
  uint32_t fin_wait2_s = 60;  // of sockets that the program has closed
  uint32_t syn_retries = 6;
  uint32_t retries = 15;  // of data, before the connection is given up
};

struct Configuration {
  std::string name;  // of this instance, for `sluice ss`; default: the program's
  std::string run_directory = "/run/sluice";  // control sockets
  Progress progress = Progress::kInline;
  // Programs that are run by `sluice run` have the kernel's whatever stands here.
  Descriptors descriptors = Descriptors::kKernel;
  Callers callers = Callers::kMany;
  LogLevel log_level = LogLevel::kWarning;
  std::string capture_file;  // pcapng of all frames; default: none

  std::vector<InterfaceSettings> interfaces;
  std::vector<RouteSettings> routes;
  // Who has 127.0.0.0/8 and ::1: the kernel, or Sluice, so that sockets of one process meet inside.
  Loopback loopback = Loopback::kKernel;
  // Destinations that are left to the kernel, beside loopback if that is.
  std::vector<wire::Prefix> kernel_prefixes;
  PortRange ephemeral_ports;

  std::vector<std::string> eal_arguments;  // passed to DPDK as they stand
  HugepageUse hugepages = HugepageUse::kAuto;
  uint32_t memory_mib = 0;  // for DPDK; 0: as the limits need

  EngineSettings engine;
  LimitSettings limits;
  TcpSettings tcp;

  // All settings, in a form that ParseConfiguration takes back.
  std::string ToYaml() const;
};

// `name` is what errors call the text. An empty text is a configuration of defaults.
absl::StatusOr<Configuration> ParseConfiguration(std::string_view yaml, std::string_view name);
absl::StatusOr<Configuration> LoadConfiguration(const std::string& path);

// Sets one value by its path: ("limits.sockets", "1000"). Values are YAML, so lists work:
// ("kernel_prefixes", "[10.0.0.0/8]"). `where` begins the error: "--set limits.sockets".
absl::Status ApplySetting(std::string_view path, std::string_view value, std::string_view where,
                          Configuration* configuration);

// SLUICE_CONFIG (a path) and SLUICE_CONFIG_INLINE (YAML) replace what was there; then
// SLUICE_<PATH> sets single values, SLUICE_LIMITS_SOCKETS=1000. A name that is nearly one of these
// is an error, others that begin with SLUICE_ are left to others. `environment` as `environ`.
absl::Status ApplyEnvironment(const char* const* environment, Configuration* configuration);
// The names that ApplyEnvironment looks for.
std::vector<std::string> EnvironmentNames();

// Rules that span several settings: two interfaces of one name, a gateway that no interface
// reaches ... Also fills in the names of interfaces. The functions above do not call it, since
// later ones may mend what earlier ones left open; whoever uses the configuration does.
absl::Status FinishConfiguration(Configuration* configuration);

}  // namespace sluice::runtime
