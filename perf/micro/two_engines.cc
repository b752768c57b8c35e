// Two engines in one process against one: what a second core brings where the processor is the
// limit.
//
//   two_engines [--seconds 2] [--rounds 5] [--bytes 64]
//
// Every engine runs on a thread of its own, with its queue of one port, its lane of one region and
// a datagram socket that is its share of one service. The port hands out ready-made datagrams of
// many flows as fast as they are taken, each to the queue of its owner, as a card that steers does,
// and takes all answers. The application, on the engine's thread, sends every datagram back. Rates
// are of whole round trips; runs with one and with two engines alternate. Beside the rate by the
// clock stands that of a second of processor time: where engines do not hinder each other, an
// engine does as much in it alone as beside another, also on a machine that others use.
//
// The report says, too, how often engines handed packets to each other: never, since the port
// steers; so what they share in the steady state is nothing that is written.
#include <netinet/in.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "base/plain_pool.h"
#include "engine/engine.h"
#include "perf/programs/flags.h"
#include "perf/programs/report.h"
#include "runtime/clock.h"
#include "table/application_queues.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/udp.h"

namespace sluice::perf {
namespace {

using wire::IpAddress;

constexpr wire::MacAddress kServerMac{{2, 0, 0, 0, 0, 1}}, kClientMac{{2, 0, 0, 0, 0, 2}};
const IpAddress kServer = IpAddress::V4(10, 0, 0, 1), kClient = IpAddress::V4(10, 0, 0, 2);
constexpr uint16_t kPort = 7;
constexpr unsigned kFlowsEach = 64;
constexpr unsigned kPackets = 4096;  // of each engine's pool

void Require(bool condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "two_engines: %s\n", what);
  exit(1);
}

// Frames of one queue: only its engine touches it.
struct alignas(64) LoadQueue {
  LoadQueue() : pool(kPackets) {}
  PlainPool pool;
  std::vector<std::vector<uint8_t>> frames;
  size_t next = 0;
  uint64_t answers = 0;
};

std::vector<uint8_t> FrameFrom(uint16_t port, size_t bytes) {
  wire::EthernetHeader link;
  link.destination = kServerMac;
  link.source = kClientMac;
  link.type = wire::kEtherTypeIpv4;
  wire::Ipv4Header ip;
  ip.source = kClient;
  ip.destination = kServer;
  ip.protocol = IPPROTO_UDP;
  ip.ttl = 64;
  ip.total_bytes = static_cast<uint16_t>(28 + bytes);
  wire::UdpHeader udp;
  udp.source_port = port;
  udp.destination_port = kPort;
  udp.total_bytes = static_cast<uint16_t>(8 + bytes);
  std::vector<uint8_t> frame(14 + 28 + bytes, 'x');
  const std::span<uint8_t> out(frame);
  link.Emit(out);
  ip.Emit(out.subspan(14));
  udp.Emit(out.subspan(34));
  return frame;
}

class LoadPort final : public engine::Port {
 public:
  LoadPort(unsigned engines, size_t bytes) {
    capabilities_.mac = kServerMac;
    capabilities_.queues = static_cast<uint16_t>(engines);
    capabilities_.tx_segments_max = 8;
    const wire::FlowOwners owners(engines);
    for (unsigned i = 0; i < engines; ++i) queues_.push_back(std::make_unique<LoadQueue>());
    for (uint16_t port = 1024; port < 60000; ++port) {
      LoadQueue& queue = *queues_[owners.Of(kClient, port, kServer, kPort)];
      if (queue.frames.size() < kFlowsEach) queue.frames.push_back(FrameFrom(port, bytes));
    }
  }
  uint64_t answers(unsigned queue) const { return queues_[queue]->answers; }

  std::string_view name() const override { return "load"; }
  const engine::PortCapabilities& capabilities() const override { return capabilities_; }
  rte_mempool* pool(uint16_t queue) override { return queues_[queue]->pool.get(); }
  uint16_t Receive(uint16_t queue, std::span<rte_mbuf*> packets) override {
    LoadQueue& q = *queues_[queue];
    uint16_t count = 0;
    for (; count < packets.size(); ++count) {
      rte_mbuf* packet = rte_pktmbuf_alloc(q.pool.get());
      if (packet == nullptr) break;
      const std::vector<uint8_t>& frame = q.frames[q.next];
      q.next = q.next + 1 == q.frames.size() ? 0 : q.next + 1;
      std::memcpy(rte_pktmbuf_append(packet, static_cast<uint16_t>(frame.size())), frame.data(),
                  frame.size());
      packet->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
      packets[count] = packet;
    }
    return count;
  }
  uint16_t Transmit(uint16_t queue, std::span<rte_mbuf*> packets) override {
    for (rte_mbuf* packet : packets) rte_pktmbuf_free(packet);
    queues_[queue]->answers += packets.size();
    return static_cast<uint16_t>(packets.size());
  }
  int wake_descriptor(uint16_t) override { return -1; }
  bool ArmWake(uint16_t) override { return false; }
  void DisarmWake(uint16_t) override {}
  bool link_up() const override { return true; }
  engine::PortStatistics statistics() const override { return {}; }

 private:
  engine::PortCapabilities capabilities_;
  std::vector<std::unique_ptr<LoadQueue>> queues_;
};

struct Rates {
  double per_second = 0;            // of all engines together
  double per_processor_second = 0;  // of each
};

double ProcessorSeconds() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};

// One process's engines, and the application's side of their sockets.
class Process {
 public:
  Process(unsigned engines, size_t bytes) : port_(engines, bytes), hand_over_(engines) {
    const table::RegionLimits limits{.sockets = 256, .lanes = engines};
    const size_t size = (table::Region::BytesNeeded(limits) + 127) / 128 * 128;
    memory_.reset(std::aligned_alloc(128, size));
    std::memset(memory_.get(), 0, size);
    region_ = table::Region::Format(memory_.get(), limits);
    region_.ShareMbufs(port_.pool(0));
    for (unsigned lane = 0; lane < engines; ++lane) AddEngine(static_cast<uint8_t>(lane));
  }

  Rates Run(Duration time) {
    std::atomic<bool> stop{false};
    std::vector<uint64_t> before;
    std::vector<double> used(engines_.size());
    for (unsigned i = 0; i < engines_.size(); ++i) before.push_back(port_.answers(i));
    const Instant begin = clock_.Now();
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < engines_.size(); ++i) {
      threads.emplace_back([this, i, &stop, &used] {
        while (!stop.load(std::memory_order_relaxed)) Turn(i);
        used[i] = ProcessorSeconds();
      });
    }
    while (clock_.Now() - begin < time) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    stop = true;
    for (std::thread& thread : threads) thread.join();
    const double seconds = static_cast<double>((clock_.Now() - begin).nanoseconds()) / 1e9;
    double done = 0, busy_seconds = 0;
    for (unsigned i = 0; i < engines_.size(); ++i) {
      done += static_cast<double>(port_.answers(i) - before[i]);
      busy_seconds += used[i];
    }
    return {done / seconds, done / busy_seconds};
  }

  uint64_t handed_over() const {
    uint64_t sum = 0;
    for (const auto& engine : engines_) sum += engine->counters().HandOversGiven;
    return sum;
  }

 private:
  void AddEngine(uint8_t lane) {
    engine::EngineConfig config;
    config.pool = port_.pool(lane);
    config.key = {1, lane};
    config.hand_over = hand_over_.engines() > 1 ? &hand_over_ : nullptr;
    engines_.push_back(std::make_unique<engine::Engine>(config, region_, lane));
    engine::Engine& engine = *engines_.back();
    uint16_t link = 0;
    const Instant now = clock_.Now();
    Require(engine.AddPort(now, &port_, lane, {.name = "link0", .ipv6 = false, .announce = false},
                           &link) == ip::ConfigResult::kOk &&
                engine.ip().AddAddress(now, link, {kServer, 8}) == ip::ConfigResult::kOk &&
                engine.ip().AddNeighbor(now, link, kClient, kClientMac) == ip::ConfigResult::kOk,
            "the engine was refused its interface");
    const table::Handle handle = engine.sockets().Open(table::Type::kDatagram, IPPROTO_UDP, AF_INET,
                                                       table::Status::kUnconnected);
    const table::Socket socket = engine.sockets().Find(handle);
    Require(
        socket && engine.udp().Open(socket) == table::Result::kOk &&
            engine.udp().Bind(now, socket, {IpAddress::AnyV4(), kPort, 0}) == table::Result::kOk,
        "the socket was refused");
    sockets_.push_back(handle.index);
  }

  // What came is sent back from where it lies.
  void Turn(unsigned lane) {
    engines_[lane]->Poll(clock_.Now());
    table::Entry& entry = region_.entry(sockets_[lane]);
    table::Cursor& cursor = entry.receive_cursor;
    uint32_t bytes = 0, left;
    while (table::RingHas(entry.receive_producer, cursor) &&
           table::RingSettle(region_, entry.receive_producer, cursor, left)) {
      table::Descriptor& descriptor = table::RingAt(region_, cursor);
      descriptor.flags |= table::kSendBack;
      bytes += descriptor.length;
      table::RingStep(cursor);
    }
    if (bytes == 0) return;
    entry.receive_consumer.bytes.store(entry.receive_consumer.bytes.load() + bytes);
    entry.receive_consumer.head.Release(cursor.position);
    table::RingDoorbell(region_, sockets_[lane]);
  }

  runtime::SystemClock clock_;
  LoadPort port_;
  std::unique_ptr<void, Free> memory_;
  table::Region region_;
  engine::HandOver hand_over_;
  std::vector<std::unique_ptr<engine::Engine>> engines_;
  std::vector<uint32_t> sockets_;  // by lane
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int Measure(uint64_t seconds, uint64_t rounds, size_t bytes) {
  Process one(1, bytes), two(2, bytes);
  std::vector<double> rates[2], efforts[2], ratios;
  for (uint64_t i = 0; i < rounds; ++i) {
    for (Process* process : {&one, &two}) {
      const Rates found = process->Run(Seconds(static_cast<int64_t>(seconds)));
      rates[process == &two].push_back(found.per_second);
      efforts[process == &two].push_back(found.per_processor_second);
    }
    ratios.push_back(rates[1].back() / rates[0].back());
  }
  Report report;
  report.Add("one_engine_per_second", Median(rates[0]));
  report.Add("two_engines_per_second", Median(rates[1]));
  report.Add("ratio", Median(ratios));
  report.Add("ratio_least", *std::min_element(ratios.begin(), ratios.end()));
  report.Add("ratio_most", *std::max_element(ratios.begin(), ratios.end()));
  report.Add("one_engine_per_processor_second", Median(efforts[0]));
  report.Add("each_of_two_per_processor_second", Median(efforts[1]));
  report.Add("handed_over", two.handed_over());
  report.Print();
  return 0;
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  sluice::perf::Flags flags(argc, argv);
  const uint64_t seconds = flags.Number("seconds", 2);
  const uint64_t rounds = flags.Number("rounds", 5);
  const uint64_t bytes = flags.Number("bytes", 64);
  flags.RefuseOthers();
  return sluice::perf::Measure(seconds, rounds, bytes);
}
