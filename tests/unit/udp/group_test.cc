#include <map>

#include "host.h"

namespace sluice::udp {
namespace {

using table::Result;
using table::SourceOperation;
using wire::IpAddress;

const IpAddress kGroup4 = IpAddress::V4(239, 1, 2, 3);
const IpAddress kGroup6 = *wire::ParseIp("ff05::123");

TEST_CASE("every member of a group gets its own copy", "[udp]") {
  for (bool v6 : {false, true}) {
    CAPTURE(v6);
    Pair net;
    const IpAddress group = v6 ? kGroup6 : kGroup4;
    const IpAddress any = v6 ? IpAddress::AnyV6() : IpAddress::AnyV4();
    std::vector<table::Socket> members;
    for (int i = 0; i < 3; ++i) {
      members.push_back(net.b.Bound({any, 5353}, table::kReuseAddress));
      REQUIRE(net.b.udp.JoinGroup(net.now, members.back(), net.b.eth0, group) == Result::kOk);
    }
    auto other_port = net.b.Bound({any, 5354});
    auto client = net.a.Open(v6 ? AF_INET6 : AF_INET);
    (v6 ? client.entry().options.multicast_interface_v6
        : client.entry().options.multicast_interface_v4)
        .store(net.a.eth0);
    net.a.Send(client, {group, 5353}, "to all of you");
    net.Run();
    for (auto& member : members) {
      auto got = net.b.Receive(member);
      REQUIRE(got.has_value());
      REQUIRE(got->payload == "to all of you");
      REQUIRE(got->header.local.address == group);
      REQUIRE(got->header.local.scope == net.b.eth0);
      REQUIRE(got->header.ttl == 1);
    }
    REQUIRE_FALSE(net.b.Receive(other_port).has_value());
    REQUIRE(net.b.udp.counters().UdpInDatagrams == 3);
    net.RequireNoLeak();
  }
}

TEST_CASE("leaving a group ends it, and joining twice is an error", "[udp]") {
  Pair net;
  auto member = net.b.Bound({IpAddress::AnyV4(), 5353});
  REQUIRE(net.b.udp.JoinGroup(net.now, member, net.b.eth0, kGroup4) == Result::kOk);
  REQUIRE(net.b.udp.JoinGroup(net.now, member, net.b.eth0, kGroup4) == Result::kAddressInUse);
  REQUIRE(net.b.udp.LeaveGroup(net.now, member, net.b.eth0, kGroup4) == Result::kOk);
  REQUIRE(net.b.udp.LeaveGroup(net.now, member, net.b.eth0, kGroup4) ==
          Result::kAddressNotAvailable);
  REQUIRE(net.b.udp.JoinGroup(net.now, member, net.b.eth0, net.a.address) == Result::kInvalid);
  auto client = net.a.Open();
  client.entry().options.multicast_interface_v4.store(net.a.eth0);
  net.a.Send(client, {kGroup4, 5353}, "anybody?");
  net.Run();
  REQUIRE_FALSE(net.b.Receive(member).has_value());
  net.RequireNoLeak();
}

TEST_CASE("source filters choose whom a member hears", "[udp]") {
  Pair net;
  auto member = net.b.Bound({IpAddress::AnyV4(), 5353});
  auto client = net.a.Open();
  client.entry().options.multicast_interface_v4.store(net.a.eth0);
  const IpAddress stranger = IpAddress::V4(192, 0, 2, 77);
  auto set = [&](const IpAddress& source, SourceOperation operation) {
    return net.b.udp.SourceFilter(net.now, member, net.b.eth0, kGroup4, source, operation);
  };
  auto hears = [&] {
    net.a.Send(client, {kGroup4, 5353}, "x");
    net.Run();
    return net.b.Receive(member).has_value();
  };
  REQUIRE(set(net.a.address, SourceOperation::kBlock) == Result::kAddressNotAvailable);
  REQUIRE(set(stranger, SourceOperation::kJoin) == Result::kOk);
  REQUIRE_FALSE(hears());
  REQUIRE(set(net.a.address, SourceOperation::kJoin) == Result::kOk);
  REQUIRE(hears());
  REQUIRE(set(net.a.address, SourceOperation::kBlock) == Result::kInvalid);
  REQUIRE(set(net.a.address, SourceOperation::kLeave) == Result::kOk);
  REQUIRE_FALSE(hears());
  REQUIRE(set(stranger, SourceOperation::kLeave) == Result::kOk);
  REQUIRE(set(stranger, SourceOperation::kLeave) == Result::kAddressNotAvailable);
  REQUIRE(net.b.udp.JoinGroup(net.now, member, net.b.eth0, kGroup4) == Result::kOk);
  REQUIRE(hears());
  REQUIRE(set(net.a.address, SourceOperation::kBlock) == Result::kOk);
  REQUIRE_FALSE(hears());
  REQUIRE(set(net.a.address, SourceOperation::kUnblock) == Result::kOk);
  REQUIRE(hears());
  net.RequireNoLeak();
}

TEST_CASE("IP_MULTICAST_ALL decides about groups that others have joined", "[udp]") {
  Pair net;
  auto member = net.b.Bound({IpAddress::AnyV4(), 5353}, table::kReuseAddress);
  auto bystander = net.b.Bound({IpAddress::AnyV4(), 5353}, table::kReuseAddress);
  REQUIRE(net.b.udp.JoinGroup(net.now, member, net.b.eth0, kGroup4) == Result::kOk);
  auto client = net.a.Open();
  client.entry().options.multicast_interface_v4.store(net.a.eth0);
  net.a.Send(client, {kGroup4, 5353}, "x");
  net.Run();
  REQUIRE(net.b.Receive(member).has_value());
  REQUIRE(net.b.Receive(bystander).has_value());
  bystander.entry().options.Set(table::kMulticastAllV4, false);
  net.a.Send(client, {kGroup4, 5353}, "x");
  net.Run();
  REQUIRE(net.b.Receive(member).has_value());
  REQUIRE_FALSE(net.b.Receive(bystander).has_value());
  net.RequireNoLeak();
}

TEST_CASE("a sender hears itself if IP_MULTICAST_LOOP is on", "[udp]") {
  Pair net;
  auto member = net.a.Bound({IpAddress::AnyV4(), 5353});
  REQUIRE(net.a.udp.JoinGroup(net.now, member, net.a.eth0, kGroup4) == Result::kOk);
  auto client = net.a.Open();
  client.entry().options.multicast_interface_v4.store(net.a.eth0);
  net.a.Send(client, {kGroup4, 5353}, "x");
  net.Run();
  REQUIRE(net.a.Receive(member).has_value());
  client.entry().options.Set(table::kMulticastLoopV4, false);
  net.a.Send(client, {kGroup4, 5353}, "x");
  net.Run();
  REQUIRE_FALSE(net.a.Receive(member).has_value());
  net.RequireNoLeak();
}

TEST_CASE("a broadcast reaches every socket of its port", "[udp]") {
  Pair net;
  auto first = net.b.Bound({IpAddress::AnyV4(), 67}, table::kReuseAddress);
  auto second = net.b.Bound({IpAddress::AnyV4(), 67}, table::kReuseAddress);
  auto client = net.a.Open();
  client.entry().options.Set(table::kBroadcast, true);
  net.a.Send(client, {IpAddress::V4(192, 0, 2, 255), 67}, "who is there?");
  net.Run();
  REQUIRE(net.b.Receive(first)->payload == "who is there?");
  REQUIRE(net.b.Receive(second)->payload == "who is there?");
  net.a.Send(client, {IpAddress::V4(192, 0, 2, 255), 68}, "nobody");
  net.Run();
  REQUIRE(net.b.udp.counters().UdpIgnoredMulti == 1);
  REQUIRE(net.b.udp.counters().UdpNoPorts == 0);
  net.RequireNoLeak();
}

TEST_CASE("a socket bound to a group or broadcast address sends from the host's own", "[udp]") {
  Pair net;
  auto server = net.b.Bound({IpAddress::AnyV4(), 53});
  for (const IpAddress& bound : {kGroup4, IpAddress::V4(192, 0, 2, 255)}) {
    auto client = net.a.Bound({bound, 5353});
    net.a.Send(client, {net.b.address, 53}, "x");
    net.Run();
    auto got = net.b.Receive(server);
    REQUIRE(got.has_value());
    REQUIRE(got->header.peer.address == net.a.address);
    REQUIRE(got->header.peer.port == 5353);
  }
  net.RequireNoLeak();
}

TEST_CASE("SO_REUSEPORT gives each flow one socket of several", "[udp]") {
  Pair net;
  std::vector<table::Socket> servers;
  for (int i = 0; i < 4; ++i) {
    servers.push_back(net.b.Bound({IpAddress::AnyV4(), 53}, table::kReusePort));
  }
  auto first = net.a.Open();
  net.a.Send(first, {net.b.address, 54}, "resolve");
  net.Run();
  for (int i = 0; i < 32; ++i) {
    auto client = net.a.Open();
    for (int j = 0; j < 3; ++j) net.a.Send(client, {net.b.address, 53}, std::to_string(i));
  }
  net.Run();
  int busy = 0, total = 0;
  for (auto& server : servers) {
    std::map<std::string, int> flows;
    while (auto got = net.b.Receive(server)) ++flows[got->payload];
    busy += !flows.empty();
    for (auto& [flow, count] : flows) {
      REQUIRE(count == 3);
      total += count;
    }
  }
  REQUIRE(total == 96);
  REQUIRE(busy >= 3);
  net.RequireNoLeak();
}

}  // namespace
}  // namespace sluice::udp
