// Datagrams that come one behind the other.
#include "host.h"

namespace sluice::udp {
namespace {

using wire::IpAddress;

TEST_CASE("a burst for several sockets reaches each in order", "[udp]") {
  Pair net;
  std::vector<table::Socket> servers;
  for (uint16_t port : {100, 101, 102}) servers.push_back(net.b.Bound({IpAddress::AnyV4(), port}));
  for (table::Socket server : servers) server.entry().event_mask.store(table::kEventIn);
  auto client = net.a.Open();
  net.a.Send(client, {net.b.address, 100}, "resolve");
  net.Run();
  REQUIRE(net.b.Receive(servers[0]).has_value());
  const uint64_t taken = net.b.udp.counters().UdpInDatagrams;
  const int order[] = {0, 0, 0, 1, 2, 2, 1, 0, 0, 2};
  for (int i = 0; i < 10; ++i) {
    const auto port = static_cast<uint16_t>(100 + order[i]);
    net.a.Send(client, {net.b.address, port}, std::string(1, static_cast<char>('0' + i)));
  }
  net.Run();
  REQUIRE(net.b.udp.counters().UdpInDatagrams == taken + 10);
  std::string heard[3];
  for (int i = 0; i < 3; ++i) {
    REQUIRE(servers[i].entry().event_pending.load() == 1);
    while (auto got = net.b.Receive(servers[i])) heard[i] += got->payload;
  }
  REQUIRE(heard[0] == "01278");
  REQUIRE(heard[1] == "36");
  REQUIRE(heard[2] == "459");
  net.RequireNoLeak();
}

}  // namespace
}  // namespace sluice::udp
