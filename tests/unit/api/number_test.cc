// Numbers above the kernel's: the range by itself, and sockets that take theirs from there.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "api/number_range.h"
#include "api/socket_calls.h"
#include "api/state.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

TEST_CASE("the lowest free number comes first") {
  for (const uint32_t count : {1u, 63u, 64u, 65u, 4095u, 4096u, 4097u, 300000u}) {
    NumberRange range;
    REQUIRE(range.Map(1000, count));
    for (uint32_t i = 0; i < count; ++i) {
      if (range.Take(0) != static_cast<int>(1000 + i)) FAIL(count << " numbers, the " << i << "th");
    }
    CHECK(range.Take(0) == -1);
    CHECK(range.end() == static_cast<int>(1000 + count));
    range.Return(static_cast<int>(1000 + count / 2));
    CHECK(range.Take(1000 + static_cast<int>(count)) == -1);
    CHECK(range.Take(0) == static_cast<int>(1000 + count / 2));
    CHECK(range.Take(0) == -1);
    range.Unmap();
    CHECK_FALSE(range.Has(1000));
  }
}

TEST_CASE("numbers taken and returned at random") {
  const uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  constexpr uint32_t kCount = 5000;
  NumberRange range;
  REQUIRE(range.Map(0, kCount));
  std::set<int> free;
  for (uint32_t i = 0; i < kCount; ++i) free.insert(free.end(), static_cast<int>(i));
  for (int step = 0; step < 100000; ++step) {
    const int number = static_cast<int>(random() % kCount);
    if (random() % 16 == 0) {
      range.Claim(number);
      free.erase(number);
    } else if (random() % 16 < 9) {
      const auto lowest = free.lower_bound(number);
      const int taken = range.Take(number);
      REQUIRE(taken == (lowest == free.end() ? -1 : *lowest));
      if (taken >= 0) free.erase(lowest);
    } else if (free.insert(number).second) {
      range.Return(number);
    }
  }
  range.Unmap();
}

struct OwnNumbers {
  explicit OwnNumbers(std::vector<wire::Prefix> kernel_prefixes = {})
      : engine(FakeEngine::DefaultLimits(), std::move(kernel_prefixes), true) {}

  FakeEngine engine;
};

int OpenFiles() {
  const int fd = dup(2);
  close(fd);
  return fd;
}

TEST_CASE("sockets with numbers of our own take none of the kernel's") {
  OwnNumbers own;
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  const int files = OpenFiles();
  const int fd = own.engine.ConnectedStream();
  CHECK(fd >= static_cast<int>(limit.rlim_max));
  CHECK(fd >= 1 << 20);
  CHECK(own.engine.ConnectedStream() == fd + 1);
  CHECK(fcntl(fd, F_GETFD) == -1);
  const int listener = own.engine.Listener();
  own.engine.Arrive(listener);
  const int accepted = Accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  CHECK(accepted == fd + 3);
  CHECK(OpenFiles() == files);
  CHECK(Close(fd) == 0);
  CHECK_ERROR(Close(fd), EBADF);
  CHECK(Socket(AF_INET, SOCK_DGRAM, 0) == fd);
  own.engine.Deliver(accepted, "x");
  char byte;
  CHECK(Recv(accepted, &byte, 1, 0) == 1);
  struct stat status;
  CHECK(Fstat(accepted, &status) == 0);
  CHECK(S_ISSOCK(status.st_mode));
  CHECK(Fcntl(accepted, F_SETFD, 0) == 0);
  CHECK(Fcntl(accepted, F_GETFD, 0) == FD_CLOEXEC);
  CHECK(Ioctl(accepted, FIONCLEX, nullptr) == 0);
}

TEST_CASE("duplicates of numbers of our own") {
  OwnNumbers own;
  FakeEngine& engine = own.engine;
  const int fd = engine.ConnectedStream();
  const int copy = Dup(fd);
  CHECK(copy == fd + 1);
  CHECK(Fcntl(fd, F_DUPFD, fd + 5) == fd + 5);
  CHECK_ERROR(Fcntl(fd, F_DUPFD, fd + 100000), EINVAL);
  CHECK_ERROR(Fcntl(fd, F_DUPFD, -1), EINVAL);
  CHECK(Dup2(fd, fd) == fd);
  CHECK_ERROR(Dup2(fd + 2, fd + 2), EBADF);
  CHECK(Dup2(fd, fd + 2) == fd + 2);
  CHECK(Dup(fd) == fd + 3);
  CHECK_ERROR(Dup2(2, fd + 4), EBADF);  // a file cannot stand there
  CHECK_ERROR(Dup2(fd + 4, 2), EBADF);  // names nothing
  const int file = open("/dev/null", O_RDONLY);
  CHECK(Dup3(fd, file, O_CLOEXEC) == file);  // a number of the kernel's, reserved there
  CHECK(IsOurs(file));
  CHECK(fcntl(file, F_GETFD) == FD_CLOEXEC);
  const int second = Dup(file);
  CHECK(second < 1 << 20);
  for (int name : {fd, copy, fd + 2, fd + 3, fd + 5, second}) CHECK(Close(name) == 0);
  engine.operations.clear();
  engine.Deliver(file, "x");
  char byte;
  CHECK(Recv(file, &byte, 1, 0) == 1);
  CHECK(Close(file) == 0);
  engine.Turn();
  CHECK(engine.operations == std::vector{table::Operation::kClose});
}

TEST_CASE("close_range and epoll know numbers of our own") {
  OwnNumbers own;
  FakeEngine& engine = own.engine;
  const int fd = engine.ConnectedStream(), other = engine.ConnectedStream();
  const int epoll = EpollCreate1(0);
  CHECK(epoll < 1 << 20);
  epoll_event event{EPOLLIN, {.fd = 7}};
  CHECK(EpollCtl(epoll, EPOLL_CTL_ADD, other, &event) == 0);
  CHECK_ERROR(EpollCtl(epoll, EPOLL_CTL_ADD, other, &event), EEXIST);
  CHECK_ERROR(EpollCtl(epoll, EPOLL_CTL_MOD, fd, &event), ENOENT);
  CHECK_ERROR(EpollCtl(epoll, EPOLL_CTL_ADD, fd + 7, &event), EBADF);
  engine.Deliver(other, "x");
  CHECK(EpollWait(epoll, &event, 1, 0) == 1);
  CHECK(int{event.data.fd} == 7);
  CHECK(CloseRange(static_cast<unsigned>(fd), static_cast<unsigned>(fd), 0) == 0);
  CHECK_FALSE(IsOurs(fd));
  CHECK(IsOurs(other));
  CHECK(CloseRange(static_cast<unsigned>(fd), ~0u, 4) == 0);  // CLOSE_RANGE_CLOEXEC
  CHECK(IsOurs(other));
  CHECK(CloseRange(static_cast<unsigned>(epoll), ~0u, 0) == 0);
  CHECK_FALSE(IsOurs(other));
}

TEST_CASE("the table is the only limit of numbers of our own") {
  OwnNumbers own;
  rlimit old;
  getrlimit(RLIMIT_NOFILE, &old);
  const rlimit few{static_cast<rlim_t>(OpenFiles()), old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  int opened = 0;
  while (Socket(AF_INET, SOCK_STREAM, 0) >= 0) ++opened;
  CHECK(errno == ENFILE);
  CHECK(opened == static_cast<int>(FakeEngine::DefaultLimits().sockets));
  setrlimit(RLIMIT_NOFILE, &old);
}

TEST_CASE("what is the kernel's cannot have a number of our own") {
  OwnNumbers own({wire::Prefix{wire::IpAddress::V4(127, 0, 0, 0), 8}});
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in here = V4("127.0.0.1", 9);
  CHECK_ERROR(Bind(fd, Generic(here), sizeof(here)), EADDRNOTAVAIL);
  CHECK_ERROR(Connect(fd, Generic(here), sizeof(here)), EADDRNOTAVAIL);
  CHECK(IsOurs(fd));
}

TEST_CASE("a forked child can close numbers of its parent's, and begin anew") {
  OwnNumbers own;
  const int fd = own.engine.ConnectedStream();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    AfterForkInChild();
    char byte;
    int wrong = 0;
    if (Recv(fd, &byte, 1, 0) != -1 || errno != EOPNOTSUPP) wrong |= 1;
    if (Close(fd) != 0 || IsOurs(fd)) wrong |= 2;
    FakeEngine fresh(FakeEngine::DefaultLimits(), {}, true);
    if (fresh.ConnectedStream() != fd) wrong |= 4;
    _exit(wrong);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  own.engine.Deliver(fd, "x");
  char byte;
  CHECK(Recv(fd, &byte, 1, 0) == 1);
}

}  // namespace
}  // namespace sluice::api
