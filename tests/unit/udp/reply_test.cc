// Ready-made headers, and datagrams that go back from where they lie.
#include "host.h"

namespace sluice::udp {
namespace {

using table::Result;
using wire::Endpoint;
using wire::IpAddress;

// Takes the datagram that stands first and asks for its first `bytes` to be sent back.
void SendBack(Host& host, table::Socket socket, uint32_t bytes) {
  table::Entry& entry = socket.entry();
  table::Cursor& cursor = entry.receive_cursor;
  uint32_t left;
  REQUIRE(table::RingHas(entry.receive_producer, cursor));
  REQUIRE(table::RingSettle(host.region(), entry.receive_producer, cursor, left));
  table::Descriptor& descriptor = table::RingAt(host.region(), cursor);
  entry.receive_consumer.bytes.store(entry.receive_consumer.bytes.load() + descriptor.length);
  descriptor.length = bytes;
  descriptor.flags |= table::kSendBack;
  table::RingStep(cursor);
  entry.receive_consumer.head.Release(cursor.position);
  table::RingDoorbell(host.region(), socket.index());
}

TEST_CASE("headers that are ready carry what the first datagram carried", "[udp]") {
  for (bool v6 : {false, true}) {
    for (bool offload : {false, true}) {
      CAPTURE(v6, offload);
      HostOptions options;
      options.checksum_offload = offload;
      Pair net(options);
      const IpAddress to = v6 ? net.b.address6 : net.b.address;
      auto client = net.a.Open(v6 ? AF_INET6 : AF_INET);
      client.entry().options.ttl.store(33);
      client.entry().options.hop_limit.store(33);
      std::vector<table::Socket> servers;
      for (uint16_t i = 0; i < 48; ++i) {
        servers.push_back(net.b.Bound(
            {v6 ? IpAddress::AnyV6() : IpAddress::AnyV4(), static_cast<uint16_t>(100 + i)}));
      }
      for (int round = 0; round < 3; ++round) {
        for (uint16_t i = 0; i < 48; ++i) {
          const std::string text(i * 13u, static_cast<char>('a' + round));
          REQUIRE(net.a.Send(client, {to, static_cast<uint16_t>(100 + i)}, text));
        }
        net.Run();
        for (uint16_t i = 0; i < 48; ++i) {
          auto got = net.b.Receive(servers[i]);
          REQUIRE(got.has_value());
          REQUIRE(got->payload == std::string(i * 13u, static_cast<char>('a' + round)));
          REQUIRE(got->header.ttl == 33);
        }
      }
      REQUIRE(net.b.udp.counters().UdpInCsumErrors == 0);
      REQUIRE(net.a.udp.counters().UdpOutDatagrams == 144);
      net.RequireNoLeak();
    }
  }
}

TEST_CASE("headers that are ready follow the socket's options and the routes", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  const auto ttl_of_next = [&] {
    REQUIRE(net.a.Send(client, {net.b.address, 53}, "x"));
    net.Run();
    auto got = net.b.Receive(server);
    return got.has_value() ? got->header.ttl : -1;
  };
  REQUIRE(ttl_of_next() == 64);
  REQUIRE(ttl_of_next() == 64);
  client.entry().options.ttl.store(7);
  REQUIRE(ttl_of_next() == 7);
  REQUIRE(ttl_of_next() == 7);
  // Without its address the host has nothing to send from.
  REQUIRE(net.a.ip.RemoveAddress(net.now, net.a.eth0, net.a.address) == ip::ConfigResult::kOk);
  REQUIRE(ttl_of_next() == -1);
  REQUIRE(Host::TakeError(client) != Result::kOk);
  net.RequireNoLeak();
}

TEST_CASE("a datagram goes back in the packet that it came in", "[udp]") {
  for (bool v6 : {false, true}) {
    for (bool copied : {false, true}) {
      CAPTURE(v6, copied);
      Pair net;
      net.b.udp.SetCopyReceived(copied);
      const IpAddress to = v6 ? net.b.address6 : net.b.address;
      auto server = net.b.Bound({v6 ? IpAddress::AnyV6() : IpAddress::AnyV4(), 7});
      auto client = net.a.Open(v6 ? AF_INET6 : AF_INET);
      for (int round = 0; round < 3; ++round) {
        REQUIRE(net.a.Send(client, {to, 7}, "to and fro"));
        REQUIRE(net.a.Send(client, {to, 7}, "cut"));
        REQUIRE(net.a.Send(client, {to, 7}, "taken"));
        net.Run();
        SendBack(net.b, server, 10);
        SendBack(net.b, server, 1);
        REQUIRE(net.b.Receive(server)->payload == "taken");
        net.Run();
        auto got = net.a.Receive(client);
        REQUIRE(got.has_value());
        REQUIRE(got->payload == "to and fro");
        REQUIRE(got->header.peer == Endpoint{to, 7, 0});
        REQUIRE(got->header.ttl == 64);
        REQUIRE(net.a.Receive(client)->payload == "c");
        REQUIRE_FALSE(net.a.Receive(client).has_value());
        net.Run();
      }
      REQUIRE(net.a.udp.counters().UdpInCsumErrors == 0);
      REQUIRE(net.b.udp.counters().UdpOutDatagrams == 6);
      REQUIRE(server.side().receive.mbufs_held == 0);
      net.RequireNoLeak();
    }
  }
}

TEST_CASE("answers wait for a transmit queue that is full, and are sent before a close", "[udp]") {
  HostOptions options;
  options.transmit_queue_packets = 4;
  Pair net(options);
  auto server = net.b.Bound({IpAddress::AnyV4(), 7});
  auto client = net.a.Open();
  REQUIRE(net.a.Send(client, {net.b.address, 7}, "first"));
  net.Run();
  SendBack(net.b, server, 5);
  net.Run();
  REQUIRE(net.a.Receive(client)->payload == "first");
  for (int i = 0; i < 12; ++i) REQUIRE(net.a.Send(client, {net.b.address, 7}, "question"));
  for (int i = 0; i < 40; ++i) {
    net.Run();
    net.now += Milliseconds(1);
  }
  for (int i = 0; i < 12; ++i) SendBack(net.b, server, 8);
  net.b.Turn(net.now);
  REQUIRE(net.b.udp.counters().UdpTransmitRetries > 0);
  for (int i = 0; i < 40; ++i) {
    net.Run();
    net.now += Milliseconds(1);
  }
  for (int i = 0; i < 12; ++i) {
    auto got = net.a.Receive(client);
    REQUIRE(got.has_value());
    REQUIRE(got->payload == "question");
  }
  REQUIRE(net.a.Send(client, {net.b.address, 7}, "last"));
  net.Run();
  SendBack(net.b, server, 4);
  net.b.udp.Close(net.now, server);
  net.Run();
  REQUIRE(net.a.Receive(client)->payload == "last");
  net.RequireNoLeak();
}

TEST_CASE("an answer that makes no sense is dropped", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV4(), 7});
  auto client = net.a.Open();
  REQUIRE(net.a.Send(client, {net.b.address, 7}, "question"));
  net.Run();
  SendBack(net.b, server, 70000);
  net.Run();
  REQUIRE_FALSE(net.a.Receive(client).has_value());
  REQUIRE(server.side().receive.mbufs_held == 0);
  net.RequireNoLeak();
}

}  // namespace
}  // namespace sluice::udp
