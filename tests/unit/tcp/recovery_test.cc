// Losses: RFC 5681, RFC 6582, RFC 6675, RFC 6298, RFC 3042, RFC 3522.
#include "script.h"

namespace sluice::tcp {
namespace {

constexpr uint32_t kMss = 1000;

// A connection with `segments` full segments out, numbered from 1.
table::Socket Send(Script& s, uint32_t segments, Seg offer) {
  table::Socket socket = s.Serve(offer.Mss(kMss));
  s.Set(socket, table::kNoDelay);
  s.Advance(Milliseconds(10));
  s.Write(socket, Pattern(segments * kMss, 1));
  for (uint32_t i = 0; i < std::min(segments, 10u); ++i) s.Expect(Bytes(kMss).Seq(1 + kMss * i));
  return socket;
}
uint32_t At(uint32_t segment) { return 1 + kMss * segment; }

TEST_CASE("A lost segment is sent again when its time has come") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(kMss));
  s.Write(socket, "lost");
  s.Expect(Data("lost").Seq(1));
  // No round trip measured but the handshake's, of no length: the minimum.
  CHECK(s.UntilDeadline() == Milliseconds(200) + Microseconds(1));
  Duration wait = s.UntilDeadline();
  for (int i = 0; i < 5; ++i) {
    s.Advance(wait - Nanoseconds(1));
    s.ExpectNothing();
    s.Advance(Nanoseconds(1));
    s.Expect(Data("lost").Seq(1));
    wait = wait * 2;
    CHECK(s.UntilDeadline() == wait);
  }
  CHECK(s.Info(socket).retransmits == 5);
  CHECK(s.Info(socket).send_cwnd_segments == 1);
  s.Push(AckOf(5).Seq(1));
  CHECK(s.tcp->NextDeadline().is_never());
  CHECK(s.Info(socket).retransmits == 0);
  CHECK(s.counters().TcpExtTCPTimeouts == 5);
}

TEST_CASE("R2: in the end it is given up") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(kMss));
  s.Write(socket, "void");
  s.Advance(Seconds(2000));
  CHECK(socket.status() == table::Status::kDisconnected);
  CHECK(s.Error(socket) == table::Result::kTimedOut);
  CHECK(s.counters().TcpExtTCPAbortOnTimeout == 1);
  s.DropSent();
}

TEST_CASE("The timeout follows the round-trip time") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(kMss));
  uint32_t at = 1;
  for (int i = 0; i < 20; ++i) {
    s.Write(socket, "x");
    s.Expect(Data("x"));
    s.Advance(Milliseconds(100));
    s.Push(AckOf(++at).Seq(1));
  }
  const auto info = s.Info(socket);
  CHECK(info.srtt_us > 90000);
  CHECK(info.srtt_us <= 100000);
  CHECK(info.rto_us >= info.srtt_us + 200000);
  s.Write(socket, "x");
  CHECK(s.UntilDeadline() == Microseconds(info.rto_us));
}

TEST_CASE("Three duplicate acknowledgments: fast retransmit and NewReno recovery") {
  Script s;
  table::Socket socket = Send(s, 20, Syn());
  // Segments 0 and 4 are lost.
  s.Push(AckOf(1).Seq(1));
  s.Expect(Bytes(kMss).Seq(At(10)));  // RFC 3042: limited transmit
  s.Push(AckOf(1).Seq(1));
  s.Expect(Bytes(kMss).Seq(At(11)));
  s.ExpectNothing();
  s.Push(AckOf(1).Seq(1));
  s.Expect(Bytes(kMss).Seq(1));  // fast retransmit
  CHECK(s.Info(socket).congestion_state == 3);
  CHECK(s.counters().TcpExtTCPRenoRecovery == 1);
  CHECK(s.Info(socket).send_cwnd_segments == 8);  // 0.7 of 12
  for (int i = 0; i < 7; ++i) s.Push(AckOf(1).Seq(1));
  s.DropSent();
  // A partial acknowledgment: the next hole goes out at once.
  s.Push(AckOf(At(4)).Seq(1));
  s.Expect(Bytes(kMss).Seq(At(4)));
  CHECK(s.Info(socket).congestion_state == 3);
  s.Push(AckOf(s.sent_end).Seq(1));
  CHECK(s.Info(socket).congestion_state == 0);
  s.DropSent();
  s.Push(AckOf(s.sent_end).Seq(1));
  CHECK(table::SendQueueBytes(socket.entry()) == 0);
}

TEST_CASE("SACK recovery sends what is lost and nothing else") {
  Script s;
  table::Socket socket = Send(s, 10, Syn().SackOk());
  // Segments 1, 3 and 4 are lost.
  s.Push(AckOf(At(1)).Seq(1));
  s.Push(AckOf(At(1)).Seq(1).Sack({{At(2), At(3)}}));
  s.ExpectNothing();
  s.Push(AckOf(At(1)).Seq(1).Sack({{At(5), At(6)}, {At(2), At(3)}}));
  s.ExpectNothing();
  // More than two segments above the first hole: it is lost (RFC 6675, IsLost).
  s.Push(AckOf(At(1)).Seq(1).Sack({{At(5), At(7)}, {At(2), At(3)}}));
  s.Expect(Bytes(kMss).Seq(At(1)));
  CHECK(s.counters().TcpExtTCPSackRecovery == 1);
  s.Push(AckOf(At(1)).Seq(1).Sack({{At(5), At(10)}, {At(2), At(3)}}));
  s.Expect(Bytes(kMss).Seq(At(3)));
  s.Expect(Bytes(kMss).Seq(At(4)));
  s.ExpectNothing();
  s.Push(AckOf(At(3)).Seq(1).Sack({{At(5), At(10)}}));
  s.ExpectNothing();
  s.Push(AckOf(At(10)).Seq(1));
  CHECK(s.Info(socket).congestion_state == 0);
  CHECK(s.counters().TcpRetransSegs == 3);
  CHECK(s.tcp->NextDeadline().is_never());
}

TEST_CASE("New data flows during SACK recovery as the pipe empties") {
  Script s;
  table::Socket socket = Send(s, 30, Syn().SackOk());
  // Segment 0 is lost, 1 to 9 arrive one by one.
  uint32_t retransmitted = 0, fresh = 0;
  for (uint32_t i = 1; i < 10; ++i) {
    s.Push(AckOf(1).Seq(1).Sack({{At(1), At(i + 1)}}));
    while (s.pending() != 0) {
      const Seg segment = s.Next();
      ++(*segment.seq == 1 ? retransmitted : fresh);
    }
  }
  CHECK(retransmitted == 1);
  CHECK(fresh >= 4);  // cwnd 7 or 8, and only what is new counts
  const auto info = s.Info(socket);
  CHECK(info.send_cwnd_segments >= 7);
  CHECK(info.send_cwnd_segments <= 8);
}

TEST_CASE("After a timeout, slow start goes through the holes only") {
  Script s;
  table::Socket socket = Send(s, 6, Syn().SackOk());
  s.Push(AckOf(1).Seq(1).Sack({{At(2), At(3)}}));
  s.ExpectNothing();
  s.Advance(s.UntilDeadline());
  s.Expect(Bytes(kMss).Seq(At(0)));
  s.ExpectNothing();
  CHECK(s.Info(socket).congestion_state == 4);
  s.Push(AckOf(At(1)).Seq(1).Sack({{At(2), At(3)}}));
  s.Expect(Bytes(kMss).Seq(At(1)));
  s.Expect(Bytes(kMss).Seq(At(3)));
  s.ExpectNothing();
  s.Push(AckOf(At(3)).Seq(1));
  s.Expect(Bytes(kMss).Seq(At(4)));
  s.Expect(Bytes(kMss).Seq(At(5)));
  s.Push(AckOf(At(6)).Seq(1));
  CHECK(s.Info(socket).congestion_state == 0);
}

TEST_CASE("A peer that forgets what it had (reneging) gets it again") {
  Script s;
  table::Socket socket = Send(s, 4, Syn().SackOk());
  s.Push(AckOf(1).Seq(1).Sack({{At(1), At(2)}}));
  s.Push(AckOf(At(1)).Seq(1));  // acknowledges up to what it had said to hold
  s.Advance(s.UntilDeadline());
  s.Expect(Bytes(kMss).Seq(At(1)));
  CHECK(s.counters().TcpExtTCPSACKReneging == 1);
  (void)socket;
}

TEST_CASE("A timeout that timestamps show to be spurious is undone") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(kMss + 12).Ts(100, 0));
  s.Advance(Milliseconds(10));
  s.Write(socket, Pattern(5 * kMss, 1));
  for (int i = 0; i < 5; ++i) s.Expect(Bytes(kMss).Seq(At(i)));
  const uint32_t original = s.last_ts;
  s.Advance(Milliseconds(250));
  s.Expect(Flags(wire::kTcpAck).Seq(1));
  CHECK(s.Info(socket).congestion_state == 4);
  // The acknowledgment was only late: it echoes the original.
  s.Push(AckOf(At(1)).Seq(1).Ts(101, original));
  CHECK(s.counters().TcpExtTCPSpuriousRTOs == 1);
  CHECK(s.Info(socket).congestion_state == 0);
  CHECK(s.Info(socket).send_cwnd_segments >= 10);
  s.ExpectNothing();
}

TEST_CASE("SACK blocks that cannot be are ignored") {
  Script s;
  table::Socket socket = Send(s, 4, Syn().SackOk());
  s.Push(AckOf(1).Seq(1).Sack({{At(3), At(2)}}));
  s.Push(AckOf(1).Seq(1).Sack({{At(3), At(9)}}));
  s.Push(AckOf(1).Seq(1).Sack({{0xfffff000, 0xfffff800}}));
  CHECK(s.Info(socket).sacked_segments == 0);
}

TEST_CASE("NewReno by request: half the window") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(kMss));
  socket.entry().options.congestion.store(table::Congestion::kNewReno);
  s.Set(socket, table::kNoDelay);
  s.Write(socket, Pattern(10 * kMss, 1));
  s.DropSent();
  for (int i = 0; i < 3; ++i) s.Push(AckOf(1).Seq(1));
  CHECK(s.Info(socket).send_cwnd_segments == 5);
}

TEST_CASE("After a pause the window starts anew") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(kMss));
  uint32_t at = 1;
  for (int i = 0; i < 3; ++i) {
    const uint32_t count = s.Info(socket).send_cwnd_segments;
    s.Write(socket, Pattern(count * kMss, at));
    at += count * kMss;
    s.Push(AckOf(at).Seq(1));
    s.DropSent();
  }
  CHECK(s.Info(socket).send_cwnd_segments > 40);
  s.Advance(Seconds(5));
  s.Write(socket, "x");
  CHECK(s.Info(socket).send_cwnd_segments == 10);
}

TEST_CASE("CUBIC climbs back to where the loss was") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(kMss).Scale(7));
  uint32_t before = 0, after = 0;
  const auto round_trip = [&] {
    s.Write(socket, Pattern(300 * kMss));
    s.DropSent();
    s.Advance(Milliseconds(50));
  };
  for (int round = 0; round < 80; ++round) {
    round_trip();
    if (round == 3) {
      before = s.Info(socket).send_cwnd_segments;
      for (int i = 0; i < 3; ++i) s.Push(AckOf(s.Info(socket).bytes_acked + 1).Seq(1));
      after = s.Info(socket).send_cwnd_segments;
    }
    s.DropSent();
    s.Push(AckOf(s.sent_end).Seq(1));
  }
  CHECK(before == 80);
  CHECK(after == 57);  // RFC 9438 section 4.6: 0.7 of 80 and two by limited transmit
  CHECK(s.Info(socket).send_cwnd_segments > 80);
}

}  // namespace
}  // namespace sluice::tcp
