// DPDK ports that have the kernel at the other end: af_packet and af_xdp on a veth, and tap. Each
// test runs in a network namespace of the process's own; it needs root and says so where it lacks
// it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "dpdk/port.h"
#include "dpdk_harness.h"

namespace sluice::dpdk::test {
namespace {

void MakeVeth(const std::string& ours, const std::string& theirs) {
  Run("ip link add " + ours + " type veth peer name " + theirs);
  Run("ip link set " + theirs + " up");
}

std::string Error(const PortConfig& config) {
  return std::string(DpdkPort::Open(config).status().message());
}

// Frames both ways, and the whole life of a wake descriptor.
void ExchangeAndWake(engine::Port& port, const std::string& kernel_end) {
  RawSocket peer(kernel_end);
  const std::vector<uint8_t> out = MakeFrame(1000, 7);
  REQUIRE(Send(port, out));
  CHECK((peer.Receive() == out));

  const int wake = port.wake_descriptor(0);
  REQUIRE(wake >= 0);
  CHECK(port.ArmWake(0));
  CHECK_FALSE(Readable(wake, 0));
  const std::vector<uint8_t> in = MakeFrame(1486, 9);
  peer.Send(in);
  CHECK(Readable(wake));
  port.DisarmWake(0);
  CHECK_FALSE(Readable(wake, 0));
  CHECK((Receive(port, 1000) == in));

  // Awake, a frame rings nobody; and whoever arms then is told to poll.
  peer.Send(in);
  CHECK_FALSE(Readable(wake, 0));
  CHECK_FALSE(port.ArmWake(0));
  CHECK_FALSE(Readable(wake, 0));
  CHECK((Receive(port, 1000) == in));
  CHECK(port.ArmWake(0));
  port.DisarmWake(0);
}

TEST_CASE("af_packet sends, receives and wakes") {
  if (!EnterNamespace()) return;
  MakeVeth("sl0", "sl1");
  StartEal();
  PortConfig config;
  config.device = "net_af_packet0,iface=sl0";
  absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(config);
  INFO(port.status().ToString());
  REQUIRE(port.ok());
  CHECK((*port)->link_up());
  CHECK((*port)->capabilities().mtu == 1500);
  CHECK_FALSE((*port)->capabilities().mac.is_zero());
  ExchangeAndWake(**port, "sl1");

  SECTION("a burst while nobody looks is kept") {
    RawSocket peer("sl1");
    for (int i = 0; i < 500; ++i) peer.Send(MakeFrame(100, static_cast<uint8_t>(i)));
    for (int i = 0; i < 500; ++i) {
      REQUIRE((Receive(**port, 1000) == MakeFrame(100, static_cast<uint8_t>(i))));
    }
  }
  SECTION("a frame over the MTU is refused and counted, and does not block the next") {
    const engine::PortStatistics before = (*port)->statistics();
    CHECK(Send(**port, MakeFrame(1600, 0)));
    CHECK((*port)->statistics().tx_errors == before.tx_errors + 1);
    RawSocket peer("sl1");
    CHECK(Send(**port, MakeFrame(60, 3)));
    CHECK((peer.Receive() == MakeFrame(60, 3)));
  }
  SECTION("what this machine itself sends on the interface is not received") {
    RawSocket local("sl0");
    local.Send(MakeFrame(60, 5));
    CHECK(Receive(**port, 1000).empty());
  }
  SECTION("the link goes down and comes back") {
    Run("ip link set sl0 down");
    CHECK_FALSE((*port)->link_up());
    CHECK((*port)->ArmWake(0));  // the socket's error neither wakes for ever nor blocks sleeping
    (*port)->DisarmWake(0);
    CHECK_FALSE(Readable((*port)->wake_descriptor(0), 0));
    Run("ip link set sl0 up");
    CHECK((*port)->link_up());
    ExchangeAndWake(**port, "sl1");
  }
  port->reset();
  Run("ip link del sl0");
}

// A UDP socket of the kernel's that sends to 198.51.100.2, which is `ours`, by way of `theirs`.
int ConnectedDatagrams(const std::string& theirs) {
  Run("ip address add 198.51.100.1/24 dev " + theirs);
  Run("ip neighbor add 198.51.100.2 lladdr 02:00:00:00:00:02 dev " + theirs);
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(0xc6336402);
  REQUIRE(::connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
  return socket;
}

// Polls all queues for one frame.
std::vector<uint8_t> ReceiveAnywhere(DpdkPort& port, int polls_max) {
  for (int i = 0; i < polls_max; ++i) {
    for (uint16_t queue = 0; queue < port.capabilities().queues; ++queue) {
      rte_mbuf* packet = nullptr;
      if (port.Receive(queue, {&packet, 1}) == 0) continue;
      std::vector<uint8_t> bytes = Bytes(packet);
      rte_pktmbuf_free(packet);
      return bytes;
    }
  }
  return {};
}

TEST_CASE("af_packet hands over IPv4 fragments as they came") {
  if (!EnterNamespace()) return;
  MakeVeth("sl10", "sl11");
  Run("ethtool -K sl11 tx off tso off gso off");
  StartEal();
  PortConfig config;
  config.device = "net_af_packet5,iface=sl10";
  config.queues = GENERATE(uint16_t{1}, uint16_t{2});
  absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(config);
  INFO(port.status().ToString());
  REQUIRE(port.ok());
  const int socket = ConnectedDatagrams("sl11");

  // RFC 791 section 3.2: offsets in units of 8 bytes, the flag "more fragments" in all but the
  // last.
  for (size_t size : {size_t{3000}, size_t{60000}}) {
    const std::vector<uint8_t> payload(size, 0x5a);
    REQUIRE(::send(socket, payload.data(), size, 0) == static_cast<ssize_t>(size));
    size_t reached = 0;
    for (bool more = true; more;) {
      const std::vector<uint8_t> frame = ReceiveAnywhere(**port, 100000);
      REQUIRE(frame.size() >= 34);
      REQUIRE(frame.size() <= 1514);
      const unsigned field = frame[20] * 256u + frame[21];
      REQUIRE((field & 0x1fff) * 8 == reached);
      reached += frame.size() - 34;
      more = (field & 0x2000) != 0;
    }
    CHECK(reached == size + 8);
  }
  CHECK((*port)->statistics().rx_errors == 0);
  ::close(socket);
  port->reset();
  Run("ip link del sl10");
}

// Ten datagrams of 1,000 bytes in one call, which a veth carries as one frame.
void SendSegmented(int socket) {
  const std::vector<uint8_t> payload(10 * 1000, 0x5a);
  REQUIRE(::send(socket, payload.data(), payload.size(), 0) ==
          static_cast<ssize_t>(payload.size()));
}

TEST_CASE("af_packet on a veth: a peer that leaves cutting segments to others is made to do it") {
  if (!EnterNamespace()) return;
  MakeVeth("sl8", "sl9");
  StartEal();
  PortConfig config;
  config.device = "net_af_packet4,iface=sl8";
  absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(config);
  INFO(port.status().ToString());
  REQUIRE(port.ok());

  const int socket = ConnectedDatagrams("sl9");
  const int segment_bytes = 1000;
  REQUIRE(::setsockopt(socket, SOL_UDP, UDP_SEGMENT, &segment_bytes, sizeof(segment_bytes)) == 0);

  SendSegmented(socket);
  CHECK(Receive(**port, 1000).empty());
  CHECK((*port)->statistics().rx_errors == 1);
  SendSegmented(socket);
  for (int i = 0; i < 10; ++i) REQUIRE(Receive(**port, 100000).size() == 14 + 20 + 8 + 1000);
  CHECK((*port)->statistics().rx_errors == 1);
  ::close(socket);
}

TEST_CASE("af_packet takes jumbo frames where the interface does") {
  if (!EnterNamespace()) return;
  MakeVeth("sl2", "sl3");
  Run("ip link set sl2 mtu 9000");
  Run("ip link set sl3 mtu 9000");
  StartEal();
  PortConfig config;
  config.device = "net_af_packet1,iface=sl2";
  config.packets_per_queue = 2048;
  absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(config);
  INFO(port.status().ToString());
  REQUIRE(port.ok());
  CHECK((*port)->capabilities().mtu == 9000);
  RawSocket peer("sl3");
  const std::vector<uint8_t> frame = MakeFrame(9000, 1);
  REQUIRE(Send(**port, frame));
  CHECK((peer.Receive() == frame));
  peer.Send(frame);
  CHECK((Receive(**port, 1000) == frame));
}

TEST_CASE("af_packet says in one line what is wrong") {
  if (!EnterNamespace()) return;
  MakeVeth("sl4", "sl5");
  StartEal();
  PortConfig config;
  config.device = "net_af_packet3,iface=nosuch0";
  CHECK_THAT(Error(config), Catch::Contains("no interface 'nosuch0'") && Catch::Contains("sl4"));
  config.device = "net_af_packet3";
  CHECK_THAT(Error(config), Catch::Contains("net_af_packet3,iface=NAME"));
  config.device = "net_af_packet3,iface=sl4";
  config.mtu = 9000;
  CHECK_THAT(Error(config), Catch::Contains("ip link set sl4 mtu 9000"));
}

TEST_CASE("tap sends, receives and wakes, with an address that is not the kernel's") {
  if (!EnterNamespace()) return;
  StartEal();
  PortConfig config;
  config.device = "net_tap0,iface=sltap0";
  absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(config);
  INFO(port.status().ToString());
  REQUIRE(port.ok());
  Run("ip link set sltap0 up");
  absl::StatusOr<KernelInterface> kernel = FindKernelInterface("sltap0");
  REQUIRE(kernel.ok());
  CHECK((*port)->capabilities().mac != kernel->mac);
  CHECK((*port)->link_up());
  ExchangeAndWake(**port, "sltap0");
  ExchangeAndWake(**port, "sltap0");
  port->reset();
  CHECK_FALSE(FindKernelInterface("sltap0").ok());
}

TEST_CASE("tap gives a smaller MTU to the kernel's end, and refuses a larger one") {
  if (!EnterNamespace()) return;
  StartEal();
  PortConfig config;
  config.device = "net_tap1,iface=sltap1";
  config.mtu = 9000;
  CHECK_THAT(Error(config), Catch::Contains("allows an MTU of 1500, not 9000; lower 'mtu'"));
  config.mtu = 1280;
  absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(config);
  INFO(port.status().ToString());
  REQUIRE(port.ok());
  CHECK((*port)->capabilities().mtu == 1280);
  CHECK(FindKernelInterface("sltap1")->mtu == 1280);
}

TEST_CASE("af_xdp sends, receives and wakes where the kernel allows it") {
  if (!EnterNamespace()) return;
  MakeVeth("sl6", "sl7");
  StartEal();
  PortConfig config;
  config.device = "net_af_xdp0,iface=sl6";
  config.packets_per_queue = 8192;
  absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(config);
  if (!port.ok()) {
    std::printf("skipped: af_xdp: %s\n", std::string(port.status().message()).c_str());
    return;
  }
  ExchangeAndWake(**port, "sl7");
}

}  // namespace
}  // namespace sluice::dpdk::test
