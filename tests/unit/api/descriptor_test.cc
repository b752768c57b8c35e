// Descriptor numbers: duplicates, closing, ranges, hand-over to the kernel, fork.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "api/socket_calls.h"
#include "api/state.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

TEST_CASE("duplicates share the socket, not FD_CLOEXEC") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int copy = Dup(fd);
  REQUIRE(copy >= 0);
  CHECK(IsOurs(copy));
  const int high = Fcntl(fd, F_DUPFD_CLOEXEC, 300);
  CHECK(high >= 300);
  CHECK(Fcntl(high, F_GETFD, 0) == FD_CLOEXEC);
  CHECK(Fcntl(copy, F_GETFD, 0) == 0);
  CHECK(Fcntl(copy, F_SETFL, O_NONBLOCK) == 0);
  char byte;
  CHECK_ERROR(Recv(high, &byte, 1, 0), EAGAIN);
  CHECK(Close(fd) == 0);
  CHECK_FALSE(IsOurs(fd));
  CHECK_ERROR(Recv(fd, &byte, 1, 0), EBADF);
  CHECK_ERROR(Close(fd), EBADF);
  engine.operations.clear();
  engine.Deliver(copy, "x");
  CHECK(Recv(high, &byte, 1, 0) == 1);
  CHECK(Close(high) == 0);
  engine.Turn();
  CHECK(engine.operations.empty());
  CHECK(Close(copy) == 0);
  engine.Turn();
  CHECK(engine.operations == std::vector{table::Operation::kClose});
}

TEST_CASE("dup2 replaces, in every direction") {
  FakeEngine engine;
  const int first = engine.ConnectedStream(), second = engine.ConnectedStream();
  CHECK(Dup2(first, first) == first);
  CHECK(Dup2(first, second) == second);  // the second socket ends
  engine.Deliver(first, "x");
  char byte;
  CHECK(Recv(second, &byte, 1, 0) == 1);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  CHECK(Dup2(ends[0], first) == first);
  CHECK_FALSE(IsOurs(first));
  CHECK(Dup3(second, ends[1], O_CLOEXEC) == ends[1]);
  CHECK(IsOurs(ends[1]));
  CHECK_ERROR(Dup3(second, second, 0), EINVAL);
  CHECK_ERROR(Dup3(second, ends[0], 0x40), EINVAL);
  CHECK_ERROR(Dup2(second, -5), EBADF);
  close(ends[0]);
  close(first);
}

TEST_CASE("numbers are the kernel's, and so is the limit") {
  FakeEngine engine;
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  const int file = open("/dev/null", O_RDONLY);
  CHECK(file != fd);
  close(file);
  CHECK(Socket(AF_INET, SOCK_STREAM, 0) == file);
  rlimit old;
  getrlimit(RLIMIT_NOFILE, &old);
  const rlimit few{static_cast<rlim_t>(file) + 1, old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  CHECK_ERROR(Socket(AF_INET, SOCK_STREAM, 0), EMFILE);
  CHECK_ERROR(EpollCreate1(0), EMFILE);
  setrlimit(RLIMIT_NOFILE, &old);
}

TEST_CASE("accept keeps the connection when there is no number for it") {
  FakeEngine engine;
  const int listener = engine.Listener();
  engine.Arrive(listener);
  rlimit old;
  getrlimit(RLIMIT_NOFILE, &old);
  const rlimit few{static_cast<rlim_t>(listener) + 1, old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  CHECK_ERROR(Accept(listener, nullptr, nullptr), EMFILE);
  setrlimit(RLIMIT_NOFILE, &old);
  CHECK(Accept(listener, nullptr, nullptr) >= 0);
}

TEST_CASE("close_range takes both kinds and leaves what Sluice needs") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int file = open("/dev/null", O_RDONLY);
  const int other = engine.ConnectedStream();
  CHECK(CloseRange(static_cast<unsigned>(fd), ~0u, 0) == 0);
  CHECK_FALSE(IsOurs(fd));
  CHECK_FALSE(IsOurs(other));
  CHECK(fcntl(file, F_GETFD) == -1);
  CHECK(Socket(AF_INET, SOCK_STREAM, 0) >= 0);
  CHECK_ERROR(CloseRange(5, 4, 0), EINVAL);
}

TEST_CASE("a number closed behind our back does not keep its socket") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.operations.clear();
  close(fd);  // the test is not preloaded: this is the kernel's
  const int again = Socket(AF_INET, SOCK_STREAM, 0);
  REQUIRE(again == fd);
  engine.Turn();
  CHECK(engine.operations == std::vector{table::Operation::kOpen, table::Operation::kClose});
  CHECK(Close(again) == 0);
}

TEST_CASE("close lingers while there is something to send") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const linger on{.l_onoff = 1, .l_linger = 2};
  CHECK(SetSockOpt(fd, SOL_SOCKET, SO_LINGER, &on, sizeof(on)) == 0);
  CHECK(Send(fd, "abc", 3, 0) == 3);
  const Instant before = engine.Now();
  SECTION("never acknowledged") {
    CHECK(Close(fd) == 0);
    CHECK(engine.Now() - before == Seconds(2));
  }
  SECTION("nothing left") {
    engine.TakeSent(fd);
    CHECK(Close(fd) == 0);
    CHECK(engine.Now() == before);
  }
}

TEST_CASE("a fresh socket whose address is the kernel's becomes the kernel's") {
  const wire::Prefix loopback{wire::IpAddress::V4(127, 0, 0, 0), 8};
  FakeEngine engine(FakeEngine::DefaultLimits(), {loopback});
  const sockaddr_in here = V4("127.0.0.1", 0);
  CHECK(IsKernelAddress(Generic(here), sizeof(here)));
  const int listener = Socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int copy = Dup(listener);
  const int epoll = EpollCreate1(0);
  epoll_event event{EPOLLIN, {.fd = 77}};
  REQUIRE(EpollCtl(epoll, EPOLL_CTL_ADD, listener, &event) == 0);
  const int on = 1;
  CHECK(SetSockOpt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0);
  REQUIRE(Bind(listener, Generic(here), sizeof(here)) == 0);
  CHECK_FALSE(IsOurs(listener));
  CHECK_FALSE(IsOurs(copy));
  CHECK((fcntl(copy, F_GETFL) & O_NONBLOCK) != 0);
  int value = 0;
  socklen_t length = sizeof(value);
  CHECK(getsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &value, &length) == 0);
  CHECK(value == 1);
  REQUIRE(listen(copy, 5) == 0);
  sockaddr_in name{};
  length = sizeof(name);
  REQUIRE(getsockname(listener, reinterpret_cast<sockaddr*>(&name), &length) == 0);
  const int client = Socket(AF_INET, SOCK_STREAM, 0);
  CHECK(Connect(client, Generic(name), sizeof(name)) == 0);
  CHECK_FALSE(IsOurs(client));
  CHECK(EpollWait(epoll, &event, 1, -1) == 1);
  CHECK(int{event.data.fd} == 77);
  const int datagram = Socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in nobody = V4("127.0.0.1", 9);
  CHECK(SendTo(datagram, "x", 1, 0, Generic(nobody), sizeof(nobody)) == 1);
  CHECK_FALSE(IsOurs(datagram));
  const int elsewhere = Socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in far = V4("192.0.2.9", 80);
  CHECK(Connect(elsewhere, Generic(far), sizeof(far)) == 0);
  CHECK(IsOurs(elsewhere));
  for (int fd : {listener, copy, client, datagram}) close(fd);
}

TEST_CASE("a forked child cannot use its parent's sockets, and does not harm them") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int epoll = EpollCreate1(0);
  epoll_event event{EPOLLIN, {.fd = 1}};
  REQUIRE(EpollCtl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
  int errors[2];
  REQUIRE(pipe(errors) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(errors[1], 2);
    AfterForkInChild();
    char byte;
    int wrong = 0;
    if (Recv(fd, &byte, 1, 0) != -1 || errno != EOPNOTSUPP) wrong |= 1;
    if (EpollWait(epoll, &event, 1, 0) != -1 || errno != EOPNOTSUPP) wrong |= 2;
    if (IsInstalled() || Socket(AF_INET, SOCK_STREAM, 0) != -1) wrong |= 4;
    if (Close(fd) != 0 || Close(epoll) != 0 || IsOurs(fd)) wrong |= 8;
    _exit(wrong);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  char text[512] = {};
  const ssize_t length = read(errors[0], text, sizeof(text) - 1);
  REQUIRE(length > 0);
  const std::string said(text);
  CHECK(said.find("sluice:") == 0);
  CHECK(said.find('\n') == said.size() - 1);  // one line, once
  close(errors[0]);
  close(errors[1]);
  engine.Deliver(fd, "x");
  char byte;
  CHECK(Recv(fd, &byte, 1, 0) == 1);
}

}  // namespace
}  // namespace sluice::api
