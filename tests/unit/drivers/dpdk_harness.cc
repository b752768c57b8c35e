#include "dpdk_harness.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "dpdk/eal.h"

namespace sluice::dpdk::test {
namespace {

constexpr uint16_t kEtherType = 0x88b5;  // IEEE 802, for local experiments

}  // namespace

void StartEal() {
  EalConfig config;
  config.hugepages = Hugepages::kNever;
  config.memory_mib = 256;
  const absl::Status status = Eal::Start(config);
  INFO(status.ToString());
  REQUIRE(status.ok());
}

bool EnterNamespace() {
  static const bool entered = [] {
    if (::unshare(CLONE_NEWNET) != 0) {
      std::printf("skipped: no network namespace of its own (%s)\n", std::strerror(errno));
      return false;
    }
    std::ofstream("/proc/sys/net/ipv6/conf/default/disable_ipv6") << "1";
    std::ofstream("/proc/sys/net/ipv6/conf/all/disable_ipv6") << "1";
    return true;
  }();
  return entered;
}

void Run(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

std::vector<uint8_t> MakeFrame(size_t payload_bytes, uint8_t seed) {
  std::vector<uint8_t> frame = {
      2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, kEtherType >> 8, kEtherType & 0xff};
  for (size_t i = 0; i < payload_bytes; ++i) frame.push_back(static_cast<uint8_t>(seed + i));
  return frame;
}

std::vector<uint8_t> Bytes(const rte_mbuf* packet) {
  std::vector<uint8_t> bytes;
  for (const rte_mbuf* segment = packet; segment != nullptr; segment = segment->next) {
    const auto* data = rte_pktmbuf_mtod(segment, const uint8_t*);
    bytes.insert(bytes.end(), data, data + segment->data_len);
  }
  return bytes;
}

bool Send(engine::Port& port, const std::vector<uint8_t>& frame) {
  rte_mbuf* packet = rte_pktmbuf_alloc(port.pool(0));
  if (packet == nullptr) FAIL("no packet left in the pool");
  char* data = rte_pktmbuf_append(packet, static_cast<uint16_t>(frame.size()));
  if (data == nullptr) FAIL("no room in the packet");
  std::memcpy(data, frame.data(), frame.size());
  if (port.Transmit(0, {&packet, 1}) == 1) return true;
  rte_pktmbuf_free(packet);
  return false;
}

std::vector<uint8_t> Receive(engine::Port& port, int polls_max) {
  for (int i = 0; i < polls_max; ++i) {
    rte_mbuf* packet = nullptr;
    if (port.Receive(0, {&packet, 1}) == 0) continue;
    std::vector<uint8_t> bytes = Bytes(packet);
    rte_pktmbuf_free(packet);
    return bytes;
  }
  return {};
}

bool Readable(int descriptor, int limit_ms) {
  pollfd waiting = {descriptor, POLLIN, 0};
  return ::poll(&waiting, 1, limit_ms) == 1;
}

RawSocket::RawSocket(const std::string& interface)
    : descriptor_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(kEtherType))) {
  REQUIRE(descriptor_ >= 0);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(kEtherType);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
  REQUIRE(::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
}

RawSocket::~RawSocket() { ::close(descriptor_); }

void RawSocket::Send(const std::vector<uint8_t>& frame) {
  REQUIRE(::send(descriptor_, frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size()));
}

std::vector<uint8_t> RawSocket::Receive() {
  std::vector<uint8_t> frame(65536);
  const ssize_t size =
      Readable(descriptor_) ? ::recv(descriptor_, frame.data(), frame.size(), 0) : 0;
  frame.resize(size > 0 ? size : 0);
  return frame;
}

}  // namespace sluice::dpdk::test

// af_xdp's driver does not free the small record that libxdp keeps of its memory.
extern "C" const char* __lsan_default_suppressions() { return "leak:xsk_umem__create\n"; }
