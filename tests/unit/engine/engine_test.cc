#include "engine/engine.h"

#include "base/random.h"
#include "machine.h"

namespace sluice::engine {
namespace {

using table::Command;
using table::Handle;
using table::Operation;
using table::Result;
using table::Status;
using table::Type;
using wire::IpAddress;

TEST_CASE("two engines echo datagrams in virtual time", "[engine]") {
  for (int family : {AF_INET, AF_INET6}) {
    Bench bench;
    const bool v6 = family == AF_INET6;
    Handle server = bench.b.Open(bench.now, Type::kDatagram, family);
    REQUIRE(bench.b.Bind(bench.now, server, {v6 ? IpAddress::AnyV6() : IpAddress::AnyV4(), 7}) ==
            Result::kOk);
    Handle client = bench.a.Open(bench.now, Type::kDatagram, family);
    bench.b.entry(server).event_mask.store(table::kEventIn);
    for (int i = 0; i < 40; ++i) {
      const std::string text = "message " + std::to_string(i);
      REQUIRE(bench.a.Send(client, {v6 ? bench.b.address6 : bench.b.address, 7}, text));
      bench.Run();
      wire::Endpoint from;
      REQUIRE(bench.b.Receive(server, &from) == text);
      REQUIRE(bench.b.Send(server, from, text + "!"));
      bench.Run();
      REQUIRE(bench.a.Receive(client) == text + "!");
    }
    REQUIRE(bench.b.region.lane(0).notices.load() > 0);
    REQUIRE(bench.b.entry(server).event_pending.load() == 1);
    uint32_t slot = 99;
    REQUIRE(bench.b.region.events(0).Pop(slot, bench.b.region.slot_queue_mask()));
    REQUIRE(slot == server.index);
  }
}

TEST_CASE("sockets of one engine meet on its own addresses", "[engine]") {
  Machine machine(1);
  Instant now = Instant::FromNanoseconds(5);
  Handle server = machine.Open(now, Type::kDatagram), client = machine.Open(now, Type::kDatagram);
  REQUIRE(machine.Bind(now, server, {IpAddress::AnyV4(), 7}) == Result::kOk);
  for (const IpAddress& to : {machine.address, IpAddress::V4(127, 0, 0, 1)}) {
    machine.Send(client, {to, 7}, "self");
    machine.engine->Poll(now);
    REQUIRE(machine.engine->NextDeadline() <= now);  // what was looped waits for the next turn
    machine.engine->Poll(now);
    REQUIRE(machine.Receive(server) == "self");
  }
  REQUIRE(machine.engine->counters().FramesTransmitted == 0);
}

TEST_CASE("streams connect, carry bytes both ways and close", "[engine]") {
  Bench bench;
  Handle listener = bench.b.Open(bench.now, Type::kStream);
  REQUIRE(bench.b.Bind(bench.now, listener, {IpAddress::AnyV4(), 80}) == Result::kOk);
  REQUIRE(
      bench.b.Ask(bench.now, {.operation = Operation::kListen, .argument = 16, .handle = listener})
          .result == Result::kOk);
  Handle client = bench.a.Open(bench.now, Type::kStream);
  REQUIRE(bench.a
              .Ask(bench.now, {.operation = Operation::kConnect,
                               .handle = client,
                               .remote = {bench.b.address, 80}})
              .result == Result::kInProgress);
  bench.Run();
  REQUIRE(bench.a.entry(client).status.load() == Status::kConnected);
  Handle server = table::ReadConnection(bench.b.region, bench.b.entry(listener));
  REQUIRE_FALSE(server.is_none());

  Random random(1);
  std::string sent(300000, 0), received;
  for (char& c : sent) c = static_cast<char>(random.Next64());
  size_t written = 0;
  for (int turn = 0; turn < 2000 && received.size() < sent.size(); ++turn) {
    written += bench.a.Write(client, std::string_view(sent).substr(written, 50000));
    bench.RunUntil(bench.now + Microseconds(200));
    received += bench.b.Read(server);
  }
  REQUIRE(received == sent);
  // One turn's data goes to the port in bursts.
  REQUIRE(bench.a.port.most_at_once <= EngineConfig().data_burst + 1u);
  REQUIRE(bench.b.Write(server, "thanks") == 6);
  bench.Run();
  REQUIRE(bench.a.Read(client) == "thanks");

  Answer info = bench.a.Ask(bench.now, {.operation = Operation::kInformation, .handle = client});
  REQUIRE(info.payload.size() == sizeof(table::TcpInformation));
  table::TcpInformation information;
  std::memcpy(&information, info.payload.data(), sizeof(information));
  REQUIRE(information.state == 1);
  REQUIRE(information.bytes_acked >= sent.size());
  REQUIRE(bench.a.Ask(bench.now, {.operation = Operation::kPathMtu, .handle = client}).value ==
          1500);

  bench.a.Ask(bench.now, {.operation = Operation::kClose, .handle = client});
  bench.Run();
  REQUIRE((bench.b.entry(server).engine_flags.load() & table::kEndOfStream) != 0);
  bench.b.Ask(bench.now, {.operation = Operation::kClose, .handle = server});
  bench.RunUntil(bench.now + Seconds(130));
  REQUIRE(bench.a.engine->sockets().open_sockets() == 0);
  REQUIRE(bench.b.engine->sockets().open_sockets() == 1);
}

TEST_CASE("commands are answered, and wrong ones refused", "[engine]") {
  Machine machine(1);
  const Instant now = Instant::FromNanoseconds(5);
  auto ask = [&](Command command) { return machine.Ask(now, command).result; };
  auto open = [&](Type type, int protocol, int family) {
    return ask(
        {.operation = Operation::kOpen, .argument = Machine::OpenArgument(type, protocol, family)});
  };
  REQUIRE(open(Type::kStream, 0, AF_UNIX) == Result::kAddressFamily);
  REQUIRE(open(Type::kStream, IPPROTO_UDP, AF_INET) == Result::kNotSupported);
  REQUIRE(open(Type::kRaw, IPPROTO_ICMP, AF_INET) == Result::kNotSupported);
  REQUIRE(open(static_cast<Type>(200), 0, AF_INET) == Result::kNotSupported);
  REQUIRE(open(Type::kStream, IPPROTO_TCP, AF_INET6) == Result::kOk);
  Handle socket = machine.Open(now, Type::kDatagram);
  REQUIRE(ask({.operation = Operation::kListen, .handle = socket}) == Result::kNotSupported);
  REQUIRE(ask({.operation = Operation::kNone, .handle = socket}) == Result::kInvalid);
  REQUIRE(ask({.operation = static_cast<Operation>(250), .handle = socket}) == Result::kInvalid);
  REQUIRE(ask({.operation = Operation::kSourceFilter, .argument = 77, .handle = socket}) ==
          Result::kInvalid);
  REQUIRE(ask({.operation = Operation::kShutdown, .argument = 1, .handle = socket}) ==
          Result::kNotConnected);
  // Stale, out of range, never used.
  REQUIRE(ask({.operation = Operation::kClose, .handle = socket}) == Result::kOk);
  REQUIRE(ask({.operation = Operation::kClose, .handle = socket}) == Result::kBadHandle);
  REQUIRE(ask({.operation = Operation::kClose, .handle = {1 << 30, 1}}) == Result::kBadHandle);
  REQUIRE(ask({.operation = Operation::kClose, .handle = {100, 1}}) == Result::kBadHandle);
  REQUIRE(machine.engine->counters().CommandsStale == 3);
  // A reply slot out of range, and an open that nobody could ever close.
  machine.region.commands(0).Push({.operation = Operation::kInterfaces, .reply = 64});
  machine.region.commands(0).Push({.operation = Operation::kOpen,
                                   .reply = 9999,
                                   .argument = Machine::OpenArgument(Type::kStream, 0, AF_INET)});
  machine.engine->Poll(now);
  REQUIRE(machine.engine->sockets().open_sockets() == 1);
}

TEST_CASE("a table without slots refuses sockets until one is closed", "[engine]") {
  Machine machine(1, {}, 4);
  const Instant now = Instant::FromNanoseconds(5);
  Handle last;
  for (int i = 0; i < 4; ++i) last = machine.Open(now, Type::kDatagram);
  const Command open{.operation = Operation::kOpen,
                     .argument = Machine::OpenArgument(Type::kStream, 0, AF_INET)};
  REQUIRE(machine.Ask(now, open).result == Result::kNoSockets);
  machine.Ask(now, {.operation = Operation::kClose, .handle = last});
  REQUIRE(machine.Ask(now, open).result == Result::kOk);
  REQUIRE(machine.engine->sockets().counters().refused_sockets == 1);
}

TEST_CASE("interfaces are listed with their addresses", "[engine]") {
  Machine machine(3);
  const Instant now = Instant::FromNanoseconds(5);
  std::vector<table::InterfaceRecord> records;
  for (;;) {
    Answer answer = machine.Ask(now, {.operation = Operation::kInterfaces,
                                      .argument = static_cast<uint32_t>(records.size())});
    REQUIRE(answer.result == Result::kOk);
    REQUIRE(answer.payload.size() == answer.value * sizeof(table::InterfaceRecord));
    REQUIRE(answer.value != 0);
    for (uint64_t i = 0; i < answer.value; ++i) {
      table::InterfaceRecord record;
      std::memcpy(&record, answer.payload.data() + i * sizeof(record), sizeof(record));
      records.push_back(record);
    }
    if (records.back().remaining == 0) break;
  }
  auto has = [&](std::string_view name, const IpAddress& address) {
    for (const auto& r : records) {
      if (r.name == name && r.address == address) return true;
    }
    return false;
  };
  REQUIRE(has("lo", IpAddress::V4(127, 0, 0, 1)));
  REQUIRE(has("eth0", machine.address));
  REQUIRE(has("eth0", machine.address6));
  REQUIRE(records.front().remaining == records.size() - 1);
}

TEST_CASE("an engine sleeps only when nothing waits, and is woken by what comes", "[engine]") {
  Machine machine(1);
  const Instant now = Instant::FromNanoseconds(5);
  Handle socket = machine.Open(now, Type::kDatagram);
  table::Lane& lane = machine.region.lane(0);
  while (machine.engine->Poll(now) != 0) {
  }
  REQUIRE(machine.engine->PrepareToSleep());
  REQUIRE(lane.engine_sleeps.load() == 1);
  REQUIRE(machine.port.armed == 1);
  REQUIRE(machine.engine->wake_descriptors().size() == 1);
  REQUIRE(machine.engine->wake_descriptors()[0] == 7);
  REQUIRE(machine.engine->ports_can_wake());
  // Who rings is told to wake.
  REQUIRE(table::RingDoorbell(machine.region, socket.index));
  machine.engine->WakeUp();
  REQUIRE(lane.engine_sleeps.load() == 0);
  REQUIRE(machine.port.disarmed == 1);
  // The doorbell has not been taken: no sleep.
  REQUIRE(machine.engine->NextDeadline() <= now);
  REQUIRE_FALSE(machine.engine->PrepareToSleep());
  REQUIRE(lane.engine_sleeps.load() == 0);
  machine.engine->Poll(now);
  REQUIRE_FALSE(table::RingDoorbell(machine.region, socket.index));
  machine.engine->Poll(now);
  // A command that waits.
  machine.region.commands(0).Push({.operation = Operation::kNone});
  REQUIRE_FALSE(machine.engine->PrepareToSleep());
  machine.engine->Poll(now);
  // A frame that came between the last look and arming.
  machine.port.arrived.push_back(rte_pktmbuf_alloc(machine.pool.get()));
  REQUIRE_FALSE(machine.engine->PrepareToSleep());
  REQUIRE(lane.engine_sleeps.load() == 0);
  REQUIRE(machine.port.armed == machine.port.disarmed);
  machine.engine->Poll(now);
  // A report that was asked for.
  machine.engine->AskReport();
  REQUIRE_FALSE(machine.engine->PrepareToSleep());
  machine.engine->Poll(now);
  REQUIRE(machine.engine->PrepareToSleep());
  machine.engine->WakeUp();
}

TEST_CASE("what a port does not take is kept and tried again", "[engine]") {
  Bench bench;
  Handle server = bench.b.Open(bench.now, Type::kDatagram);
  bench.b.Bind(bench.now, server, {IpAddress::AnyV4(), 7});
  Handle client = bench.a.Open(bench.now, Type::kDatagram);
  bench.a.Send(client, {bench.b.address, 7}, "resolve");
  bench.Run();
  REQUIRE(bench.b.Receive(server) == "resolve");
  bench.a.port.room = 3;
  for (int i = 0; i < 10; ++i) bench.a.Send(client, {bench.b.address, 7}, std::to_string(i));
  bench.a.engine->Poll(bench.now);
  REQUIRE(bench.a.engine->counters().TransmitBacklogs == 1);
  const Instant retry = bench.a.engine->NextDeadline();
  REQUIRE(retry > bench.now);
  REQUIRE(retry <= bench.now + Milliseconds(1));
  bench.a.port.room = SIZE_MAX;
  bench.Run();
  for (int i = 0; i < 10; ++i) REQUIRE(bench.b.Receive(server) == std::to_string(i));
}

TEST_CASE("what goes out on a link that is down is lost, and that is no error", "[engine]") {
  Bench bench;
  Handle client = bench.a.Open(bench.now, Type::kDatagram);
  bench.Run();
  bench.a.port.up = false;
  bench.now += Milliseconds(200);
  bench.Run();
  REQUIRE(bench.a.engine->counters().LinkChanges == 1);
  bench.a.Send(client, {bench.b.address, 7}, "nowhere");
  bench.Run();
  REQUIRE(bench.a.entry(client).error.load() == 0);
  bench.a.port.up = true;
  bench.now += Milliseconds(200);
  bench.Run();
  REQUIRE(bench.a.engine->counters().LinkChanges == 2);
}

TEST_CASE("a connect on a link that is down succeeds when it comes up in time", "[engine]") {
  const bool in_time = GENERATE(true, false);
  Bench bench;
  Handle listener = bench.b.Open(bench.now, Type::kStream);
  REQUIRE(bench.b.Bind(bench.now, listener, {IpAddress::AnyV4(), 80}) == Result::kOk);
  bench.b.Ask(bench.now, {.operation = Operation::kListen, .argument = 16, .handle = listener});
  bench.a.port.up = false;
  bench.now += Milliseconds(200);
  bench.Run();
  Handle client = bench.a.Open(bench.now, Type::kStream);
  REQUIRE(bench.a
              .Ask(bench.now, {.operation = Operation::kConnect,
                               .handle = client,
                               .remote = {bench.b.address, 80}})
              .result == Result::kInProgress);
  const auto pass = [&](int tenths) {
    for (int i = 0; i < tenths; ++i) {
      bench.now += Milliseconds(100);
      bench.Run();
    }
  };
  pass(15);
  REQUIRE(bench.a.entry(client).status.load() == Status::kConnecting);
  bench.a.port.up = in_time;
  pass(40);
  if (in_time) {
    REQUIRE(bench.a.entry(client).status.load() == Status::kConnected);
  } else {
    REQUIRE(bench.a.entry(client).status.load() == Status::kDisconnected);
    REQUIRE(bench.a.entry(client).error.load() == static_cast<uint32_t>(Result::kHostUnreachable));
  }
}

// A client that is connected to port 80 of the other machine, and the server's end.
struct Connected {
  explicit Connected(Bench& bench, std::optional<wire::Endpoint> local = std::nullopt) {
    listener = bench.b.Open(bench.now, Type::kStream);
    REQUIRE(bench.b.Bind(bench.now, listener, {IpAddress::AnyV4(), 80}) == Result::kOk);
    bench.b.Ask(bench.now, {.operation = Operation::kListen, .argument = 16, .handle = listener});
    client = bench.a.Open(bench.now, Type::kStream);
    if (local) REQUIRE(bench.a.Bind(bench.now, client, *local) == Result::kOk);
    Connect(bench);
  }
  void Connect(Bench& bench) {
    REQUIRE(bench.a
                .Ask(bench.now, {.operation = Operation::kConnect,
                                 .handle = client,
                                 .remote = {bench.b.address, 80}})
                .result == Result::kInProgress);
    bench.Run();
    REQUIRE(bench.a.entry(client).status.load() == Status::kConnected);
    server = table::ReadConnection(bench.b.region, bench.b.entry(listener));
    REQUIRE_FALSE(server.is_none());
  }
  Handle listener, client, server;
};

TEST_CASE("a stream that disconnects resets its peer, and may connect again", "[engine]") {
  const bool is_bound = GENERATE(true, false);
  Bench bench;
  std::optional<wire::Endpoint> local;
  if (is_bound) local = {bench.a.address, 4000};
  Connected pair(bench, local);
  const table::Entry& entry = bench.a.entry(pair.client);
  const Command disconnect = {.operation = Operation::kDisconnect, .handle = pair.client};
  for (int round = 0; round < 2; ++round) {
    bench.a.Write(pair.client, "never sent");
    REQUIRE(bench.a.Ask(bench.now, disconnect).result == Result::kOk);
    bench.Run();
    REQUIRE(bench.b.entry(pair.server).error.load() == static_cast<uint32_t>(Result::kReset));
    REQUIRE(entry.status.load() == (is_bound ? Status::kBound : Status::kUnconnected));
    REQUIRE(entry.local.Load().port == (is_bound ? 4000 : 0));
    REQUIRE(entry.error.load() == static_cast<uint32_t>(Result::kReset));
    pair.Connect(bench);
    REQUIRE(entry.error.load() == 0);
    bench.a.Write(pair.client, "fresh");
    bench.Run();
    REQUIRE(bench.b.Read(pair.server) == "fresh");
  }
  // A listener gives up its name no more than it does on Linux.
  const Command stop = {.operation = Operation::kDisconnect, .handle = pair.listener};
  REQUIRE(bench.b.Ask(bench.now, stop).result == Result::kOk);
  REQUIRE(bench.b.entry(pair.listener).status.load() == Status::kBound);
  REQUIRE(bench.b.entry(pair.listener).local.Load().port == 80);
}

TEST_CASE("a socket bound without a port gets one when it needs it", "[engine]") {
  Bench bench;
  Machine& a = bench.a;
  const Type type = GENERATE(Type::kStream, Type::kDatagram);
  const auto open = [&] {
    const Handle socket = a.Open(bench.now, type);
    a.entry(socket).options.Set(table::kBindAddressNoPort, true);
    REQUIRE(a.Bind(bench.now, socket, {IpAddress::V4(192, 0, 2, 77), 0}) ==
            Result::kAddressNotAvailable);
    // As on Linux it may be bound as long as there is no port.
    for (int i = 0; i < 2; ++i) {
      REQUIRE(a.Bind(bench.now, socket, {a.address, 0}) == Result::kOk);
    }
    REQUIRE(a.entry(socket).status.load() == Status::kBound);
    REQUIRE(a.entry(socket).local.Load() == wire::Endpoint{a.address, 0});
    return socket;
  };
  const Handle connecting = open(), other = open();
  a.Ask(bench.now,
        {.operation = Operation::kConnect, .handle = connecting, .remote = {bench.b.address, 80}});
  if (type == Type::kStream) {
    REQUIRE(a.Ask(bench.now, {.operation = Operation::kListen, .argument = 1, .handle = other})
                .result == Result::kOk);
  } else {
    a.Send(other, {bench.b.address, 7}, "x");
    bench.Run();
  }
  for (Handle socket : {connecting, other}) {
    REQUIRE(a.entry(socket).local.Load().address == a.address);
    REQUIRE(a.entry(socket).local.Load().port != 0);
    REQUIRE(a.Bind(bench.now, socket, {a.address, 0}) == Result::kInvalid);
  }
}

TEST_CASE("a protocol that nobody speaks is answered as unreachable", "[engine]") {
  Bench bench;
  bench.Run();
  // An IPv4 header with protocol 253 (RFC 3692), to b.
  rte_mbuf* frame = rte_pktmbuf_alloc(bench.a.pool.get());
  const uint8_t bytes[] = {2,    0, 0,   0,  0, 2, 2, 0, 0,  0,   0,    1,    0x08, 0x00,
                           0x45, 0, 0,   28, 0, 1, 0, 0, 64, 253, 0xf5, 0xe0, 192,  0,
                           2,    1, 192, 0,  2, 2, 1, 2, 3,  4,   5,    6,    7,    8};
  std::memcpy(rte_pktmbuf_append(frame, sizeof(bytes)), bytes, sizeof(bytes));
  bench.b.port.arrived.push_back(frame);
  bench.Run();
  REQUIRE(bench.b.engine->counters().UnknownProtocols == 1);
  REQUIRE(bench.b.engine->ip().counters().IcmpOutDestUnreachs == 1);
  REQUIRE(bench.a.engine->ip().counters().IcmpInDestUnreachs == 1);
}

TEST_CASE("random bytes in the lane's queues harm nobody", "[engine]") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Machine machine(1);
    Instant now = Instant::FromNanoseconds(5);
    Handle kept = machine.Open(now, Type::kDatagram);
    machine.Bind(now, kept, {IpAddress::AnyV4(), 7});
    for (int i = 0; i < 200; ++i) {
      Command command;
      uint8_t* bytes = reinterpret_cast<uint8_t*>(&command);
      for (size_t j = 0; j < sizeof(command); ++j) bytes[j] = static_cast<uint8_t>(random.Next64());
      command.operation = static_cast<Operation>(random.Below(18));
      if (random.Chance(1, 2)) command.argument &= 0xa0203;
      if (random.Chance(2, 3)) {
        command.handle = {static_cast<uint32_t>(random.Below(8)),
                          static_cast<uint32_t>(random.Below(4))};
      }
      if (random.Chance(1, 2)) command.remote = {machine.address, 7};
      if (random.Chance(1, 2)) command.local = {IpAddress::AnyV4(), 0};
      machine.region.commands(0).Push(command);
      if (random.Chance(1, 2)) {
        machine.region.doorbells(0).Push(static_cast<uint32_t>(random.Below(300)));
      }
      if (random.Chance(1, 4)) machine.engine->Poll(now += Milliseconds(1));
    }
    for (int i = 0; i < 20; ++i) machine.engine->Poll(now += Milliseconds(100));
    machine.engine.reset();
    REQUIRE(machine.pool.available() == machine.pool.count());
  }
}

TEST_CASE("an engine that goes gives back every packet", "[engine]") {
  Bench bench;
  Handle listener = bench.b.Open(bench.now, Type::kStream);
  bench.b.Bind(bench.now, listener, {IpAddress::AnyV4(), 80});
  bench.b.Ask(bench.now, {.operation = Operation::kListen, .argument = 16, .handle = listener});
  Handle server = bench.b.Open(bench.now, Type::kDatagram);
  bench.b.Bind(bench.now, server, {IpAddress::AnyV4(), 7});
  Handle datagrams = bench.a.Open(bench.now, Type::kDatagram);
  std::vector<Handle> streams;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(bench.a.Open(bench.now, Type::kStream));
    bench.a.Ask(bench.now, {.operation = Operation::kConnect,
                            .handle = streams.back(),
                            .remote = {bench.b.address, 80}});
  }
  bench.Run();
  for (Handle stream : streams) bench.a.Write(stream, std::string(20000, 'x'));
  for (int i = 0; i < 5; ++i) bench.a.Send(datagrams, {bench.b.address, 7}, "unread");
  bench.Run();
  for (Handle stream : streams) bench.a.Write(stream, std::string(20000, 'y'));
  bench.a.engine->Poll(bench.now);  // on the cable
  bench.a.engine.reset();
  bench.b.engine.reset();
  for (Machine* machine : {&bench.a, &bench.b}) {
    for (rte_mbuf* frame : machine->port.arrived) rte_pktmbuf_free(frame);
    machine->port.arrived.clear();
  }
  REQUIRE(bench.a.pool.available() == bench.a.pool.count());
  REQUIRE(bench.b.pool.available() == bench.b.pool.count());
}

TEST_CASE("a report is made in steps, between turns", "[engine]") {
  Machine machine(1, {}, 1000);
  const Instant now = Instant::FromNanoseconds(5);
  machine.Open(now, Type::kDatagram);
  Report report;
  REQUIRE_FALSE(machine.engine->TakeReport(&report));
  machine.engine->AskReport();
  int turns = 0;
  while (!machine.engine->TakeReport(&report)) {
    machine.engine->Poll(now);
    REQUIRE(++turns < 10);
  }
  REQUIRE(turns > 1);
  REQUIRE(report.open_sockets == 1);
  REQUIRE(report.open_datagram_sockets == 1);
  REQUIRE(report.ports.size() == 1);
  REQUIRE(report.ports[0].name == "test1");
  REQUIRE(report.interfaces.size() == 2);
  REQUIRE_FALSE(machine.engine->TakeReport(&report));
}

}  // namespace
}  // namespace sluice::engine
