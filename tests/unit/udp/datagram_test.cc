#include "base/random.h"
#include "host.h"
#include "wire/bytes.h"

namespace sluice::udp {
namespace {

using table::Result;
using table::Status;
using wire::Endpoint;
using wire::IpAddress;

std::string Bytes(size_t n, uint64_t seed = 1) {
  Random random(seed);
  std::string s(n, 0);
  for (char& c : s) c = static_cast<char>(random.Next64());
  return s;
}

TEST_CASE("a datagram arrives whole, with where it came from", "[udp]") {
  for (bool v6 : {false, true}) {
    CAPTURE(v6);
    Pair net;
    const IpAddress to = v6 ? net.b.address6 : net.b.address;
    auto server = net.b.Bound({v6 ? IpAddress::AnyV6() : IpAddress::AnyV4(), 53});
    auto client = net.a.Open(v6 ? AF_INET6 : AF_INET);
    for (size_t size : {0u, 1u, 2u, 511u, 1000u, 1452u}) {
      REQUIRE(net.a.Send(client, {to, 53}, Bytes(size)));
    }
    net.Run();
    for (size_t size : {0u, 1u, 2u, 511u, 1000u, 1452u}) {
      auto got = net.b.Receive(server);
      REQUIRE(got.has_value());
      REQUIRE(got->payload == Bytes(size));
      REQUIRE(got->header.peer.address == (v6 ? net.a.address6 : net.a.address));
      REQUIRE(got->header.peer.port == client.entry().local.Load().port);
      REQUIRE(got->header.local == Endpoint{to, 53, net.b.eth0});
      REQUIRE(got->header.ttl == 64);
    }
    REQUIRE_FALSE(net.b.Receive(server).has_value());
    REQUIRE(client.status() == Status::kBound);
    REQUIRE((client.entry().engine_flags.load() & table::kAutobound) != 0);
    REQUIRE(net.b.udp.counters().UdpInDatagrams == 6);
    REQUIRE(net.a.udp.counters().UdpOutDatagrams == 6);
    net.RequireNoLeak();
  }
}

TEST_CASE("datagrams up to 65,507 bytes go through fragments", "[udp]") {
  for (bool offload : {false, true}) {
    HostOptions options;
    options.checksum_offload = offload;
    Pair net(options);
    auto server = net.b.Bound({IpAddress::AnyV4(), 53});
    auto client = net.a.Open();
    net.a.Send(client, {net.b.address, 53}, "resolve");
    net.Run();
    REQUIRE(net.b.Receive(server).has_value());
    for (size_t size : {1473u, 3000u, 40001u, 65507u}) {
      CAPTURE(size);
      client.entry().options.send_buffer_bytes.store(1 << 20);
      REQUIRE(net.a.Send(client, {net.b.address, 53}, Bytes(size)));
      net.Run();
      auto got = net.b.Receive(server);
      REQUIRE(got.has_value());
      REQUIRE(got->payload == Bytes(size));
    }
    REQUIRE(net.b.udp.counters().UdpInCsumErrors == 0);
    net.RequireNoLeak();
  }
}

TEST_CASE("what cannot fit a datagram is EMSGSIZE", "[udp]") {
  Pair net;
  auto client = net.a.Open();
  net.a.Send(client, {net.b.address, 53}, Bytes(65508));
  net.Run();
  REQUIRE(Host::TakeError(client) == Result::kMessageTooBig);
  client.entry().options.mtu_discover_v4.store(table::MtuDiscover::kDo);
  net.a.Send(client, {net.b.address, 53}, Bytes(1473));
  net.Run();
  REQUIRE(Host::TakeError(client) == Result::kMessageTooBig);
  client.entry().options.Set(table::kReceiveErrorsV4, true);
  net.a.Send(client, {net.b.address, 53}, Bytes(1473));
  net.Run();
  auto report = net.a.ReceiveError(client);
  REQUIRE(report.has_value());
  REQUIRE(report->header.error_info == 1500);
  REQUIRE(report->header.error_origin == 1);  // SO_EE_ORIGIN_LOCAL
  net.RequireNoLeak();
}

TEST_CASE("a connected socket hears its peer alone", "[udp]") {
  Pair net;
  auto server = net.b.Bound({net.b.address, 53});
  auto other = net.b.Bound({net.b.address, 54});
  auto client = net.a.Open();
  REQUIRE(net.a.udp.Connect(net.now, client, {net.b.address, 53}) == Result::kOk);
  REQUIRE(client.status() == Status::kConnected);
  const Endpoint local = client.entry().local.Load();
  REQUIRE(local.address == net.a.address);
  net.a.Send(client, {}, "question");
  net.Run();
  REQUIRE(net.b.Receive(server)->payload == "question");
  net.b.Send(other, local, "forged");
  net.b.Send(server, local, "answer");
  net.Run();
  REQUIRE(net.a.Receive(client)->payload == "answer");
  REQUIRE_FALSE(net.a.Receive(client).has_value());
  REQUIRE(net.a.udp.counters().UdpNoPorts == 1);

  REQUIRE(net.a.udp.Disconnect(net.now, client) == Result::kOk);
  REQUIRE(client.status() == Status::kUnconnected);
  REQUIRE(client.entry().local.Load() == Endpoint{});
  net.a.Send(client, {}, "to whom?");
  net.Run();
  REQUIRE(Host::TakeError(client) == Result::kDestinationRequired);
  net.RequireNoLeak();
}

TEST_CASE("connecting narrows a wildcard address and disconnecting widens it", "[udp]") {
  Pair net;
  auto socket = net.a.Bound({IpAddress::AnyV4(), 5000});
  auto peer = net.b.Bound({net.b.address, 6000});
  auto stranger = net.b.Bound({net.b.address, 6001});
  REQUIRE(net.a.udp.Connect(net.now, socket, {net.b.address, 6000}) == Result::kOk);
  REQUIRE(socket.entry().local.Load() == Endpoint{net.a.address, 5000, 0});
  REQUIRE(net.a.udp.Connect(net.now, socket, {net.b.address, 6001}) == Result::kOk);
  net.b.Send(peer, {net.a.address, 5000}, "old peer");
  net.b.Send(stranger, {net.a.address, 5000}, "new peer");
  net.Run();
  REQUIRE(net.a.Receive(socket)->payload == "new peer");
  REQUIRE_FALSE(net.a.Receive(socket).has_value());
  REQUIRE(net.a.udp.Disconnect(net.now, socket) == Result::kOk);
  REQUIRE(socket.status() == Status::kBound);
  REQUIRE(socket.entry().local.Load() == Endpoint{IpAddress::AnyV4(), 5000, 0});
  net.b.Send(peer, {net.a.address, 5000}, "anybody");
  net.Run();
  REQUIRE(net.a.Receive(socket)->payload == "anybody");
  net.RequireNoLeak();
}

TEST_CASE("a refused datagram is an error to a connected socket", "[udp]") {
  for (bool v6 : {false, true}) {
    CAPTURE(v6);
    Pair net;
    auto client = net.a.Open(v6 ? AF_INET6 : AF_INET);
    const Endpoint to{v6 ? net.b.address6 : net.b.address, 9};
    REQUIRE(net.a.udp.Connect(net.now, client, to) == Result::kOk);
    net.a.Send(client, {}, "hello?");
    net.Run();
    REQUIRE(net.b.udp.counters().UdpNoPorts == 1);
    REQUIRE(Host::TakeError(client) == Result::kRefused);
    REQUIRE_FALSE(net.a.ReceiveError(client).has_value());

    client.entry().options.Set(v6 ? table::kReceiveErrorsV6 : table::kReceiveErrorsV4, true);
    net.a.Send(client, {}, "hello??");
    net.Run();
    REQUIRE(Host::TakeError(client) == Result::kRefused);
    auto report = net.a.ReceiveError(client);
    REQUIRE(report.has_value());
    REQUIRE((report->flags & table::kErrorReport) != 0);
    REQUIRE(report->payload == "hello??");
    REQUIRE(report->header.peer == to);
    REQUIRE(report->header.offender == to.address);
    REQUIRE(report->header.error_origin == (v6 ? 3 : 2));
    REQUIRE(report->header.error_type == (v6 ? 1 : 3));
    REQUIRE(report->header.error_code == (v6 ? 4 : 3));
    net.RequireNoLeak();
  }
}

TEST_CASE("an unconnected socket learns of errors only if it asked", "[udp]") {
  Pair net;
  auto client = net.a.Bound({IpAddress::AnyV4(), 5000});
  net.a.Send(client, {net.b.address, 9}, "hello?");
  net.Run();
  REQUIRE(Host::TakeError(client) == Result::kOk);
  client.entry().options.Set(table::kReceiveErrorsV4, true);
  net.a.Send(client, {net.b.address, 9}, "hello?");
  net.Run();
  REQUIRE(Host::TakeError(client) == Result::kRefused);
  REQUIRE(net.a.ReceiveError(client).has_value());
  net.RequireNoLeak();
}

TEST_CASE("a corrupted datagram is counted and dropped, one without checksum taken", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  net.a.Send(client, {net.b.address, 53}, "first");
  net.Run();
  REQUIRE(net.b.Receive(server).has_value());

  net.a.Send(client, {net.b.address, 53}, "corrupt");
  net.a.Turn(net.now);
  std::vector<rte_mbuf*> frames = net.a.TakeFrames();
  REQUIRE(frames.size() == 1);
  *rte_pktmbuf_mtod_offset(frames[0], uint8_t*, frames[0]->data_len - 1) ^= 1;
  net.b.Input(net.now, frames[0]);
  REQUIRE_FALSE(net.b.Receive(server).has_value());
  REQUIRE(net.b.udp.counters().UdpInCsumErrors == 1);
  REQUIRE(net.b.udp.counters().UdpInErrors == 1);

  client.entry().options.Set(table::kNoChecksum, true);
  net.a.Send(client, {net.b.address, 53}, "unsummed");
  net.a.Turn(net.now);
  frames = net.a.TakeFrames();
  REQUIRE(frames.size() == 1);
  REQUIRE(*rte_pktmbuf_mtod_offset(frames[0], uint16_t*, 14 + 20 + 6) == 0);
  net.b.Input(net.now, frames[0]);
  REQUIRE(net.b.Receive(server)->payload == "unsummed");
  net.RequireNoLeak();
}

TEST_CASE("lengths that do not fit are refused, bytes behind them are cut", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  client.entry().options.Set(table::kNoChecksum, true);
  net.a.Send(client, {net.b.address, 53}, "first");
  net.Run();
  REQUIRE(net.b.Receive(server).has_value());
  auto send_with_length = [&](uint16_t length) {
    net.a.Send(client, {net.b.address, 53}, "payload!");
    net.a.Turn(net.now);
    rte_mbuf* frame = net.a.TakeFrames().at(0);
    wire::Store16(rte_pktmbuf_mtod_offset(frame, uint8_t*, 14 + 20 + 4), length);
    net.b.Input(net.now, frame);
    return net.b.Receive(server);
  };
  REQUIRE_FALSE(send_with_length(7).has_value());
  REQUIRE_FALSE(send_with_length(17).has_value());
  REQUIRE(net.b.udp.counters().UdpInErrors == 2);
  REQUIRE(send_with_length(16)->payload == "payload!");
  REQUIRE(send_with_length(8 + 3)->payload == "pay");
  REQUIRE(send_with_length(8)->payload.empty());
  net.RequireNoLeak();
}

TEST_CASE("sockets of one host meet without touching the wire", "[udp]") {
  Pair net;
  auto server = net.a.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  for (const IpAddress& to : {net.a.address, IpAddress::V4(127, 0, 0, 1)}) {
    net.a.Send(client, {to, 53}, "self");
    net.Run();
    auto got = net.a.Receive(server);
    REQUIRE(got.has_value());
    REQUIRE(got->payload == "self");
    REQUIRE(got->header.peer.address == to);
    net.a.Send(server, got->header.peer, "echo");
    net.Run();
    REQUIRE(net.a.Receive(client)->payload == "echo");
  }
  REQUIRE(net.a.TakeFrames().empty());
  net.RequireNoLeak();
}

TEST_CASE("a dual-stack socket serves both families", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV6(), 53});
  auto four = net.a.Open(AF_INET), six = net.a.Open(AF_INET6), mapped = net.a.Open(AF_INET6);
  net.a.Send(four, {net.b.address, 53}, "four");
  net.a.Send(six, {net.b.address6, 53}, "six");
  net.a.Send(mapped, {net.b.address, 53}, "mapped");
  net.Run();
  int seen = 0;
  while (auto got = net.b.Receive(server)) {
    ++seen;
    REQUIRE(got->header.peer.address == (got->payload == "six" ? net.a.address6 : net.a.address));
    net.b.Send(server, got->header.peer, "re: " + got->payload);
  }
  REQUIRE(seen == 3);
  net.Run();
  REQUIRE(net.a.Receive(four)->payload == "re: four");
  REQUIRE(net.a.Receive(six)->payload == "re: six");
  REQUIRE(net.a.Receive(mapped)->payload == "re: mapped");
  net.RequireNoLeak();
}

TEST_CASE("a socket's options and a datagram's own settle TTL and TOS", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  client.entry().options.ttl.store(33);
  client.entry().options.tos.store(0x10);
  net.a.Send(client, {net.b.address, 53}, "options");
  table::DatagramHeader own;
  own.ttl = 5;
  own.traffic_class = 0x20;
  net.a.Send(client, {net.b.address, 53}, "own", own);
  net.Run();
  auto first = net.b.Receive(server), second = net.b.Receive(server);
  REQUIRE(first->header.ttl == 33);
  REQUIRE(first->header.traffic_class == 0x10);
  REQUIRE(second->header.ttl == 5);
  REQUIRE(second->header.traffic_class == 0x20);
  server.entry().options.minimum_ttl.store(34);
  net.a.Send(client, {net.b.address, 53}, "too far");
  net.Run();
  REQUIRE_FALSE(net.b.Receive(server).has_value());
  REQUIRE(net.b.udp.counters().UdpMinimumTtlDrops == 1);
  net.RequireNoLeak();
}

TEST_CASE("UDP_SEGMENT cuts one send into many datagrams", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  table::DatagramHeader header;
  header.segment_bytes = 1000;
  const std::string all = Bytes(6400);
  net.a.Send(client, {net.b.address, 53}, all, header);
  net.Run();
  std::string received;
  for (size_t size : {1000u, 1000u, 1000u, 1000u, 1000u, 1000u, 400u}) {
    auto got = net.b.Receive(server);
    REQUIRE(got.has_value());
    REQUIRE(got->payload.size() == size);
    received += got->payload;
  }
  REQUIRE(received == all);
  header.segment_bytes = 10;  // 640 datagrams: more than one send may make
  net.a.Send(client, {net.b.address, 53}, all, header);
  net.Run();
  REQUIRE(Host::TakeError(client) == Result::kInvalid);
  REQUIRE_FALSE(net.b.Receive(server).has_value());
  net.RequireNoLeak();
}

TEST_CASE("a full receive buffer drops and counts, and recovers", "[udp]") {
  HostOptions options;
  options.udp.receive_datagrams_max = 10;
  Pair net(options);
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  server.entry().options.receive_buffer_bytes.store(3000);
  for (int i = 0; i < 5; ++i) net.a.Send(client, {net.b.address, 53}, Bytes(1000));
  net.Run();
  REQUIRE(net.b.udp.counters().UdpRcvbufErrors == 2);
  for (int i = 0; i < 3; ++i) REQUIRE(net.b.Receive(server).has_value());
  REQUIRE_FALSE(net.b.Receive(server).has_value());
  for (int i = 0; i < 12; ++i) net.a.Send(client, {net.b.address, 53}, "x");
  net.Run();
  REQUIRE(net.b.udp.counters().UdpReceiveDatagramsFull == 2);
  REQUIRE(net.b.udp.counters().UdpRcvbufErrors == 4);
  net.RequireNoLeak();
}

TEST_CASE("a full transmit queue holds datagrams back instead of losing them", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  client.entry().options.send_buffer_bytes.store(4 << 20);
  server.entry().options.receive_buffer_bytes.store(4 << 20);
  net.a.Send(client, {net.b.address, 53}, "resolve");
  net.Run();
  REQUIRE(net.b.Receive(server).has_value());
  int queued = 0;
  while (queued < 1500 && net.a.Send(client, {net.b.address, 53}, Bytes(100, queued))) ++queued;
  REQUIRE(queued == 1500);
  // The cable takes nothing: at most the transmit queue fills.
  for (int i = 0; i < 100; ++i) {
    net.a.Turn(net.now);
    net.now += Milliseconds(1);
  }
  REQUIRE(net.a.udp.counters().UdpOutDatagrams < 1100);
  REQUIRE(net.a.udp.counters().UdpTransmitRetries > 0);
  REQUIRE_FALSE(net.a.udp.NextDeadline().is_never());
  for (int i = 0; i < 40; ++i) {
    net.Run();
    net.now += Milliseconds(1);
  }
  for (int i = 0; i < queued; ++i) {
    auto got = net.b.Receive(server);
    REQUIRE(got.has_value());
    REQUIRE(got->payload == Bytes(100, i));
  }
  net.RequireNoLeak();
}

TEST_CASE("a socket that closes at a full queue leaves no deadline behind", "[udp]") {
  Pair net({.transmit_queue_packets = 8});
  auto client = net.a.Open();
  net.a.Send(client, {net.b.address, 53}, "resolve");
  net.Run();
  for (int i = 0; i < 20; ++i) net.a.Send(client, {net.b.address, 53}, "late");
  net.a.Turn(net.now);  // the cable takes nothing
  REQUIRE_FALSE(net.a.udp.NextDeadline().is_never());
  net.a.udp.Close(net.now, client);
  net.Run();
  net.now += Seconds(1);
  net.Run();
  REQUIRE(net.a.udp.NextDeadline().is_never());
  net.RequireNoLeak();
}

TEST_CASE("what is longer than the transmit queue is in nobody's way", "[udp]") {
  Pair net({.transmit_queue_packets = 8});
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  net.a.Send(client, {net.b.address, 53}, "resolve");
  net.Run();
  REQUIRE(net.b.Receive(server).has_value());
  net.a.Send(client, {net.b.address, 53}, Bytes(20000, 1));
  net.a.Send(client, {net.b.address, 53}, "short");
  for (int i = 0; i < 3; ++i) {
    net.Run();
    net.now += Milliseconds(1);
  }
  REQUIRE(net.a.udp.counters().UdpSndbufErrors == 1);
  REQUIRE(net.b.Receive(server)->payload == "short");
  net.a.udp.Close(net.now, client);
  net.b.udp.Close(net.now, server);
  net.now += Seconds(60);  // the parts that went are given up
  net.Run();
  net.RequireNoLeak();
}

TEST_CASE("a datagram socket that was shut down may connect again", "[udp]") {
  Pair net;
  auto client = net.a.Open();
  REQUIRE(net.a.udp.Connect(net.now, client, {net.b.address, 53}) == table::Result::kOk);
  REQUIRE(net.a.udp.Shutdown(net.now, client, 1) == table::Result::kOk);
  REQUIRE(net.a.udp.Connect(net.now, client, {net.b.address, 54}) == table::Result::kOk);
  REQUIRE(client.status() == table::Status::kShutdown);
  REQUIRE(net.a.table.counters().illegal_changes == 0);
}

TEST_CASE("a socket that closes still sends what it holds", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  auto client = net.a.Open();
  for (int i = 0; i < 3; ++i) net.a.Send(client, {net.b.address, 53}, "last words");
  net.a.udp.Close(net.now, client);
  net.Run();
  for (int i = 0; i < 3; ++i) REQUIRE(net.b.Receive(server)->payload == "last words");
  REQUIRE(net.a.udp.open_sockets() == 0);
  net.RequireNoLeak();
}

TEST_CASE("binding follows the rules of addresses and ports", "[udp]") {
  Pair net;
  auto first = net.a.Bound({IpAddress::AnyV4(), 53});
  auto second = net.a.Open();
  REQUIRE(net.a.udp.Bind(net.now, second, {net.a.address, 53}) == Result::kAddressInUse);
  REQUIRE(net.a.udp.Bind(net.now, second, {net.b.address, 54}) == Result::kAddressNotAvailable);
  REQUIRE(net.a.udp.Bind(net.now, first, {net.a.address, 55}) == Result::kInvalid);
  REQUIRE(net.a.udp.Bind(net.now, second, {net.a.address, 0}) == Result::kOk);
  REQUIRE(second.entry().local.Load().port >= 32768);
  auto six = net.a.Open(AF_INET6);
  REQUIRE(net.a.udp.Bind(net.now, six, {*wire::ParseIp("fe80::1"), 53}) == Result::kInvalid);
  auto free = net.a.Open();
  free.entry().options.Set(table::kFreeBind, true);
  REQUIRE(net.a.udp.Bind(net.now, free, {net.b.address, 54}) == Result::kOk);
  net.RequireNoLeak();
}

TEST_CASE("no route and broadcasts without leave are errors", "[udp]") {
  Pair net;
  auto client = net.a.Open();
  REQUIRE(net.a.udp.Connect(net.now, client, {IpAddress::V4(8, 8, 8, 8), 53}) ==
          Result::kNetworkUnreachable);
  net.a.Send(client, {IpAddress::V4(8, 8, 8, 8), 53}, "x");
  net.Run();
  REQUIRE(Host::TakeError(client) == Result::kNetworkUnreachable);
  net.a.Send(client, {IpAddress::V4(192, 0, 2, 255), 53}, "x");
  net.Run();
  REQUIRE(Host::TakeError(client) == Result::kAccess);
  net.a.Send(client, {net.b.address, 0}, "x");
  net.Run();
  REQUIRE(Host::TakeError(client) == Result::kInvalid);
  net.RequireNoLeak();
}

TEST_CASE("the limits of sockets and bindings are answers", "[udp]") {
  HostOptions options;
  options.udp.sockets_max = 64;
  Pair net(options);
  std::vector<table::Socket> sockets;
  for (int i = 0; i < 64; ++i) sockets.push_back(net.a.Bound({IpAddress::AnyV4(), 0}));
  REQUIRE(net.a.table.Open(table::Type::kDatagram, 17, AF_INET, Status::kUnconnected).is_none());
  net.RequireNoLeak();
}

}  // namespace
}  // namespace sluice::udp
