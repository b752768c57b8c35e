// The raw port: what two processes can exchange over a DPDK port with nothing in between, and UDP
// and TCP clients that cost next to nothing.
//
//   perf-raw [EAL options] -- --mode loop --size 64 --window 256 --seconds 3
//
//   --mode echo   sends every frame back with its link addresses swapped, until SIGTERM
//          loop   keeps --window frames in flight to an echo (testpmd's macswap is one too) and
//                 counts round trips; --window 1 is the ping-pong;
//                 --fresh: makes a new frame for each, as a client does
//          send   sends as fast as the port takes frames; sink: counts frames, until SIGTERM
//          udp    UDP requests on --flows flows, --window in flight in all, from --source to
//                 --server, --port: an ideal client of a UDP echo. Answers are checked.
//          tcp    TCP echo on --flows connections, one request in flight on each; --http /64: HTTP
//                 requests for that path; --per-request: a new connection for each request, which
//                 the server closes
// With a single message under way (--window 1; tcp: --flows 1) its round trips are timed.
//   --size BYTES  of a frame, without its check sequence (64); with udp and tcp of the payload
//
// Prints one JSON object.
#include <rte_cycles.h>
#include <rte_eal.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "flags.h"
#include "hdr_histogram.h"
#include "raw_port.h"
#include "raw_tcp.h"
#include "raw_udp.h"
#include "report.h"

namespace sluice::perf {
namespace {

volatile sig_atomic_t stopped;
void Stop(int) { stopped = 1; }

struct RawSettings {
  std::string mode;
  uint16_t size;
  uint32_t window;
  bool fresh;
  double warmup_seconds;
  double seconds;
};

// Measured time in cycles: begins after the warm-up.
struct Timing {
  explicit Timing(const RawSettings& settings)
      : hz(static_cast<double>(rte_get_tsc_hz())),
        begin(rte_rdtsc() + static_cast<uint64_t>(settings.warmup_seconds * hz)),
        end(begin + static_cast<uint64_t>(settings.seconds * hz)) {}
  uint64_t Nanoseconds(uint64_t cycles) const {
    return static_cast<uint64_t>(static_cast<double>(cycles) * 1e9 / hz);
  }
  const double hz;
  const uint64_t begin;
  const uint64_t end;
};

void AddRate(Report& report, uint64_t frames, uint64_t bytes, double seconds) {
  report.Add("seconds", seconds).Add("messages", frames);
  report.Add("rate", seconds > 0 ? static_cast<double>(frames) / seconds : 0.0);
  const double bits = static_cast<double>(bytes) * 8;
  report.Add("bits_per_second_in", seconds > 0 ? bits / seconds : 0.0);
}

void Echo(RawPort& port, Report& report) {
  rte_mbuf* frames[kRawBurst];
  uint64_t total = 0;
  while (stopped == 0) {
    const uint16_t count = port.Receive(frames, kRawBurst);
    for (uint16_t i = 0; i < count; ++i) SwapAddresses(frames[i]);
    if (count > 0) port.Send(frames, count);
    total += count;
  }
  report.Add("messages", total);
}

rte_mbuf* NewRawFrame(RawPort& port, uint16_t size) {
  rte_mbuf* frame = port.NewFrame(size);
  auto* header = rte_pktmbuf_mtod(frame, rte_ether_hdr*);
  memset(rte_pktmbuf_mtod(frame, void*), 0x5a, size);
  memset(&header->dst_addr, 0xff, sizeof header->dst_addr);
  header->src_addr = port.address();
  header->ether_type = rte_cpu_to_be_16(0x88b5);  // for local experiments (IEEE 802)
  return frame;
}

// The frames that come back are the next that leave, so a window of frames circulates; or they are
// freed, and fresh ones leave.
void Loop(RawPort& port, const RawSettings& settings, Report& report) {
  HdrHistogram latencies(10'000'000'000);
  const Timing timing(settings);
  rte_mbuf* frames[kRawBurst];
  uint64_t messages = 0, bytes = 0, in_flight = 0, lost = 0, begun = 0, sent_at = 0;
  uint64_t now = rte_rdtsc(), last_news = now;
  for (; now < timing.end && stopped == 0; now = rte_rdtsc()) {
    uint16_t count = port.Receive(frames, kRawBurst);
    if (count == 0 && now - last_news > timing.hz / 10) {
      lost += in_flight;  // overrun, or the other end was not there yet: begin anew
      in_flight = 0;
    }
    if (count == 0 && in_flight >= settings.window) continue;
    if (count > 0 || in_flight == 0) last_news = now;
    if (begun == 0 && now >= timing.begin) begun = now;
    if (begun != 0) {
      messages += count;
      for (uint16_t i = 0; i < count; ++i) bytes += frames[i]->pkt_len;
      if (settings.window == 1 && count == 1) {
        latencies.Record(timing.Nanoseconds(rte_rdtsc() - sent_at));
      }
    }
    in_flight -= std::min<uint64_t>(in_flight, count);
    if (settings.fresh) {
      rte_pktmbuf_free_bulk(frames, count);
      count = 0;
    }
    for (uint16_t i = 0; i < count; ++i) SwapAddresses(frames[i]);
    while (count < kRawBurst && in_flight + count < settings.window) {
      frames[count++] = NewRawFrame(port, settings.size);
    }
    sent_at = rte_rdtsc();
    in_flight += port.Send(frames, count);
  }
  AddRate(report, messages, bytes, static_cast<double>(now - begun) / timing.hz);
  report.Add("lost", lost);
  if (settings.window == 1) report.Add("latency_us", latencies);
}

// Each frame is a new one, as testpmd's txonly makes them.
void SendOneWay(RawPort& port, const RawSettings& settings, Report& report) {
  const Timing timing(settings);
  rte_mbuf* frames[kRawBurst];
  uint64_t sent = 0, now = rte_rdtsc();
  for (; now < timing.end && stopped == 0; now = rte_rdtsc()) {
    for (auto& frame : frames) frame = NewRawFrame(port, settings.size);
    const uint16_t count = port.Send(frames, kRawBurst);
    if (now >= timing.begin) sent += count;
  }
  AddRate(report, sent, sent * settings.size, static_cast<double>(now - timing.begin) / timing.hz);
}

void Sink(RawPort& port, Report& report) {
  rte_mbuf* frames[kRawBurst];
  uint64_t total = 0, bytes = 0, first = 0, last = 0;
  while (stopped == 0) {
    const uint16_t count = port.Receive(frames, kRawBurst);
    if (count == 0) continue;
    last = rte_rdtsc();
    if (first == 0) first = last;
    for (uint16_t i = 0; i < count; ++i) bytes += frames[i]->pkt_len;
    total += count;
    rte_pktmbuf_free_bulk(frames, count);
  }
  AddRate(report, total, bytes,
          static_cast<double>(last - first) / static_cast<double>(rte_get_tsc_hz()));
}

RawLink ResolvedLink(RawPort& port, Flags& flags) {
  RawLink link(port, flags.Text("source", "10.99.0.2"), flags.Text("server", "10.99.0.1"));
  if (!link.Resolve()) rte_exit(EXIT_FAILURE, "the server does not answer ARP\n");
  return link;
}

// The time from one answer to the next, where each is followed at once by the only request that is
// under way: a round trip.
class RoundTrips {
 public:
  RoundTrips(const Timing& timing, bool is_alone) : timing_(timing), is_alone_(is_alone) {}
  void Answered(uint64_t now) {
    if (!is_alone_) return;
    if (last_ >= timing_.begin) latencies_.Record(timing_.Nanoseconds(now - last_));
    last_ = now;
  }
  void AddTo(Report& report) const {
    if (is_alone_) report.Add("latency_us", latencies_);
  }

 private:
  const Timing& timing_;
  const bool is_alone_;
  uint64_t last_ = 0;
  HdrHistogram latencies_{10'000'000'000};
};

void Udp(RawPort& port, const RawSettings& settings, Flags& flags, Report& report) {
  RawLink link = ResolvedLink(port, flags);
  RawUdp udp(link, {.port = static_cast<uint16_t>(flags.Number("port", 7000)),
                    .flows = static_cast<uint32_t>(flags.Number("flows", 64)),
                    .payload = settings.size});
  flags.RefuseOthers();
  const Timing timing(settings);
  RoundTrips round_trips(timing, settings.window == 1);
  uint64_t messages = 0, begun = 0, now = rte_rdtsc(), last_news = now;
  for (; now < timing.end && stopped == 0; now = rte_rdtsc()) {
    const uint32_t answers = udp.Receive();
    if (answers > 0) {
      last_news = now;
      round_trips.Answered(now);
    }
    if (now - last_news > timing.hz / 10) {
      udp.GiveUp();
      last_news = now;
    }
    if (begun == 0 && now >= timing.begin) begun = now;
    if (begun != 0) messages += answers;
    if (udp.in_flight() < settings.window) udp.Send(settings.window - udp.in_flight());
  }
  AddRate(report, messages, messages * settings.size, static_cast<double>(now - begun) / timing.hz);
  report.Add("lost", udp.lost()).Add("corrupt", udp.corrupt());
  round_trips.AddTo(report);
}

void Tcp(RawPort& port, const RawSettings& settings, Flags& flags, Report& report) {
  RawLink link = ResolvedLink(port, flags);
  const std::string path = flags.Text("http", "");
  const auto flows = static_cast<uint32_t>(flags.Number("flows", 64));
  const bool per_request = flags.Switch("per-request");
  const char* connection = per_request ? "close" : "keep-alive";
  RawTcp tcp(link, {.port = static_cast<uint16_t>(flags.Number("port", 7000)),
                    .connections = flows,
                    .payload = settings.size,
                    .http = path.empty() ? ""
                                         : "GET " + path + " HTTP/1.1\r\nHost: server\r\n" +
                                               "Connection: " + connection + "\r\n\r\n",
                    .per_request = per_request});
  flags.RefuseOthers();
  tcp.Open();
  const Timing timing(settings);
  RoundTrips round_trips(timing, flows == 1);
  uint64_t messages = 0, begun = 0, now = rte_rdtsc(), last_news = now;
  for (; now < timing.end && stopped == 0; now = rte_rdtsc()) {
    const uint32_t answers = tcp.Poll();
    if (answers > 0) {
      last_news = now;
      round_trips.Answered(now);
    }
    if (now - last_news > timing.hz / 10) {
      tcp.Resend();
      last_news = now;
    }
    if (begun == 0 && now >= timing.begin) begun = now;
    if (begun != 0) messages += answers;
  }
  AddRate(report, messages, messages * settings.size, static_cast<double>(now - begun) / timing.hz);
  report.Add("connections", uint64_t{tcp.connected()}).Add("resent", tcp.resent());
  report.Add("resets", tcp.resets()).Add("corrupt", tcp.corrupt());
  round_trips.AddTo(report);
}

// net_memif takes the shared memory away under the feet of a process that polls it when its peer
// goes. So whoever has measured stays until the other end was stopped, or for some seconds.
void WaitForEnd() {
  for (int i = 0; i < 5000 && stopped == 0; ++i) {
    rte_eth_link link = {};
    if (rte_eth_link_get_nowait(0, &link) != 0 || link.link_status == RTE_ETH_LINK_DOWN) return;
    rte_delay_us_sleep(1000);
  }
}

bool Run(RawPort& port, const RawSettings& settings, Flags& flags, Report& report) {
  if (settings.mode == "udp") {
    Udp(port, settings, flags, report);
    return true;
  }
  if (settings.mode == "tcp") {
    Tcp(port, settings, flags, report);
    return true;
  }
  flags.RefuseOthers();
  fputs("ready\n", stderr);
  if (settings.mode == "echo") {
    Echo(port, report);
  } else if (settings.mode == "loop") {
    Loop(port, settings, report);
  } else if (settings.mode == "send") {
    SendOneWay(port, settings, report);
  } else if (settings.mode == "sink") {
    Sink(port, report);
  } else {
    fprintf(stderr, "there is no mode %s\n", settings.mode.c_str());
    return false;
  }
  return true;
}

int Main(int argc, char** argv) {
  const int used = rte_eal_init(argc, argv);
  if (used < 0) return 2;
  signal(SIGINT, Stop);
  signal(SIGTERM, Stop);
  Flags flags(argc - used, argv + used);
  RawSettings settings;
  settings.mode = flags.Text("mode", "loop");
  settings.size = static_cast<uint16_t>(std::min<uint64_t>(flags.Number("size", 64), 1514));
  settings.window = static_cast<uint32_t>(flags.Number("window", 256));
  settings.fresh = flags.Switch("fresh");
  settings.warmup_seconds = flags.Real("warmup", 0.5);
  settings.seconds = flags.Real("seconds", 3);
  Report report;
  report.Add("mode", "raw-" + settings.mode).Add("size", uint64_t{settings.size});
  report.Add("window", uint64_t{settings.window});
  bool ran = false;
  {
    RawPort port;
    ran = Run(port, settings, flags, report);
    if (ran) report.Print();
    if (stopped == 0) WaitForEnd();
  }
  rte_eal_cleanup();
  return ran ? 0 : 1;
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) { return sluice::perf::Main(argc, argv); }
