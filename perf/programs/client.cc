// The client of the measurements, on Sluice's sockets or (--kernel) on the kernel's.
//
//   perf-client --config client.yaml --mode echo --server 10.99.0.1 --port 7000 --connections 64
//
//   --mode echo       TCP echo; every answer is checked
//          http       HTTP/1.1 keep-alive, GET /size
//          crr        connect, request, response, close; with --http an HTTP request each
//          bulk-in    to a sink; bulk-out from a source; bulk-both
//          udp-echo   UDP echo; udp-send: UDP one way
//   --connections N   or UDP flows (1)
//   --size BYTES      of a message, or of an HTTP body (64)
//   --depth N         messages in flight on each connection (1)
//   --window N        messages in flight on all together; connections take turns (no limit)
//   --rate R          open loop, R messages a second: latency from when each was due
//   --poisson         with --rate: exponential gaps
//   --warmup S, --seconds S
//   --hold S          says "starting" on standard error and rests a second; sends one message on
//                     each connection; says "holding" and rests S seconds
//   --source A        --sources N: local addresses, N from A on, used in turn
//   --ports N         server ports, N from --port on, used in turn (1)
//   --batch N         datagrams a call at most (32)
//   --spin            polls instead of waiting in epoll_wait; an open loop always does
//   --seed N
//
// Prints one JSON object. Status 1 if it could not run.
#include <cstdio>
#include <string>

#include "load.h"

namespace sluice::perf {
namespace {

LoadSettings Settings(Flags& flags, const std::string& mode) {
  LoadSettings settings = {};
  const auto port = static_cast<unsigned>(flags.Number("port", 7000));
  settings.server = ParseEndpoint(flags.Text("server", "127.0.0.1"), port);
  const std::string source = flags.Text("source", "");
  if (!source.empty()) settings.source = ParseEndpoint(source, 0);
  settings.source_count = static_cast<uint32_t>(flags.Number("sources", 1));
  settings.port_count = static_cast<uint32_t>(flags.Number("ports", 1));
  settings.connections = static_cast<uint32_t>(flags.Number("connections", 1));
  settings.size = flags.Number("size", 64);
  settings.depth = static_cast<uint32_t>(flags.Number("depth", 1));
  settings.window = static_cast<uint32_t>(flags.Number("window", 0));
  settings.batch = static_cast<uint32_t>(flags.Number("batch", 32));
  settings.rate = flags.Real("rate", 0);
  settings.poisson = flags.Switch("poisson");
  settings.http = mode == "http" || flags.Switch("http");
  settings.spin = flags.Switch("spin");
  settings.warmup_seconds = flags.Real("warmup", 0.5);
  settings.seconds = flags.Real("seconds", 3);
  settings.hold_seconds = flags.Real("hold", 0);
  settings.seed = flags.Number("seed", 1);
  return settings;
}

// Why these settings cannot be, or nothing.
const char* Fault(const LoadSettings& settings, const std::string& mode) {
  const bool datagrams = mode == "udp-echo" || mode == "udp-send";
  if (settings.connections == 0 || settings.depth == 0 || settings.source_count == 0 ||
      settings.port_count == 0) {
    return "there must be a connection, a depth, a source and a port";
  }
  if (settings.depth > 4096 || settings.batch == 0 || settings.batch > 1024) {
    return "--depth is at most 4096, --batch 1024";
  }
  if (datagrams && (settings.size < 8 || settings.size > 2048)) {
    return "datagrams have 8 to 2048 bytes";
  }
  if (settings.size == 0 && !settings.http) return "--size must not be zero";
  return nullptr;
}

bool RunLoad(const LoadSettings& settings, const std::string& mode, Report& report) {
  if (mode == "echo" || mode == "http") return RunStreamLoad(settings, report);
  if (mode == "crr") return RunConnectLoad(settings, report);
  if (mode == "bulk-in") return RunBulkLoad(settings, true, false, report);
  if (mode == "bulk-out") return RunBulkLoad(settings, false, true, report);
  if (mode == "bulk-both") return RunBulkLoad(settings, true, true, report);
  if (mode == "udp-echo") return RunDatagramLoad(settings, report);
  if (mode == "udp-send") return RunDatagramSend(settings, report);
  fprintf(stderr, "there is no mode %s\n", mode.c_str());
  return false;
}

int Measure(int argc, char** argv) {
  Flags flags(argc, argv);
  const std::string mode = flags.Text("mode", "echo");
  const LoadSettings settings = Settings(flags, mode);
  if (const char* fault = Fault(settings, mode)) {
    fprintf(stderr, "%s\n", fault);
    return 2;
  }
  if (!StartSockets(flags)) return 2;
  flags.RefuseOthers();
  Report report;
  report.Add("mode", mode).Add("sockets", net.name);
  report.Add("connections", uint64_t{settings.connections}).Add("size", settings.size);
  report.Add("depth", uint64_t{settings.depth}).Add("window", uint64_t{settings.window});
  report.Add("seed", settings.seed);
  const bool ran = RunLoad(settings, mode, report);
  if (ran) report.Print();
  FinishSockets();
  return ran ? 0 : 1;
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) { return sluice::perf::Measure(argc, argv); }
