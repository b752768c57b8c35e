// Two processes that meet over net_memif. The test starts itself again as the other end, which
// sends back every frame it gets, and then leaves in one of several ways.

#include <rte_ethdev.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "dpdk/memif_socket.h"
#include "dpdk/port.h"
#include "dpdk_harness.h"

namespace {
std::atomic<bool> in_burst{false};
std::atomic<bool> unmapped_in_burst{false};
}  // namespace

// DPDK's calls come here too. Only a memif's rings are unmapped while this program is in a burst.
extern "C" int munmap(void* address, size_t bytes) noexcept {
  if (in_burst.load()) unmapped_in_burst.store(true);
  return static_cast<int>(syscall(SYS_munmap, address, bytes));
}

namespace sluice::dpdk::test {
namespace {

constexpr int kPollsMax = 2'000'000'000;  // only reached by a failure, after minutes
constexpr size_t kCountFrames = 500;

std::string SocketPath() {
  static const std::string path = [] {
    const char* given = std::getenv("SLUICE_TEST_MEMIF");
    if (given != nullptr) return std::string(given);
    char name[] = "/tmp/sluice-memif-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    return std::string(name) + "/socket";
  }();
  return path;
}

PortConfig Config(const char* role) {
  PortConfig config;
  config.device = std::string("net_memif0,role=") + role + ",socket=" + SocketPath();
  config.mtu = 9000;
  config.packets_per_queue = 4096;
  return config;
}

std::unique_ptr<DpdkPort> OpenPort(const char* role) {
  StartEal();
  absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(Config(role));
  INFO(port.status().ToString());
  REQUIRE(port.ok());
  return *std::move(port);
}

// Another process that runs one hidden test case of this executable.
class Peer {
 public:
  explicit Peer(const char* test_case) {
    process_ = ::fork();
    REQUIRE(process_ >= 0);
    if (process_ != 0) return;
    ::setenv("SLUICE_TEST_MEMIF", SocketPath().c_str(), 1);
    ::execl("/proc/self/exe", "peer", test_case, static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ~Peer() {
    if (process_ > 0) Kill();
  }
  void Signal() { ::kill(process_, SIGKILL); }
  void Kill() {
    Signal();
    Wait();
  }
  int Wait() {
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = 0;
    return status;
  }

 private:
  pid_t process_;
};

bool WaitForLink(DpdkPort& port, bool up) {
  for (int i = 0; i < kPollsMax; ++i) {
    if (port.link_up() == up) return true;
    if (!Receive(port, 1).empty()) return false;
  }
  return false;
}

// Sizes from tiny to the MTU, so that a frame ever spanning two buffers would show.
void ExchangeWithEcho(DpdkPort& port) {
  for (size_t i = 0; i < kCountFrames; ++i) {
    const std::vector<uint8_t> frame = MakeFrame(i * 391 % 9001, static_cast<uint8_t>(i));
    // A server can send only once its client has laid out buffers.
    bool sent = false;
    for (int polls = 0; polls < kPollsMax && !sent; ++polls) sent = Send(port, frame);
    REQUIRE(sent);
    REQUIRE((Receive(port, kPollsMax) == frame));
  }
}

[[noreturn]] void Echo(DpdkPort& port) {
  while (true) {
    rte_mbuf* packets[32];
    const uint16_t count = port.Receive(0, packets);
    for (uint16_t sent = 0; sent < count;) {
      sent = static_cast<uint16_t>(
          sent + port.Transmit(0, std::span(packets).subspan(sent, count - sent)));
    }
    if (::getppid() == 1) std::_Exit(0);
  }
}

// Makes the driver's bursts on a port long: `during` is called in the first of them, and after that
// there is time for the driver's thread to unmap the rings, which no burst survives by right.
class LongBurst {
 public:
  LongBurst(DpdkPort& port, std::function<void()> during) : port_(port.port_id()) {
    during_ = std::move(during);
    unmapped_in_burst.store(false);
    receive_ = rte_eth_fp_ops[port_].rx_pkt_burst;
    transmit_ = rte_eth_fp_ops[port_].tx_pkt_burst;
    rte_eth_fp_ops[port_].rx_pkt_burst = Receive;
    rte_eth_fp_ops[port_].tx_pkt_burst = Transmit;
  }
  ~LongBurst() {
    // Unless the driver was stopped, and put its own in there.
    if (rte_eth_fp_ops[port_].rx_pkt_burst == Receive) {
      rte_eth_fp_ops[port_].rx_pkt_burst = receive_;
      rte_eth_fp_ops[port_].tx_pkt_burst = transmit_;
    }
  }

 private:
  static void Linger() {
    if (during_ == nullptr) return;
    std::exchange(during_, nullptr)();
    for (int i = 0; i < 100 && !unmapped_in_burst.load(); ++i) ::usleep(1000);
  }
  static uint16_t Receive(void* queue, rte_mbuf** packets, uint16_t count) {
    in_burst.store(true);
    const uint16_t taken = receive_(queue, packets, count);
    Linger();
    in_burst.store(false);
    return taken;
  }
  static uint16_t Transmit(void* queue, rte_mbuf** packets, uint16_t count) {
    in_burst.store(true);
    const uint16_t sent = transmit_(queue, packets, count);
    Linger();
    in_burst.store(false);
    return sent;
  }

  const uint16_t port_;
  static inline std::function<void()> during_;
  static inline eth_rx_burst_t receive_;
  static inline eth_tx_burst_t transmit_;
};

// A client that is no Sluice and no DPDK, and may say what it wants.
class BareClient {
 public:
  BareClient() {
    bool is_busy;
    socket_ = ConnectTo({SocketPath(), false}, &is_busy);
    REQUIRE(socket_);
  }

  // Agrees with the server: one region with a ring each way and no buffers.
  void Agree(DpdkPort& port) {
    CHECK(Await(port) == MemifType::kHello);
    Say(MemifType::kInit, {0x00, 0x02, 0, 0, 0, 0, 0}, -1);  // version 2.0, id 0, Ethernet
    CHECK(Await(port) == MemifType::kAck);
    const int region = ::memfd_create("region", MFD_CLOEXEC);
    REQUIRE(::ftruncate(region, kRegionBytes) == 0);
    const uint32_t cookie = 0x3E31F20;
    for (off_t ring : {off_t{0}, off_t{kRegionBytes / 2}}) {
      REQUIRE(::pwrite(region, &cookie, sizeof(cookie), ring) == sizeof(cookie));
    }
    Say(MemifType::kAddRegion, {0, 0, 0, 0, 0x10}, region);
    CHECK(Await(port) == MemifType::kAck);
    Say(MemifType::kAddRing, {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}, region);
    CHECK(Await(port) == MemifType::kAck);
    Say(MemifType::kAddRing, {0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0, 4}, region);
    CHECK(Await(port) == MemifType::kAck);
    Say(MemifType::kConnect, {}, -1);
    CHECK(Await(port) == MemifType::kConnected);
    ::close(region);
  }
  void Say(MemifType type, std::initializer_list<uint8_t> rest, int attached) {
    MemifMessage message;
    message.type = type;
    std::copy(rest.begin(), rest.end(), message.rest);
    REQUIRE(SendMessage(socket_.number(), message,
                        attached < 0 ? Descriptor() : Descriptor(::dup(attached))));
  }
  MemifType Await(DpdkPort& port) {
    MemifMessage message;
    Descriptor attached;
    Took took = Took::kNothing;
    for (int i = 0; i < kPollsMax && took == Took::kNothing; ++i) {
      CHECK(test::Receive(port, 1).empty());
      took = TakeMessage(socket_.number(), &message, &attached);
    }
    return took == Took::kMessage ? message.type : MemifType{};
  }
  int number() const { return socket_.number(); }

 private:
  static constexpr off_t kRegionBytes = 0x100000;
  Descriptor socket_;
};

void ReceiveUntilBroken(DpdkPort& port) {
  for (int i = 0; i < kPollsMax && port.link_up(); ++i) Receive(port, 1);
}
void SendUntilBroken(DpdkPort& port) {
  for (int i = 0; i < kPollsMax && port.link_up(); ++i) {
    Send(port, MakeFrame(1000, 1));
    Receive(port, 1);
  }
}

// What a port with much to do does: it fills the rings, and takes all that comes.
void Flood(DpdkPort& port, int rounds) {
  for (int i = 0; i < rounds && port.link_up(); ++i) {
    for (int j = 0; j < 32 && Send(port, MakeFrame(1000, 1)); ++j) {
    }
    for (int j = 0; j < 32 && !Receive(port, 1).empty(); ++j) {
    }
  }
}

TEST_CASE("peer: server", "[.]") { Echo(*OpenPort("server")); }
TEST_CASE("peer: client", "[.]") { Echo(*OpenPort("client")); }

TEST_CASE("memif: a peer that is killed during a burst leaves the rings till its end") {
  const bool is_server = GENERATE(true, false);
  CAPTURE(is_server);
  std::unique_ptr<DpdkPort> port = OpenPort(is_server ? "server" : "client");
  for (const auto& until_broken : {ReceiveUntilBroken, SendUntilBroken}) {
    Peer peer(is_server ? "peer: client" : "peer: server");
    REQUIRE(WaitForLink(*port, true));
    ExchangeWithEcho(*port);
    LongBurst burst(*port, [&] { peer.Kill(); });
    until_broken(*port);
    CHECK_FALSE(port->link_up());
    CHECK_FALSE(unmapped_in_burst.load());
  }
}

TEST_CASE("memif: a forked child does not keep a link") {
  const bool is_server = GENERATE(true, false);
  CAPTURE(is_server);
  std::unique_ptr<DpdkPort> port = OpenPort(is_server ? "server" : "client");
  std::vector<pid_t> children;
  for (int round = 0; round < 2; ++round) {
    Peer peer(is_server ? "peer: client" : "peer: server");
    REQUIRE(WaitForLink(*port, true));
    children.push_back(::fork());
    if (children.back() == 0) {  // with the driver's descriptors and the link's
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      while (true) ::pause();
    }
    ExchangeWithEcho(*port);
    peer.Kill();
    REQUIRE(WaitForLink(*port, false));
  }
  for (pid_t child : children) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
}

TEST_CASE("memif: peers that are killed under load") {
  const bool is_server = GENERATE(true, false);
  CAPTURE(is_server);
  const char* given = std::getenv("SLUICE_TEST_KILLS");
  const int kills = given != nullptr ? std::atoi(given) : 5;
  std::unique_ptr<DpdkPort> port = OpenPort(is_server ? "server" : "client");
  for (int i = 0; i < kills; ++i) {
    Peer peer(is_server ? "peer: client" : "peer: server");
    REQUIRE(WaitForLink(*port, true));
    Flood(*port, 100 + i);
    peer.Signal();
    Flood(*port, kPollsMax);
    CHECK_FALSE(port->link_up());
  }
}

TEST_CASE("memif: what a connected peer says ends the link, but no burst") {
  std::unique_ptr<DpdkPort> port = OpenPort("server");
  const auto say = GENERATE(
      as<std::function<void(BareClient&)>>{},
      [](BareClient& client) {
        client.Say(MemifType::kInit, {0, 2}, -1);
      },
      [](BareClient& client) { client.Say(MemifType::kConnect, {}, -1); },
      [](BareClient& client) { client.Say(MemifType::kDisconnect, {}, -1); },
      [](BareClient& client) { ::send(client.number(), "?", 1, 0); });
  for (int round = 0; round < 2; ++round) {
    BareClient client;
    client.Agree(*port);
    REQUIRE(WaitForLink(*port, true));
    LongBurst burst(*port, [&] { say(client); });
    ReceiveUntilBroken(*port);
    CHECK_FALSE(unmapped_in_burst.load());
  }
  Peer peer("peer: client");
  REQUIRE(WaitForLink(*port, true));
  ExchangeWithEcho(*port);
}

TEST_CASE("memif: clients that leave at any point of the agreement harm nobody") {
  std::unique_ptr<DpdkPort> port = OpenPort("server");
  for (int i = 0; i < 3; ++i) {
    { BareClient gone_at_once; }
    BareClient refused;
    CHECK(refused.Await(*port) == MemifType::kHello);
    refused.Say(MemifType::kInit, {0x00, 0x02, 9}, -1);  // no such id
    CHECK(refused.Await(*port) == MemifType::kDisconnect);
    CHECK(refused.Await(*port) == MemifType{});
    BareClient client;
    CHECK(client.Await(*port) == MemifType::kHello);
    client.Say(MemifType::kInit, {0x00, 0x02}, -1);
    if (i > 0) CHECK(client.Await(*port) == MemifType::kAck);
    if (i > 1) client.Say(MemifType::kConnected, {}, -1);  // which is the server's to say
  }
  CHECK_FALSE(port->link_up());
  Peer peer("peer: client");
  REQUIRE(WaitForLink(*port, true));
  ExchangeWithEcho(*port);
}

TEST_CASE("memif: a second server on a socket is refused") {
  std::unique_ptr<DpdkPort> port = OpenPort("server");
  PortConfig config = Config("server");
  config.device.replace(0, std::strlen("net_memif0"), "net_memif1");
  config.device += ",id=1";
  CHECK_THAT(std::string(DpdkPort::Open(config).status().message()),
             Catch::Contains("is in use by another process or device"));
  port.reset();
  CHECK(::access(SocketPath().c_str(), F_OK) != 0);
  CHECK(DpdkPort::Open(config).ok());
}

TEST_CASE("memif: a server that outlives its client serves the next one") {
  std::unique_ptr<DpdkPort> port = OpenPort("server");
  CHECK(port->capabilities().mtu == 9000);
  CHECK(port->capabilities().tx_segments_max == 1);
  for (int round = 0; round < 2; ++round) {
    Peer peer("peer: client");
    REQUIRE(WaitForLink(*port, true));
    ExchangeWithEcho(*port);
    peer.Kill();
    REQUIRE(WaitForLink(*port, false));
    const uint64_t before = port->statistics().tx_errors;
    CHECK(Send(*port, MakeFrame(100, 1)));  // lost, as on a cable that was pulled
    CHECK(port->statistics().tx_errors == before + 1);
  }
  // A second server on the same socket, from another process, is told so.
  CHECK_THAT(std::string(ClearServerSocket(SocketPath()).message()),
             Catch::Contains("is in use by another process"));
}

TEST_CASE("memif: a client that starts first finds its server, and the next after a SIGKILL") {
  std::unique_ptr<DpdkPort> port = OpenPort("client");
  CHECK_FALSE(port->link_up());
  for (int round = 0; round < 2; ++round) {
    Peer peer("peer: server");
    REQUIRE(WaitForLink(*port, true));
    ExchangeWithEcho(*port);
    peer.Kill();  // leaves its socket behind
    CHECK(::access(SocketPath().c_str(), F_OK) == 0);
    REQUIRE(WaitForLink(*port, false));
  }
  ::unlink(SocketPath().c_str());
  ::rmdir(SocketPath().substr(0, SocketPath().rfind('/')).c_str());
}

}  // namespace
}  // namespace sluice::dpdk::test
