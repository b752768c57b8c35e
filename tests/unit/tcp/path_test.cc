// Ways to the peer: offloads, this host itself, both families, ports, urgent data out.
#include "script.h"

namespace sluice::tcp {
namespace {

using table::Result;
using table::Status;
using wire::IpAddress;

TEST_CASE("A port that cuts segments gets several at once") {
  ScriptConfig config;
  config.segmentation = true;
  Script s(config);
  table::Socket socket = s.Serve(Syn().Mss(1000).Ts(1, 0));
  s.Write(socket, Pattern(5500, 1));
  s.Expect(Bytes(4940).Seq(1));
  CHECK(s.last_segment_bytes == 988);
  s.Expect(Data(Pattern(560, 4941)).Seq(4941).Psh());
  CHECK(s.last_segment_bytes == 0);
  SECTION("what is lost goes out one by one") {
    s.Advance(s.UntilDeadline());
    s.Expect(Bytes(988).Seq(1));
    CHECK(s.last_segment_bytes == 0);
  }
}

TEST_CASE("Segments are no larger than the port's packets can carry") {
  ScriptConfig config;
  config.mtu = 9000;
  Script s(config);
  table::Socket socket = s.Serve(Syn().Mss(8960));
  s.Write(socket, Pattern(5000, 1));
  const uint32_t most = 2048 - 60;  // one packet of the pool, less the longest header
  s.Expect(Bytes(most).Seq(1));
  s.Expect(Bytes(most).Seq(1 + most));
  s.Expect(Bytes(5000 - 2 * most).Seq(1 + 2 * most));
}

TEST_CASE("A full transmit queue holds data back, and loses none") {
  ScriptConfig config;
  config.packets = 8192;
  config.region.buffers = 8192;
  Script s(config);
  table::Socket socket = s.Serve(Syn().Mss(100).Scale(14));
  socket.entry().options.Set(table::kSendBufferLocked, true);
  socket.entry().options.send_buffer_bytes.store(4000000);
  uint32_t acked = 1;
  for (int round = 0; round < 9; ++round) {  // slow start beyond the 1024 packets of the queue
    s.Write(socket, Pattern(300000));
    while (acked != s.sent_end) {
      s.DropSent();
      s.Push(AckOf(acked = s.sent_end).Seq(1));
    }
  }
  CHECK(s.counters().TransmitQueueFull != 0);
  CHECK(s.counters().TcpRetransSegs == 0);
  for (int i = 0; i < 10000 && table::SendQueueBytes(socket.entry()) != 0; ++i) {
    s.Advance(Microseconds(100));
    s.DropSent();
    s.Push(AckOf(s.sent_end).Seq(1));
  }
  CHECK(s.sent_end == 1 + 9 * 300000);
}

TEST_CASE("Urgent data is marked (RFC 6093)") {
  ScriptConfig config;
  config.segmentation = GENERATE(false, true);
  Script s(config);
  table::Socket socket = s.Serve(Syn().Mss(1000));
  table::SendWriter writer(s.table->region(), socket.entry());
  const auto put = [&](const std::string& text, uint16_t flags) {
    const uint32_t buffer = s.table->region().TakeBuffer();
    std::memcpy(s.table->region().storage(buffer) + table::kHeadroom, text.data(), text.size());
    REQUIRE(
        writer.WriteBuffer(buffer, table::kHeadroom, static_cast<uint32_t>(text.size()), flags));
  };
  put(Pattern(1500, 1), 0);
  put("!", table::kUrgent);
  put("after", 0);
  s.tcp->Doorbell(s.now, socket);
  s.EndOfBurst();
  s.Expect(Bytes(1000).Seq(1));
  s.Expect(Bytes(506).Seq(1001).Ack(1).Urg(501));
}

TEST_CASE("A host that talks to itself") {
  Script s;
  table::Socket listener = s.Listen();
  table::Socket client = s.Open();
  const wire::Endpoint server{GENERATE(IpAddress::V4(127, 0, 0, 1), IpAddress::V4(192, 0, 2, 1)),
                              80, 0};
  REQUIRE(s.tcp->Connect(s.now, client, server) == Result::kInProgress);
  s.EndOfBurst();
  s.Loop();
  CHECK(client.status() == Status::kConnected);
  table::Socket accepted;
  REQUIRE(s.Accept(listener, &accepted));
  s.Write(client, Pattern(100000));
  s.Loop();
  std::string got = s.Read(accepted);
  for (int i = 0; i < 100 && got.size() < 100000; ++i) {
    s.Loop();
    s.Advance(Milliseconds(50));
    s.Loop();
    got += s.Read(accepted);
  }
  CHECK(got == Pattern(100000));
  s.Close(accepted);
  s.Loop();
  CHECK(client.status() == Status::kShutdown);
  s.Close(client);
  s.Loop();
  CHECK(s.tcp->population().connections == 0);
  CHECK(s.tcp->population().time_wait == 1);
}

TEST_CASE("A socket that connects to itself") {
  Script s;
  table::Socket socket = s.Open();
  const wire::Endpoint self{IpAddress::V4(127, 0, 0, 1), 5555, 0};
  REQUIRE(s.tcp->Bind(s.now, socket, self) == Result::kOk);
  REQUIRE(s.tcp->Connect(s.now, socket, self) == Result::kInProgress);
  s.EndOfBurst();
  s.Loop();
  CHECK(socket.status() == Status::kConnected);
  s.Write(socket, "echo");
  s.Loop();
  CHECK(s.Read(socket) == "echo");
}

TEST_CASE("A dual-stack listener takes IPv4, unless it was told not to") {
  Script s;
  table::Socket listener = s.table->Find(
      s.table->Open(table::Type::kStream, IPPROTO_TCP, AF_INET6, Status::kUnconnected));
  const bool only = GENERATE(false, true);
  listener.entry().options.Set(table::kIpv6Only, only);
  REQUIRE(s.tcp->Bind(s.now, listener, {IpAddress::AnyV6(), 80, 0}) == Result::kOk);
  REQUIRE(s.tcp->Listen(s.now, listener, 8) == Result::kOk);
  s.Push(Syn().Mss(1460));
  if (only) {
    s.Expect(Rst().Ack(1));
    return;
  }
  s.Expect(SynAck().Ack(1));
  s.Push(AckOf(1).Seq(1));
  table::Socket socket;
  REQUIRE(s.Accept(listener, &socket));
  CHECK(socket.entry().family.load() == AF_INET6);
  CHECK(socket.entry().remote.Load().address.is_v4());
}

TEST_CASE("Chosen ports stay in their range") {
  ScriptConfig config;
  config.tcp.port_first = 2000;
  config.tcp.port_last = 2003;
  Script s(config);
  for (int i = 0; i < 4; ++i) {
    table::Socket bound = s.Open();
    REQUIRE(s.tcp->Bind(s.now, bound, {IpAddress::AnyV4(), 0, 0}) == Result::kOk);
    CHECK(bound.entry().local.Load().port >= 2000);
    CHECK(bound.entry().local.Load().port <= 2003);
  }
  table::Socket last = s.Open();
  CHECK(s.tcp->Bind(s.now, last, {IpAddress::AnyV4(), 0, 0}) == Result::kAddressInUse);
}

TEST_CASE("Binding") {
  Script s;
  table::Socket first = s.Open();
  const wire::Endpoint any{IpAddress::AnyV4(), 80, 0};
  SECTION("a port is chosen") {
    REQUIRE(s.tcp->Bind(s.now, first, {IpAddress::AnyV4(), 0, 0}) == Result::kOk);
    CHECK(first.entry().local.Load().port >= 32768);
    CHECK(s.tcp->Bind(s.now, first, any) == Result::kInvalid);
  }
  SECTION("a port is taken once") {
    REQUIRE(s.tcp->Bind(s.now, first, any) == Result::kOk);
    table::Socket second = s.Open();
    CHECK(s.tcp->Bind(s.now, second, any) == Result::kAddressInUse);
    s.Close(first);
    CHECK(s.tcp->Bind(s.now, second, any) == Result::kOk);
  }
  SECTION("SO_REUSEPORT spreads connections") {
    table::Socket second = s.Open();
    for (table::Socket* socket : {&first, &second}) {
      socket->entry().options.Set(table::kReusePort, true);
      REQUIRE(s.tcp->Bind(s.now, *socket, any) == Result::kOk);
      REQUIRE(s.tcp->Listen(s.now, *socket, 100) == Result::kOk);
    }
    for (int i = 0; i < 40; ++i) {
      s.peer_port = static_cast<uint16_t>(40000 + i);
      s.Push(Syn().Mss(1460));
      s.Expect(SynAck());
      s.Push(AckOf(1).Seq(1));
    }
    CHECK(table::ConnectionQueueLength(first.entry()) > 5);
    CHECK(table::ConnectionQueueLength(second.entry()) > 5);
  }
  SECTION("an address that is not ours") {
    CHECK(s.tcp->Bind(s.now, first, {IpAddress::V4(198, 51, 100, 1), 80, 0}) ==
          Result::kAddressNotAvailable);
  }
  SECTION("the port of a listener stays taken while its connections live") {
    table::Socket connection = s.Serve();
    s.Close(s.listener);
    CHECK(s.tcp->Bind(s.now, first, any) == Result::kAddressInUse);
    s.Push(Rst().Seq(1));
    s.Close(connection);
    CHECK(s.tcp->Bind(s.now, first, any) == Result::kOk);
  }
}

TEST_CASE("Where there is no way, connect says so") {
  Script s;
  table::Socket socket = s.Open();
  CHECK(s.tcp->Connect(s.now, socket, {IpAddress::V4(203, 0, 113, 1), 80, 0}) ==
        Result::kNetworkUnreachable);
  CHECK(s.tcp->Connect(s.now, socket, {IpAddress::AnyV6(), 80, 0}) == Result::kAddressFamily);
  CHECK(s.tcp->Connect(s.now, socket, {IpAddress::V4(224, 0, 0, 1), 80, 0}) ==
        Result::kNetworkUnreachable);
  CHECK(socket.status() == Status::kUnconnected);
}

TEST_CASE("What has come too far is dropped where the program asks for it (RFC 5082)") {
  Script s;
  table::Socket socket = s.Serve();
  socket.entry().options.minimum_ttl.store(255);
  s.tcp->OptionsChanged(s.now, socket);
  s.EndOfBurst();
  s.DropSent();
  s.Push(Data("far").Seq(1).Ack(1).Ttl(64));
  s.ExpectNothing();
  s.Push(Data("near").Seq(1).Ack(1).Ttl(255));
  CHECK(s.Read(socket) == "near");
}

TEST_CASE("A control block stays small") {
  CHECK(sizeof(table::Entry) + sizeof(table::EngineSide) + 448 + 24 <= 1024);
}

}  // namespace
}  // namespace sluice::tcp
