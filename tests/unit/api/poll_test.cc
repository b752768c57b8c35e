// poll and select: Sluice's descriptors, the kernel's, and both.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <vector>

#include "api/socket_calls.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

struct Pipe {
  int ends[2];
  Pipe() { REQUIRE(pipe(ends) == 0); }
  ~Pipe() {
    close(ends[0]);
    close(ends[1]);
  }
};

TEST_CASE("poll tells what is so now") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  pollfd descriptors[] = {{fd, POLLIN, 0}, {fd, POLLOUT | POLLWRNORM, 0}, {-1, POLLIN, 9}};
  CHECK(Poll(descriptors, 3, 0) == 1);
  CHECK(descriptors[0].revents == 0);
  CHECK(descriptors[1].revents == (POLLOUT | POLLWRNORM));
  CHECK(descriptors[2].revents == 0);
  engine.Deliver(fd, "a");
  CHECK(Poll(descriptors, 3, 0) == 2);
  CHECK(descriptors[0].revents == POLLIN);
  engine.Reset(fd);
  pollfd nothing{fd, 0, 0};
  CHECK(Poll(&nothing, 1, 0) == 1);
  CHECK(nothing.revents == (POLLERR | POLLHUP));
  CHECK_ERROR(Poll(nullptr, 1, 0), EFAULT);
}

TEST_CASE("poll waits for either side") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  Pipe first, second;
  std::vector<pollfd> descriptors = {{fd, POLLIN, 0}, {first.ends[0], POLLIN, 0}};
  SECTION("one kernel descriptor") {}
  SECTION("several") {
    descriptors.push_back({second.ends[0], POLLIN, 0});
    descriptors.push_back({second.ends[0], POLLIN, 0});
  }
  SECTION("very many") {
    for (int i = 0; i < 100; ++i) descriptors.push_back({i % 2 ? fd : second.ends[0], POLLIN, 0});
  }
  Instant before = engine.Now();
  CHECK(Poll(descriptors.data(), descriptors.size(), 30) == 0);
  CHECK(engine.Now() - before == Milliseconds(30));
  engine.when_idle = [&] { CHECK(write(first.ends[1], "x", 1) == 1); };
  CHECK(Poll(descriptors.data(), descriptors.size(), -1) == 1);
  CHECK(descriptors[1].revents == POLLIN);
  char byte;
  REQUIRE(read(first.ends[0], &byte, 1) == 1);
  engine.idle_runs = 1;
  engine.when_idle = [&] { engine.Deliver(fd, "y"); };
  CHECK(Poll(descriptors.data(), descriptors.size(), -1) >= 1);
  CHECK(descriptors[0].revents == POLLIN);
  CHECK(descriptors[1].revents == 0);
}

TEST_CASE("poll: signals, closed descriptors, sets") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  pollfd descriptor{fd, POLLIN, 0};
  SECTION("a signal") {
    engine.interrupt_next_wait = true;
    CHECK_ERROR(Poll(&descriptor, 1, -1), EINTR);
  }
  SECTION("closed meanwhile") {
    engine.when_idle = [&] { Close(fd); };
    CHECK(Poll(&descriptor, 1, -1) == 1);
    CHECK(descriptor.revents == POLLNVAL);
  }
  SECTION("never open") {
    descriptor.fd = 1 << 19;
    CHECK(Poll(&descriptor, 1, -1) == 1);
    CHECK(descriptor.revents == POLLNVAL);
  }
  SECTION("an epoll set") {
    const int epoll = EpollCreate1(0);
    epoll_event event{EPOLLIN, {.fd = 1}};
    REQUIRE(EpollCtl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    descriptor.fd = epoll;
    CHECK(Poll(&descriptor, 1, 0) == 0);
    engine.when_idle = [&] { engine.Deliver(fd, "x"); };
    CHECK(Poll(&descriptor, 1, -1) == 1);
    CHECK(descriptor.revents == POLLIN);
    Pipe pipe;
    char byte;
    CHECK(Recv(fd, &byte, 1, 0) == 1);
    REQUIRE(EpollCtl(epoll, EPOLL_CTL_ADD, pipe.ends[0], &event) == 0);
    CHECK(Poll(&descriptor, 1, 0) == 0);
    REQUIRE(write(pipe.ends[1], "x", 1) == 1);
    CHECK(Poll(&descriptor, 1, -1) == 1);
  }
}

TEST_CASE("select maps to readable, writable, exceptional") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  Pipe pipe;
  fd_set read, write_set, except;
  const int count = std::max(fd, pipe.ends[1]) + 1;
  const auto set_all = [&] {
    FD_ZERO(&read);
    FD_ZERO(&write_set);
    FD_ZERO(&except);
    FD_SET(fd, &read);
    FD_SET(pipe.ends[0], &read);
    FD_SET(fd, &except);
  };
  set_all();
  timeval time{.tv_sec = 0, .tv_usec = 5000};
  const Instant before = engine.Now();
  CHECK(Select(count, &read, &write_set, &except, &time) == 0);
  CHECK(engine.Now() - before == Milliseconds(5));
  CHECK(time.tv_usec == 0);
  CHECK_FALSE(FD_ISSET(fd, &read));

  set_all();
  FD_SET(fd, &write_set);
  engine.Deliver(fd, "a!");
  engine.SetUrgent(fd, 1);
  time = {.tv_sec = 2, .tv_usec = 0};
  CHECK(Select(count, &read, &write_set, &except, &time) == 3);
  CHECK(FD_ISSET(fd, &read));
  CHECK(FD_ISSET(fd, &write_set));
  CHECK(FD_ISSET(fd, &except));
  CHECK_FALSE(FD_ISSET(pipe.ends[0], &read));
  CHECK(time.tv_sec == 2);

  FD_ZERO(&read);
  FD_SET(1000, &read);
  CHECK_ERROR(Select(1001, &read, nullptr, nullptr, nullptr), EBADF);
  CHECK_ERROR(Select(-1, nullptr, nullptr, nullptr, nullptr), EINVAL);
  timespec wrong{.tv_sec = -1, .tv_nsec = 0};
  CHECK_ERROR(PSelect(0, nullptr, nullptr, nullptr, &wrong, nullptr), EINVAL);
}

TEST_CASE("a time-out is a sleep where there is nothing to wait for") {
  FakeEngine engine;
  const Instant before = engine.Now();
  CHECK(Poll(nullptr, 0, 12) == 0);
  timeval time{.tv_sec = 0, .tv_usec = 3000};
  CHECK(Select(0, nullptr, nullptr, nullptr, &time) == 0);
  CHECK(engine.Now() - before == Milliseconds(15));
}

}  // namespace
}  // namespace sluice::api
