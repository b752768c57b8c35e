// DPDK ports without a kernel or a peer behind them: net_ring, net_null and net_pcap.

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "dpdk/eal.h"
#include "dpdk/port.h"
#include "dpdk_harness.h"

namespace sluice::dpdk::test {
namespace {

std::unique_ptr<DpdkPort> OpenPort(const PortConfig& config) {
  StartEal();
  absl::StatusOr<std::unique_ptr<DpdkPort>> port = DpdkPort::Open(config);
  INFO(port.status().ToString());
  REQUIRE(port.ok());
  return *std::move(port);
}

std::string Error(const std::string& device) {
  PortConfig config;
  config.device = device;
  return std::string(DpdkPort::Open(config).status().message());
}

TEST_CASE("ring gives back what was sent, in order, and the pool stays whole") {
  PortConfig config;
  config.device = "net_ring0";
  config.packets_per_queue = 512;
  std::unique_ptr<DpdkPort> port = OpenPort(config);
  CHECK(port->name() == "net_ring0");
  CHECK(port->wake_descriptor(0) == -1);
  CHECK(port->ArmWake(0));
  CHECK(rte_mempool_avail_count(port->pool(0)) == 512);
  for (uint8_t i = 0; i < 100; ++i) REQUIRE(Send(*port, MakeFrame(i, i)));
  CHECK(rte_mempool_avail_count(port->pool(0)) == 412);
  for (uint8_t i = 0; i < 100; ++i) REQUIRE((Receive(*port, 1) == MakeFrame(i, i)));
  CHECK(Receive(*port, 1).empty());
  CHECK(rte_mempool_avail_count(port->pool(0)) == 512);
  CHECK(port->statistics().tx_packets == 100);
  CHECK(port->statistics().rx_packets == 100);
  CHECK_FALSE(port->ExtendedStatistics().empty());
}

TEST_CASE("a trusted ring vouches for checksums") {
  PortConfig config;
  config.device = "net_ring1";
  config.trusted_link = true;
  config.packets_per_queue = 512;
  std::unique_ptr<DpdkPort> port = OpenPort(config);
  CHECK(port->capabilities().rx_checksum);
  CHECK(port->capabilities().tx_tcp_checksum);
  REQUIRE(Send(*port, MakeFrame(60, 0)));
  rte_mbuf* packet = nullptr;
  REQUIRE(port->Receive(0, {&packet, 1}) == 1);
  CHECK((packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  CHECK((packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD);
  rte_pktmbuf_free(packet);
}

TEST_CASE("a port has the queues it was asked for, each with its own pool") {
  PortConfig config;
  config.device = "net_null1";
  config.queues = 2;
  config.packets_per_queue = 256;
  std::unique_ptr<DpdkPort> port = OpenPort(config);
  CHECK(port->capabilities().queues == 2);
  CHECK(port->pool(0) != port->pool(1));
}

TEST_CASE("null receives nothing and swallows everything") {
  PortConfig config;
  config.device = "net_null0";
  config.mac = wire::MacAddress{{2, 0, 0, 0, 0, 9}};
  config.packets_per_queue = 256;
  std::unique_ptr<DpdkPort> port = OpenPort(config);
  CHECK(port->capabilities().mac == *config.mac);
  CHECK(Receive(*port, 100).empty());
  for (int i = 0; i < 1000; ++i) REQUIRE(Send(*port, MakeFrame(100, 1)));
  CHECK(rte_mempool_avail_count(port->pool(0)) == 256);
}

TEST_CASE("pcap replays one file and records into another") {
  char directory[] = "/tmp/sluice-pcap-XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  const std::string in = std::string(directory) + "/in.pcap";
  const std::string out = std::string(directory) + "/out.pcap";
  const std::vector<uint8_t> frame = MakeFrame(200, 3);
  {
    // The libpcap file format: header of the file, header of one record, the record.
    const auto size = static_cast<uint32_t>(frame.size());
    const uint32_t file[] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1};
    const uint32_t record[] = {0, 0, size, size};
    std::ofstream stream(in, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(file), sizeof(file));
    stream.write(reinterpret_cast<const char*>(record), sizeof(record));
    stream.write(reinterpret_cast<const char*>(frame.data()), size);
  }
  PortConfig config;
  config.device = "net_pcap0,rx_pcap=" + in + ",tx_pcap=" + out;
  config.packets_per_queue = 2048;
  {
    std::unique_ptr<DpdkPort> port = OpenPort(config);
    CHECK((Receive(*port, 10) == frame));
    CHECK(Receive(*port, 10).empty());
    REQUIRE(Send(*port, frame));
  }
  std::ifstream stream(out, std::ios::binary);
  const std::string recorded((std::istreambuf_iterator<char>(stream)), {});
  REQUIRE(recorded.size() == 24 + 16 + frame.size());
  CHECK(std::memcmp(recorded.data() + 40, frame.data(), frame.size()) == 0);
  std::remove(in.c_str());
  std::remove(out.c_str());
  ::rmdir(directory);
}

TEST_CASE("what cannot be opened is explained in one line") {
  StartEal();
  CHECK_THAT(Error("net_nosuch0"), Catch::Contains("DPDK has no driver 'net_nosuch'"));
  CHECK_THAT(Error("net_null5,nonsense=1"), Catch::Contains("does not accept 'nonsense=1"));
  CHECK_THAT(Error("net_pcap5,rx_pcap=/nonexistent/x.pcap"),
             Catch::Contains("cannot read capture file '/nonexistent/x.pcap'"));
  CHECK_THAT(Error("0000:fe:1f.7"), Catch::Contains("dpdk-devbind.py -b vfio-pci 0000:fe:1f.7"));
  CHECK_THAT(Error("net_memif5,role=boss"), Catch::Contains("neither 'server' nor 'client'"));
  PortConfig config;
  config.device = "net_null7";
  config.trusted_link = true;
  CHECK_THAT(std::string(DpdkPort::Open(config).status().message()),
             Catch::Contains("cannot be a trusted link"));
  config.trusted_link = false;
  config.packets_per_queue = 10'000'000;
  CHECK_THAT(std::string(DpdkPort::Open(config).status().message()),
             Catch::Contains("raise 'memory_mib' or lower 'mbufs'"));
  config.packets_per_queue = 256;
  std::unique_ptr<DpdkPort> port = OpenPort(config);  // the failed attempts left nothing behind
  CHECK_THAT(Error("net_null7"), Catch::Contains("in use already"));
}

}  // namespace
}  // namespace sluice::dpdk::test
