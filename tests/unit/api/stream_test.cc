// Streams: connecting, accepting, moving bytes, ending.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <catch2/catch.hpp>
#include <string>

#include "api/socket_calls.h"
#include "api/state.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

using table::Result;

std::string Receive(int fd, size_t count, int flags = 0) {
  std::string bytes(count, '\0');
  const ssize_t received = Recv(fd, bytes.data(), count, flags);
  if (received < 0) return "error " + std::to_string(errno);
  bytes.resize(static_cast<size_t>(received));
  return bytes;
}

TEST_CASE("socket refuses what it does not have") {
  FakeEngine engine;
  CHECK_ERROR(Socket(AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
  CHECK_ERROR(Socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
  CHECK_ERROR(Socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
  CHECK(ShouldUseKernel(AF_UNIX, SOCK_STREAM, 0));
  CHECK(ShouldUseKernel(AF_INET, SOCK_RAW, IPPROTO_ICMP));
  CHECK_FALSE(ShouldUseKernel(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

TEST_CASE("every slot taken is ENFILE") {
  FakeEngine engine({.sockets = 2, .buffers = 64, .blocks = 64});
  CHECK(Socket(AF_INET, SOCK_STREAM, 0) >= 0);
  CHECK(Socket(AF_INET, SOCK_STREAM, 0) >= 0);
  CHECK_ERROR(Socket(AF_INET, SOCK_STREAM, 0), ENFILE);
}

TEST_CASE("without a context there are no sockets") {
  CHECK_ERROR(Socket(AF_INET, SOCK_STREAM, 0), ENOTSUP);
  CHECK(ShouldUseKernel(AF_INET, SOCK_STREAM, 0));
}

TEST_CASE("a blocking connect waits for its outcome") {
  FakeEngine engine;
  engine.accept_connects = false;
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in peer = V4("192.0.2.9", 80);
  SECTION("established") {
    engine.when_idle = [&] { engine.Establish(fd); };
    CHECK(Connect(fd, Generic(peer), sizeof(peer)) == 0);
    CHECK_ERROR(Connect(fd, Generic(peer), sizeof(peer)), EISCONN);
  }
  SECTION("refused, and tried again") {
    engine.when_idle = [&] { engine.Refuse(fd); };
    CHECK_ERROR(Connect(fd, Generic(peer), sizeof(peer)), ECONNREFUSED);
    engine.accept_connects = true;
    CHECK(Connect(fd, Generic(peer), sizeof(peer)) == 0);
  }
  SECTION("SO_SNDTIMEO") {
    const timeval time{.tv_sec = 3, .tv_usec = 0};
    CHECK(SetSockOpt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) == 0);
    const Instant before = engine.Now();
    CHECK_ERROR(Connect(fd, Generic(peer), sizeof(peer)), EINPROGRESS);
    CHECK(engine.Now() - before == Seconds(3));
  }
}

TEST_CASE("a non-blocking connect goes as on Linux") {
  FakeEngine engine;
  engine.accept_connects = false;
  const int fd = Socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const sockaddr_in peer = V4("192.0.2.9", 80);
  CHECK_ERROR(Connect(fd, Generic(peer), sizeof(peer)), EINPROGRESS);
  CHECK_ERROR(Connect(fd, Generic(peer), sizeof(peer)), EALREADY);
  char byte = 'x';
  CHECK_ERROR(Send(fd, &byte, 1, 0), EAGAIN);
  CHECK_ERROR(Recv(fd, &byte, 1, 0), EAGAIN);
  SECTION("it succeeds: the next connect says so once") {
    engine.Establish(fd);
    CHECK(Connect(fd, Generic(peer), sizeof(peer)) == 0);
    CHECK_ERROR(Connect(fd, Generic(peer), sizeof(peer)), EISCONN);
  }
  SECTION("it fails: SO_ERROR tells once") {
    engine.Refuse(fd);
    int error = 0;
    socklen_t length = sizeof(error);
    CHECK(GetSockOpt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
    CHECK(error == ECONNREFUSED);
    CHECK(GetSockOpt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
    CHECK(error == 0);
    CHECK_ERROR(Recv(fd, &byte, 1, 0), ENOTCONN);
  }
}

TEST_CASE("connect with AF_UNSPEC ends a connection, and the next is a fresh one") {
  FakeEngine engine;
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in peer = V4("192.0.2.9", 80);
  const sockaddr nobody = {.sa_family = AF_UNSPEC, .sa_data = {}};
  CHECK(Connect(fd, &nobody, sizeof(nobody)) == 0);
  CHECK(Connect(fd, Generic(peer), sizeof(peer)) == 0);
  engine.Deliver(fd, "unread");
  CHECK(Shutdown(fd, SHUT_WR) == 0);
  CHECK(Connect(fd, &nobody, sizeof(nobody.sa_family)) == 0);
  char bytes[16];
  CHECK_ERROR(Recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), ENOTCONN);
  CHECK_ERROR(Send(fd, bytes, 1, MSG_NOSIGNAL), EPIPE);
  sockaddr_in name{};
  socklen_t length = sizeof(name);
  CHECK_ERROR(GetPeerName(fd, reinterpret_cast<sockaddr*>(&name), &length), ENOTCONN);

  CHECK(Connect(fd, Generic(peer), sizeof(peer)) == 0);
  CHECK(Send(fd, bytes, 1, 0) == 1);
  engine.Deliver(fd, "new");
  CHECK(Recv(fd, bytes, sizeof(bytes), 0) == 3);
}

TEST_CASE("addresses are checked as Linux checks them") {
  FakeEngine engine;
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in v4 = V4("192.0.2.1", 80);
  const sockaddr_in6 v6 = V6("2001:db8::1", 80);
  CHECK_ERROR(Bind(fd, Generic(v4), 8), EINVAL);
  CHECK_ERROR(Bind(fd, Generic(v6), sizeof(v6)), EAFNOSUPPORT);
  CHECK_ERROR(Bind(fd, nullptr, sizeof(v4)), EFAULT);
  const int six = Socket(AF_INET6, SOCK_STREAM, 0);
  CHECK_ERROR(Bind(six, Generic(v4), sizeof(v4)), EINVAL);
  const sockaddr_in taken = V4("192.0.2.1", 1);
  CHECK_ERROR(Bind(fd, Generic(taken), sizeof(taken)), EADDRINUSE);
  CHECK(Bind(fd, Generic(v4), sizeof(v4)) == 0);
  CHECK_ERROR(Bind(fd, Generic(v4), sizeof(v4)), EINVAL);

  sockaddr_in name{};
  socklen_t length = sizeof(name);
  CHECK(GetSockName(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0);
  CHECK(length == sizeof(name));
  CHECK(name.sin_port == htons(80));
  CHECK(name.sin_addr.s_addr == v4.sin_addr.s_addr);
  CHECK_ERROR(GetPeerName(fd, reinterpret_cast<sockaddr*>(&name), &length), ENOTCONN);
  length = 4;
  CHECK(GetSockName(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0);
  CHECK(length == sizeof(name));
}

TEST_CASE("IPv6 alone, and the unspecified address") {
  FakeEngine engine;
  const int fd = Socket(AF_INET6, SOCK_STREAM, 0);
  const int on = 1;
  CHECK(SetSockOpt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0);
  const sockaddr_in6 mapped = V6("::ffff:192.0.2.9", 80);
  CHECK_ERROR(Connect(fd, Generic(mapped), sizeof(mapped)), ENETUNREACH);
  CHECK_ERROR(Bind(fd, Generic(mapped), sizeof(mapped)), EINVAL);
  const sockaddr_in6 any = V6("::", 80);
  CHECK(Connect(fd, Generic(any), sizeof(any)) == 0);
  CHECK(engine.commands.back().remote.address.is_loopback());
}

TEST_CASE("accept takes connections in order") {
  FakeEngine engine;
  const int listener = engine.Listener();
  engine.Arrive(listener);
  sockaddr_in peer{};
  socklen_t length = sizeof(peer);
  const int fd =
      Accept4(listener, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  REQUIRE(fd >= 0);
  CHECK(peer.sin_port == htons(5000));
  CHECK((Fcntl(fd, F_GETFL, 0) & O_NONBLOCK) != 0);
  CHECK(Fcntl(fd, F_GETFD, 0) == FD_CLOEXEC);
  CHECK(engine.EntryOf(fd).descriptor.load() == static_cast<uint32_t>(fd));
  engine.Deliver(fd, "hi");
  CHECK(Receive(fd, 10) == "hi");

  CHECK(Fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
  CHECK_ERROR(Accept(listener, nullptr, nullptr), EAGAIN);
  CHECK_ERROR(Accept(fd, nullptr, nullptr), EINVAL);
  const int datagram = engine.BoundDatagram();
  CHECK_ERROR(Accept(datagram, nullptr, nullptr), EOPNOTSUPP);
}

TEST_CASE("a blocking accept waits, and ends when the listener is shut down") {
  FakeEngine engine;
  const int listener = engine.Listener();
  SECTION("a connection comes") {
    engine.when_idle = [&] { engine.Arrive(listener); };
    CHECK(Accept(listener, nullptr, nullptr) >= 0);
  }
  SECTION("shutdown") {
    engine.when_idle = [&] { Shutdown(listener, SHUT_RDWR); };
    CHECK_ERROR(Accept(listener, nullptr, nullptr), EINVAL);
    CHECK(Listen(listener, 5) == 0);
  }
}

TEST_CASE("recv takes, peeks, discards and waits for all") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.Deliver(fd, "hello ");
  engine.Deliver(fd, "world");
  CHECK(Receive(fd, 100, MSG_PEEK) == "hello world");
  char a[4], b[7];
  iovec pieces[] = {{a, sizeof(a)}, {nullptr, 0}, {b, sizeof(b)}};
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = 3;
  CHECK(RecvMsg(fd, &message, MSG_PEEK) == 11);
  CHECK(std::string(a, 4) + std::string(b, 7) == "hello world");
  CHECK(Receive(fd, 5) == "hello");
  CHECK(Recv(fd, nullptr, 0, 0) == 0);
  char skipped[1] = {'-'};
  CHECK(Recv(fd, skipped, 1, MSG_TRUNC) == 1);
  CHECK(skipped[0] == '-');
  engine.when_idle = [&] { engine.Deliver(fd, "!!"); };
  CHECK(Receive(fd, 7, MSG_WAITALL) == "world!!");
  CHECK_ERROR(Recv(fd, a, 1, MSG_DONTWAIT), EAGAIN);
}

TEST_CASE("SO_RCVTIMEO and signals end a wait") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  char byte;
  SECTION("time") {
    const timeval time{.tv_sec = 0, .tv_usec = 250000};
    CHECK(SetSockOpt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
    const Instant before = engine.Now();
    CHECK_ERROR(Recv(fd, &byte, 1, 0), EAGAIN);
    CHECK(engine.Now() - before == Milliseconds(250));
  }
  SECTION("a handler without SA_RESTART") {
    struct sigaction action {
    }, old{};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR1, &action, &old);
    engine.interrupt_next_wait = true;
    CHECK_ERROR(Recv(fd, &byte, 1, 0), EINTR);
    sigaction(SIGUSR1, &old, nullptr);
  }
  SECTION("what came before the end is delivered") {
    const timeval time{.tv_sec = 1, .tv_usec = 0};
    CHECK(SetSockOpt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
    engine.Deliver(fd, "abc");
    CHECK(Receive(fd, 10, MSG_WAITALL) == "abc");
  }
}

TEST_CASE("the end of a stream, a reset, and a shutdown") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.Deliver(fd, "last");
  SECTION("end") {
    engine.EndStream(fd);
    CHECK(Receive(fd, 10) == "last");
    CHECK(Receive(fd, 10) == "");
    CHECK(Send(fd, "x", 1, 0) == 1);
  }
  SECTION("reset") {
    engine.Reset(fd);
    CHECK(Receive(fd, 10) == "last");
    CHECK(Receive(fd, 10) == "error " + std::to_string(ECONNRESET));
    CHECK(Receive(fd, 10) == "");
    CHECK_ERROR(Send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
  }
  SECTION("SHUT_RD: what is there can be read, then the end") {
    CHECK(Shutdown(fd, SHUT_RD) == 0);
    CHECK(Receive(fd, 10) == "last");
    CHECK(Receive(fd, 10) == "");
  }
  SECTION("SHUT_WR: EPIPE and SIGPIPE") {
    static int pipes = 0;
    pipes = 0;
    struct sigaction action {
    }, old{};
    action.sa_handler = [](int) { ++pipes; };
    sigaction(SIGPIPE, &action, &old);
    CHECK(Shutdown(fd, SHUT_WR) == 0);
    CHECK_ERROR(Send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK(pipes == 0);
    CHECK_ERROR(Write(fd, "x", 1), EPIPE);
    CHECK(pipes == 1);
    sigaction(SIGPIPE, &old, nullptr);
  }
  SECTION("wrong arguments") {
    CHECK_ERROR(Shutdown(fd, 7), EINVAL);
    const int fresh = Socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERROR(Shutdown(fresh, SHUT_WR), ENOTCONN);
    CHECK_ERROR(Send(fresh, "x", 1, MSG_NOSIGNAL), EPIPE);
    char byte;
    CHECK_ERROR(Recv(fresh, &byte, 1, 0), ENOTCONN);
  }
}

TEST_CASE("send fills the buffer, then waits or says EAGAIN") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int bytes = 8192;
  CHECK(SetSockOpt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0);
  const std::string data(40000, 'd');
  CHECK(Send(fd, data.data(), data.size(), MSG_DONTWAIT) == 16384);
  CHECK_ERROR(Send(fd, data.data(), 1, MSG_DONTWAIT), EAGAIN);
  CHECK(engine.TakeSent(fd).size() == 16384);
  std::string sent;
  engine.idle_runs = 10;
  engine.when_idle = [&] { sent += engine.TakeSent(fd); };
  CHECK(Send(fd, data.data(), data.size(), 0) == 40000);
  sent += engine.TakeSent(fd);
  CHECK(sent == data);
}

TEST_CASE("send tells a sleeping engine, MSG_MORE the other one") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.wakes = 0;
  CHECK(Send(fd, "a", 1, MSG_MORE) == 1);
  CHECK((engine.EntryOf(fd).application_flags.load() & table::kMore) != 0);
  CHECK(engine.wakes == 0);
  state.region.lane(0).engine_sleeps.store(1);
  CHECK(Send(fd, "b", 1, 0) == 1);
  CHECK((engine.EntryOf(fd).application_flags.load() & table::kMore) == 0);
  CHECK(engine.wakes == 1);
  CHECK(engine.TakeSent(fd) == "ab");
}

TEST_CASE("urgent data stands beside the stream, or in it") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.Deliver(fd, "abc!def");
  engine.SetUrgent(fd, 3);
  pollfd descriptor{fd, POLLPRI, 0};
  CHECK(Poll(&descriptor, 1, 0) == 1);
  int mark = -1;
  char byte = 0;
  SECTION("out of band") {
    CHECK(Receive(fd, 100, MSG_PEEK) == "abc");
    CHECK(Receive(fd, 100) == "abc");
    CHECK(Ioctl(fd, SIOCATMARK, &mark) == 0);
    CHECK(mark == 1);
    CHECK(Recv(fd, &byte, 1, MSG_OOB) == 1);
    CHECK(byte == '!');
    CHECK_ERROR(Recv(fd, &byte, 1, MSG_OOB), EINVAL);
    CHECK(Poll(&descriptor, 1, 0) == 0);
    CHECK(Receive(fd, 100, MSG_PEEK) == "def");
    CHECK(Receive(fd, 100) == "def");
  }
  SECTION("never read, it is left out") {
    CHECK(Receive(fd, 100) == "abc");
    CHECK(Receive(fd, 100) == "def");
    CHECK(Poll(&descriptor, 1, 0) == 0);
  }
  SECTION("inline") {
    const int on = 1;
    CHECK(SetSockOpt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
    CHECK_ERROR(Recv(fd, &byte, 1, MSG_OOB), EINVAL);
    CHECK(Receive(fd, 100) == "abc");
    CHECK(Receive(fd, 100) == "!def");
  }
  SECTION("sent") {
    CHECK(Send(fd, "xy?", 3, MSG_OOB) == 3);
    CHECK(engine.TakeSent(fd) == "xy?");
  }
}

TEST_CASE("bytes to read and bytes unsent") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.Deliver(fd, "12345");
  int count = -1;
  CHECK(Ioctl(fd, FIONREAD, &count) == 0);
  CHECK(count == 5);
  CHECK(Send(fd, "abc", 3, 0) == 3);
  CHECK(Ioctl(fd, TIOCOUTQ, &count) == 0);
  CHECK(count == 3);
  int on = 1;
  CHECK(Ioctl(fd, FIONBIO, &on) == 0);
  CHECK(Fcntl(fd, F_GETFL, 0) == (O_RDWR | O_NONBLOCK));
  CHECK_ERROR(Ioctl(fd, 0x1234, &on), ENOTTY);
  CHECK_ERROR(NotSeekable(fd), ESPIPE);
}

}  // namespace
}  // namespace sluice::api
