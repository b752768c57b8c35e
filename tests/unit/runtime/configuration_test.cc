// The configuration: what it accepts, the exact words of its errors, and that what it writes it
// reads back.

#include "runtime/configuration.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <string>

#include "runtime/configuration_values.h"

namespace sluice::runtime {
namespace {

Configuration Parse(const std::string& yaml) {
  absl::StatusOr<Configuration> configuration = ParseConfiguration(yaml, "config.yaml");
  INFO(configuration.status().ToString());
  REQUIRE(configuration.ok());
  return *std::move(configuration);
}

std::string Error(const std::string& yaml) {
  absl::StatusOr<Configuration> configuration = ParseConfiguration(yaml, "config.yaml");
  if (!configuration.ok()) return std::string(configuration.status().message());
  const absl::Status status = FinishConfiguration(&*configuration);
  return std::string(status.message());
}

constexpr char kFull[] = R"(
name: web
run_directory: /tmp/run
progress: threads
log_level: debug
capture_file: all.pcapng
interfaces:
  - name: lan
    device: net_af_packet0,iface=veth1
    addresses: [192.0.2.1/24, "2001:db8::1/64"]
    gateways: [192.0.2.254, 2001:db8::ffff]
    mac: 02:00:00:00:00:01
    mtu: 9000
    vlan: 7
    queues: 2
    slaac: yes
  - device: 0000:00:05.0
    queues: 2
    addresses: 10.0.0.1/8
routes:
  - {to: 203.0.113.0/24, via: 192.0.2.2, metric: 5}
  - {to: 0.0.0.0/0, interface: lan}
loopback: sluice
kernel_prefixes: [198.51.100.0/24]
ephemeral_ports: 40000-50000
eal_arguments: [--log-level=8, -n, 4]
hugepages: require
memory_mib: 512
engine: {count: 2, cores: [3, 5], spin_us: 0, burst: 16}
limits: {sockets: 100000, mbufs: 0x8000}
tcp:
  congestion: newreno
  sack: false
  syncookies: never
  min_rto_ms: 1
)";

TEST_CASE("an empty configuration has the documented defaults") {
  const Configuration c = Parse("");
  CHECK(c.run_directory == "/run/sluice");
  CHECK(c.progress == Progress::kInline);
  CHECK(c.loopback == Loopback::kKernel);
  CHECK(c.hugepages == HugepageUse::kAuto);
  CHECK(c.interfaces.empty());
  CHECK(c.ephemeral_ports.low == 32768);
  CHECK(c.ephemeral_ports.high == 60999);
  CHECK(c.tcp.congestion == CongestionControl::kCubic);
  CHECK(c.tcp.keepalive_idle_s == 7200);
  CHECK(c.engine.count == 1);
}

TEST_CASE("every kind of setting is read") {
  Configuration c = Parse(kFull);
  REQUIRE(FinishConfiguration(&c).ok());
  CHECK(c.name == "web");
  CHECK(c.progress == Progress::kThreads);
  CHECK(c.log_level == LogLevel::kDebug);
  REQUIRE(c.interfaces.size() == 2);
  const InterfaceSettings& lan = c.interfaces[0];
  CHECK(lan.name == "lan");
  CHECK(lan.device == "net_af_packet0,iface=veth1");
  REQUIRE(lan.addresses.size() == 2);
  CHECK(wire::ToString(lan.addresses[1]) == "2001:db8::1/64");
  CHECK(lan.gateways.size() == 2);
  CHECK(wire::ToString(lan.mac.value()) == "02:00:00:00:00:01");
  CHECK(lan.mtu == 9000);
  CHECK(lan.vlan == 7);
  CHECK(lan.slaac);
  CHECK(c.interfaces[1].name == "sluice1");
  CHECK(c.interfaces[1].device == "0000:00:05.0");
  CHECK(c.interfaces[1].addresses.size() == 1);
  REQUIRE(c.routes.size() == 2);
  CHECK(c.routes[0].metric == 5);
  CHECK(c.routes[1].interface == "lan");
  CHECK(c.loopback == Loopback::kSluice);
  CHECK(c.kernel_prefixes.size() == 1);
  CHECK(c.ephemeral_ports.low == 40000);
  CHECK(c.eal_arguments == std::vector<std::string>{"--log-level=8", "-n", "4"});
  CHECK(c.hugepages == HugepageUse::kRequire);
  CHECK(c.engine.spin_us == 0);
  CHECK(c.limits.mbufs == 0x8000);
  CHECK(c.tcp.congestion == CongestionControl::kNewReno);
  CHECK_FALSE(c.tcp.sack);
  CHECK(c.tcp.syncookies == SynCookies::kNever);
}

TEST_CASE("what is written reads back to the same, for defaults and for everything set") {
  const char* yaml = GENERATE("", kFull);
  const std::string once = Parse(yaml).ToYaml();
  CHECK(Parse(once).ToYaml() == once);
  CHECK(once.find("keepalive_idle_s: 7200") != std::string::npos);
}

TEST_CASE("errors name line and column, and what to do") {
  CHECK(Error("interfaces:\n  - device: net_null0\n    adresses: [10.0.0.1/8]\n") ==
        "sluice: config.yaml:3:5: unknown key 'adresses' (did you mean 'addresses'?)");
  CHECK(Error("limits:\n  sockets: many\n") ==
        "sluice: config.yaml:2:12: sockets must be a number from 16 to 16777216, not 'many'");
  CHECK(Error("limits: {sockets: 1}") ==
        "sluice: config.yaml:1:19: sockets must be a number from 16 to 16777216, not '1'");
  CHECK(Error("limits: {sockets: -5}") ==
        "sluice: config.yaml:1:19: sockets must be a number from 16 to 16777216, not '-5'");
  CHECK(Error("tcp: {congestion: cubik}") ==
        "sluice: config.yaml:1:19: congestion must be one of cubic, newreno, not 'cubik' (did you "
        "mean 'cubic'?)");
  CHECK(Error("tcp: {sack: maybe}") ==
        "sluice: config.yaml:1:13: sack must be true or false, not 'maybe'");
  CHECK(Error("interfaces:\n- addresses: 10.0.0.1/8\n") ==
        "sluice: config.yaml:2:3: 'device' is missing; give a PCI address or "
        "net_af_packet0,iface=eth1");
  CHECK(Error("interfaces:\n- device: net_null0\n  addresses: [10.0.0.1/33]\n") ==
        "sluice: config.yaml:3:15: addresses must be an address with its prefix length, like "
        "192.0.2.1/24 or 2001:db8::1/64, not '10.0.0.1/33'");
  CHECK(Error("interfaces: net_null0\n") ==
        "sluice: config.yaml:1:13: interfaces must be a list (lines that begin with '-'), "
        "not 'net_null0'");
  CHECK(Error("interfaces: [net_null0]\n") ==
        "sluice: config.yaml:1:14: interfaces must be a list of settings (- key: value), "
        "not 'net_null0'");
  CHECK(Error("limits: 5\n") ==
        "sluice: config.yaml:1:9: limits must be settings of its own (key: value), not '5'");
  CHECK(Error("ephemeral_ports: 5000-4000") ==
        "sluice: config.yaml:1:18: ephemeral_ports must be a range of ports like 32768-60999, not "
        "'5000-4000'");
  CHECK(Error("routes:\n- via: 10.0.0.1\n") ==
        "sluice: config.yaml:2:3: 'to' is missing; give a prefix like 0.0.0.0/0");
  CHECK(Error("name: a\nname: b\n") == "sluice: config.yaml:2:1: key 'name' is given twice");
  CHECK(Error("just words") ==
        "sluice: config.yaml:1:1: settings must be lines of the form 'key: value'");
  CHECK(Error("- a\n- b\n") ==
        "sluice: config.yaml:1:1: settings must be lines of the form 'key: value'");
}

TEST_CASE("of several errors the first in the text is told") {
  CHECK(Error("tcp: {sack: 7}\nnam: x\nlimits: {sockets: 1}\n") ==
        "sluice: config.yaml:1:13: sack must be true or false, not '7'");
  CHECK(Error("nam: x\ntcp: {sack: 7}\n") ==
        "sluice: config.yaml:1:1: unknown key 'nam' (did you mean 'name'?)");
}

TEST_CASE("text that is no YAML is an error with a place, and never more than one line") {
  for (const char* yaml : {"a: [1, 2", "a: 'x", "\t- x", "a: b: c", "{{{{", "a: *nothing", "? ? ?",
                           "%YAML 9.9\n---\na", "\"a\\qb\": 1", "limits: {\"x\\ny\": 1}"}) {
    INFO(yaml);
    const std::string error = Error(yaml);
    CHECK_THAT(error, Catch::StartsWith("sluice: config.yaml"));
    CHECK(error.find('\n') == std::string::npos);
  }
  CHECK_FALSE(ParseConfiguration(std::string(5000, '['), "deep").ok());
  CHECK_FALSE(ParseConfiguration(std::string((1 << 20) + 1, ' '), "large").ok());
}

TEST_CASE("rules that span settings") {
  const std::string two = "interfaces:\n- {device: net_null0, name: a, %}\n";
  const auto with = [&](const std::string& text) {
    std::string yaml = two;
    return yaml.replace(yaml.find('%'), 1, text);
  };
  CHECK(Error(with("gateways: 10.0.0.1")) ==
        "sluice: interface 'a': gateway 10.0.0.1 is in none of its addresses' prefixes");
  CHECK(Error(with("addresses: 10.0.0.2/8, gateways: 10.0.0.1")).empty());
  CHECK(Error(with("gateways: \"fe80::1\"")).empty());
  CHECK(Error(with("addresses: 10.0.0.2/8, gateways: [10.0.0.1, 10.0.0.3]")) ==
        "sluice: interface 'a': one gateway a family; put others under 'routes' with a metric");
  CHECK(Error(with("mtu: 1000, addresses: \"2001:db8::1/64\"")) ==
        "sluice: interface 'a': IPv6 needs an mtu of 1280, not 1000");
  CHECK(Error(with("addresses: 224.0.0.1/4")) ==
        "sluice: interface 'a': 224.0.0.1 cannot be the address of an interface");
  CHECK(Error(with("mac: 01:00:00:00:00:00")) ==
        "sluice: interface 'a': mac 01:00:00:00:00:00 cannot be the address of an interface");
  CHECK(Error(with("queues: 1") + "engine: {count: 4}\nprogress: threads\n").empty());
  CHECK(Error(with("queues: 3") + "engine: {count: 2}\nprogress: threads\n") ==
        "sluice: interface 'a': nobody would look at 3 queues with 'engine.count' 2");
  CHECK(Error(with("queues: 1") + "engine: {count: 4}\n") ==
        "sluice: engine.count: 4 engines need 'progress: threads'");
  CHECK(Error("progress: threads\nengine: {count: 2}\n") ==
        "sluice: engine.count: 2 engines need an interface to share");
  CHECK(Error(with("queues: 1") + "engine: {count: 4}\nprogress: threads\n" +
              "limits: {sockets: 20}\n") == "sluice: limits.sockets (20) is too few for 4 engines");
  CHECK(Error(with("queues: 1") + "engine: {count: 2, cores: [0, 1, 2]}\nprogress: threads\n") ==
        "sluice: engine.cores has 3 cores, but 'engine.count' is 2");
  CHECK(Error("engine: {cores: 0}\n") ==
        "sluice: engine.cores needs 'progress: threads': else the program's threads run engines");
  CHECK(Error("interfaces:\n- {device: callback, name: a}\nengine: {count: 2}\n"
              "progress: threads\n") ==
        "sluice: interface 'a': 'device: callback' serves one engine, not 2");
  CHECK(Error(with("vlan: 0") + "- {device: net_null1, name: a}\n") ==
        "sluice: two interfaces are called 'a'");
  CHECK(Error("interfaces:\n- {device: net_null0, name: a-very-long-name}\n") ==
        "sluice: interface 'a-very-long-name': a name has at most 15 letters");
  CHECK(Error("routes:\n- {to: 10.0.0.0/8, interface: x}\n") ==
        "sluice: route 10.0.0.0/8: there is no interface 'x'");
  CHECK(Error("routes:\n- {to: 10.0.0.0/8}\n") ==
        "sluice: route 10.0.0.0/8: give 'via', 'interface' or both");
  CHECK(Error("routes:\n- {to: 10.0.0.0/8, via: \"2001:db8::1\"}\n") ==
        "sluice: route 10.0.0.0/8: 'via' 2001:db8::1 is of the other family");
  CHECK(Error("tcp: {send_buffer_bytes_max: 4096}") ==
        "sluice: tcp.send_buffer_bytes (87040) is larger than tcp.send_buffer_bytes_max (4096)");
  CHECK(Error("callers: one\nprogress: threads") ==
        "sluice: callers: one: with 'progress: threads' there are more; take out one of the two");
  CHECK(Error("callers: one\nprogress: manual").empty());
}

TEST_CASE("files: one that is missing is named") {
  const std::string message(LoadConfiguration("/nonexistent/sluice.yaml").status().message());
  CHECK(message == "sluice: cannot read /nonexistent/sluice.yaml: No such file or directory");
  CHECK(LoadConfiguration("/").status().message() == "sluice: cannot read /: Is a directory");
  char path[] = "/tmp/sluice-configuration-XXXXXX";
  const int descriptor = ::mkstemp(path);
  REQUIRE(descriptor >= 0);
  std::ofstream(path) << "name: from-a-file\n";
  CHECK(LoadConfiguration(path)->name == "from-a-file");

  const std::string variable = std::string("SLUICE_CONFIG=") + path;
  const char* environment[] = {variable.c_str(), "SLUICE_CONFIG_INLINE=log_level: info",
                               "SLUICE_LIMITS_SOCKETS=64", nullptr};
  Configuration c;
  REQUIRE(ApplyEnvironment(environment, &c).ok());
  CHECK(c.name == "from-a-file");
  CHECK(c.log_level == LogLevel::kInfo);
  CHECK(c.limits.sockets == 64);
  std::remove(path);
}

TEST_CASE("single settings by path") {
  Configuration c;
  CHECK(ApplySetting("limits.sockets", "99", "--set", &c).ok());
  CHECK(c.limits.sockets == 99);
  CHECK(ApplySetting("log_level", "error", "--set", &c).ok());
  CHECK(c.log_level == LogLevel::kError);
  CHECK(ApplySetting("kernel_prefixes", "[10.0.0.0/8, 192.0.2.0/24]", "--set", &c).ok());
  CHECK(c.kernel_prefixes.size() == 2);
  CHECK(ApplySetting("interfaces", "[{device: net_null0}]", "--set", &c).ok());
  CHECK(c.interfaces.size() == 1);
  CHECK(ApplySetting("limits.sokets", "1", "--set limits.sokets", &c).message() ==
        "sluice: --set limits.sokets: no such setting (did you mean 'limits.sockets'?)");
  CHECK(ApplySetting("limits.sockets", "none", "--set limits.sockets", &c).message() ==
        "sluice: --set limits.sockets: sockets must be a number from 16 to 16777216, not 'none'");
  CHECK_FALSE(ApplySetting("limits", "5", "--set", &c).ok());
  CHECK_FALSE(ApplySetting("", "5", "--set", &c).ok());
  CHECK_FALSE(ApplySetting("limits.sockets", "[[", "--set", &c).ok());
  CHECK(c.limits.sockets == 99);
}

TEST_CASE("environment: misspelt names are errors, foreign ones are not ours") {
  Configuration c;
  const char* misspelt[] = {"PATH=/bin", "SLUICE_LIMITS_SOCKET=5", nullptr};
  CHECK(ApplyEnvironment(misspelt, &c).message() ==
        "sluice: SLUICE_LIMITS_SOCKET: no such setting (did you mean 'SLUICE_LIMITS_SOCKETS'?)");
  const char* wrong[] = {"SLUICE_TCP_SACK=2", nullptr};
  CHECK(ApplyEnvironment(wrong, &c).message() ==
        "sluice: SLUICE_TCP_SACK: sack must be true or false, not '2'");
  const char* foreign[] = {"SLUICE_SOMEBODY_ELSES=1", "SLUICEGATE=1", nullptr};
  CHECK(ApplyEnvironment(foreign, &c).ok());
  CHECK(ApplyEnvironment(nullptr, &c).ok());
}

TEST_CASE("edit distance counts insertions, deletions, replacements and swaps") {
  CHECK(EditDistance("", "abc") == 3);
  CHECK(EditDistance("abc", "abc") == 0);
  CHECK(EditDistance("adress", "address") == 1);
  CHECK(EditDistance("maut", "mtu") == 2);
  CHECK(EditDistance("ab", "ba") == 1);
  CHECK(Suggestion("zzzzzz", {"name", "mtu"}).empty());
}

}  // namespace
}  // namespace sluice::runtime
