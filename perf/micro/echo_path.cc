// Measures the whole path of a server, deterministically: frames of many flows go in, the program
// waits, receives and sends as a server does, and the frames that come out are answered by the next
// ones in. One process, one thread, no device, a clock of its own.
//
//   echo_path --mode tcp-echo --rounds 2000
//
// prints one JSON object: requests, and nanoseconds of the server's side for each. Under callgrind
// with --instr-atstart=no --collect-atstart=no exactly the steady state of the server's side is
// counted, without the clients and without the hand-over of their frames: the same number in every
// run (see scripts/instructions).
#include <sluice/instance.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "echo_peer.h"
#include "echo_server.h"
#include "programs/flags.h"
#include "programs/report.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_TOGGLE_COLLECT
#endif

namespace sluice::perf {
namespace {

constexpr int64_t kRoundNs = 10000;  // of the virtual clock
constexpr uint64_t kStartRoundsMax = 100000;
constexpr size_t kPieceBytes = 64 << 10;
constexpr size_t kSegmentBytes = 1448;  // 1,500 less the headers and timestamps

struct Options {
  std::string mode;
  uint64_t flows;
  uint64_t burst;
  uint64_t bytes;
  uint64_t rounds;
  uint64_t warm_up;
};

std::string HttpRequest() {
  return "GET /index.html HTTP/1.1\r\nHost: 10.0.0.1\r\nAccept: */*\r\n\r\n";
}
std::string HttpAnswer(size_t bytes) {
  return "HTTP/1.1 200 OK\r\nServer: echo_path\r\nContent-Type: text/plain\r\nContent-Length: " +
         std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'x');
}

struct Mode {
  const char* name;
  Load load;
  bool stream;
  StreamServer::Kind kind;
  uint32_t flows;
};
constexpr Mode kModes[] = {
    {"tcp-echo", Load::kExchange, true, StreamServer::Kind::kEcho, 64},
    {"udp-echo", Load::kDatagrams, false, StreamServer::Kind::kEcho, 64},
    {"http", Load::kExchange, true, StreamServer::Kind::kAnswer, 64},
    {"crr", Load::kConnect, true, StreamServer::Kind::kAnswerAndClose, 64},
    {"bulk-receive", Load::kStreamOut, true, StreamServer::Kind::kSink, 1},
    {"bulk-send", Load::kStreamIn, true, StreamServer::Kind::kSource, 1},
    {"udp-echo-batch", Load::kDatagrams, false, StreamServer::Kind::kEcho, 64},
    {"udp-echo-zc", Load::kDatagrams, false, StreamServer::Kind::kEcho, 64},
    {"udp-sink", Load::kOneWay, false, StreamServer::Kind::kSink, 64},
};

const Mode& FindMode(const std::string& name) {
  std::string names;
  for (const Mode& mode : kModes) {
    if (name == mode.name) return mode;
    names += names.empty() ? "" : ", ";
    names += mode.name;
  }
  fprintf(stderr, "echo_path: --mode is one of: %s\n", names.c_str());
  exit(2);
}

Peer::Settings ClientsOf(const Mode& mode, const Options& options) {
  Peer::Settings settings;
  settings.load = mode.load;
  settings.flows = static_cast<uint32_t>(options.flows);
  if (mode.kind == StreamServer::Kind::kAnswer ||
      mode.kind == StreamServer::Kind::kAnswerAndClose) {
    settings.request = HttpRequest();
    settings.answer = HttpAnswer(options.bytes);
  } else {
    const size_t bytes = mode.load == Load::kStreamOut ? kSegmentBytes : options.bytes;
    for (size_t i = 0; i < bytes; ++i) settings.request += static_cast<char>('a' + i % 26);
    settings.answer = settings.request;
  }
  return settings;
}

std::unique_ptr<Server> ServerOf(const Mode& mode, const Peer::Settings& clients) {
  using Kind = DatagramServer::Kind;
  const std::string_view name = mode.name;
  if (!mode.stream) {
    return std::make_unique<DatagramServer>(name == "udp-echo-batch" ? Kind::kEchoInBatches
                                            : name == "udp-echo-zc"  ? Kind::kEchoWithoutCopy
                                            : name == "udp-echo"     ? Kind::kEcho
                                                                     : Kind::kSink);
  }
  return std::make_unique<StreamServer>(mode.kind, clients.answer, kPieceBytes);
}

void Start(Peer& peer, uint64_t flows) {
  const rlim_t descriptors = flows + 1024;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < descriptors) {
    limit.rlim_cur = std::min(descriptors, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  // Few records of closed connections, so that the steady state of "crr" is soon reached.
  const std::string yaml =
      "progress: manual\n"
      "interfaces:\n"
      "  - { name: link0, device: callback, addresses: [10.0.0.1/8], ipv6: false }\n"
      "limits: { time_wait_max: 1024, sockets: " +
      std::to_string(2 * flows + 1024) + " }\n";
  const sluice_callback_port port = {.interface = "link0", .config = peer.port_config()};
  sluice_settings settings = SLUICE_SETTINGS_INITIALIZER;
  settings.yaml = yaml.c_str();
  settings.ports = &port;
  settings.port_count = 1;
  settings.seed = 1;
  char error[256];
  if (sluice_init_settings(&settings, error, sizeof error) != 0) {
    fprintf(stderr, "echo_path: %s\n", error);
    exit(1);
  }
}

int64_t WallNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1000000000} + now.tv_nsec;
}

// One burst in, one turn of Sluice and of the server. Returns nanoseconds of the latter.
int64_t Round(Peer& peer, Server& server, uint64_t burst) {
  const int64_t now_ns = sluice_now_ns() + kRoundNs;
  sluice_advance_to(now_ns);
  peer.Take(now_ns);
  for (uint64_t i = 0; i < burst && peer.PushOne(); ++i) continue;
  const int64_t begin_ns = WallNs();
  CALLGRIND_TOGGLE_COLLECT;
  sluice_poll();
  server.Serve();
  CALLGRIND_TOGGLE_COLLECT;
  return WallNs() - begin_ns;
}

int Measure(const Options& options) {
  const Mode& mode = FindMode(options.mode);
  const Peer::Settings clients = ClientsOf(mode, options);
  Peer peer(clients);
  Start(peer, options.flows);
  const std::unique_ptr<Server> server = ServerOf(mode, clients);
  for (uint64_t i = 0; mode.stream && peer.connected() < options.flows; ++i) {
    if (i == kStartRoundsMax) {
      fprintf(stderr, "echo_path: the connections do not open\n");
      return 1;
    }
    Round(peer, *server, options.burst);
  }
  for (uint64_t i = 0; i < options.warm_up; ++i) Round(peer, *server, options.burst);

  const uint64_t requests_before = peer.requests();
  const uint64_t in_before = peer.frames_in();
  const uint64_t out_before = peer.frames_out();
  int64_t elapsed_ns = 0;
  CALLGRIND_START_INSTRUMENTATION;
  for (uint64_t i = 0; i < options.rounds; ++i) elapsed_ns += Round(peer, *server, options.burst);
  CALLGRIND_STOP_INSTRUMENTATION;
  const uint64_t requests = peer.requests() - requests_before;
  if (requests == 0) {
    fprintf(stderr, "echo_path: nothing was answered\n");
    return 1;
  }
  Report report;
  report.Add("mode", options.mode).Add("requests", requests);
  report.Add("ns_per_request", static_cast<double>(elapsed_ns) / static_cast<double>(requests));
  report.Add("frames_in", peer.frames_in() - in_before);
  report.Add("frames_out", peer.frames_out() - out_before);
#ifdef __clang__
  report.Add("compiler", __VERSION__);
#else
  report.Add("compiler", "gcc " __VERSION__);
#endif
  report.Print();
  sluice_finish();
  return 0;
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  using sluice::perf::Flags;
  Flags flags(argc, argv);
  sluice::perf::Options options;
  options.mode = flags.Text("mode", "tcp-echo");
  options.flows = flags.Number("connections", sluice::perf::FindMode(options.mode).flows);
  options.burst = flags.Number("burst", 32);
  options.bytes = flags.Number("bytes", 64);
  options.rounds = flags.Number("rounds", 2000);
  options.warm_up = flags.Number("warm-up", 1000);
  flags.RefuseOthers();
  return sluice::perf::Measure(options);
}
