// One TCP segment in, from the frame to the program's memory, and its answer out: the protocol
// layers and the socket table without engine, API and port.
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <rte_mbuf.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "base/plain_pool.h"
#include "echo_frame.h"
#include "ip/stack.h"
#include "table/application_queues.h"
#include "table/socket_table.h"
#include "tcp/stack.h"

namespace sluice::perf {
namespace {

constexpr SipKey kKey{1, 2};
constexpr uint32_t kServer = 0x0a000001, kClient = 0x0a000002;
constexpr uint16_t kServerPort = 7, kFirstPort = 1024;
constexpr size_t kMessageBytesMax = 2048;

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

void Require(bool condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "tcp_bench: not so: %s\n", what);
  exit(1);
}

void* Zeroed(size_t bytes) {
  const size_t whole = (bytes + 127) / 128 * 128;
  void* memory = std::aligned_alloc(128, whole);
  std::memset(memory, 0, whole);
  return memory;
}

// A host with open connections to one client, whose part this plays.
class Host {
 public:
  explicit Host(uint32_t connections);
  ~Host();

  // A segment with this payload on every connection, ready to be handed in.
  void Prepare(std::string_view payload);
  void Input();  // hands them in, and ends the burst
  void Echo();   // the program reads everything, and writes it back
  // Takes what was sent; returns the number of segments with payload.
  size_t Collect();
  void Pass() { now_ += Microseconds(10); }

 private:
  struct Client {
    table::Socket socket;
    uint32_t next_out = 1;
    uint32_t next_in = 0;
    uint32_t time_echo = 0;
  };

  rte_mbuf* Packet(Client& client, uint8_t flags, std::string_view payload);
  void Deliver(rte_mbuf* packet);
  void Open(Client& client, table::Socket listener);
  bool Take(const rte_mbuf* packet);

  static constexpr table::RegionLimits kLimits{.sockets = 1024, .buffers = 4096, .blocks = 4096};
  PlainPool pool_{8192};
  std::unique_ptr<void, FreeMemory> memory_{Zeroed(table::Region::BytesNeeded(kLimits))};
  table::Region region_ = table::Region::Format(memory_.get(), kLimits);
  std::unique_ptr<table::SocketTable> table_;
  std::unique_ptr<ip::Stack> ip_;
  std::unique_ptr<tcp::Stack> tcp_;
  uint16_t interface_ = 0;
  Instant now_ = Instant() + Seconds(1000);
  std::vector<Client> clients_;
  std::vector<rte_mbuf*> ready_;
};

Host::Host(uint32_t connections) : clients_(connections) {
  region_.ShareMbufs(pool_.get());
  table_ = std::make_unique<table::SocketTable>(region_, 0);
  ip::StackConfig ip_config;
  ip_config.key = kKey;
  ip_ = std::make_unique<ip::Stack>(ip_config);
  ip::InterfaceConfig interface;
  interface.name = "bench0";
  std::memcpy(interface.mac.bytes.data(), kServerMac.data(), kServerMac.size());
  interface.pool = pool_.get();
  interface.announce = false;
  interface.ipv6 = false;
  Require(ip_->AddInterface(now_, interface, &interface_) == ip::ConfigResult::kOk &&
              ip_->AddAddress(now_, interface_, *wire::ParsePrefix("10.0.0.1/8")) ==
                  ip::ConfigResult::kOk,
          "the interface is up");
  tcp::Config config;
  config.pool = pool_.get();
  tcp_ = std::make_unique<tcp::Stack>(config, *table_, *ip_, kKey);
  const table::Socket listener = table_->Find(
      table_->Open(table::Type::kStream, IPPROTO_TCP, AF_INET, table::Status::kUnconnected));
  Require(tcp_->Bind(now_, listener, {wire::IpAddress::AnyV4(), kServerPort, 0}) ==
                  table::Result::kOk &&
              tcp_->Listen(now_, listener, connections) == table::Result::kOk,
          "the port is ours");
  for (Client& client : clients_) Open(client, listener);
}

Host::~Host() {
  for (rte_mbuf* packet : ready_) rte_pktmbuf_free(packet);
  Collect();
  tcp_.reset();
  for (uint32_t i = 0; i < kLimits.sockets; ++i) {
    if (table::Socket socket = table_->At(i)) table_->Close(socket);
  }
  table_.reset();
  ip_.reset();
}

rte_mbuf* Host::Packet(Client& client, uint8_t flags, std::string_view payload) {
  Frame frame;
  frame.source = kClient;
  frame.source_port = static_cast<uint16_t>(kFirstPort + (&client - clients_.data()));
  frame.destination = kServer;
  frame.destination_port = kServerPort;
  frame.tcp = true;
  frame.flags = flags;
  frame.sequence = client.next_out;
  frame.acknowledgment = client.next_in;
  frame.window = kOursWindow;
  frame.time = static_cast<uint32_t>((now_ - Instant()).nanoseconds() / 1000000);
  frame.time_echo = client.time_echo;
  frame.payload = payload;
  client.next_out += static_cast<uint32_t>(payload.size()) + ((flags & kSyn) != 0 ? 1 : 0);
  std::array<uint8_t, kFrameBytesMax> bytes;
  const size_t size = Build(frame, bytes);
  rte_mbuf* packet = rte_pktmbuf_alloc(pool_.get());
  Require(packet != nullptr, "packets are left");
  std::memcpy(rte_pktmbuf_append(packet, static_cast<uint16_t>(size)), bytes.data(), size);
  return packet;
}

void Host::Deliver(rte_mbuf* packet) {
  ip::Inbound inbound;
  const ip::Verdict verdict = ip_->Input(now_, interface_, packet, &inbound);
  if (verdict == ip::Verdict::kDeliver) tcp_->Input(now_, inbound);
}

void Host::Open(Client& client, table::Socket listener) {
  Deliver(Packet(client, kSyn, {}));
  tcp_->EndOfBurst(now_);
  for (int i = 0; i < 2 && client.next_in == 0; ++i) Collect();  // ARP first
  Require(client.next_in != 0, "the connection opens");
  Deliver(Packet(client, kAck, {}));
  const table::Handle handle = table::ReadConnection(region_, listener.entry());
  Require(!handle.is_none(), "the connection is accepted");
  tcp_->Doorbell(now_, listener);
  tcp_->EndOfBurst(now_);
  client.socket = table_->Find(handle);
}

// Whether it is a segment with payload.
bool Host::Take(const rte_mbuf* packet) {
  const std::span<const uint8_t> bytes(rte_pktmbuf_mtod(packet, const uint8_t*), packet->data_len);
  if (IsArp(bytes)) {
    std::array<uint8_t, kFrameBytesMax> answer;
    const size_t size = BuildArpAnswer(bytes, answer);
    rte_mbuf* reply = rte_pktmbuf_alloc(pool_.get());
    std::memcpy(rte_pktmbuf_append(reply, static_cast<uint16_t>(size)), answer.data(), size);
    Deliver(reply);
    return false;
  }
  Frame frame;
  Require(Parse(bytes, &frame), "the frame is well formed");
  Client& client = clients_[frame.destination_port - kFirstPort];
  client.next_in = frame.sequence + static_cast<uint32_t>(frame.payload.size()) +
                   ((frame.flags & kSyn) != 0 ? 1 : 0);
  client.time_echo = frame.time;
  return !frame.payload.empty();
}

size_t Host::Collect() {
  size_t segments = 0;
  while (!ip_->TransmitQueue(interface_).empty()) {
    const auto frames = ip_->TransmitQueue(interface_);
    const size_t count = frames.size();
    const std::vector<rte_mbuf*> taken(frames.begin(), frames.end());
    ip_->Transmitted(interface_, count);
    for (rte_mbuf* packet : taken) {
      if (Take(packet)) ++segments;
      rte_pktmbuf_free(packet);
    }
  }
  return segments;
}

void Host::Prepare(std::string_view payload) {
  for (Client& client : clients_) ready_.push_back(Packet(client, kAck | kPush, payload));
}

void Host::Input() {
  for (rte_mbuf* packet : ready_) Deliver(packet);
  ready_.clear();
  tcp_->EndOfBurst(now_);
}

void Host::Echo() {
  std::array<uint8_t, kMessageBytesMax> room;
  for (Client& client : clients_) {
    table::ReceiveReader reader(region_, client.socket.entry());
    const uint32_t count = reader.Read(room, false);
    table::SendWriter writer(region_, client.socket.entry());
    writer.Write({room.data(), count});
    tcp_->Doorbell(now_, client.socket);
  }
  tcp_->EndOfBurst(now_);
}

// Of this thread, so that other work on the machine disturbs less.
double ProcessorSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Bursts of one segment a connection; an item is a segment in and its answer out. Building the
// segments and taking the answers apart is not counted.
void TcpSegmentInAndOut(benchmark::State& state) {
  const auto connections = static_cast<uint32_t>(state.range(0));
  const std::string payload(static_cast<size_t>(state.range(1)), 'x');
  Host host(connections);
  for (auto _ : state) {
    host.Prepare(payload);
    const double begin = ProcessorSeconds();
    host.Input();
    host.Echo();
    state.SetIterationTime(ProcessorSeconds() - begin);
    if (host.Collect() != connections) state.SkipWithError("an answer is missing");
    host.Pass();
  }
  state.SetItemsProcessed(state.iterations() * connections);
}
BENCHMARK(TcpSegmentInAndOut)
    ->ArgNames({"connections", "bytes"})
    ->Args({32, 64})
    ->Args({512, 64})
    ->Args({32, 1448})
    ->UseManualTime();

}  // namespace
}  // namespace sluice::perf
