// Options: what Linux programs set and ask for.
#include <linux/tcp.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "api/socket_calls.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

int Get(int fd, int level, int name) {
  int value = -12345;
  socklen_t length = sizeof(value);
  if (GetSockOpt(fd, level, name, &value, &length) != 0) return -errno;
  return value;
}
int Set(int fd, int level, int name, int value) {
  return SetSockOpt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

TEST_CASE("what a socket is") {
  FakeEngine engine;
  const int fd = Socket(AF_INET6, SOCK_STREAM, 0);
  CHECK(Get(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM);
  CHECK(Get(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6);
  CHECK(Get(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP);
  CHECK(Get(fd, SOL_SOCKET, SO_ACCEPTCONN) == 0);
  CHECK(Get(engine.Listener(), SOL_SOCKET, SO_ACCEPTCONN) == 1);
  uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  CHECK(GetSockOpt(fd, SOL_SOCKET, 57, &cookie, &length) == 0);
  CHECK(cookie == engine.EntryOf(fd).socket_id.load());
  struct stat status;
  CHECK(Fstat(fd, &status) == 0);
  CHECK(S_ISSOCK(status.st_mode));
}

TEST_CASE("switches keep what they are set to") {
  FakeEngine engine;
  const int stream = Socket(AF_INET6, SOCK_STREAM, 0);
  const int names[][2] = {{SOL_SOCKET, SO_REUSEADDR},
                          {SOL_SOCKET, SO_REUSEPORT},
                          {SOL_SOCKET, SO_KEEPALIVE},
                          {SOL_SOCKET, SO_OOBINLINE},
                          {SOL_SOCKET, SO_BROADCAST},
                          {IPPROTO_TCP, TCP_NODELAY},
                          {IPPROTO_TCP, TCP_CORK},
                          {IPPROTO_IP, IP_RECVTOS},
                          {IPPROTO_IP, IP_FREEBIND},
                          {IPPROTO_IP, IP_RECVERR},
                          {IPPROTO_IPV6, IPV6_V6ONLY},
                          {IPPROTO_IPV6, IPV6_RECVERR},
                          {IPPROTO_IPV6, IPV6_RECVPKTINFO},
                          {SOL_SOCKET, SO_TIMESTAMPNS},
                          {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT}};
  for (const auto& [level, name] : names) {
    CAPTURE(level, name);
    CHECK(Get(stream, level, name) == 0);
    CHECK(Set(stream, level, name, 5) == 0);
    CHECK(Get(stream, level, name) == 1);
    CHECK(Set(stream, level, name, 0) == 0);
    CHECK(Get(stream, level, name) == 0);
  }
  engine.Turn();
  engine.operations.clear();
  CHECK(Set(stream, IPPROTO_TCP, TCP_QUICKACK, 1) == 0);
  engine.Turn();
  CHECK(engine.operations == std::vector{table::Operation::kOptions});
}

TEST_CASE("the engine hears of options that hold data back only where there are such data") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int name = GENERATE(TCP_NODELAY, TCP_CORK);
  engine.Turn();
  engine.operations.clear();
  CHECK(Set(fd, IPPROTO_TCP, name, 1) == 0);
  engine.Turn();
  CHECK(engine.operations.empty());
  REQUIRE(Send(fd, "x", 1, 0) == 1);
  CHECK(Set(fd, IPPROTO_TCP, name, 0) == 0);
  engine.Turn();
  CHECK(engine.operations == std::vector{table::Operation::kOptions});
}

TEST_CASE("numbers have ranges") {
  FakeEngine engine;
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  CHECK(Set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0) == -EINVAL);
  CHECK(Set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 99) == 0);
  CHECK(Get(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 99);
  CHECK(Set(fd, IPPROTO_TCP, TCP_KEEPCNT, 200) == -EINVAL);
  CHECK(Set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1) == -EINVAL);
  CHECK(Set(fd, IPPROTO_TCP, TCP_MAXSEG, 50) == -EINVAL);
  CHECK(Get(fd, IPPROTO_TCP, TCP_MAXSEG) == 536);
  CHECK(Set(fd, IPPROTO_TCP, TCP_MAXSEG, 1000) == 0);
  CHECK(Get(fd, IPPROTO_TCP, TCP_MAXSEG) == 1000);
  CHECK(Get(fd, IPPROTO_TCP, TCP_SYNCNT) == 6);
  CHECK(Set(fd, IPPROTO_IP, IP_TTL, 0) == -EINVAL);
  CHECK(Get(fd, IPPROTO_IP, IP_TTL) == 64);
  CHECK(Set(fd, IPPROTO_IP, IP_TTL, 7) == 0);
  CHECK(Get(fd, IPPROTO_IP, IP_TTL) == 7);
  const uint8_t tos = 0x10;
  CHECK(SetSockOpt(fd, IPPROTO_IP, IP_TOS, &tos, 1) == 0);
  CHECK(Get(fd, IPPROTO_IP, IP_TOS) == 0x10);
  CHECK(Set(fd, IPPROTO_TCP, TCP_FASTOPEN, 5) == -EOPNOTSUPP);
  CHECK(Set(fd, SOL_SOCKET, 9999, 1) == -ENOPROTOOPT);
  CHECK(Set(fd, IPPROTO_UDP, 103, 1) == -ENOPROTOOPT);
  CHECK(Set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) == -ENOPROTOOPT);
  CHECK_ERROR(SetSockOpt(fd, SOL_SOCKET, SO_REUSEADDR, &tos, 1), EINVAL);
  CHECK_ERROR(SetSockOpt(fd, SOL_SOCKET, SO_REUSEADDR, nullptr, 4), EFAULT);
}

TEST_CASE("buffers are doubled, and low water wakes") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  CHECK(Set(fd, SOL_SOCKET, SO_SNDBUF, 10000) == 0);
  CHECK(Get(fd, SOL_SOCKET, SO_SNDBUF) == 20000);
  CHECK(Set(fd, SOL_SOCKET, SO_RCVBUF, 1) == 0);
  CHECK(Get(fd, SOL_SOCKET, SO_RCVBUF) == 2304);
  CHECK(Set(fd, SOL_SOCKET, SO_RCVLOWAT, 4) == 0);
  engine.Deliver(fd, "abc");
  pollfd descriptor{fd, POLLIN, 0};
  CHECK(Poll(&descriptor, 1, 0) == 0);
  engine.Deliver(fd, "d");
  CHECK(Poll(&descriptor, 1, 0) == 1);
}

TEST_CASE("structures") {
  FakeEngine engine;
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  const linger on{.l_onoff = 1, .l_linger = 7};
  CHECK(SetSockOpt(fd, SOL_SOCKET, SO_LINGER, &on, sizeof(on)) == 0);
  linger value{};
  socklen_t length = sizeof(value);
  CHECK(GetSockOpt(fd, SOL_SOCKET, SO_LINGER, &value, &length) == 0);
  CHECK(value.l_linger == 7);
  const timeval time{.tv_sec = 1, .tv_usec = 500000};
  CHECK(SetSockOpt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
  timeval got{};
  length = sizeof(got);
  CHECK(GetSockOpt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &length) == 0);
  CHECK(got.tv_usec == 500000);
  const timeval wrong{.tv_sec = 1, .tv_usec = 2000000};
  CHECK_ERROR(SetSockOpt(fd, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof(wrong)), EDOM);
  char name[16] = {};
  length = sizeof(name);
  CHECK(GetSockOpt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0);
  CHECK(std::string(name) == "cubic");
  CHECK(SetSockOpt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0);
  CHECK_ERROR(SetSockOpt(fd, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3), ENOENT);
}

TEST_CASE("TCP_INFO says what the engine knows") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.information.state = 1;
  engine.information.srtt_us = 1234;
  engine.information.send_mss = 1448;
  engine.information.bytes_acked = 1ull << 33;
  engine.information.sack = 1;
  engine.information.send_scale = 7;
  tcp_info info{};
  socklen_t length = sizeof(info);
  CHECK(GetSockOpt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
  CHECK(length == sizeof(info));
  CHECK(info.tcpi_state == 1);
  CHECK(info.tcpi_rtt == 1234);
  CHECK(info.tcpi_snd_mss == 1448);
  CHECK(uint64_t{info.tcpi_bytes_acked} == 1ull << 33);
  CHECK(info.tcpi_options == TCPI_OPT_SACK);
  CHECK(int{info.tcpi_snd_wscale} == 7);
  length = 8;
  CHECK(GetSockOpt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
  CHECK(length == 8);
  CHECK(Get(fd, IPPROTO_TCP, TCP_MAXSEG) == 1448);
  CHECK(Get(fd, IPPROTO_IP, IP_MTU) == 1400);
}

TEST_CASE("IPV6_V6ONLY cannot change once bound") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram(AF_INET6);
  CHECK(Set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) == -EINVAL);
}

std::vector<table::InterfaceRecord> Interfaces() {
  std::vector<table::InterfaceRecord> records(12);
  for (size_t i = 0; i < records.size(); ++i) {
    const std::string name = "port" + std::to_string(i);
    std::memcpy(records[i].name, name.c_str(), name.size() + 1);
    records[i].index = static_cast<uint16_t>(i + 1);
    records[i].mtu = 1500;
    records[i].prefix_length = 24;
    records[i].flags = IFF_UP | IFF_BROADCAST;
    records[i].mac.bytes = {2, 0, 0, 0, 0, static_cast<uint8_t>(i)};
    records[i].address = wire::IpAddress::V4(192, 0, 2, static_cast<uint8_t>(i + 1));
  }
  return records;
}

TEST_CASE("groups are joined by address and by index, in every form") {
  FakeEngine engine;
  engine.interfaces = Interfaces();
  const int fd = engine.BoundDatagram();
  const auto last = [&] { return engine.commands.back(); };
  ip_mreq by_address{};
  by_address.imr_multiaddr = V4("239.1.2.3", 0).sin_addr;
  by_address.imr_interface = V4("192.0.2.11", 0).sin_addr;
  CHECK(SetSockOpt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof(by_address)) == 0);
  CHECK(last().operation == table::Operation::kJoinGroup);
  CHECK(last().remote.address == wire::IpAddress::V4(239, 1, 2, 3));
  CHECK(last().local.scope == 11);
  by_address.imr_interface = V4("192.0.2.99", 0).sin_addr;
  CHECK_ERROR(SetSockOpt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof(by_address)),
              ENODEV);
  by_address.imr_interface.s_addr = 0;
  by_address.imr_multiaddr = V4("10.0.0.1", 0).sin_addr;
  CHECK_ERROR(SetSockOpt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof(by_address)),
              EINVAL);
  group_source_req request{};
  request.gsr_interface = 2;
  const sockaddr_in group = V4("232.1.1.1", 0), source = V4("192.0.2.50", 0);
  std::memcpy(&request.gsr_group, &group, sizeof(group));
  std::memcpy(&request.gsr_source, &source, sizeof(source));
  CHECK(SetSockOpt(fd, IPPROTO_IP, MCAST_BLOCK_SOURCE, &request, sizeof(request)) == 0);
  CHECK(last().operation == table::Operation::kSourceFilter);
  CHECK(last().argument == static_cast<uint32_t>(table::SourceOperation::kBlock));
  CHECK(last().local.address == wire::IpAddress::V4(192, 0, 2, 50));

  const int six = engine.BoundDatagram(AF_INET6);
  ipv6_mreq join{};
  join.ipv6mr_multiaddr = V6("ff02::123", 0).sin6_addr;
  join.ipv6mr_interface = 5;
  CHECK(SetSockOpt(six, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &join, sizeof(join)) == 0);
  CHECK(last().operation == table::Operation::kLeaveGroup);
  CHECK(last().local.scope == 5);
}

TEST_CASE("interfaces, by ioctl and by SO_BINDTODEVICE") {
  FakeEngine engine;
  engine.interfaces = Interfaces();
  const int fd = engine.BoundDatagram();
  ifreq request{};
  std::strcpy(request.ifr_name, "port3");
  CHECK(Ioctl(fd, SIOCGIFADDR, &request) == 0);
  const auto& address = reinterpret_cast<const sockaddr_in&>(request.ifr_addr);
  CHECK(address.sin_addr.s_addr == V4("192.0.2.4", 0).sin_addr.s_addr);
  CHECK(Ioctl(fd, SIOCGIFNETMASK, &request) == 0);
  CHECK(address.sin_addr.s_addr == V4("255.255.255.0", 0).sin_addr.s_addr);
  CHECK(Ioctl(fd, SIOCGIFBRDADDR, &request) == 0);
  CHECK(address.sin_addr.s_addr == V4("192.0.2.255", 0).sin_addr.s_addr);
  CHECK(Ioctl(fd, SIOCGIFHWADDR, &request) == 0);
  CHECK(request.ifr_hwaddr.sa_data[5] == 3);
  CHECK(Ioctl(fd, SIOCGIFMTU, &request) == 0);
  CHECK(request.ifr_mtu == 1500);
  CHECK(Ioctl(fd, SIOCGIFINDEX, &request) == 0);
  CHECK(request.ifr_ifindex == 4);
  CHECK(Ioctl(fd, SIOCGIFNAME, &request) == 0);
  CHECK(std::string(request.ifr_name) == "port3");
  std::strcpy(request.ifr_name, "none");
  CHECK_ERROR(Ioctl(fd, SIOCGIFFLAGS, &request), ENODEV);
  ifreq all[20];
  ifconf conf{};
  conf.ifc_len = sizeof(all);
  conf.ifc_req = all;
  CHECK(Ioctl(fd, SIOCGIFCONF, &conf) == 0);
  CHECK(conf.ifc_len == 12 * static_cast<int>(sizeof(ifreq)));
  CHECK(std::string(all[11].ifr_name) == "port11");

  CHECK(SetSockOpt(fd, SOL_SOCKET, SO_BINDTODEVICE, "port5", 6) == 0);
  char name[IFNAMSIZ];
  socklen_t length = sizeof(name);
  CHECK(GetSockOpt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length) == 0);
  CHECK(std::string(name) == "port5");
  CHECK_ERROR(SetSockOpt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nope", 4), ENODEV);
}

}  // namespace
}  // namespace sluice::api
