// What an idle connection costs: a promise (ARCHITECTURE.md) that is kept here.
#include "api/epoll_set.h"
#include "api/state.h"
#include "ip/flow_map.h"
#include "machine.h"
#include "table/bounded_queue.h"
#include "table/entry.h"
#include "table/socket_table.h"
#include "tcp/connection.h"

namespace sluice::engine {
namespace {

using table::Handle;
using table::Operation;
using table::Result;
using table::Type;
using wire::IpAddress;

// Every byte of one end of a connection that was accepted, has carried data both ways, is watched
// by one epoll set, and is idle. It holds no ring block, no buffer and no packet.
constexpr size_t kSlotQueueBytes =  // of the doorbells and of the events
    table::BoundedQueue<uint32_t>::BytesNeeded(2) - table::BoundedQueue<uint32_t>::BytesNeeded(1);
constexpr size_t kSlabBytes = sizeof(uint32_t) + 1;  // its place in the free list, its bit
constexpr size_t kFreeSlotBytes = sizeof(uint32_t);  // likewise of the socket table
constexpr size_t kDescriptorBytes = sizeof(uint64_t);
constexpr size_t kConnectionBytes =
    sizeof(table::Entry) + sizeof(table::EngineSide) + sizeof(api::SocketSide) +
    sizeof(api::EpollItem) + sizeof(tcp::Connection) + ip::FlowMap::kFlowBytesMax +
    2 * kSlotQueueBytes + kSlabBytes + kFreeSlotBytes + kDescriptorBytes;
static_assert(kConnectionBytes <= 1024);

TEST_CASE("idle sockets hold neither rings nor buffers nor packets", "[engine]") {
  Bench bench;
  Handle listener = bench.b.Open(bench.now, Type::kStream);
  REQUIRE(bench.b.Bind(bench.now, listener, {IpAddress::AnyV4(), 80}) == Result::kOk);
  REQUIRE(
      bench.b.Ask(bench.now, {.operation = Operation::kListen, .argument = 64, .handle = listener})
          .result == Result::kOk);
  constexpr int kConnections = 40;
  for (int i = 0; i < kConnections; ++i) {
    Handle client = bench.a.Open(bench.now, Type::kStream);
    REQUIRE(bench.a
                .Ask(bench.now, {.operation = Operation::kConnect,
                                 .handle = client,
                                 .remote = {bench.b.address, 80}})
                .result == Result::kInProgress);
    bench.Run();
    Handle server = table::ReadConnection(bench.b.region, bench.b.entry(listener));
    REQUIRE_FALSE(server.is_none());
    REQUIRE(bench.a.Write(client, "a request") == 9);
    bench.Run();
    REQUIRE(bench.b.Read(server) == "a request");
    REQUIRE(bench.b.Write(server, "an answer") == 9);
    bench.Run();
    // Read, but no doorbell: the engine has not noticed.
    uint8_t bytes[16];
    REQUIRE(table::ReceiveReader(bench.a.region, bench.a.entry(client)).Read(bytes, false) == 9);
  }
  Handle datagram = bench.b.Open(bench.now, Type::kDatagram);
  REQUIRE(bench.b.Send(datagram, {bench.a.address, 9}, "nobody is there"));
  REQUIRE(bench.b.region.blocks_used() >= kConnections);

  bench.RunUntil(bench.now + Seconds(10));
  for (Machine* machine : {&bench.a, &bench.b}) {
    const table::Region& region = machine->engine->sockets().region();
    CHECK(region.blocks_used() == 0);
    CHECK(region.buffers_used() == 0);
    CHECK(machine->pool.available() == machine->pool.count());
    CHECK(machine->engine->sockets().open_sockets() >= kConnections);
  }
  // Nothing is left to look for: the engines may sleep.
  const uint64_t turns = bench.a.engine->counters().Turns;
  bench.RunUntil(bench.now + Seconds(100));
  CHECK(bench.a.engine->counters().Turns < turns + 60);
}

}  // namespace
}  // namespace sluice::engine
