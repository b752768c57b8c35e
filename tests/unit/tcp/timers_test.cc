// Probes, keepalive, user timeout: RFC 9293 section 3.8.6.1, RFC 1122 section 4.2.3.6, RFC 5482.
#include "script.h"

namespace sluice::tcp {
namespace {

using table::Result;
using table::Status;

TEST_CASE("A closed window is probed, ever more slowly, as long as the peer answers") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000), 0);
  s.Write(socket, "waiting");
  s.ExpectNothing();
  Duration wait = s.UntilDeadline();
  CHECK(wait == Milliseconds(200) + Microseconds(1));
  for (int i = 0; i < 30; ++i) {
    s.Advance(s.UntilDeadline());
    s.Expect(Data("w").Seq(1));
    s.Push(AckOf(1).Seq(1).Win(0));
    CHECK(s.UntilDeadline() >= wait);
    wait = s.UntilDeadline();
  }
  CHECK(wait == Seconds(120));
  CHECK(socket.status() == Status::kConnected);
  s.Push(AckOf(1).Seq(1).Win(5000));
  s.Expect(Data("waiting").Seq(1));
}

TEST_CASE("The byte of a probe may be taken") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000), 0);
  s.Write(socket, "waiting");
  s.Advance(s.UntilDeadline());
  s.Expect(Data("w").Seq(1));
  s.Push(AckOf(2).Seq(1).Win(0));
  CHECK(table::SendQueueBytes(socket.entry()) == 6);
  s.Advance(s.UntilDeadline());
  s.Expect(Data("a").Seq(2));
  s.Push(AckOf(3).Seq(1).Win(1000));
  s.Expect(Data("iting").Seq(3));
}

TEST_CASE("A peer that does not answer probes is given up") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000), 0);
  s.Write(socket, "waiting");
  s.Advance(Seconds(3000));
  CHECK(socket.status() == Status::kDisconnected);
  CHECK(s.Error(socket) == Result::kTimedOut);
  s.DropSent();
}

TEST_CASE("A window too small for a segment is used after a while") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000), 5000);
  s.Push(AckOf(1).Seq(1).Win(300));
  s.Write(socket, Pattern(2000, 1));
  s.ExpectNothing();
  s.Advance(s.UntilDeadline());
  s.Expect(Bytes(300).Seq(1));
}

TEST_CASE("Keepalive") {
  Script s;
  table::Socket socket = s.Serve();
  socket.entry().options.keepalive_idle_s.store(10);
  socket.entry().options.keepalive_interval_s.store(5);
  socket.entry().options.keepalive_count.store(3);
  s.Set(socket, table::kKeepAlive);
  CHECK(s.UntilDeadline() == Seconds(10));
  s.Advance(Seconds(10));
  s.Expect(AckOf(1).Seq(0));
  SECTION("an answer sets it back") {
    s.Push(AckOf(1).Seq(1));
    s.ExpectNothing();
    s.Advance(Seconds(5));
    s.ExpectNothing();
    s.Advance(Seconds(5));
    s.Expect(AckOf(1).Seq(0));
  }
  SECTION("silence ends it") {
    s.Advance(Seconds(5));
    s.Expect(AckOf(1).Seq(0));
    s.Advance(Seconds(5));
    s.Expect(AckOf(1).Seq(0));
    CHECK(socket.status() == Status::kConnected);
    s.Advance(Seconds(5));
    s.Expect(Rst().Seq(1).Ack(1));
    CHECK(s.Error(socket) == Result::kTimedOut);
  }
}

TEST_CASE("Keepalives of the peer are answered") {
  Script s;
  table::Socket socket = s.Serve();
  s.Push(AckOf(1).Seq(0));
  s.Expect(AckOf(1).Seq(1));
  s.Push(Data("x").Seq(0).Ack(1));  // with a byte of garbage
  s.Expect(AckOf(1).Seq(1));
  CHECK(s.Read(socket) == "");
}

TEST_CASE("TCP_USER_TIMEOUT") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000));
  socket.entry().options.user_timeout_ms.store(3000);
  s.Write(socket, "void");
  s.Advance(Milliseconds(2999));
  CHECK(socket.status() == Status::kConnected);
  s.Advance(Milliseconds(2));
  CHECK(socket.status() == Status::kDisconnected);
  CHECK(s.Error(socket) == Result::kTimedOut);
  CHECK(s.counters().UserTimeouts == 1);
  s.DropSent();
}

TEST_CASE("Nothing is due on an idle connection") {
  Script s;
  table::Socket socket = s.Serve();
  s.Push(Data("x").Seq(1).Ack(1));
  s.DropSent();
  CHECK(s.tcp->NextDeadline().is_never());
  (void)socket;
}

}  // namespace
}  // namespace sluice::tcp
