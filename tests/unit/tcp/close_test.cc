// Closing: RFC 9293 sections 3.6 and 3.10.4, 3.10.7.4 (eighth), TIME-WAIT, resets.
#include "script.h"

namespace sluice::tcp {
namespace {

using table::Result;
using table::Status;

TEST_CASE("The peer closes first") {
  Script s;
  table::Socket socket = s.Serve();
  s.Push(FinAck().Text("bye").Seq(1).Ack(1));
  s.Expect(AckOf(5).Seq(1));
  CHECK(socket.status() == Status::kShutdown);
  CHECK((socket.entry().engine_flags.load() & table::kEndOfStream) != 0);
  CHECK(s.Info(socket).state == 8);  // CLOSE-WAIT
  CHECK(s.Read(socket) == "bye");
  // Half closed: this side may still speak.
  s.Write(socket, "answer");
  s.Expect(Data("answer").Seq(1));
  s.Push(AckOf(7).Seq(5));
  s.Close(socket);
  s.Expect(FinAck().Seq(7).Ack(5));
  CHECK(s.tcp->population().orphans == 1);
  s.Push(AckOf(8).Seq(5));
  CHECK(s.tcp->population().connections == 0);
  CHECK(s.tcp->population().time_wait == 0);
  CHECK(s.table->open_sockets() == 1);  // the listener
}

TEST_CASE("We close first, and wait") {
  Script s;
  table::Socket socket = s.Serve();
  s.Write(socket, "last words");
  s.Close(socket);
  s.Expect(Data("last words"));
  s.Expect(FinAck().Seq(11));
  s.Push(AckOf(12).Seq(1));
  s.Push(FinAck().Seq(1).Ack(12));
  s.Expect(AckOf(2).Seq(12));
  CHECK(s.tcp->population().connections == 0);
  CHECK(s.tcp->population().time_wait == 1);
  CHECK(s.table->open_sockets() == 1);
  SECTION("a FIN that comes again is acknowledged again, and the time starts anew") {
    s.Advance(Seconds(50));
    s.Push(FinAck().Seq(1).Ack(12));
    s.Expect(AckOf(2).Seq(12));
    s.Advance(Seconds(50));
    CHECK(s.tcp->population().time_wait == 1);
    s.Advance(Seconds(10));
    CHECK(s.tcp->population().time_wait == 0);
  }
  SECTION("a reset does not end it (RFC 1337)") {
    s.Push(Rst().Seq(2));
    CHECK(s.tcp->population().time_wait == 1);
  }
  SECTION("a newer SYN does, beyond the old numbers") {
    const uint32_t old_isn = s.our_isn;
    s.Push(Syn().Seq(1000).Mss(1460));
    s.Expect(SynAck().Seq(0).Ack(1001));
    CHECK(static_cast<int32_t>(s.our_isn - old_isn) > 65535);
    CHECK(s.tcp->population().time_wait == 0);
  }
  SECTION("an old SYN does not") {
    s.Push(Syn().Seq(0).Mss(1460));
    s.Expect(AckOf(2).Seq(12));
    CHECK(s.tcp->population().time_wait == 1);
  }
}

TEST_CASE("Half close: shutdown of sending, then data still comes") {
  Script s;
  table::Socket socket = s.Serve();
  s.Shutdown(socket, 1);
  s.Expect(FinAck().Seq(1).Ack(1));
  CHECK(s.Info(socket).state == 4);  // FIN-WAIT-1
  CHECK((socket.entry().engine_flags.load() & table::kSendClosed) != 0);
  s.Push(AckOf(2).Seq(1));
  CHECK(s.Info(socket).state == 5);  // FIN-WAIT-2
  s.Push(Data("more").Seq(1).Ack(2));
  CHECK(s.Read(socket) == "more");
  s.DropSent();
  s.Push(FinAck().Seq(5).Ack(2));
  s.Expect(AckOf(6).Seq(2));
  CHECK(socket.status() == Status::kDisconnected);
  CHECK(s.Error(socket) == Result::kOk);
  CHECK(s.tcp->population().time_wait == 1);
  s.Close(socket);
  CHECK(s.table->open_sockets() == 1);
}

TEST_CASE("Simultaneous close") {
  Script s;
  table::Socket socket = s.Serve();
  s.Shutdown(socket, 1);
  s.Expect(FinAck().Seq(1));
  s.Push(FinAck().Seq(1).Ack(1));
  s.Expect(AckOf(2).Seq(2));
  CHECK(s.Info(socket).state == 11);  // CLOSING
  s.Push(AckOf(2).Seq(2));
  CHECK(s.tcp->population().time_wait == 1);
  CHECK(socket.status() == Status::kDisconnected);
}

TEST_CASE("A FIN that acknowledges ours ends FIN-WAIT-1 at once") {
  Script s;
  table::Socket socket = s.Serve();
  s.Close(socket);
  s.Expect(FinAck().Seq(1));
  s.Push(FinAck().Seq(1).Ack(2));
  s.Expect(AckOf(2).Seq(2));
  CHECK(s.tcp->population().time_wait == 1);
}

TEST_CASE("A FIN ahead of a gap waits for the gap") {
  Script s;
  table::Socket socket = s.Serve();
  SECTION("with data") {
    s.Push(FinAck().Text("def").Seq(4).Ack(1));
    CHECK(socket.status() == Status::kConnected);
    s.Push(Data("abc").Seq(1).Ack(1));
    CHECK(s.Read(socket) == "abcdef");
  }
  SECTION("alone") {
    s.Push(FinAck().Seq(4).Ack(1));
    CHECK(socket.status() == Status::kConnected);
    s.Push(Data("abc").Seq(1).Ack(1));
    CHECK(s.Read(socket) == "abc");
  }
  CHECK(socket.status() == Status::kShutdown);
}

TEST_CASE("Closing with unread data resets (RFC 2525 section 2.17)") {
  Script s;
  table::Socket socket = s.Serve();
  s.Push(Data("unread").Seq(1).Ack(1));
  s.DropSent();
  s.Close(socket);
  s.Expect(Rst().Seq(1).Ack(7));
  CHECK(s.tcp->population().connections == 0);
  CHECK(s.table->open_sockets() == 1);
}

TEST_CASE("Lingering for no time resets") {
  Script s;
  table::Socket socket = s.Serve();
  s.Set(socket, table::kLinger);
  s.Write(socket, "lost");
  s.DropSent();
  s.Close(socket);
  s.Expect(Rst().Seq(5).Ack(1));
  CHECK(s.tcp->population().connections == 0);
}

TEST_CASE("Data for a closed socket is answered with a reset") {
  Script s;
  table::Socket socket = s.Serve();
  s.Close(socket);
  s.Expect(FinAck().Seq(1));
  s.Push(Data("hello?").Seq(1).Ack(2));
  s.Expect(Rst().Seq(2).Ack(1));
  CHECK(s.counters().TcpExtTCPAbortOnData == 1);
  CHECK(s.tcp->population().connections == 0);
}

TEST_CASE("FIN-WAIT-2 of a closed socket ends after a while") {
  Script s;
  table::Socket socket = s.Serve();
  s.Close(socket);
  s.Push(AckOf(2).Seq(1));
  CHECK(s.tcp->population().connections == 1);
  s.Advance(Seconds(60));
  CHECK(s.tcp->population().connections == 0);
  CHECK(s.counters().FinWait2Timeouts == 1);
}

TEST_CASE("A FIN is sent again until it is acknowledged, by orphans not for ever") {
  Script s;
  table::Socket socket = s.Serve();
  s.Close(socket);
  s.Expect(FinAck().Seq(1));
  s.Advance(s.UntilDeadline());
  s.Expect(FinAck().Seq(1));
  s.Advance(Seconds(600));
  CHECK(s.tcp->population().connections == 0);
  CHECK(s.table->open_sockets() == 1);
}

TEST_CASE("A reset of the peer") {
  Script s;
  table::Socket socket = s.Serve();
  s.Push(Data("some").Seq(1).Ack(1));
  s.DropSent();
  s.Push(Rst().Seq(5));
  CHECK(socket.status() == Status::kDisconnected);
  CHECK(s.Error(socket) == Result::kReset);
  CHECK(s.Read(socket) == "some");  // what came before can still be read
  s.ExpectNothing();
  s.Close(socket);
  CHECK(s.table->open_sockets() == 1);
}

TEST_CASE("A listener that closes takes with it what waits") {
  Script s;
  table::Socket listener = s.Listen();
  s.Push(Syn().Mss(1460));
  s.Expect(SynAck());
  s.Push(AckOf(1).Seq(1));  // waits for accept
  s.peer_port = 40001;
  s.Push(Syn().Mss(1460));  // half open
  s.Expect(SynAck());
  s.Close(listener);
  s.Expect(Rst().Seq(1).Ack(1));
  CHECK(s.tcp->population().connections == 0);
  CHECK(s.tcp->population().syn_received == 0);
  CHECK(s.table->open_sockets() == 0);
  s.Push(Syn().Seq(0));
  s.Expect(Rst().Ack(1));
}

TEST_CASE("A listener that was shut down may listen again") {
  Script s;
  table::Socket listener = s.Listen();
  table::Socket socket;
  const auto arrive = [&](uint16_t port) {
    s.peer_port = port;
    s.Push(Syn().Mss(1460));
    s.Expect(SynAck());
    s.Push(AckOf(1).Seq(1));
  };
  arrive(40000);
  REQUIRE(s.Accept(listener, &socket));
  s.Close(socket);
  s.DropSent();
  arrive(40001);  // is still waiting when the listener is shut down
  s.Shutdown(listener, 2);
  s.DropSent();
  REQUIRE(s.tcp->Listen(s.now, listener, 16) == Result::kOk);
  arrive(40002);
  CHECK_FALSE(s.Accept(listener, &socket));  // a stale handle
  REQUIRE(s.Accept(listener, &socket));
  CHECK(socket.entry().remote.Load().port == 40002);
}

TEST_CASE("connect() may take a TIME-WAIT over if timestamps tell old from new (RFC 6191)") {
  Script s;
  auto dial = [&](uint32_t peer_ts) {
    table::Socket socket = s.Open();
    const wire::Endpoint local{s.local_address, 7777, 0};
    socket.entry().options.Set(table::kReuseAddress, true);
    REQUIRE(s.tcp->Bind(s.now, socket, local) == Result::kOk);
    const Result result = s.Connect(socket);
    if (result != Result::kInProgress) {
      s.Close(socket);
      return result;
    }
    s.Expect(Syn().Seq(0));
    s.Push(SynAck().Ack(1).Mss(1460).Ts(peer_ts, s.last_ts));
    s.Expect(AckOf(1));
    s.Close(socket);
    s.Expect(FinAck().Seq(1));
    s.Push(FinAck().Seq(1).Ack(2).Ts(peer_ts + 1, s.last_ts));
    s.Expect(AckOf(2));
    return result;
  };
  CHECK(dial(10) == Result::kInProgress);
  const uint32_t first = s.our_isn;
  CHECK(s.tcp->population().time_wait == 1);
  CHECK(dial(20) == Result::kAddressNotAvailable);
  s.Advance(Milliseconds(1100));
  CHECK(dial(1200) == Result::kInProgress);
  CHECK(static_cast<int32_t>(s.our_isn - first) > 65535);
  CHECK(s.counters().TcpExtTWRecycled == 1);
}

}  // namespace
}  // namespace sluice::tcp
