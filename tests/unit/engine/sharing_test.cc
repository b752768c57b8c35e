// Several engines on one port: every packet finds its owner, whatever queue it came to, and what
// only one may say is said once.
#include "cluster.h"
#include "ip/aim.h"

namespace sluice::engine {
namespace {

using table::Handle;
using table::Operation;
using table::Result;
using table::Status;
using table::Type;
using wire::Endpoint;

// As a card that was told whose flows are whose.
Deal Rightly(unsigned engines) {
  return [owners = wire::FlowOwners(engines)](const rte_mbuf* frame, uint16_t queues) {
    const ip::Aim aim = ip::AimOf(owners, frame, true);
    return static_cast<uint16_t>(aim.is_for_all() || aim.is_nowhere() ? 0 : aim.engine() % queues);
  };
}
// As one that sends every flow elsewhere.
Deal Wrongly(unsigned engines) {
  return [deal = Rightly(engines)](const rte_mbuf* frame, uint16_t queues) {
    return static_cast<uint16_t>((deal(frame, queues) + 1) % queues);
  };
}
// As one that spreads the packets of one flow over all queues.
Deal InTurn() {
  return [next = uint16_t{0}](const rte_mbuf*, uint16_t queues) mutable {
    return static_cast<uint16_t>(next++ % queues);
  };
}

struct Setting {
  unsigned engines;
  uint16_t queues;
  const char* deal;
};
constexpr Setting kSettings[] = {{1, 1, "rightly"}, {2, 2, "rightly"}, {2, 2, "wrongly"},
                                 {2, 2, "in turn"}, {2, 1, "rightly"}, {3, 3, "wrongly"},
                                 {3, 2, "in turn"}, {4, 4, "rightly"}, {4, 4, "in turn"},
                                 {4, 1, "rightly"}, {4, 3, "wrongly"}};

Deal DealOf(const Setting& setting) {
  const std::string name = setting.deal;
  return name == "rightly"   ? Rightly(setting.engines)
         : name == "wrongly" ? Wrongly(setting.engines)
                             : InTurn();
}

Setting Draw() {
  const Setting setting = GENERATE(from_range(std::begin(kSettings), std::end(kSettings)));
  return setting;
}

Handle TakeConnection(const table::Region& region, Handle listener) {
  return table::ReadConnection(region, region.entry(listener.index));
}

uint32_t Write(const table::Region& region, Handle handle, std::string_view bytes) {
  const uint32_t taken = table::SendWriter(region, region.entry(handle.index))
                             .Write({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  table::RingDoorbell(region, handle.index);
  return taken;
}

std::string Read(const table::Region& region, Handle handle) {
  std::string buffer(1 << 20, 0);
  const uint32_t count =
      table::ReceiveReader(region, region.entry(handle.index))
          .Read({reinterpret_cast<uint8_t*>(buffer.data()), buffer.size()}, false);
  table::RingDoorbell(region, handle.index);
  return buffer.substr(0, count);
}

std::optional<std::string> ReadDatagram(const table::Region& region, Handle handle) {
  std::string buffer(70000, 0);
  iovec piece{buffer.data(), buffer.size()};
  table::DatagramHeader header;
  uint32_t length = 0;
  uint16_t flags = 0;
  if (!table::ReceiveReader(region, region.entry(handle.index))
           .ReadDatagram(header, {&piece, 1}, length, flags, false)) {
    return std::nullopt;
  }
  table::RingDoorbell(region, handle.index);
  return buffer.substr(0, length);
}

TEST_CASE("connections from outside live with their owners") {
  const Setting setting = Draw();
  INFO(setting.engines << " engines, " << setting.queues << " queues, dealt " << setting.deal);
  Cluster c(setting.engines, setting.queues, DealOf(setting));
  const bool v6 = GENERATE(false, true);
  const int family = v6 ? AF_INET6 : AF_INET;
  const Endpoint server{v6 ? c.address6 : c.address, 80, 0};
  const std::vector<Handle> listeners = c.OpenEverywhere(Type::kStream, server, family);
  for (unsigned lane = 0; lane < c.size(); ++lane) {
    REQUIRE(
        c.Ask(lane, {.operation = Operation::kListen, .argument = 64, .handle = listeners[lane]})
            .result == Result::kOk);
  }
  constexpr unsigned kConnections = 40;
  std::vector<Handle> clients;
  for (unsigned i = 0; i < kConnections; ++i) {
    clients.push_back(c.peer.Open(c.now, Type::kStream, family));
    REQUIRE(
        c.peer
            .Ask(c.now, {.operation = Operation::kConnect, .handle = clients[i], .remote = server})
            .result == Result::kInProgress);
  }
  c.Run();
  std::vector<Handle> accepted;
  for (unsigned lane = 0; lane < c.size(); ++lane) {
    for (;;) {
      const Handle connection = TakeConnection(c.region, listeners[lane]);
      if (connection.is_none()) break;
      const table::Entry& entry = c.entry(connection);
      CHECK(entry.engine.load() == lane);
      CHECK(c.OwnerOf(entry.local.Load(), entry.remote.Load()) == lane);
      accepted.push_back(connection);
    }
  }
  REQUIRE(accepted.size() == kConnections);

  const uint64_t given = c.Given();
  const std::string message(20000, 'x');
  for (unsigned i = 0; i < kConnections; ++i) {
    REQUIRE(c.peer.Write(clients[i], message) == message.size());
    REQUIRE(Write(c.region, accepted[i], message) == message.size());
  }
  c.RunFor(Milliseconds(300));
  for (unsigned i = 0; i < kConnections; ++i) {
    CHECK(Read(c.region, accepted[i]) == message);
    CHECK(c.peer.Read(clients[i]) == message);
  }
  // Where the port deals as the engines do, none has anything to do with another.
  const bool steered =
      std::string_view(setting.deal) == "rightly" && setting.queues == setting.engines;
  if (steered) {
    CHECK(c.Given() == given);
  } else {
    CHECK(c.Given() > given);
  }
  for (const auto& engine : c.engines) CHECK(engine->counters().HandOversRefused == 0);
}

TEST_CASE("a connection to outside gets a port that makes it its engine's") {
  const Setting setting = Draw();
  INFO(setting.engines << " engines, " << setting.queues << " queues, dealt " << setting.deal);
  Cluster c(setting.engines, setting.queues, DealOf(setting));
  const Endpoint server{c.peer.address, 80, 0};
  const Handle listener = c.peer.Open(c.now, Type::kStream);
  REQUIRE(c.peer.Bind(c.now, listener, server) == Result::kOk);
  REQUIRE(c.peer.Ask(c.now, {.operation = Operation::kListen, .argument = 64, .handle = listener})
              .result == Result::kOk);
  std::vector<Handle> clients;
  for (unsigned i = 0; i < 32; ++i) {
    const unsigned lane = i % c.size();
    clients.push_back(c.Open(lane, Type::kStream));
    REQUIRE(c.Ask(lane, {.operation = Operation::kConnect, .handle = clients[i], .remote = server})
                .result == Result::kInProgress);
    CHECK(c.OwnerOf(c.entry(clients[i]).local.Load(), server) == lane);
  }
  c.Run();
  for (unsigned i = 0; i < clients.size(); ++i) {
    REQUIRE(c.entry(clients[i]).status.load() == Status::kConnected);
    REQUIRE(Write(c.region, clients[i], "from " + std::to_string(i)) != 0);
  }
  c.Run();
  unsigned heard = 0;
  for (;;) {
    const Handle connection = TakeConnection(c.peer.region, listener);
    if (connection.is_none()) break;
    CHECK(c.peer.Read(connection).starts_with("from "));
    ++heard;
  }
  CHECK(heard == clients.size());
}

TEST_CASE("a port of the program's own may make a connection another engine's") {
  Cluster c(4, 4, Rightly(4));
  const Endpoint server{c.peer.address, 80, 0};
  unsigned elsewhere = 0;
  for (uint16_t port = 2000; port < 2016; ++port) {
    const Endpoint local{c.address, port, 0};
    const Handle handle = c.Open(1, Type::kStream);
    REQUIRE(c.Ask(1, {.operation = Operation::kBind, .handle = handle, .local = local}).result ==
            Result::kOk);
    const Answer answer =
        c.Ask(1, {.operation = Operation::kConnect, .handle = handle, .remote = server});
    const uint8_t owner = c.OwnerOf(local, server);
    if (owner == 1) {
      CHECK(answer.result == Result::kInProgress);
      continue;
    }
    ++elsewhere;
    CHECK(answer.result == Result::kElsewhere);
    CHECK(answer.value == owner);
    // The port can be had there instead.
    CHECK(c.Ask(1, {.operation = Operation::kUnbind, .handle = handle}).result == Result::kOk);
    CHECK(c.entry(handle).status.load() == Status::kUnconnected);
    CHECK(c.Ask(1, {.operation = Operation::kUnbind, .handle = handle}).result == Result::kInvalid);
  }
  CHECK(elsewhere > 4);
}

TEST_CASE("a datagram arrives once, at its owner, in one piece or in several") {
  const Setting setting = Draw();
  INFO(setting.engines << " engines, " << setting.queues << " queues, dealt " << setting.deal);
  Cluster c(setting.engines, setting.queues, DealOf(setting));
  const size_t bytes = GENERATE(size_t{100}, size_t{5000});
  const Endpoint server{c.address, 53, 0};
  const std::vector<Handle> servers = c.OpenEverywhere(Type::kDatagram, server);
  constexpr unsigned kClients = 24;
  for (unsigned i = 0; i < kClients; ++i) {
    const Handle client = c.peer.Open(c.now, Type::kDatagram);
    REQUIRE(c.peer.Bind(c.now, client, {c.peer.address, static_cast<uint16_t>(3000 + i), 0}) ==
            Result::kOk);
    REQUIRE(c.peer.Send(client, server, std::string(bytes, static_cast<char>('a' + i))));
    c.Run();
    const uint8_t owner = c.OwnerOf(c.peer.entry(client).local.Load(), server);
    for (unsigned lane = 0; lane < c.size(); ++lane) {
      const std::optional<std::string> got = ReadDatagram(c.region, servers[lane]);
      REQUIRE(got.has_value() == (lane == owner));
      if (got) CHECK(*got == std::string(bytes, static_cast<char>('a' + i)));
      CHECK_FALSE(ReadDatagram(c.region, servers[lane]).has_value());
    }
  }
  // Nobody asked for what the others put together.
  c.RunFor(Seconds(100));
  CHECK(c.peer.engine->ip().counters().IcmpInDestUnreachs == 0);
}

TEST_CASE("what a host sends to itself finds its owner, too") {
  const Setting setting = Draw();
  INFO(setting.engines << " engines, " << setting.queues << " queues, dealt " << setting.deal);
  Cluster c(setting.engines, setting.queues, DealOf(setting));
  const size_t bytes = GENERATE(size_t{100}, size_t{5000});
  const Endpoint server{c.address, 53, 0};
  const std::vector<Handle> servers = c.OpenEverywhere(Type::kDatagram, server);
  for (uint16_t port = 4000; port < 4016; ++port) {
    const unsigned lane = port % c.size();
    const Handle client = c.Open(lane, Type::kDatagram);
    const Endpoint local{c.address, port, 0};
    REQUIRE(c.Ask(lane, {.operation = Operation::kBind, .handle = client, .local = local}).result ==
            Result::kOk);
    const std::string payload(bytes, 'q');
    table::DatagramHeader header;
    header.peer = server;
    iovec piece{const_cast<char*>(payload.data()), payload.size()};
    REQUIRE(table::SendWriter(c.region, c.entry(client))
                .WriteDatagram(header, {&piece, 1}, static_cast<uint32_t>(payload.size())));
    table::RingDoorbell(c.region, client.index);
    c.Run();
    for (unsigned at = 0; at < c.size(); ++at) {
      CHECK(ReadDatagram(c.region, servers[at]).has_value() == (at == c.OwnerOf(local, server)));
    }
  }
}

TEST_CASE("one engine speaks for all") {
  Cluster c(3, 3, InTurn());
  // The peer's first datagram asks for the link address; each engine that answers asks for his.
  const std::vector<Handle> servers = c.OpenEverywhere(Type::kDatagram, {c.address, 53, 0});
  const Handle client = c.peer.Open(c.now, Type::kDatagram);
  REQUIRE(c.peer.Bind(c.now, client, {c.peer.address, 3000, 0}) == Result::kOk);
  REQUIRE(c.peer.Send(client, {c.address, 53, 0}, "hello"));
  c.Run();
  CHECK(c.peer.engine->ip().counters().ArpOutRequests == 1);
  CHECK(c.peer.engine->ip().counters().ArpInReplies == 1);
  for (const auto& engine : c.engines) {
    // All have heard the question, and learnt who asked.
    CHECK(engine->ip().counters().ArpInRequests == 1);
    CHECK(engine->ip().Neighbors().size() == 1);
  }
}

TEST_CASE("an engine that sleeps is woken by what it is given") {
  Cluster c(2, 1, Rightly(2));
  const std::vector<Handle> servers = c.OpenEverywhere(Type::kDatagram, {c.address, 53, 0});
  c.Run();
  REQUIRE(c.engines[1]->PrepareToSleep());
  uint16_t port = 3000;
  while (c.OwnerOf({c.peer.address, port, 0}, {c.address, 53, 0}) != 1) ++port;
  const Handle client = c.peer.Open(c.now, Type::kDatagram);
  REQUIRE(c.peer.Bind(c.now, client, {c.peer.address, port, 0}) == Result::kOk);
  REQUIRE(c.peer.Send(client, {c.address, 53, 0}, "wake up"));
  for (int turn = 0; turn < 10; ++turn) {
    c.peer.engine->Poll(c.now);
    c.engines[0]->Poll(c.now);
  }
  REQUIRE(!c.woken.empty());
  CHECK(c.woken.back() == 1);
  CHECK(c.engines[1]->NextDeadline() <= c.now);
  c.engines[1]->WakeUp();
  c.Run();
  CHECK(ReadDatagram(c.region, servers[1]) == "wake up");
}

TEST_CASE("a full ring drops and counts, and packets come back") {
  PlainPool giver(1024), taker(64);
  HandOver hand_over(2);
  uint32_t given = 0;
  for (; given < 2 * HandOver::kSlots; ++given) {
    rte_mbuf* packet = rte_pktmbuf_alloc(giver.get());
    REQUIRE(packet != nullptr);
    rte_pktmbuf_append(packet, 60);
    if (hand_over.Give(0, 1, {packet, 2, Handed::Kind::kReceived})) continue;
    rte_pktmbuf_free(packet);
    break;
  }
  CHECK(given == HandOver::kSlots);
  CHECK(hand_over.HasFor(1));
  CHECK_FALSE(hand_over.HasFor(0));
  uint32_t seen = 0;
  CHECK(hand_over.Take(1, 100, [&seen](const Handed& handed) {
    CHECK(handed.interface == 2);
    return ++seen <= 40;  // the next one must wait
  }) == 40);
  CHECK(giver.available() == giver.count() - HandOver::kSlots);
  hand_over.Reclaim(0);
  CHECK(giver.available() == giver.count() - HandOver::kSlots + 40);
}

TEST_CASE("a copy has what the original has, whatever the pools' packets hold") {
  PlainPool large(16, RTE_PKTMBUF_HEADROOM + 4096), small(16, RTE_PKTMBUF_HEADROOM + 512);
  UniqueMbuf original(rte_pktmbuf_alloc(large.get()));
  std::string bytes(3000, 0);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  std::memcpy(rte_pktmbuf_append(original.get(), 3000), bytes.data(), bytes.size());
  original->port = 3;
  original->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  UniqueMbuf copy(CopyInto(small.get(), original.get()));
  REQUIRE(copy != nullptr);
  CHECK(copy->pkt_len == 3000);
  CHECK(copy->nb_segs > 1);
  CHECK(copy->port == 3);
  CHECK((copy->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_GOOD) != 0);
  std::string found;
  for (const rte_mbuf* m = copy.get(); m != nullptr; m = m->next) {
    found.append(rte_pktmbuf_mtod(m, const char*), m->data_len);
  }
  CHECK(found == bytes);
  std::vector<UniqueMbuf> all;
  while (rte_mbuf* taken = rte_pktmbuf_alloc(small.get())) all.emplace_back(taken);
  CHECK(CopyInto(small.get(), original.get()) == nullptr);
}

}  // namespace
}  // namespace sluice::engine
