// Epoll on Sluice sockets: level, edge, one-shot, exclusive, nested, duplicates, closing, mixed.
#include <sys/eventfd.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>

#include "api/socket_calls.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

epoll_event Event(uint32_t events, int tag) { return {events, {.fd = tag}}; }

int Add(int epoll, int fd, uint32_t events, int tag) {
  epoll_event event = Event(events, tag);
  return EpollCtl(epoll, EPOLL_CTL_ADD, fd, &event);
}
int Modify(int epoll, int fd, uint32_t events, int tag) {
  epoll_event event = Event(events, tag);
  return EpollCtl(epoll, EPOLL_CTL_MOD, fd, &event);
}

// What is ready now: tag and events, or {-1, 0}.
std::pair<int, uint32_t> Next(int epoll) {
  epoll_event event{};
  const int count = EpollWait(epoll, &event, 1, 0);
  REQUIRE(count >= 0);
  if (count == 0) return {-1, 0};
  return {int{event.data.fd}, uint32_t{event.events}};
}
using Pair = std::pair<int, uint32_t>;
const Pair kNothing{-1, 0};

std::string Drain(int fd) {
  std::string bytes(1000, '\0');
  const ssize_t count = Recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  return bytes;
}

TEST_CASE("level-triggered: reported as long as it is so") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int epoll = EpollCreate1(0);
  REQUIRE(Add(epoll, fd, EPOLLIN, 7) == 0);
  CHECK(Next(epoll) == kNothing);
  engine.Deliver(fd, "ab");
  CHECK(Next(epoll) == Pair(7, EPOLLIN));
  CHECK(Next(epoll) == Pair(7, EPOLLIN));
  char byte;
  CHECK(Recv(fd, &byte, 1, 0) == 1);
  CHECK(Next(epoll) == Pair(7, EPOLLIN));
  Drain(fd);
  CHECK(Next(epoll) == kNothing);
  engine.Deliver(fd, "c");
  CHECK(Next(epoll) == Pair(7, EPOLLIN));
}

TEST_CASE("what is ready already is reported at once") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.Deliver(fd, "ab");
  const int epoll = EpollCreate1(EPOLL_CLOEXEC);
  SECTION("level") { REQUIRE(Add(epoll, fd, EPOLLIN | EPOLLOUT, 7) == 0); }
  SECTION("edge") { REQUIRE(Add(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLET, 7) == 0); }
  CHECK(Next(epoll) == Pair(7, EPOLLIN | EPOLLOUT));
}

TEST_CASE("edge-triggered: one report for each arrival, none without") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int other = EpollCreate1(0);
  const int epoll = EpollCreate1(0);
  REQUIRE(Add(epoll, fd, EPOLLIN | EPOLLET, 1) == 0);
  REQUIRE(Add(other, fd, EPOLLOUT | EPOLLET, 2) == 0);
  CHECK(Next(other) == Pair(2, EPOLLOUT));
  CHECK(Next(epoll) == kNothing);
  engine.Deliver(fd, "a");
  CHECK(Next(epoll) == Pair(1, EPOLLIN));
  CHECK(Next(epoll) == kNothing);
  engine.Deliver(fd, "b");  // nothing was read, and yet it is an event
  CHECK(Next(epoll) == Pair(1, EPOLLIN));
  CHECK(Next(epoll) == kNothing);
  CHECK(Drain(fd) == "ab");
  CHECK(Next(epoll) == kNothing);
  // A notice about something else is no event for who waits for data.
  engine.Deliver(fd, "c");
  CHECK(Next(epoll) == Pair(1, EPOLLIN));
  engine.At(fd).Notify(table::kEventIn);
  CHECK(Next(epoll) == kNothing);
  CHECK(Next(other) == kNothing);
}

TEST_CASE("edge-triggered room to send") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int bytes = 8192;
  CHECK(SetSockOpt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0);
  const int epoll = EpollCreate1(0);
  REQUIRE(Add(epoll, fd, EPOLLOUT | EPOLLIN | EPOLLET, 1) == 0);
  CHECK(Next(epoll) == Pair(1, EPOLLOUT));
  const std::string data(40000, 'x');
  CHECK(Send(fd, data.data(), data.size(), MSG_DONTWAIT) > 0);
  CHECK(Next(epoll) == kNothing);
  engine.TakeSent(fd);
  CHECK(Next(epoll) == Pair(1, EPOLLOUT));
  CHECK(Next(epoll) == kNothing);
}

TEST_CASE("level-triggered room to send, without a failed send before") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int bytes = 8192;
  CHECK(SetSockOpt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0);
  const std::string data(16384, 'x');
  CHECK(Send(fd, data.data(), data.size(), MSG_DONTWAIT) == 16384);
  const int epoll = EpollCreate1(0);
  REQUIRE(Add(epoll, fd, EPOLLOUT, 1) == 0);
  CHECK(Next(epoll) == kNothing);
  engine.TakeSent(fd);
  CHECK(Next(epoll) == Pair(1, EPOLLOUT));
  CHECK(Next(epoll) == Pair(1, EPOLLOUT));
}

TEST_CASE("one-shot: once, until modified") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int epoll = EpollCreate1(0);
  REQUIRE(Add(epoll, fd, EPOLLIN | EPOLLONESHOT, 3) == 0);
  engine.Deliver(fd, "a");
  CHECK(Next(epoll) == Pair(3, EPOLLIN));
  engine.Deliver(fd, "b");
  CHECK(Next(epoll) == kNothing);
  REQUIRE(Modify(epoll, fd, EPOLLIN | EPOLLONESHOT, 4) == 0);
  CHECK(Next(epoll) == Pair(4, EPOLLIN));
  CHECK(Next(epoll) == kNothing);
  engine.Reset(fd);
  CHECK(Next(epoll) == kNothing);
}

TEST_CASE("modify changes interest, arms the edge again, and removal ends it") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int epoll = EpollCreate1(0);
  REQUIRE(Add(epoll, fd, EPOLLIN | EPOLLET, 1) == 0);
  engine.Deliver(fd, "a");
  CHECK(Next(epoll) == Pair(1, EPOLLIN));
  REQUIRE(Modify(epoll, fd, EPOLLIN | EPOLLET, 2) == 0);
  CHECK(Next(epoll) == Pair(2, EPOLLIN));
  REQUIRE(Modify(epoll, fd, EPOLLOUT, 2) == 0);
  CHECK(Next(epoll) == Pair(2, EPOLLOUT));
  REQUIRE(Modify(epoll, fd, 0, 2) == 0);
  CHECK(Next(epoll) == kNothing);
  engine.Reset(fd);
  CHECK(Next(epoll) == Pair(2, EPOLLERR | EPOLLHUP));
  CHECK(EpollCtl(epoll, EPOLL_CTL_DEL, fd, nullptr) == 0);
  CHECK(Next(epoll) == kNothing);
}

TEST_CASE("hang-ups and ends") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int epoll = EpollCreate1(0);
  REQUIRE(Add(epoll, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, 1) == 0);
  engine.EndStream(fd);
  CHECK(Next(epoll) == Pair(1, EPOLLIN | EPOLLRDHUP));
  CHECK(Shutdown(fd, SHUT_WR) == 0);
  CHECK(Next(epoll) == Pair(1, EPOLLIN | EPOLLRDHUP | EPOLLHUP));
  CHECK(Next(epoll) == kNothing);
}

TEST_CASE("wrong arguments") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int epoll = EpollCreate1(0);
  epoll_event event = Event(EPOLLIN, 1);
  CHECK_ERROR(EpollCreate1(0x55), EINVAL);
  CHECK_ERROR(EpollCtl(epoll, EPOLL_CTL_MOD, fd, &event), ENOENT);
  CHECK_ERROR(EpollCtl(epoll, EPOLL_CTL_DEL, fd, &event), ENOENT);
  CHECK(EpollCtl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
  CHECK_ERROR(EpollCtl(epoll, EPOLL_CTL_ADD, fd, &event), EEXIST);
  CHECK_ERROR(EpollCtl(epoll, 99, fd, &event), EINVAL);
  CHECK_ERROR(EpollCtl(fd, EPOLL_CTL_ADD, fd, &event), EINVAL);
  CHECK_ERROR(EpollCtl(epoll, EPOLL_CTL_ADD, epoll, &event), EINVAL);
  CHECK_ERROR(EpollCtl(epoll, EPOLL_CTL_ADD, 1 << 19, &event), EBADF);
  CHECK_ERROR(EpollCtl(epoll, EPOLL_CTL_MOD, fd, nullptr), EFAULT);
  CHECK_ERROR(EpollWait(epoll, &event, 0, 0), EINVAL);
  CHECK_ERROR(EpollWait(fd, &event, 1, 0), EINVAL);
  CHECK_ERROR(EpollWait(epoll, nullptr, 1, 0), EFAULT);
  CHECK_ERROR(Recv(epoll, &event, 1, 0), ENOTSOCK);
  Close(epoll);
  CHECK_ERROR(EpollWait(epoll, &event, 1, 0), EBADF);
}

TEST_CASE("a small maximum gives each its turn") {
  FakeEngine engine;
  const int epoll = EpollCreate1(0);
  std::set<int> seen;
  for (int i = 0; i < 5; ++i) {
    const int fd = engine.ConnectedStream();
    REQUIRE(Add(epoll, fd, EPOLLIN, i) == 0);
    engine.Deliver(fd, "x");
  }
  for (int i = 0; i < 5; ++i) seen.insert(Next(epoll).first);
  CHECK(seen.size() == 5);
}

TEST_CASE("one socket in two sets, and twice by duplicates") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int copy = Dup(fd);
  const int first = EpollCreate1(0), second = EpollCreate1(0);
  REQUIRE(Add(first, fd, EPOLLIN, 1) == 0);
  REQUIRE(Add(first, copy, EPOLLIN | EPOLLET, 2) == 0);
  REQUIRE(Add(second, fd, EPOLLIN, 3) == 0);
  engine.Deliver(fd, "a");
  std::set<int> seen{Next(first).first, Next(first).first};
  CHECK(seen == std::set<int>{1, 2});
  CHECK(Next(second) == Pair(3, EPOLLIN));
  // Only the last descriptor's end removes the items, as Linux has it.
  CHECK(Close(fd) == 0);
  CHECK(Next(first) == Pair(1, EPOLLIN));
  CHECK(Close(copy) == 0);
  CHECK(Next(first) == kNothing);
  CHECK(Next(second) == kNothing);
}

TEST_CASE("a number that is used again is another item") {
  FakeEngine engine;
  const int epoll = EpollCreate1(0);
  const int fd = engine.ConnectedStream();
  REQUIRE(Add(epoll, fd, EPOLLIN, 1) == 0);
  engine.Deliver(fd, "a");
  CHECK(Close(fd) == 0);
  const int again = engine.ConnectedStream();
  REQUIRE(again == fd);
  CHECK(Next(epoll) == kNothing);
  REQUIRE(Add(epoll, again, EPOLLIN, 2) == 0);
  engine.Deliver(again, "b");
  CHECK(Next(epoll) == Pair(2, EPOLLIN));
}

TEST_CASE("exclusive sets: one is woken, all report") {
  FakeEngine engine;
  const int listener = engine.Listener();
  const int first = EpollCreate1(0), second = EpollCreate1(0);
  epoll_event event = Event(EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE, 1);
  CHECK_ERROR(EpollCtl(first, EPOLL_CTL_ADD, listener, &event), EINVAL);
  REQUIRE(Add(first, listener, EPOLLIN | EPOLLEXCLUSIVE, 1) == 0);
  REQUIRE(Add(second, listener, EPOLLIN | EPOLLEXCLUSIVE, 2) == 0);
  engine.Arrive(listener);
  CHECK(Next(first) == Pair(1, EPOLLIN));
  CHECK(Next(second) == Pair(2, EPOLLIN));
}

TEST_CASE("a set in a set, and loops") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int inner = EpollCreate1(0), outer = EpollCreate1(0);
  REQUIRE(Add(inner, fd, EPOLLIN, 1) == 0);
  REQUIRE(Add(outer, inner, EPOLLIN, 2) == 0);
  CHECK(Next(outer) == kNothing);
  engine.Deliver(fd, "a");
  CHECK(Next(outer) == Pair(2, EPOLLIN));
  CHECK(Next(outer) == Pair(2, EPOLLIN));
  CHECK(Next(inner) == Pair(1, EPOLLIN));
  Drain(fd);
  CHECK(Next(outer) == kNothing);
  epoll_event event = Event(EPOLLIN, 3);
  CHECK_ERROR(EpollCtl(inner, EPOLL_CTL_ADD, outer, &event), ELOOP);
  SECTION("kernel descriptors of the inner set show in the outer one") {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    REQUIRE(Add(inner, ends[0], EPOLLIN, 4) == 0);
    CHECK(Next(outer) == kNothing);
    REQUIRE(write(ends[1], "x", 1) == 1);
    CHECK(Next(outer) == Pair(2, EPOLLIN));
    CHECK(Next(inner) == Pair(4, EPOLLIN));
    char byte;
    REQUIRE(read(ends[0], &byte, 1) == 1);
    CHECK(Next(outer) == kNothing);
    close(ends[0]);
    close(ends[1]);
  }
  SECTION("an outer set that waits is woken") {
    engine.when_idle = [&] { engine.Deliver(fd, "b"); };
    epoll_event found;
    CHECK(EpollWait(outer, &found, 1, -1) == 1);
    CHECK(int{found.data.fd} == 2);
  }
  SECTION("the inner set ends") {
    engine.Deliver(fd, "c");
    CHECK(Close(inner) == 0);
    CHECK(Next(outer) == kNothing);
  }
}

TEST_CASE("kernel descriptors in the same set") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int event_fd = eventfd(0, EFD_NONBLOCK);
  const int epoll = EpollCreate1(0);
  REQUIRE(Add(epoll, fd, EPOLLIN, 1) == 0);
  REQUIRE(Add(epoll, event_fd, EPOLLIN, 2) == 0);
  CHECK(Next(epoll) == kNothing);
  const uint64_t one = 1;
  REQUIRE(write(event_fd, &one, sizeof(one)) == sizeof(one));
  CHECK(Next(epoll) == Pair(2, EPOLLIN));
  engine.Deliver(fd, "a");
  epoll_event events[4];
  engine.Advance(Milliseconds(1));
  CHECK(EpollWait(epoll, events, 4, 0) == 2);
  // With room for one only, neither side starves the other.
  std::set<int> seen;
  for (int i = 0; i < 4; ++i) {
    engine.Advance(Milliseconds(1));
    seen.insert(Next(epoll).first);
  }
  CHECK(seen == std::set<int>{1, 2});
  SECTION("a busy Sluice side does not hide the kernel's for long") {
    uint64_t value;
    REQUIRE(read(event_fd, &value, sizeof(value)) == sizeof(value));
    CHECK(EpollWait(epoll, events, 4, 10) == 1);
    REQUIRE(write(event_fd, &one, sizeof(one)) == sizeof(one));
    engine.Advance(Milliseconds(1));
    CHECK(EpollWait(epoll, events, 4, 10) == 2);
  }
  SECTION("a wait ends when the kernel's becomes ready") {
    uint64_t value;
    REQUIRE(read(event_fd, &value, sizeof(value)) == sizeof(value));
    Drain(fd);
    engine.when_idle = [&] { CHECK(write(event_fd, &one, sizeof(one)) == sizeof(one)); };
    CHECK(EpollWait(epoll, events, 4, -1) == 1);
    CHECK(int{events[0].data.fd} == 2);
  }
  CHECK(EpollCtl(epoll, EPOLL_CTL_DEL, event_fd, nullptr) == 0);
  close(event_fd);
}

TEST_CASE("epoll_wait sleeps right") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  const int epoll = EpollCreate1(0);
  epoll_event event;
  Instant before = engine.Now();
  CHECK(EpollWait(epoll, &event, 1, 20) == 0);  // an empty set
  CHECK(engine.Now() - before == Milliseconds(20));
  REQUIRE(Add(epoll, fd, EPOLLIN, 1) == 0);
  before = engine.Now();
  const timespec time{.tv_sec = 0, .tv_nsec = 1500};
  CHECK(EpollPwait2(epoll, &event, 1, &time, nullptr) == 0);
  CHECK(engine.Now() - before == Nanoseconds(1500));
  const timespec wrong{.tv_sec = 0, .tv_nsec = -1};
  CHECK_ERROR(EpollPwait2(epoll, &event, 1, &wrong, nullptr), EINVAL);
  engine.interrupt_next_wait = true;
  CHECK_ERROR(EpollWait(epoll, &event, 1, -1), EINTR);
  engine.when_idle = [&] { engine.Deliver(fd, "x"); };
  CHECK(EpollWait(epoll, &event, 1, -1) == 1);
  Drain(fd);
  engine.idle_runs = 1;
  engine.when_idle = [&] { Close(epoll); };
  CHECK_ERROR(EpollWait(epoll, &event, 1, -1), EBADF);
}

TEST_CASE("a set that is never empty does not starve the engine") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.Deliver(fd, "x");
  const int epoll = EpollCreate1(0);
  REQUIRE(Add(epoll, fd, EPOLLIN, 1) == 0);
  const int turns = engine.turns;
  engine.Advance(Milliseconds(1));
  CHECK(Next(epoll) == Pair(1, EPOLLIN));
  CHECK(engine.turns == turns + 1);
  CHECK(Next(epoll) == Pair(1, EPOLLIN));
  CHECK(engine.turns == turns + 1);
}

}  // namespace
}  // namespace sluice::api
