// Many threads on the same sockets and sets, with an engine on a thread of its own. Rounds are
// bounded; run under ThreadSanitizer these show races.
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "api/lock.h"
#include "api/socket_calls.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

// Catch2's checks are for one thread: the others count what went wrong.
std::atomic<int> wrong{0};
void Expect(bool right) {
  if (!right) ++wrong;
}

TEST_CASE("a reader, a writer, and a peer") {
  FakeEngine engine;
  engine.Start();
  wrong = 0;
  const int fd = engine.ConnectedStream();
  constexpr size_t kTotal = 200000;
  std::atomic<size_t> received{0}, sent{0}, delivered{0};
  std::thread reader([&] {
    char bytes[4096];
    while (received < kTotal) {
      const ssize_t count = Recv(fd, bytes, sizeof(bytes), 0);
      Expect(count > 0);
      if (count <= 0) return;
      for (ssize_t i = 0; i < count; ++i) Expect(bytes[i] == char('a' + (received + i) % 26));
      received += static_cast<size_t>(count);
    }
  });
  std::thread writer([&] {
    std::string bytes(3000, 'w');
    for (size_t done = 0; done < kTotal;) {
      const ssize_t count = Send(fd, bytes.data(), std::min(bytes.size(), kTotal - done), 0);
      Expect(count > 0);
      if (count <= 0) return;
      done += static_cast<size_t>(count);
    }
  });
  while (received < kTotal || sent < kTotal) {
    engine.Do([&] {
      if (delivered < kTotal && delivered - received < 60000) {
        std::string piece;
        const size_t length = std::min<size_t>(1000, kTotal - delivered);
        for (size_t i = 0; i < length; ++i) piece += char('a' + (delivered + i) % 26);
        delivered += length;
        engine.Deliver(fd, piece);
      }
      sent += engine.TakeSent(fd).size();
    });
    std::this_thread::yield();
    if (wrong != 0) break;
  }
  if (wrong != 0) Close(fd);
  reader.join();
  writer.join();
  CHECK(wrong == 0);
  CHECK(sent == kTotal);
}

TEST_CASE("several threads wait in one set, each event goes to one of them") {
  FakeEngine engine;
  engine.Start();
  wrong = 0;
  const int epoll = EpollCreate1(0);
  constexpr int kSockets = 8, kRounds = 100;
  std::vector<int> sockets;
  for (int i = 0; i < kSockets; ++i) {
    sockets.push_back(engine.ConnectedStream());
    epoll_event event{EPOLLIN | EPOLLET, {.fd = sockets.back()}};
    REQUIRE(EpollCtl(epoll, EPOLL_CTL_ADD, sockets.back(), &event) == 0);
  }
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  epoll_event stop{EPOLLIN, {.fd = ends[0]}};
  REQUIRE(EpollCtl(epoll, EPOLL_CTL_ADD, ends[0], &stop) == 0);
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (;;) {
        epoll_event event;
        const int count = EpollWait(epoll, &event, 1, -1);
        Expect(count == 1);
        if (count != 1 || event.data.fd == ends[0]) return;
        char bytes[64];
        for (;;) {
          const ssize_t length = Recv(event.data.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
          if (length <= 0) break;
          taken += static_cast<int>(length);
        }
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    for (int fd : sockets) engine.Do([&] { engine.Deliver(fd, "x"); });
    const int expected = (round + 1) * kSockets;
    while (taken < expected && wrong == 0) std::this_thread::yield();
  }
  CHECK(write(ends[1], "x", 1) == 1);
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(taken == kRounds * kSockets);
  close(ends[0]);
  close(ends[1]);
}

TEST_CASE("closing wakes those that wait") {
  FakeEngine engine;
  engine.Start();
  wrong = 0;
  for (int round = 0; round < 30; ++round) {
    const int fd = engine.ConnectedStream();
    const int listener = engine.Listener();
    const int datagram = engine.BoundDatagram();
    const int epoll = EpollCreate1(0);
    const int before = engine.waits;
    std::vector<std::thread> threads;
    const auto expect_closed = [](long result) { Expect(result == -1 && errno == EBADF); };
    threads.emplace_back([&] {
      char byte;
      expect_closed(Recv(fd, &byte, 1, 0));
    });
    threads.emplace_back([&] { expect_closed(Accept(listener, nullptr, nullptr)); });
    threads.emplace_back([&] {
      char byte;
      expect_closed(Recv(datagram, &byte, 1, 0));
    });
    threads.emplace_back([&] {
      epoll_event event;
      expect_closed(EpollWait(epoll, &event, 1, -1));
    });
    threads.emplace_back([&] {
      pollfd descriptor{fd, POLLPRI, 0};
      Expect(Poll(&descriptor, 1, -1) == 1 && descriptor.revents == POLLNVAL);
    });
    while (engine.waits < before + 5) std::this_thread::yield();
    for (int number : {fd, listener, datagram, epoll}) Expect(Close(number) == 0);
    for (std::thread& thread : threads) thread.join();
    REQUIRE(wrong == 0);
  }
}

TEST_CASE("sockets come and go while others use their slots") {
  FakeEngine engine;
  engine.Start();
  wrong = 0;
  const int epoll = EpollCreate1(0);
  std::atomic<bool> stop{false};
  std::atomic<int> shared{-1};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 40; ++round) {
        const int fd = engine.ConnectedStream();
        epoll_event event{EPOLLIN | EPOLLOUT, {.fd = fd}};
        Expect(EpollCtl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
        if (t == 0) shared = fd;
        // The third thread may have filled the socket, or taken every buffer there is.
        Expect(Send(fd, "abc", 3, MSG_DONTWAIT | MSG_NOSIGNAL) == 3 || errno == EAGAIN ||
               errno == ENOBUFS);
        Expect(Close(fd) == 0);
      }
      stop = true;
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      char byte;
      const int fd = shared;
      Recv(fd, &byte, 1, MSG_DONTWAIT);
      Send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
      const int copy = Dup(fd);
      if (copy >= 0) Close(copy);
    }
  });
  threads.emplace_back([&] {
    epoll_event events[4];
    while (!stop) Expect(EpollWait(epoll, events, 4, 0) >= 0);
  });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("commands from many threads are each answered") {
  FakeEngine engine;
  engine.Start();
  wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int round = 0; round < 100; ++round) {
        const int fd = Socket(AF_INET, SOCK_DGRAM, 0);
        Expect(fd >= 0);
        const sockaddr_in here = V4("192.0.2.1", 0);
        Expect(Bind(fd, Generic(here), sizeof(here)) == 0);
        Expect(Close(fd) == 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("an engine takes a lock that is free, and nobody waits for it in vain") {
  constexpr uint64_t kRounds = 20000;
  constexpr uint64_t kThreads = 3;
  table::Cell<uint32_t> lock;
  uint64_t count = 0, taken = 0;  // under the lock
  std::atomic<bool> stop{false};
  std::thread engine([&] {
    while (!stop) {
      if (!table::TryEngineLock(lock)) continue;
      ++count;
      ++taken;
      table::EngineUnlock(lock);
    }
  });
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (uint64_t round = 0; round < kRounds; ++round) {
        LockHolder holder(lock);
        if (++count % 64 == 0) std::this_thread::yield();  // others come, and sleep
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  engine.join();
  CHECK(count == kThreads * kRounds + taken);
  CHECK(lock.load() == Lock::kFree);
}

}  // namespace
}  // namespace sluice::api
