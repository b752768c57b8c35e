// One socket of the program's on several engines.
#include <poll.h>
#include <sluice/sluice.h>
#include <sys/epoll.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <string>

#include "api/socket_calls.h"
#include "api/twins.h"
#include "api/zero_copy.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

using table::Operation;
using table::Status;

constexpr int kLanes = 3;

table::RegionLimits Lanes() {
  table::RegionLimits limits = FakeEngine::DefaultLimits();
  limits.lanes = kLanes;
  limits.sockets = 96;
  return limits;
}

table::DatagramHeader FromPort(uint16_t port) {
  table::DatagramHeader header;
  header.peer = {wire::IpAddress::V4(192, 0, 2, 9), port, 0};
  return header;
}

std::string Receive(int fd, int flags = 0) {
  char buffer[256];
  const ssize_t count = Recv(fd, buffer, sizeof(buffer), flags | MSG_DONTWAIT);
  return count < 0 ? strerrorname_np(errno) : std::string(buffer, count);
}

bool IsReadable(int fd) {
  pollfd descriptor{fd, POLLIN, 0};
  return Poll(&descriptor, 1, 0) == 1 && (descriptor.revents & POLLIN) != 0;
}

TEST_CASE("a listener takes connections that come to any engine") {
  FakeEngine engine(Lanes());
  const int listener = engine.Listener();
  for (int lane = 0; lane < kLanes; ++lane) {
    INFO("lane " << lane);
    table::Socket member = engine.At(listener, lane);
    REQUIRE(member);
    CHECK(member.status() == Status::kListening);
    CHECK(member.entry().local.Load().port == 80);
    CHECK_FALSE(IsReadable(listener));
    engine.Arrive(listener, lane);
    CHECK(IsReadable(listener));
    const int connection = Accept(listener, nullptr, nullptr);
    REQUIRE(connection >= 0);
    CHECK(engine.EntryOf(connection).engine.load() == lane);
    Close(connection);
  }
  Close(listener);
  engine.Turn();
  CHECK(engine.open_sockets() == 0);
}

TEST_CASE("connections of all engines are accepted in turn") {
  FakeEngine engine(Lanes());
  const int listener = engine.Listener();
  for (int i = 0; i < 4; ++i) {
    for (int lane = 0; lane < kLanes; ++lane) engine.Arrive(listener, lane);
  }
  for (int round = 0; round < 4; ++round) {
    std::set<int> lanes;
    for (int i = 0; i < kLanes; ++i) {
      const int connection = Accept(listener, nullptr, nullptr);
      REQUIRE(connection >= 0);
      lanes.insert(engine.EntryOf(connection).engine.load());
    }
    CHECK(lanes.size() == kLanes);
  }
}

TEST_CASE("who waits in accept is woken by any engine") {
  FakeEngine engine(Lanes());
  const int listener = engine.Listener();
  const int lane = GENERATE(0, 1, 2);
  engine.when_idle = [&] { engine.Arrive(listener, lane); };
  const int connection = Accept(listener, nullptr, nullptr);
  REQUIRE(connection >= 0);
  CHECK(engine.EntryOf(connection).engine.load() == lane);
}

TEST_CASE("a port that is chosen late is chosen for all engines") {
  FakeEngine engine(Lanes());
  const bool stream = GENERATE(true, false);
  const int fd = Socket(AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
  const int on = 1;
  REQUIRE(SetSockOpt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) == 0);
  const sockaddr_in here = V4("192.0.2.1", 0);
  REQUIRE(Bind(fd, Generic(here), sizeof(here)) == 0);
  CHECK(engine.EntryOf(fd).local.Load().port == 0);
  if (stream) {
    REQUIRE(Listen(fd, 5) == 0);
  } else {
    const sockaddr_in there = V4("192.0.2.9", 53);
    REQUIRE(SendTo(fd, "x", 1, 0, Generic(there), sizeof(there)) == 1);
  }
  const wire::Endpoint local = engine.EntryOf(fd).local.Load();
  CHECK(local.port != 0);
  CHECK(local.address == wire::IpAddress::V4(192, 0, 2, 1));
  for (int lane = 0; lane < kLanes; ++lane) {
    CHECK(engine.At(fd, lane).entry().local.Load() == local);
  }
}

TEST_CASE("a stream that was connected listens on every engine again") {
  FakeEngine engine(Lanes());
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in here = V4("192.0.2.1", 80), there = V4("192.0.2.9", 99);
  REQUIRE(Bind(fd, Generic(here), sizeof(here)) == 0);
  REQUIRE(Connect(fd, Generic(there), sizeof(there)) == 0);
  sockaddr_in nobody = {};
  nobody.sin_family = AF_UNSPEC;
  REQUIRE(Connect(fd, Generic(nobody), sizeof(nobody)) == 0);
  REQUIRE(Listen(fd, 5) == 0);
  for (int lane = 0; lane < kLanes; ++lane) {
    INFO("lane " << lane);
    REQUIRE(engine.At(fd, lane));
    CHECK(engine.At(fd, lane).status() == Status::kListening);
    CHECK(engine.At(fd, lane).entry().local.Load().port == 80);
  }
}

TEST_CASE("an epoll set hears of twins, also of those made after it was told of the socket") {
  FakeEngine engine(Lanes());
  const int set = EpollCreate1(0);
  const int fd = Socket(AF_INET, SOCK_DGRAM, 0);
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};
  REQUIRE(EpollCtl(set, EPOLL_CTL_ADD, fd, &event) == 0);
  const sockaddr_in here = V4("192.0.2.1", 53);
  REQUIRE(Bind(fd, Generic(here), sizeof(here)) == 0);
  epoll_event got[4];
  for (int lane = 0; lane < kLanes; ++lane) {
    engine.idle_runs = 1;
    engine.when_idle = [&] { engine.DeliverDatagram(fd, "news", FromPort(1), lane); };
    INFO("lane " << lane);
    CHECK(EpollWait(set, got, 4, 1000) == 1);
    CHECK(got[0].data.fd == fd);
    CHECK(Receive(fd) == "news");
    CHECK(EpollWait(set, got, 4, 0) == 0);
  }
}

TEST_CASE("datagrams are taken from all engines, each in its order") {
  FakeEngine engine(Lanes());
  const int fd = engine.BoundDatagram();
  for (int i = 0; i < 3; ++i) {
    for (int lane = 0; lane < kLanes; ++lane) {
      engine.DeliverDatagram(fd, std::to_string(lane) + std::to_string(i), FromPort(7), lane);
    }
  }
  std::string next[kLanes] = {"00", "10", "20"};
  for (int i = 0; i < 3 * kLanes; ++i) {
    const std::string peeked = Receive(fd, MSG_PEEK);
    const std::string got = Receive(fd);
    CHECK(got == peeked);
    REQUIRE(got.size() == 2);
    std::string& expected = next[got[0] - '0'];
    CHECK(got == expected);
    ++expected[1];
  }
  CHECK(Receive(fd) == "EAGAIN");
}

TEST_CASE("what was peeked at is what comes next, whatever has come since") {
  FakeEngine engine(Lanes());
  const int fd = engine.BoundDatagram();
  engine.DeliverDatagram(fd, "first", FromPort(7), 2);
  CHECK(Receive(fd, MSG_PEEK) == "first");
  for (int lane = 0; lane < 2; ++lane) engine.DeliverDatagram(fd, "later", FromPort(7), lane);
  CHECK(Receive(fd) == "first");
}

TEST_CASE("datagrams are lent by one engine's queue after the other") {
  FakeEngine engine(Lanes());
  const int fd = engine.BoundDatagram();
  for (int lane = 0; lane < kLanes; ++lane) {
    engine.DeliverDatagram(fd, std::string("a").append(std::to_string(lane)), FromPort(7), lane);
    engine.DeliverDatagram(fd, std::string("b").append(std::to_string(lane)), FromPort(7), lane);
  }
  std::set<std::string> seen;
  for (int round = 0; round < kLanes; ++round) {
    sluice_zc_datagram first[1], second[4];
    REQUIRE(ZeroCopyReceiveDatagrams(fd, first, 1, MSG_DONTWAIT) == 1);
    REQUIRE(ZeroCopyReceiveDatagrams(fd, second, 4, MSG_DONTWAIT) == 1);
    const std::string a(static_cast<char*>(first[0].data), first[0].length);
    const std::string b(static_cast<char*>(second[0].data), second[0].length);
    CHECK(a[1] == b[1]);
    CHECK(a[0] == 'a');
    CHECK(b[0] == 'b');
    seen.insert(a);
    REQUIRE(ZeroCopySettleDatagrams(fd, first, 1, 0) == 0);
    REQUIRE(ZeroCopySettleDatagrams(fd, second, 1, 0) == 0);
  }
  CHECK(seen.size() == kLanes);
}

TEST_CASE("options and errors are shared") {
  FakeEngine engine(Lanes());
  const int fd = Socket(AF_INET, SOCK_DGRAM, 0);
  const int bytes = 50000;
  REQUIRE(SetSockOpt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) == 0);
  const sockaddr_in here = V4("192.0.2.1", 53);
  REQUIRE(Bind(fd, Generic(here), sizeof(here)) == 0);
  const int on = 1;
  REQUIRE(SetSockOpt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) == 0);
  for (int lane = 0; lane < kLanes; ++lane) {
    const table::Options& options = engine.At(fd, lane).entry().options;
    CHECK(options.receive_buffer_bytes.load() ==
          engine.EntryOf(fd).options.receive_buffer_bytes.load());
    CHECK(options.is_set(table::kBroadcast));
  }
  engine.At(fd, 1).SetError(table::Result::kRefused);
  engine.At(fd, 2).SetError(table::Result::kHostUnreachable);
  std::set<int> errors;
  for (int i = 0; i < 2; ++i) {
    int error = 0;
    socklen_t length = sizeof(error);
    REQUIRE(GetSockOpt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
    errors.insert(error);
  }
  CHECK(errors == std::set<int>{ECONNREFUSED, EHOSTUNREACH});
}

TEST_CASE("a port that one engine has not is not had at all") {
  FakeEngine engine(Lanes());
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  const int own = engine.EntryOf(fd).engine.load();
  const sockaddr_in any = V4("0.0.0.0", 0), named = V4("0.0.0.0", 8080);
  engine.port_taken_lane = (own + 1) % kLanes;
  SECTION("one that the program names") {
    CHECK_ERROR(Bind(fd, Generic(named), sizeof(named)), EADDRINUSE);
    CHECK(engine.EntryOf(fd).status.load() == Status::kUnconnected);
    CHECK(Bind(fd, Generic(named), sizeof(named)) == 0);
  }
  SECTION("one that is chosen: then another is") {
    CHECK(Bind(fd, Generic(any), sizeof(any)) == 0);
  }
  const uint16_t port = engine.EntryOf(fd).local.Load().port;
  for (int lane = 0; lane < kLanes; ++lane) {
    CHECK(engine.At(fd, lane).status() == Status::kBound);
    CHECK(engine.At(fd, lane).entry().local.Load().port == port);
  }
}

TEST_CASE("a datagram socket is connected, and disconnected, on every engine") {
  FakeEngine engine(Lanes());
  const int fd = Socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in peer = V4("192.0.2.9", 53);
  REQUIRE(Connect(fd, Generic(peer), sizeof(peer)) == 0);
  const uint16_t port = engine.EntryOf(fd).local.Load().port;
  CHECK(port != 0);
  for (int lane = 0; lane < kLanes; ++lane) {
    CHECK(engine.At(fd, lane).status() == Status::kConnected);
    CHECK(engine.At(fd, lane).entry().local.Load().port == port);
    engine.DeliverDatagram(fd, "x", FromPort(53), lane);
    CHECK(Receive(fd) == "x");
  }
  const sockaddr nobody{AF_UNSPEC, {}};
  REQUIRE(Connect(fd, &nobody, sizeof(nobody)) == 0);
  for (int lane = 0; lane < kLanes; ++lane) {
    CHECK(engine.At(fd, lane).entry().remote.Load() == wire::Endpoint());
  }
}

TEST_CASE("the first datagram binds everywhere") {
  FakeEngine engine(Lanes());
  const int fd = Socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in peer = V4("192.0.2.9", 53);
  REQUIRE(SendTo(fd, "q", 1, 0, Generic(peer), sizeof(peer)) == 1);
  for (int lane = 0; lane < kLanes; ++lane) {
    CHECK(engine.At(fd, lane).status() == Status::kBound);
  }
  CHECK(engine.TakeSentDatagrams(fd).size() == 1);
}

TEST_CASE("a stream whose port makes its flow another engine's moves there") {
  FakeEngine engine(Lanes());
  const int fd = Socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int own = engine.EntryOf(fd).engine.load();
  const sockaddr_in here = V4("0.0.0.0", 2000), peer = V4("192.0.2.9", 80);
  REQUIRE(Bind(fd, Generic(here), sizeof(here)) == 0);
  const int copy = Dup(fd);
  const int set = EpollCreate1(0);
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  REQUIRE(EpollCtl(set, EPOLL_CTL_ADD, fd, &event) == 0);
  engine.flows_lane = (own + GENERATE(0, 1, 2)) % kLanes;
  CHECK_ERROR(Connect(fd, Generic(peer), sizeof(peer)), EINPROGRESS);
  CHECK(engine.EntryOf(fd).engine.load() == engine.flows_lane);
  CHECK(DescriptorHandle(copy) == DescriptorHandle(fd));
  CHECK(engine.EntryOf(fd).local.Load().port == 2000);
  CHECK((engine.EntryOf(fd).application_flags.load() & table::kNonBlocking) != 0);
  engine.Turn();
  // What it no longer needs is gone.
  CHECK(engine.open_sockets() == 1);
  engine.Deliver(fd, "hello");
  epoll_event got[2];
  REQUIRE(EpollWait(set, got, 2, 0) == 1);
  CHECK(got[0].data.fd == fd);
  CHECK(Receive(copy) == "hello");
  Close(fd);
  engine.Turn();
  CHECK(engine.open_sockets() == 1);
  Close(copy);
  engine.Turn();
  CHECK(engine.open_sockets() == 0);
}

TEST_CASE("sockets of a single engine have no twins") {
  FakeEngine engine;
  const int listener = engine.Listener();
  CHECK_FALSE(HasTwins(SocketNamed(DescriptorHandle(listener))));
  CHECK(engine.open_sockets() == 1);
}

}  // namespace
}  // namespace sluice::api
