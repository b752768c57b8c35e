// What strangers may try: RFC 5961, RFC 7323 (PAWS), RFC 5927, SYN floods.
#include "script.h"

namespace sluice::tcp {
namespace {

using table::Result;
using table::Status;

TEST_CASE("A reset must name the next number (RFC 5961 section 3)") {
  Script s;
  table::Socket socket = s.Serve();
  s.Push(Rst().Seq(2));
  s.Expect(AckOf(1).Seq(1));  // challenged
  s.Push(Rst().Seq(70000));
  s.ExpectNothing();  // outside the window
  s.Push(Rst().Seq(0));
  s.ExpectNothing();
  CHECK(socket.status() == Status::kConnected);
  s.Push(Rst().Seq(1));
  CHECK(socket.status() == Status::kDisconnected);
}

TEST_CASE("A SYN in a connection is challenged (RFC 5961 section 4)") {
  Script s;
  table::Socket socket = s.Serve();
  s.Push(Syn().Seq(1));
  s.Expect(AckOf(1).Seq(1));
  s.Push(Syn().Seq(100000));
  s.Expect(AckOf(1).Seq(1));
  s.Push(SynAck().Seq(5).Ack(1));
  s.Expect(AckOf(1).Seq(1));
  CHECK(socket.status() == Status::kConnected);
}

TEST_CASE("Data with an impossible acknowledgment is not taken (RFC 5961 section 5)") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1460), 1000);
  s.Push(Data("evil").Seq(1).Ack(2));
  s.Expect(AckOf(1).Seq(1));
  s.Push(Data("evil").Seq(1).Ack(0u - 2000u));
  s.Expect(AckOf(1).Seq(1));
  CHECK(s.Read(socket) == "");
  s.Push(Data("evil").Seq(1));  // without one at all
  s.Push(Flags(0).Text("evil").Seq(1));
  s.DropSent();
  CHECK(s.counters().TcpExtTCPChallengeACK >= 2);
}

TEST_CASE("Challenges are rationed (RFC 5961 section 7)") {
  Script s;
  s.Serve();
  for (int i = 0; i < 500; ++i) s.Push(Syn().Seq(1));
  CHECK(s.pending() <= 101);
  CHECK(s.counters().TcpExtTCPChallengeACKLimited >= 399);
}

TEST_CASE("PAWS drops what is old, and says where we are") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1460).Ts(1000, 0));
  s.Push(Data("abc").Seq(1).Ack(1).Ts(1010, s.last_ts));
  s.Expect(AckOf(4).TsEcho(1010));
  s.Push(Data("old").Seq(4).Ack(1).Ts(900, s.last_ts));
  s.Expect(AckOf(4).TsEcho(1010));
  CHECK(s.counters().TcpExtPAWSEstab == 1);
  s.Push(Data("def").Seq(4).Ack(1).Ts(1010, s.last_ts));
  CHECK(s.Read(socket) == "abcdef");
  // Without a timestamp it is dropped (RFC 7323 section 3.2), but a reset counts.
  s.DropSent();
  s.Push(Data("ghi").Seq(7).Ack(1));
  s.ExpectNothing();
  s.Push(Rst().Seq(7));
  CHECK(socket.status() == Status::kDisconnected);
}

TEST_CASE("Timestamps echo what was acknowledged last (RFC 7323 section 4.3)") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1460).SackOk().Ts(1000, 0));
  const uint32_t echo = s.last_ts;
  s.Push(Data("def").Seq(4).Ack(1).Ts(1020, echo));  // out of order: not to be echoed
  s.Expect(AckOf(1).TsEcho(1000));
  s.Push(Data("abc").Seq(1).Ack(1).Ts(1030, echo));
  s.Expect(AckOf(7).TsEcho(1030));
  (void)socket;
}

TEST_CASE("ICMP errors must quote what is in flight (RFC 5927)") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1460));
  s.Write(socket, Pattern(1000, 1));
  s.DropSent();
  SECTION("a guess is ignored") {
    s.Icmp(ip::IcmpErrorKind::kPacketTooBig, 5000, 600);
    CHECK(s.counters().TcpExtOutOfWindowIcmps == 1);
    s.ExpectNothing();
  }
  SECTION("a hard error is soft for a connection that stands") {
    s.Icmp(ip::IcmpErrorKind::kPortUnreachable, 1);
    CHECK(socket.status() == Status::kConnected);
    s.Advance(Seconds(2000));
    CHECK(s.Error(socket) == Result::kRefused);  // the reason it timed out
    s.DropSent();
  }
  SECTION("a smaller path: smaller segments, at once") {
    s.Icmp(ip::IcmpErrorKind::kPacketTooBig, 1, 640);
    s.Expect(Bytes(600).Seq(1));
    s.Expect(Bytes(400).Seq(601));
    s.ExpectNothing();
    CHECK(s.Info(socket).path_mtu == 640);
    CHECK(s.tcp->PathMtu(socket) == 640);
    CHECK(s.counters().TcpExtTCPMTUPShrunk == 1);
    s.Push(AckOf(1001).Seq(1));
    CHECK(s.tcp->NextDeadline().is_never());
  }
  SECTION("a larger one is no news") {
    s.Icmp(ip::IcmpErrorKind::kPacketTooBig, 1, 9000);
    CHECK(s.Info(socket).path_mtu == 1500);
    s.ExpectNothing();
  }
}

TEST_CASE("An unreachable host ends a connection attempt") {
  Script s;
  table::Socket socket = s.Open();
  s.Connect(socket);
  s.Expect(Syn());
  s.Icmp(ip::IcmpErrorKind::kHostUnreachable, 0);
  CHECK(socket.status() == Status::kDisconnected);
  CHECK(s.Error(socket) == Result::kHostUnreachable);
}

TEST_CASE("Sequence numbers cannot be guessed from others (RFC 6528)") {
  Script s;
  s.Listen();
  s.Push(Syn());
  s.Expect(SynAck());
  const uint32_t first = s.our_isn;
  s.peer_port = 40001;
  s.Push(Syn());
  s.Expect(SynAck());
  CHECK(s.our_isn - first > 100000);
  CHECK(first - s.our_isn > 100000);
}

TEST_CASE("A full queue of half-open connections answers with cookies") {
  Script s;
  table::Socket listener = s.Listen(80, 4);
  for (int i = 0; i < 20; ++i) {
    s.peer_port = static_cast<uint16_t>(50000 + i);
    s.Push(Syn().Mss(1460).Scale(5).SackOk().Ts(100, 0));
    s.Expect(SynAck().Ack(1));
  }
  CHECK(s.tcp->population().syn_received == 5);
  CHECK(s.counters().TcpExtSyncookiesSent == 15);
  SECTION("whose answers make connections, with their options") {
    s.Push(AckOf(1).Seq(1).Win(100).Ts(101, s.last_ts));
    CHECK(s.counters().TcpExtSyncookiesRecv == 1);
    table::Socket socket;
    REQUIRE(s.Accept(listener, &socket));
    const auto info = s.Info(socket);
    CHECK(info.sack);
    CHECK(info.timestamps);
    CHECK(info.send_scale == 5);
    CHECK(info.send_window_bytes == 100u << 5);
    CHECK(info.send_mss == 1448);
    s.Push(Data("hello").Seq(1).Ack(1).Ts(102, s.last_ts));
    CHECK(s.Read(socket) == "hello");
  }
  SECTION("that cannot be forged") {
    s.Push(AckOf(2).Seq(1).Ts(101, s.last_ts));
    s.ExpectNothing();
    CHECK(s.counters().TcpExtSyncookiesFailed == 1);
    CHECK(s.tcp->population().connections == 0);
  }
  SECTION("that grow old") {
    s.Advance(Seconds(129));
    s.DropSent();
    s.Push(AckOf(1).Seq(1).Ts(101, s.last_ts));
    s.Expect(Rst().Seq(1));
  }
}

TEST_CASE("A full connection queue drops the last ACK, and lets it come again") {
  Script s;
  table::Socket listener = s.Listen(80, 0);
  s.Push(Syn().Mss(1460));
  s.Expect(SynAck());
  s.peer_port = 40001;
  s.Push(Syn().Mss(1460));
  s.Expect(SynAck());
  s.Push(AckOf(1).Seq(1));
  s.peer_port = 40000;
  s.Push(AckOf(1).Seq(1));
  CHECK(s.counters().TcpExtListenOverflows == 1);
  s.peer_port = 40002;
  s.Push(Syn().Mss(1460));
  s.ExpectNothing();
  CHECK(s.counters().TcpExtListenDrops == 2);
  table::Socket socket;
  REQUIRE(s.Accept(listener, &socket));
  REQUIRE_FALSE(s.Accept(listener, &socket));
  s.Advance(Seconds(1));
  s.Expect(SynAck());
  CHECK(s.last_remote_port == 40000);
  s.peer_port = 40000;
  s.Push(AckOf(1).Seq(1));
  CHECK(s.Accept(listener, &socket));
}

TEST_CASE("TCP_DEFER_ACCEPT waits for data") {
  Script s;
  table::Socket listener = s.Open();
  listener.entry().options.defer_accept_s.store(3);
  REQUIRE(s.tcp->Bind(s.now, listener, {wire::IpAddress::AnyV4(), 80, 0}) == Result::kOk);
  REQUIRE(s.tcp->Listen(s.now, listener, 8) == Result::kOk);
  s.Push(Syn().Mss(1460));
  s.Expect(SynAck());
  s.Push(AckOf(1).Seq(1));
  table::Socket socket;
  CHECK_FALSE(s.Accept(listener, &socket));
  SECTION("that comes") {
    s.Push(Data("GET").Seq(1).Ack(1));
    REQUIRE(s.Accept(listener, &socket));
    CHECK(s.Read(socket) == "GET");
  }
  SECTION("but not for ever") {
    s.Advance(Seconds(3));
    s.Expect(SynAck());
    s.Push(AckOf(1).Seq(1));
    CHECK(s.Accept(listener, &socket));
  }
}

TEST_CASE("Limits refuse, and count") {
  ScriptConfig config;
  config.tcp.connections_max = 1;
  Script s(config);
  table::Socket first = s.Serve();
  s.peer_port = 40001;
  s.Push(Syn().Mss(1460));
  s.Expect(SynAck());
  s.Push(AckOf(1).Seq(1));
  CHECK(s.counters().ConnectionsFull == 1);
  CHECK(s.tcp->population().syn_received == 1);
  table::Socket third = s.Open();
  CHECK(s.Connect(third) == Result::kNoBuffers);
  // There is room again once the first has gone.
  s.peer_port = 40000;
  s.local_port = 80;
  s.Push(Rst().Seq(1));
  s.Close(first);
  s.Advance(Seconds(1));
  s.Expect(SynAck());
  s.peer_port = 40001;
  s.Push(AckOf(1).Seq(1));
  CHECK(s.tcp->population().connections == 1);
}

TEST_CASE("Out of order packets are bounded") {
  ScriptConfig config;
  config.tcp.out_of_order_packets_per_connection = 8;
  Script s(config);
  table::Socket socket = s.Serve(Syn().Mss(1460).SackOk());
  for (uint32_t i = 1; i < 20; ++i) s.Push(Data("x").Seq(1 + 2 * i).Ack(1));
  CHECK(s.counters().OutOfOrderPacketsFull == 11);
  s.DropSent();
  (void)socket;
}

}  // namespace
}  // namespace sluice::tcp
