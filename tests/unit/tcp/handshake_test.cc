// Opening: RFC 9293 sections 3.5 and 3.10.7.1 to 3.10.7.3.
#include "script.h"

namespace sluice::tcp {
namespace {

using table::Result;
using table::Status;

TEST_CASE("A SYN for a listener is answered, and the ACK makes a connection") {
  Script s;
  table::Socket listener = s.Listen();
  s.Push(Syn().Mss(1400).Scale(7).SackOk().Ts(77, 0));
  s.Expect(SynAck().Seq(0).Ack(1).Mss(1460).SackOk().TsEcho(77));
  table::Socket socket;
  REQUIRE_FALSE(s.Accept(listener, &socket));
  s.Push(AckOf(1).Seq(1).Ts(78, s.last_ts).Win(1000));
  REQUIRE(s.Accept(listener, &socket));
  CHECK(socket.status() == Status::kConnected);
  CHECK(socket.entry().local.Load().port == 80);
  CHECK(socket.entry().remote.Load().port == s.peer_port);
  CHECK(socket.entry().remote.Load().address == s.peer_address);
  const auto info = s.Info(socket);
  CHECK(info.state == 1);
  CHECK(info.send_scale == 7);
  CHECK(info.send_mss == 1388);  // RFC 6691: less the timestamps
  CHECK(info.send_window_bytes == 1000u << 7);
  CHECK(s.counters().TcpPassiveOpens == 1);
}

TEST_CASE("Options that the peer does not offer stay off") {
  Script s;
  table::Socket socket = s.Serve(Syn());
  const auto info = s.Info(socket);
  CHECK_FALSE(info.timestamps);
  CHECK_FALSE(info.sack);
  CHECK_FALSE(info.window_scaling);
  CHECK(info.send_mss == 536);  // RFC 9293 MUST-15
}

TEST_CASE("A connection that we open") {
  Script s;
  table::Socket socket = s.Open();
  REQUIRE(s.Connect(socket) == Result::kInProgress);
  CHECK(socket.status() == Status::kConnecting);
  s.Expect(Syn().Seq(0).Mss(1460).SackOk().Win(65535));
  CHECK(s.tcp->Connect(s.now, socket, {s.peer_address, 80, 0}) == Result::kAlready);
  s.Push(SynAck().Seq(0).Ack(1).Mss(1000).Scale(3).SackOk().Ts(5, s.last_ts));
  s.Expect(AckOf(1).Seq(1).TsEcho(5));
  CHECK(socket.status() == Status::kConnected);
  CHECK(s.Info(socket).send_mss == 988);
  CHECK(s.tcp->Connect(s.now, socket, {s.peer_address, 80, 0}) == Result::kIsConnected);
}

TEST_CASE("A refused connection") {
  Script s;
  table::Socket socket = s.Open();
  s.Connect(socket);
  s.Expect(Syn());
  s.Push(Rst().Seq(0).Ack(2));  // does not acknowledge our SYN
  CHECK(socket.status() == Status::kConnecting);
  s.Push(Rst().Seq(0).Ack(1));
  CHECK(socket.status() == Status::kDisconnected);
  CHECK(s.Error(socket) == Result::kRefused);
  s.ExpectNothing();
  // It may be tried again.
  CHECK(s.Connect(socket) == Result::kInProgress);
  s.Expect(Syn());
}

TEST_CASE("A wrong acknowledgment in SYN-SENT is answered with a reset") {
  Script s;
  table::Socket socket = s.Open();
  s.Connect(socket);
  s.Expect(Syn());
  s.Push(SynAck().Seq(0).Ack(99));
  s.Expect(Rst().Seq(99));
  CHECK(socket.status() == Status::kConnecting);
}

TEST_CASE("A simultaneous open that is shut down before it is complete") {
  Script s;
  table::Socket socket = s.Open();
  s.Connect(socket);
  s.Expect(Syn());
  s.Push(Syn().Seq(0).Mss(1460));
  s.Expect(SynAck().Seq(0).Ack(1));
  s.Shutdown(socket, 1);
  CHECK(socket.status() == Status::kConnecting);
  s.Push(AckOf(1).Seq(1));
  s.Expect(FinAck().Seq(1).Ack(1));
  CHECK(socket.status() == Status::kShutdown);
  CHECK(s.table->counters().illegal_changes == 0);
}

TEST_CASE("Simultaneous open") {
  Script s;
  table::Socket socket = s.Open();
  s.Connect(socket);
  s.Expect(Syn().Seq(0));
  s.Push(Syn().Seq(0).Mss(1460));
  s.Expect(SynAck().Seq(0).Ack(1));
  CHECK(s.Info(socket).state == 3);
  s.Push(SynAck().Seq(0).Ack(1));
  CHECK(socket.status() == Status::kConnected);
  s.DropSent();
  s.Push(Data("hello").Seq(1).Ack(1));
  CHECK(s.Read(socket) == "hello");
}

TEST_CASE("SYNs are sent again, ever more slowly, and then it ends") {
  Script s;
  table::Socket socket = s.Open();
  s.Connect(socket);
  s.Expect(Syn());
  Duration wait = Seconds(1);
  for (int i = 0; i < 6; ++i) {
    CHECK(s.UntilDeadline() == wait);
    s.Advance(wait);
    s.Expect(Syn().Seq(0));
    wait = wait * 2;
  }
  s.Advance(wait);
  s.ExpectNothing();
  CHECK(s.Error(socket) == Result::kTimedOut);
  CHECK(socket.status() == Status::kDisconnected);
}

TEST_CASE("Segments for no connection are reset") {
  Script s;
  SECTION("with an acknowledgment: its number") {
    s.Push(Data("x").Seq(7).Ack(1000));
    s.Expect(Rst().Seq(1000));
  }
  SECTION("without: zero, and what it took") {
    s.Push(Syn().Seq(0));
    s.Expect(Rst().Seq(0).Ack(1));
  }
  SECTION("a reset is not") {
    s.Push(Rst().Seq(0));
    s.ExpectNothing();
  }
  SECTION("an ACK for a listener") {
    s.Listen();
    s.Push(AckOf(55).Seq(1));
    s.Expect(Rst().Seq(55));
  }
  SECTION("damaged ones are dropped") {
    s.Push(Syn().BadChecksum());
    s.ExpectNothing();
    CHECK(s.counters().TcpInCsumErrors == 1);
  }
}

TEST_CASE("Half-open connections answer again, and are given up") {
  Script s;
  table::Socket listener = s.Listen();
  s.Push(Syn().Mss(1460));
  s.Expect(SynAck().Seq(0).Ack(1));
  s.Push(Syn().Mss(1460));
  s.Expect(SynAck().Seq(0).Ack(1));
  for (int i = 0; i < 5; ++i) {
    s.Advance(Seconds(1 << i));
    s.Expect(SynAck().Seq(0).Ack(1));
  }
  CHECK(s.tcp->population().syn_received == 1);
  s.Advance(Seconds(32));
  s.ExpectNothing();
  CHECK(s.tcp->population().syn_received == 0);
  (void)listener;
}

TEST_CASE("Half-open connections and strange segments") {
  Script s;
  s.Listen();
  s.Push(Syn().Mss(1460));
  s.Expect(SynAck().Seq(0).Ack(1));
  SECTION("a reset at the right place ends it") {
    s.Push(Rst().Seq(1));
    CHECK(s.tcp->population().syn_received == 0);
    s.ExpectNothing();
  }
  SECTION("a reset elsewhere in the window is challenged") {
    s.Push(Rst().Seq(100));
    s.Expect(AckOf(1).Seq(1));
    CHECK(s.tcp->population().syn_received == 1);
  }
  SECTION("another SYN is challenged") {
    s.Push(Syn().Seq(100));
    s.Expect(AckOf(1).Seq(1));
  }
  SECTION("a wrong acknowledgment is reset") {
    s.Push(AckOf(7).Seq(1));
    s.Expect(Rst().Seq(7));
    CHECK(s.tcp->population().syn_received == 1);
  }
}

TEST_CASE("IPv6") {
  ScriptConfig config;
  config.v6 = true;
  Script s(config);
  table::Socket socket = s.Serve(Syn().Mss(1440).SackOk());
  s.Push(Data("over six").Seq(1).Ack(1));
  CHECK(s.Read(socket) == "over six");
  s.DropSent();
  s.Write(socket, "back");
  s.Expect(Data("back").Seq(1).Ack(9));
}

}  // namespace
}  // namespace sluice::tcp
