// Zero copy, sendfile and callbacks, through the C names.
#include <sluice/sluice.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "api/socket_calls.h"
#include "api/state.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

uint32_t BuffersUsed() { return state.region.buffers_used(); }

std::string Text(const iovec& piece) {
  return {static_cast<const char*>(piece.iov_base), piece.iov_len};
}

TEST_CASE("a buffer is filled in place, sent, and comes back when it is acknowledged") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  sluice_zc_buffer buffer;
  REQUIRE(sluice_zc_alloc(&buffer) == 0);
  CHECK(buffer.capacity == 2048);
  CHECK(BuffersUsed() == 1);
  std::memcpy(buffer.data, "..hello..", 9);
  CHECK_ERROR(sluice_zc_send(fd, &buffer, 2000, 100, 0), EMSGSIZE);
  CHECK_ERROR(sluice_zc_send(fd, &buffer, 0, 0, 0), EMSGSIZE);
  CHECK(sluice_zc_send(fd, &buffer, 2, 5, 0) == 5);
  CHECK(buffer.data == nullptr);
  CHECK(engine.TakeSent(fd) == "hello");
  CHECK(BuffersUsed() == 0);
  REQUIRE(sluice_zc_alloc(&buffer) == 0);
  sluice_zc_free(&buffer);
  sluice_zc_free(&buffer);  // an empty one
  CHECK(BuffersUsed() == 0);
}

TEST_CASE("when no buffer is left") {
  FakeEngine engine({.sockets = 4, .buffers = 2, .blocks = 64});
  const int fd = engine.ConnectedStream();
  sluice_zc_buffer first, second, third;
  REQUIRE(sluice_zc_alloc(&first) == 0);
  REQUIRE(sluice_zc_alloc(&second) == 0);
  CHECK_ERROR(sluice_zc_alloc(&third), ENOBUFS);
  CHECK_ERROR(sluice_send(fd, "x", 1, 0), ENOBUFS);
  sluice_zc_free(&first);
  CHECK(sluice_send(fd, "x", 1, 0) == 1);
  sluice_zc_free(&second);
}

TEST_CASE("received bytes are lent, and given back in order") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.Deliver(fd, "first");
  engine.Deliver(fd, "second");
  engine.Deliver(fd, "third");
  iovec pieces[2];
  int used = 0;
  CHECK(sluice_zc_recv(fd, pieces, 2, &used, 0) == 11);
  REQUIRE(used == 2);
  CHECK(Text(pieces[0]) == "first");
  CHECK(Text(pieces[1]) == "second");
  CHECK(engine.EntryOf(fd).held_heads == 2);
  char byte;
  CHECK_ERROR(sluice_recv(fd, &byte, 1, 0), EBUSY);
  CHECK(sluice_zc_recv(fd, pieces, 2, &used, 0) == 5);
  REQUIRE(used == 1);
  CHECK(Text(pieces[0]) == "third");
  CHECK_ERROR(sluice_zc_recv(fd, pieces, 2, &used, MSG_DONTWAIT), EAGAIN);
  CHECK_ERROR(sluice_zc_release(fd, 17), EINVAL);
  CHECK(sluice_zc_release(fd, 7) == 0);
  CHECK(engine.EntryOf(fd).held_heads == 2);
  CHECK(table::ReceiveQueueBytes(engine.EntryOf(fd)) == 9);
  CHECK(sluice_zc_release(fd, 9) == 0);
  CHECK(engine.EntryOf(fd).held_heads == 0);
  engine.Deliver(fd, "x");
  CHECK(sluice_recv(fd, &byte, 1, 0) == 1);
  engine.EndStream(fd);
  CHECK(sluice_zc_recv(fd, pieces, 2, &used, 0) == 0);
  CHECK(used == 0);
}

TEST_CASE("a loan starts behind what recv has taken of a piece") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  engine.Deliver(fd, "abcdef");
  char two[2];
  CHECK(sluice_recv(fd, two, 2, 0) == 2);
  iovec piece;
  int used;
  CHECK(sluice_zc_recv(fd, &piece, 1, &used, 0) == 4);
  CHECK(Text(piece) == "cdef");
  CHECK(sluice_zc_release(fd, 1) == 0);
  CHECK(sluice_zc_release(fd, 3) == 0);
  const int datagram = engine.BoundDatagram();
  CHECK_ERROR(sluice_zc_recv(datagram, &piece, 1, &used, 0), EOPNOTSUPP);
}

TEST_CASE("sendfile reads at its offset, or where the file stands") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  FILE* file = tmpfile();
  REQUIRE(file != nullptr);
  std::string content;
  for (int i = 0; i < 3000; ++i) content += "line " + std::to_string(i) + "\n";
  REQUIRE(fwrite(content.data(), 1, content.size(), file) == content.size());
  fflush(file);
  const int in = fileno(file);
  std::string sent;
  engine.idle_runs = 1000;
  engine.when_idle = [&] { sent += engine.TakeSent(fd); };
  SECTION("offset") {
    off_t offset = 100;
    CHECK(sluice_sendfile(fd, in, &offset, 1 << 20) == static_cast<ssize_t>(content.size() - 100));
    CHECK(offset == static_cast<off_t>(content.size()));
    sent += engine.TakeSent(fd);
    CHECK(sent == content.substr(100));
    CHECK(sluice_sendfile(fd, in, &offset, 10) == 0);
  }
  SECTION("position, with a full send buffer between") {
    const int small = 4096;
    CHECK(sluice_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
    lseek(in, 5, SEEK_SET);
    CHECK(sluice_sendfile(fd, in, nullptr, 20000) == 20000);
    CHECK(lseek(in, 0, SEEK_CUR) == 20005);
    sent += engine.TakeSent(fd);
    CHECK(sent == content.substr(5, 20000));
  }
  SECTION("non-blocking: what fits, then EAGAIN") {
    int on = 1;
    CHECK(sluice_ioctl(fd, FIONBIO, &on) == 0);
    const int small = 4096;
    CHECK(sluice_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
    off_t offset = 0;
    CHECK(sluice_sendfile(fd, in, &offset, 20000) == 8192);
    CHECK(offset == 8192);
    CHECK_ERROR(sluice_sendfile(fd, in, &offset, 20000), EAGAIN);
    CHECK(offset == 8192);
  }
  SECTION("wrong arguments") {
    CHECK_ERROR(sluice_sendfile(fd, fd, nullptr, 1), EINVAL);
    CHECK_ERROR(sluice_sendfile(fd, 1 << 19, nullptr, 1), EBADF);
    CHECK_ERROR(sluice_sendfile(in, in, nullptr, 1), EBADF);
  }
  fclose(file);
}

struct Seen {
  int calls = 0;
  uint32_t events = 0;
};

void Note(int, uint32_t events, void* argument) {
  Seen& seen = *static_cast<Seen*>(argument);
  ++seen.calls;
  seen.events = events;
}

TEST_CASE("callbacks run once for each event") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  Seen seen;
  REQUIRE(sluice_set_callback(fd, EPOLLIN, Note, &seen) == 0);
  CHECK(RunCallbacks() == 0);
  engine.Deliver(fd, "a");
  CHECK(RunCallbacks() == 1);
  CHECK(seen.events == EPOLLIN);
  CHECK(RunCallbacks() == 0);
  engine.Deliver(fd, "b");
  CHECK(RunCallbacks() == 1);
  CHECK(seen.calls == 2);
  SECTION("replaced") {
    Seen other;
    REQUIRE(sluice_set_callback(fd, EPOLLIN | EPOLLOUT, Note, &other) == 0);
    CHECK(RunCallbacks() == 1);  // it is ready already
    CHECK(other.events == (EPOLLIN | EPOLLOUT));
    CHECK(seen.calls == 2);
  }
  SECTION("removed") {
    CHECK(sluice_set_callback(fd, 0, nullptr, nullptr) == 0);
    engine.Deliver(fd, "c");
    CHECK(RunCallbacks() == 0);
  }
  SECTION("closed before it ran") {
    engine.Deliver(fd, "c");
    DispatchEvents();
    CHECK(sluice_close(fd) == 0);
    CHECK(RunCallbacks() == 0);
  }
  CHECK_ERROR(sluice_set_callback(9999, EPOLLIN, Note, &seen), EBADF);
}

TEST_CASE("a callback may close its own socket") {
  FakeEngine engine;
  const int fd = engine.ConnectedStream();
  REQUIRE(sluice_set_callback(
              fd, EPOLLIN, [](int ready, uint32_t, void*) { sluice_close(ready); }, nullptr) == 0);
  engine.Deliver(fd, "a");
  CHECK(RunCallbacks() == 1);
  CHECK(sluice_is_ours(fd) == 0);
}

}  // namespace
}  // namespace sluice::api
