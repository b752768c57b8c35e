// Two processes that meet over net_memif. The test starts itself again as the other end, which
// sends back every frame it gets, and then leaves in one of several ways.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "dpdk/memif_socket.h"
#include "dpdk/port.h"
#include "dpdk_harness.h"

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
  void Kill() {
    ::kill(process_, SIGKILL);
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

TEST_CASE("peer: server", "[.]") { Echo(*OpenPort("server")); }
TEST_CASE("peer: client", "[.]") { Echo(*OpenPort("client")); }

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
