// Moving data in order: RFC 9293 sections 3.7.4, 3.8.6 and 3.10.7.4 (seventh), RFC 1122 section
// 4.2.3.2.
#include "script.h"

namespace sluice::tcp {
namespace {

TEST_CASE("Data arrives in order, and is acknowledged") {
  Script s;
  table::Socket socket = s.Serve();
  s.Push(Data("hello ").Seq(1).Ack(1));
  CHECK(s.TakeEvent() == false);  // nobody waits
  s.Expect(AckOf(7).Seq(1));      // the first ones at once
  s.Push(Data("world").Seq(7).Ack(1));
  s.Expect(AckOf(12));
  CHECK(s.Read(socket) == "hello world");
}

TEST_CASE("Somebody who waits is told once a burst, and again if more came") {
  Script s;
  table::Socket socket = s.Serve();
  socket.entry().event_mask.store(table::kEventIn);
  s.PushInBurst(Data("a").Seq(1).Ack(1));
  CHECK(s.TakeEvent());
  s.PushInBurst(Data("b").Seq(2).Ack(1));
  CHECK_FALSE(s.TakeEvent());
  s.EndOfBurst();
  CHECK(s.TakeEvent());
  s.EndOfBurst();
  CHECK_FALSE(s.TakeEvent());
}

TEST_CASE("One acknowledgment does for a burst") {
  Script s;
  table::Socket socket = s.Serve();
  for (uint32_t i = 0; i < 10; ++i) s.PushInBurst(Bytes(1460).Seq(1 + 1460 * i).Ack(1));
  s.ExpectNothing();
  s.EndOfBurst();
  s.Expect(AckOf(14601).Seq(1));
  s.ExpectNothing();
  CHECK(s.Read(socket) == [] {
    std::string all;
    for (uint32_t i = 0; i < 10; ++i) all += Pattern(1460, 1 + 1460 * i);
    return all;
  }());
}

TEST_CASE("An acknowledgment rides on data that answers in the same turn") {
  Script s;
  table::Socket socket = s.Serve();
  s.PushInBurst(Data("ping").Seq(1).Ack(1));
  s.Write(socket, "pong");
  s.Expect(Data("pong").Seq(1).Ack(5));
  s.ExpectNothing();
}

TEST_CASE("Acknowledgments wait in an interactive connection") {
  Script s;
  table::Socket socket = s.Serve();
  s.PushInBurst(Data("ping").Seq(1).Ack(1));
  s.Write(socket, "pong");
  s.Expect(Data("pong"));
  s.Push(Data("ping").Seq(5).Ack(5));
  s.ExpectNothing();
  CHECK(s.UntilDeadline() == Milliseconds(40));
  s.Advance(Milliseconds(40));
  s.Expect(AckOf(9).Seq(5));
  CHECK(s.counters().TcpExtDelayedACKs == 1);
  // No answer came: the next one does not wait.
  s.Push(Data("x").Seq(9).Ack(5));
  s.Expect(AckOf(10));
}

TEST_CASE("While acknowledgments are quick, that of a short segment may wait for its answer") {
  ScriptConfig config;
  config.tcp.quick_ack_delay = Microseconds(100);
  Script s(config);
  table::Socket socket = s.Serve();
  s.Push(Data("ping").Seq(1).Ack(1));
  s.ExpectNothing();
  SECTION("the answer comes") {
    s.Write(socket, "pong");
    s.Expect(Data("pong").Seq(1).Ack(5));
  }
  SECTION("no answer comes") {
    CHECK(s.UntilDeadline() <= Microseconds(100));
    s.Advance(Microseconds(100));
    s.Expect(AckOf(5));
    s.Push(Bytes(1460).Seq(5).Ack(1));
    s.Expect(AckOf(1465));
  }
  s.ExpectNothing();
}

TEST_CASE("Every second full segment is acknowledged at once") {
  Script s;
  table::Socket socket = s.Serve();
  s.PushInBurst(Bytes(1460).Seq(1).Ack(1));
  s.Write(socket, "x");
  s.Expect(Data("x").Ack(1461));
  s.Push(Bytes(1460).Seq(1461).Ack(2));
  s.ExpectNothing();
  s.Push(Bytes(1460).Seq(2921).Ack(2));
  s.Expect(AckOf(4381));
}

TEST_CASE("Writes become segments of at most one MSS") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000));
  s.Write(socket, Pattern(2500, 1));
  s.Expect(Bytes(1000).Seq(1).Ack(1));
  s.Expect(Bytes(1000).Seq(1001));
  s.Expect(Data(Pattern(500, 2001)).Seq(2001).Psh());
  s.ExpectNothing();
  s.Push(AckOf(2501).Seq(1));
  CHECK(table::SendQueueBytes(socket.entry()) == 0);
  CHECK(s.tcp->NextDeadline().is_never());
}

TEST_CASE("The initial window is ten segments") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000));
  s.Write(socket, Pattern(50000, 1));
  for (uint32_t i = 0; i < 10; ++i) s.Expect(Bytes(1000).Seq(1 + 1000 * i));
  s.ExpectNothing();
  // Slow start: two more for each that is acknowledged.
  s.Push(AckOf(2001).Seq(1));
  for (uint32_t i = 10; i < 14; ++i) s.Expect(Bytes(1000).Seq(1 + 1000 * i));
  s.ExpectNothing();
}

TEST_CASE("The peer's window holds the sender") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000), 2500);
  s.Write(socket, Pattern(5000, 1));
  s.Expect(Bytes(1000).Seq(1));
  s.Expect(Bytes(1000).Seq(1001));
  // 500 bytes would fit: silly-window avoidance keeps them while something is in flight.
  s.ExpectNothing();
  s.Push(AckOf(1001).Seq(1).Win(2500));
  s.Expect(Bytes(1000).Seq(2001));
  s.ExpectNothing();
}

TEST_CASE("Nagle holds a part back while a part is out") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000));
  s.Write(socket, "a");
  s.Expect(Data("a").Seq(1));
  s.Write(socket, "b");
  s.Write(socket, "c");
  s.ExpectNothing();
  s.Push(AckOf(2).Seq(1));
  s.Expect(Data("bc").Seq(2));
  SECTION("TCP_NODELAY does not") {
    s.Set(socket, table::kNoDelay);
    s.Write(socket, "d");
    s.Expect(Data("d").Seq(4));
  }
  SECTION("and full segments never wait") {
    s.Write(socket, Pattern(1000));
    s.Expect(Bytes(1000).Seq(4));
  }
}

TEST_CASE("TCP_CORK and MSG_MORE hold a part back, for 200 ms at most") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000));
  SECTION("cork, taken out") {
    s.Set(socket, table::kCork);
    s.Write(socket, Pattern(1500, 1));
    s.Expect(Bytes(1000).Seq(1));
    s.ExpectNothing();
    s.Set(socket, table::kCork, false);
    s.Expect(Bytes(500).Seq(1001));
  }
  SECTION("cork, forgotten") {
    s.Set(socket, table::kCork);
    s.Write(socket, "abc");
    s.ExpectNothing();
    CHECK(s.UntilDeadline() == Milliseconds(200));
    s.Advance(Milliseconds(200));
    s.Expect(Data("abc"));
  }
  SECTION("more") {
    socket.entry().application_flags.SetBits(table::kMore);
    s.Write(socket, "abc");
    s.ExpectNothing();
    socket.entry().application_flags.ClearBits(table::kMore);
    s.Write(socket, "def");
    s.Expect(Data("abcdef"));
  }
}

TEST_CASE("A program that waits for room is told of it") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1000));
  socket.entry().options.Set(table::kSendBufferLocked, true);
  socket.entry().options.send_buffer_bytes.store(3000);
  CHECK(s.Write(socket, Pattern(5000, 1)) == 3000);
  socket.entry().application_flags.SetBits(table::kSendBlocked);
  socket.entry().event_mask.store(table::kEventOut);
  s.DropSent();
  s.Push(AckOf(501).Seq(1));
  CHECK_FALSE(s.TakeEvent());  // less than a third is free
  s.Push(AckOf(1001).Seq(1));
  CHECK(s.TakeEvent());
  // It is the application that clears it, once it has noticed.
  CHECK((socket.entry().application_flags.load() & table::kSendBlocked) != 0);
}

TEST_CASE("Data out of order is kept, reported, and put in order") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1460).SackOk());
  s.Push(Data("def").Seq(4).Ack(1));
  s.Expect(AckOf(1).Sack({{4, 7}}));
  s.Push(Data("jkl").Seq(10).Ack(1));
  s.Expect(AckOf(1).Sack({{10, 13}, {4, 7}}));
  s.Push(Data("pqr").Seq(16).Ack(1));
  s.Expect(AckOf(1).Sack({{16, 19}, {10, 13}, {4, 7}}));
  s.Push(Data("ghi").Seq(7).Ack(1));
  s.Expect(AckOf(1).Sack({{4, 13}, {16, 19}}));
  CHECK(s.Read(socket) == "");
  s.Push(Data("abc").Seq(1).Ack(1));
  s.Expect(AckOf(13).Sack({{16, 19}}));
  CHECK(s.Read(socket) == "abcdefghijkl");
  s.Push(Data("mno").Seq(13).Ack(1));
  s.Expect(AckOf(19).Sack({}));
  CHECK(s.Read(socket) == "mnopqr");
}

TEST_CASE("Overlapping data is delivered once") {
  Script s;
  table::Socket socket = s.Serve();
  s.Push(Data("cdef").Seq(3).Ack(1));
  s.Push(Data("efgh").Seq(5).Ack(1));
  s.Push(Data("d").Seq(4).Ack(1));
  s.Push(Data("abcd").Seq(1).Ack(1));
  CHECK(s.Read(socket) == "abcdefgh");
  s.Push(Data("ghij").Seq(7).Ack(1));
  CHECK(s.Read(socket) == "ij");
}

TEST_CASE("Duplicates are reported by DSACK") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1460).SackOk());
  s.Push(Data("abc").Seq(1).Ack(1));
  s.Expect(AckOf(4).Sack({}));
  s.Push(Data("abc").Seq(1).Ack(1));
  s.Expect(AckOf(4).Sack({{1, 4}}));
  s.Push(Data("ghi").Seq(7).Ack(1));
  s.Expect(AckOf(4).Sack({{7, 10}}));
  s.Push(Data("ghi").Seq(7).Ack(1));
  s.Expect(AckOf(4).Sack({{7, 10}, {7, 10}}));
  CHECK(s.counters().TcpExtTCPDSACKOldSent == 1);
  CHECK(s.counters().TcpExtTCPDSACKOfoSent == 1);
  (void)socket;
}

TEST_CASE("The window closes when nobody reads, and opens in one step") {
  Script s;
  table::Socket socket = s.Open();
  table::Socket server = s.Serve();
  server.entry().options.Set(table::kReceiveBufferLocked, true);
  server.entry().options.receive_buffer_bytes.store(10000);
  // The SYN-ACK promised more; what is promised is kept.
  uint32_t seq = 1;
  while (seq < 64536) {
    s.Push(Bytes(1445).Seq(seq).Ack(1));
    seq += 1445;
  }
  s.DropSent();
  s.Push(Bytes(65536 - seq).Seq(seq).Ack(1));
  seq = 65536;
  s.Advance(Milliseconds(100));
  s.Expect(AckOf(seq).Win(0));
  // What comes now is not taken, but answered.
  s.Push(Data("z").Seq(seq).Ack(1));
  s.Expect(AckOf(seq).Win(0));
  CHECK(s.Read(server, 60000).size() == 60000);
  s.Expect(AckOf(seq).Win(10000 - 5535));
  CHECK(s.Read(server).size() == 5535);
  s.Advance(Milliseconds(100));
  s.Push(Data("z").Seq(seq).Ack(1));
  CHECK(s.Read(server) == "z");
  (void)socket;
}

TEST_CASE("Data beyond the window is cut off") {
  Script s;
  table::Socket socket = s.Serve();
  for (uint32_t i = 0; i < 44; ++i) s.PushInBurst(Bytes(1460).Seq(1 + 1460 * i).Ack(1));
  s.Push(Bytes(1460).Seq(1 + 1460 * 44).Ack(1));
  s.DropSent();
  CHECK(s.Read(socket).size() == 65535);
}

TEST_CASE("Connections take turns where a burst of segments is bounded") {
  Script s;
  table::Socket first = s.Serve();
  s.peer_port = 40001;
  s.Push(Syn().Mss(1460).Seq(0));
  s.DropSent();
  s.Push(AckOf(1).Seq(1));
  table::Socket second;
  REQUIRE(s.Accept(s.listener, &second));
  s.DropSent();
  s.WriteInBurst(first, Pattern(6 * 1460));
  s.WriteInBurst(second, Pattern(6 * 1460));
  const auto counts = [&s] {
    size_t of_first = 0, total = s.pending();
    for (size_t i = 0; i < total; ++i) {
      s.Next();
      of_first += s.last_remote_port == 40000;
    }
    return std::pair{of_first, total - of_first};
  };
  CHECK(s.tcp->EndOfBurst(s.now, 4));
  CHECK(counts() == std::pair<size_t, size_t>{4, 0});
  CHECK(s.tcp->EndOfBurst(s.now, 4));
  CHECK(counts() == std::pair<size_t, size_t>{0, 4});
  CHECK(s.tcp->NextDeadline() <= s.now);  // there is more
  CHECK_FALSE(s.tcp->EndOfBurst(s.now, 5));
  CHECK(counts() == std::pair<size_t, size_t>{2, 2});
}

TEST_CASE("A port that takes nothing is given no more than two bursts of data") {
  Script s;
  table::Socket socket = s.Serve();
  s.WriteInBurst(socket, Pattern(10 * 1460));
  for (int i = 0; i < 5; ++i) s.tcp->EndOfBurst(s.now, 3);
  CHECK(s.pending() == 6);
  CHECK(s.counters().TransmitQueueFull == 1);
  s.DropSent();
  s.Advance(Milliseconds(1));  // it is tried again
  CHECK(s.pending() == 4);
}

TEST_CASE("A sender is told when what waited has left") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1460).Scale(7));
  table::Entry& entry = socket.entry();
  entry.options.not_sent_low_water_bytes.store(20000);
  entry.event_mask.store(table::kEventOut);
  s.WriteInBurst(socket, Pattern(20000));
  s.TakeEvent();
  CHECK_FALSE(table::StreamWritable(entry));
  s.EndOfBurst();  // ten segments of the initial window (RFC 6928)
  CHECK(table::NotSentBytes(entry) == 20000 - 10 * 1460);
  CHECK(s.TakeEvent());
  CHECK(s.Write(socket, Pattern(20000)) == 16384);  // a step, though less is below the limit
  CHECK_FALSE(table::StreamWritable(entry));
  s.TakeEvent();
  s.Push(AckOf(1 + 10 * 1460).Seq(1));
  CHECK(table::NotSentBytes(entry) == 0);
  CHECK(s.TakeEvent());
}

TEST_CASE("The receive buffer grows with what is read in a round trip") {
  Script s;
  table::Socket socket = s.Serve(Syn().Mss(1460).Scale(7).Ts(1, 0));
  const uint32_t before = socket.entry().options.receive_buffer_bytes.load();
  uint32_t seq = 1;
  uint32_t ts = 2;
  for (int round = 0; round < 12; ++round) {
    const uint32_t window = s.Info(socket).receive_space_bytes;
    for (uint32_t sent = 0; sent + 1460 <= window / 2; sent += 1460) {
      s.PushInBurst(Bytes(1460).Seq(seq).Ack(1).Ts(ts, s.last_ts));
      seq += 1460;
      s.EndOfBurst();
      s.Read(socket);
    }
    s.DropSent();
    s.Advance(Milliseconds(10));
    s.Read(socket);
    ts += 10;
  }
  CHECK(socket.entry().options.receive_buffer_bytes.load() >= 2 * before);
  SECTION("unless it was set") {
    Script t;
    table::Socket locked = t.Serve(Syn().Mss(1460).Scale(7));
    locked.entry().options.Set(table::kReceiveBufferLocked, true);
    for (uint32_t i = 0; i < 200; ++i) {
      t.Push(Bytes(1000).Seq(1 + 1000 * i).Ack(1));
      t.Read(locked);
      t.Advance(Milliseconds(1));
    }
    CHECK(locked.entry().options.receive_buffer_bytes.load() == before);
  }
}

TEST_CASE("Urgent data") {
  Script s;
  table::Socket socket = s.Serve();
  socket.entry().event_mask.store(table::kEventPri);
  s.Push(Data("abc!def").Seq(1).Ack(1).Urg(4));
  CHECK(s.TakeEvent());
  CHECK((socket.entry().engine_flags.load() & table::kUrgentPending) != 0);
  CHECK(socket.entry().urgent_position.load() == 3);
  CHECK(s.Read(socket) == "abc!def");  // the API takes the byte out, or leaves it in
  CHECK((socket.entry().engine_flags.load() & table::kUrgentPending) == 0);
  // Announced before it arrives.
  s.Push(Data("gh").Seq(8).Ack(1).Urg(5));
  CHECK(socket.entry().urgent_position.load() == 11);
}

TEST_CASE("A small receive region refuses, and the peer sends again") {
  ScriptConfig config;
  config.region.blocks = 4;
  config.region.buffers = 4;
  Script s(config);
  table::Socket socket = s.Serve();
  uint32_t delivered = 0;
  for (uint32_t i = 0; i < 64; ++i) {
    s.Push(Bytes(600).Seq(1 + delivered).Ack(1));
    if (s.counters().TcpExtTCPRcvQDrop != 0) break;
    delivered += 600;
  }
  REQUIRE(s.counters().TcpExtTCPRcvQDrop == 1);
  CHECK(s.Read(socket).size() == delivered);
  s.Push(Bytes(600).Seq(1 + delivered).Ack(1));
  CHECK(s.Read(socket).size() == 600);
}

TEST_CASE("A scribbled send queue ends its connection only") {
  Script s;
  table::Socket socket = s.Serve();
  socket.entry().send_producer.bytes.store(1000);  // bytes that are not there
  s.tcp->Doorbell(s.now, socket);
  s.EndOfBurst();
  s.Expect(Rst().Ack(1));
  CHECK(s.counters().SendQueueCorrupt == 1);
  CHECK(socket.status() == table::Status::kDisconnected);
}

TEST_CASE("Without packets nothing is lost: it goes by timer later") {
  ScriptConfig config;
  config.packets = 64;
  Script s(config);
  table::Socket socket = s.Serve(Syn().Mss(1000));
  std::vector<rte_mbuf*> taken;
  while (rte_mbuf* packet = rte_pktmbuf_alloc(s.pool())) taken.push_back(packet);
  s.Write(socket, "patience");
  s.ExpectNothing();
  CHECK(s.counters().BuffersExhausted > 0);
  s.Advance(Milliseconds(50));
  for (rte_mbuf* packet : taken) rte_pktmbuf_free(packet);
  s.Advance(Milliseconds(1));
  s.Expect(Data("patience"));
}

}  // namespace
}  // namespace sluice::tcp
