// Instances through the public C functions alone: cycles, errors, the three ways to make progress.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sluice/instance.h>
#include <sluice/sluice.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace {

// Small, so that many may start and stop; without interfaces, so that nothing is asked of the
// machine.
constexpr char kLimits[] =
    "run_directory: /nonexistent\n"
    "loopback: sluice\n"
    "limits: { sockets: 256, buffers: 1024, mbufs: 2048 }\n";

class Started {
 public:
  explicit Started(const std::string& progress) {
    std::string yaml = "progress: " + progress + "\n" + kLimits;
    char error[256] = "";
    int status = sluice_init(yaml.c_str(), error, sizeof error);
    INFO(error);
    REQUIRE(status == 0);
  }
  ~Started() { sluice_finish(); }
};

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int Listen(uint16_t port, int flags = 0) {
  sockaddr_in address = Loopback(port);
  int fd = sluice_socket(AF_INET, SOCK_STREAM | flags, 0);
  REQUIRE(fd >= 0);
  REQUIRE(sluice_bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(sluice_listen(fd, 8) == 0);
  return fd;
}

int Connect(uint16_t port) {
  sockaddr_in address = Loopback(port);
  int fd = sluice_socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  if (sluice_connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
  return fd;
}

// A server of one connection that echoes until the end; everything blocks.
void ServeOne(int listener) {
  int fd = sluice_accept(listener, nullptr, nullptr);
  char bytes[4096];
  for (ssize_t count; (count = sluice_recv(fd, bytes, sizeof bytes, 0)) > 0;) {
    for (ssize_t sent = 0; sent < count;) {
      sent += sluice_send(fd, bytes + sent, static_cast<size_t>(count - sent), 0);
    }
  }
  sluice_close(fd);
}

// True if `rounds` messages came back as they were sent.
bool Converse(uint16_t port, int rounds) {
  int fd = Connect(port);
  bool good = fd >= 0;
  for (int round = 0; good && round < rounds; ++round) {
    std::string message = "message " + std::to_string(round);
    char back[64] = {};
    good = sluice_send(fd, message.data(), message.size(), 0) ==
               static_cast<ssize_t>(message.size()) &&
           sluice_recv(fd, back, message.size(), MSG_WAITALL) ==
               static_cast<ssize_t>(message.size()) &&
           message == back;
  }
  if (fd >= 0) sluice_close(fd);
  return good;
}

}  // namespace

TEST_CASE("instance: starts and ends many times in one process", "[instance]") {
  for (int cycle = 0; cycle < 10; ++cycle) {
    for (const char* progress : {"inline", "manual", "threads"}) {
      Started started(progress);
      CHECK(sluice_is_running() == 1);
      int fd = sluice_socket(AF_INET, SOCK_STREAM, 0);
      CHECK(fd >= 0);  // and is left open
    }
    CHECK(sluice_is_running() == 0);
  }
}

TEST_CASE("instance: wrong settings are refused in one line", "[instance]") {
  char error[256] = "";
  CHECK(sluice_init("no_such_key: 1\n", error, sizeof error) == -1);
  CHECK(errno == EINVAL);
  CHECK(strstr(error, "no_such_key") != nullptr);
  CHECK(strchr(error, '\n') == nullptr);
  CHECK(sluice_init("interfaces: [{name: a, device: callback}]\n", error, sizeof error) == -1);
  CHECK(strstr(error, "supplies no port") != nullptr);
  CHECK(sluice_is_running() == 0);
  CHECK(sluice_socket(AF_INET, SOCK_STREAM, 0) == -1);

  Started started("inline");
  CHECK(sluice_init("progress: manual\n", error, sizeof error) == -1);
  CHECK(errno == EBUSY);
  CHECK(sluice_is_running() == 1);
}

TEST_CASE("instance: threads converse, whoever makes progress", "[instance]") {
  for (const char* progress : {"inline", "threads"}) {
    INFO(progress);
    Started started(progress);
    constexpr int kPairs = 3;
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int i = 0; i < kPairs; ++i) {
      auto port = static_cast<uint16_t>(7000 + i);
      int listener = Listen(port);
      threads.emplace_back([listener] {
        ServeOne(listener);
        sluice_close(listener);
      });
      threads.emplace_back([port, &good] { good += Converse(port, 200); });
    }
    for (auto& thread : threads) thread.join();
    CHECK(good.load() == kPairs);
  }
}

TEST_CASE("instance: one caller converses with itself", "[instance]") {
  for (const char* progress : {"inline", "manual"}) {
    INFO(progress);
    Started started(std::string(progress) + "\ncallers: one");
    const int listener = Listen(7, SOCK_NONBLOCK);
    const int client = sluice_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const sockaddr_in address = Loopback(7);
    sluice_connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    int served = -1;
    for (int turns = 0; served < 0 && turns < 1000; ++turns) {
      sluice_poll();
      served = sluice_accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    }
    REQUIRE(served >= 0);
    const int set = sluice_epoll_create1(0);
    epoll_event interest = {.events = EPOLLIN, .data = {.fd = client}};
    REQUIRE(sluice_epoll_ctl(set, EPOLL_CTL_ADD, client, &interest) == 0);
    interest.data.fd = served;
    REQUIRE(sluice_epoll_ctl(set, EPOLL_CTL_ADD, served, &interest) == 0);
    uint32_t count = 0, seen = 0;
    REQUIRE(sluice_send(client, &count, sizeof count, 0) == sizeof count);
    for (int turns = 0; count < 1000 && turns < 100000; ++turns) {
      sluice_poll();
      epoll_event event;
      if (sluice_epoll_wait(set, &event, 1, 0) != 1) continue;
      REQUIRE(sluice_recv(event.data.fd, &seen, sizeof seen, 0) == sizeof seen);
      REQUIRE(seen == count);
      ++count;
      REQUIRE(sluice_send(event.data.fd, &count, sizeof count, 0) == sizeof count);
    }
    CHECK(count == 1000);
  }
}

TEST_CASE("instance: a second caller where one was promised is ended", "[instance]") {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::string yaml = std::string("progress: inline\ncallers: one\n") + kLimits;
    if (sluice_init(yaml.c_str(), nullptr, 0) != 0) _exit(1);
    const int listener = Listen(7, SOCK_NONBLOCK);
    std::thread([listener] { sluice_close(listener); }).join();
    _exit(2);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
}

TEST_CASE("instance: blocked threads go on when the program polls", "[instance]") {
  Started started("manual");
  int listener = Listen(7);
  std::atomic<int> done{0};
  std::atomic<bool> good{false};
  std::thread server([&] {
    ServeOne(listener);
    ++done;
  });
  std::thread client([&] {
    good.store(Converse(7, 50));
    ++done;
  });
  while (done.load() < 2) {
    // Time passes slowly enough for threads that compute: nothing times out for their sake.
    if (sluice_poll() == 0) {
      CHECK(sluice_advance_to(sluice_now_ns() + 10000) == 0);
      std::this_thread::yield();
    }
  }
  server.join();
  client.join();
  CHECK(good.load());
  sluice_close(listener);
}

TEST_CASE("instance: a time-out is on the program's clock", "[instance]") {
  Started started("manual");
  int listener = Listen(7);
  timeval patience = {.tv_sec = 3600, .tv_usec = 0};
  REQUIRE(sluice_setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  // First the engine tidies up behind the listener.
  for (int64_t next; (next = sluice_next_deadline_ns()) != INT64_MAX;) {
    REQUIRE(sluice_advance_to(std::max(next, sluice_now_ns())) == 0);
    sluice_poll();
  }
  std::atomic<bool> done{false};
  std::atomic<int> error{0};
  std::thread blocked([&] {
    if (sluice_accept(listener, nullptr, nullptr) == -1) error.store(errno);
    done.store(true);
  });
  const int64_t end = sluice_now_ns() + int64_t{3600} * 1000000000;
  while (sluice_next_deadline_ns() != end) std::this_thread::yield();  // until it sleeps
  REQUIRE(sluice_advance_to(end - 1) == 0);
  sluice_poll();
  CHECK_FALSE(done.load());
  REQUIRE(sluice_advance_to(end) == 0);
  sluice_poll();
  blocked.join();
  CHECK(error.load() == EAGAIN);
  CHECK(sluice_advance_to(end - 1) == -1);
  CHECK(errno == EINVAL);
}

TEST_CASE("instance: sluice_wait ends with news or its time", "[instance]") {
  for (const char* progress : {"inline", "threads"}) {
    INFO(progress);
    Started started(progress);
    CHECK(sluice_wait(0) >= 0);
    int64_t before = sluice_now_ns();
    while (sluice_wait(2000000) == 1) continue;
    CHECK(sluice_now_ns() - before >= 2000000);
    int listener = Listen(7, SOCK_NONBLOCK);
    pollfd interest = {.fd = listener, .events = POLLIN, .revents = 0};
    std::atomic<int> fd{-2};
    std::thread client([&] { fd.store(Connect(7)); });
    while (sluice_poll_fds(&interest, 1, 0) == 0) REQUIRE(sluice_wait(20000000000) == 1);
    int accepted = sluice_accept(listener, nullptr, nullptr);
    CHECK(accepted >= 0);
    client.join();
    CHECK(fd.load() >= 0);
  }
}

TEST_CASE("instance: ports of the program's own are checked", "[instance]") {
  sluice_callback_port port = {};
  port.interface = "net0";
  port.config.struct_size = sizeof port.config;
  sluice_settings settings = SLUICE_SETTINGS_INITIALIZER;
  settings.yaml = "progress: manual\ninterfaces: [{name: net1, device: callback}]\n";
  settings.ports = &port;
  settings.port_count = 1;
  char error[256] = "";
  CHECK(sluice_init_settings(&settings, error, sizeof error) == -1);
  CHECK(strstr(error, "net0") != nullptr);
  settings.yaml = "progress: manual\ninterfaces: [{name: net0, device: callback}]\n";
  REQUIRE(sluice_init_settings(&settings, error, sizeof error) == 0);
  char frame[1501] = {};
  CHECK(sluice_port_input(0, frame, sizeof frame) == -1);
  CHECK(errno == EMSGSIZE);
  CHECK(sluice_port_input(1, frame, 100) == -1);
  CHECK(errno == EINVAL);
  CHECK(sluice_port_input(0, frame, 100) == 0);  // nonsense, which the engine drops
  sluice_poll();
  CHECK(sluice_port_set_link(0, 0) == 0);
  CHECK(sluice_port_output(1, frame, sizeof frame) == -1);
  sluice_finish();
}
