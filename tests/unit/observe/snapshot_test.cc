#include "observe/snapshot.h"

#include <nlohmann/json.hpp>
#include <set>

#include "../engine/machine.h"

namespace sluice::observe {
namespace {

using engine::Bench;
using engine::Machine;
using nlohmann::json;
using table::Handle;
using table::Operation;
using table::Result;
using table::Type;
using wire::IpAddress;

json Snapshot(Machine& machine, Instant now) {
  EngineFacts facts;
  facts.region = &machine.region;
  facts.state = "running";
  machine.engine->AskReport();
  for (int turn = 0; turn < 10 && !facts.answered; ++turn) {
    machine.engine->Poll(now);
    facts.answered = machine.engine->TakeReport(&facts.report);
  }
  REQUIRE(facts.answered);
  const ProcessFacts process{4711, "/usr/bin/echo", "echo", "manual", "0.1.0"};
  return json::parse(SnapshotText(process, {&facts, 1}));
}

std::set<std::string> Keys(const json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

const std::set<std::string> kSocketKeys = {"id",
                                           "slot",
                                           "generation",
                                           "descriptor",
                                           "process_id",
                                           "engine",
                                           "type",
                                           "protocol",
                                           "family",
                                           "local",
                                           "remote",
                                           "device",
                                           "status",
                                           "activity",
                                           "blocking",
                                           "event_mask",
                                           "readiness",
                                           "engine_flags",
                                           "application_flags",
                                           "error",
                                           "close_reason",
                                           "urgent_position",
                                           "send_queue",
                                           "receive_queue",
                                           "connection_queue",
                                           "error_queue",
                                           "options"};

TEST_CASE("a snapshot names the process, its engines and their limits", "[observe]") {
  Machine machine(1);
  const Instant now = Instant::FromNanoseconds(5);
  machine.engine->ip().AddRoute(
      now, {.destination = {IpAddress::AnyV4(), 0}, .gateway = IpAddress::V4(192, 0, 2, 254)});
  const json document = Snapshot(machine, now);
  REQUIRE(document["pid"] == 4711);
  REQUIRE(document["program"] == "/usr/bin/echo");
  REQUIRE(document["name"] == "echo");
  REQUIRE(document["home"] == "manual");
  REQUIRE(document["sockets"].empty());
  REQUIRE(document["engines"].size() == 1);
  const json& engine = document["engines"][0];
  REQUIRE(engine["answered"] == true);
  REQUIRE(engine["ports"][0]["name"] == "test1");
  REQUIRE(engine["interfaces"].size() == 2);
  const json& eth0 = engine["interfaces"][1];
  REQUIRE(eth0["name"] == "eth0");
  REQUIRE(eth0["mac"] == "02:00:00:00:00:01");
  REQUIRE(eth0["mtu"] == 1500);
  bool found = false;
  for (const json& address : eth0["addresses"]) {
    found = found || address["prefix"] == "192.0.2.1/24";
  }
  REQUIRE(found);
  bool route = false;
  for (const json& each : engine["routes"]) route = route || each["gateway"] == "192.0.2.254";
  REQUIRE(route);
  for (const char* limit : {"sockets", "buffers", "blocks", "tcp_connections", "udp_sockets",
                            "neighbors", "routes", "reassembly_datagrams"}) {
    CAPTURE(limit);
    REQUIRE(engine["limits"][limit]["limit"] > 0);
    REQUIRE(engine["limits"][limit]["hits"] == 0);
  }
  for (const char* counter : {"IpInReceives", "TcpInSegs", "UdpInDatagrams", "IcmpOutMsgs",
                              "TcpExtTCPTimeouts", "EngineTurns", "TableOpened"}) {
    CAPTURE(counter);
    REQUIRE(engine["counters"].contains(counter));
  }
}

TEST_CASE("every socket shows every field", "[observe]") {
  Bench bench;
  Handle listener = bench.b.Open(bench.now, Type::kStream, AF_INET6);
  bench.b.Bind(bench.now, listener, {IpAddress::AnyV6(), 80});
  bench.b.entry(listener).backlog.store(16);
  bench.b.Ask(bench.now, {.operation = Operation::kListen, .argument = 16, .handle = listener});
  Handle client = bench.a.Open(bench.now, Type::kStream);
  bench.a.Ask(
      bench.now,
      {.operation = Operation::kConnect, .handle = client, .remote = {bench.b.address, 80}});
  bench.Run();
  bench.a.Write(client, "unread");
  bench.Run();
  Handle datagram = bench.b.Open(bench.now, Type::kDatagram);
  bench.b.entry(datagram).descriptor.store(12);
  bench.b.entry(datagram).event_mask.store(table::kEventIn | table::kEventErr);
  bench.b.entry(datagram).application_flags.store(table::kNonBlocking);

  const json document = Snapshot(bench.b, bench.now);
  REQUIRE(document["sockets"].size() == 3);
  std::set<uint64_t> ids;
  for (const json& socket : document["sockets"]) {
    std::set<std::string> keys = Keys(socket);
    keys.erase("tcp");
    REQUIRE(keys == kSocketKeys);
    ids.insert(socket["id"].get<uint64_t>());
    REQUIRE(Keys(socket["local"]) == std::set<std::string>{"address", "port", "scope"});
    REQUIRE(socket["options"].size() >= 60);
  }
  REQUIRE(ids.size() == 3);

  const json& listening = document["sockets"][0];
  REQUIRE(listening["status"] == "listening");
  REQUIRE(listening["family"] == "inet6");
  REQUIRE(listening["protocol"] == "tcp");
  REQUIRE(listening["local"]["address"] == "::");
  REQUIRE(listening["local"]["port"] == 80);
  REQUIRE(listening["connection_queue"]["length"] == 1);
  REQUIRE(listening["connection_queue"]["limit"] == 16);
  REQUIRE(listening["readiness"] == json({"in"}));
  REQUIRE(listening["tcp"]["state"] == "LISTEN");

  const json* connected = nullptr;
  const json* unconnected = nullptr;
  for (const json& socket : document["sockets"]) {
    if (socket["status"] == "connected") connected = &socket;
    if (socket["protocol"] == "udp") unconnected = &socket;
  }
  REQUIRE(connected != nullptr);
  REQUIRE((*connected)["remote"]["port"] == bench.a.entry(client).local.Load().port);
  REQUIRE((*connected)["activity"] == json({"receiving"}));
  REQUIRE((*connected)["receive_queue"]["bytes"] == 6);
  REQUIRE((*connected)["device"]["name"] == "eth0");
  REQUIRE((*connected)["tcp"]["state"] == "ESTABLISHED");
  REQUIRE((*connected)["tcp"]["bytes_received"] == 6);
  REQUIRE((*connected)["tcp"]["send_cwnd_segments"] >= 10);

  REQUIRE(unconnected != nullptr);
  REQUIRE((*unconnected)["status"] == "unconnected");
  REQUIRE((*unconnected)["descriptor"] == 12);
  REQUIRE((*unconnected)["blocking"] == false);
  REQUIRE((*unconnected)["event_mask"] == json({"in", "err"}));
  REQUIRE((*unconnected)["local"]["address"] == "0.0.0.0");
  REQUIRE_FALSE(unconnected->contains("tcp"));
}

TEST_CASE("a socket that is closed shows no more, and a limit that was hit does", "[observe]") {
  Machine machine(1, {}, 2);
  const Instant now = Instant::FromNanoseconds(5);
  Handle first = machine.Open(now, Type::kDatagram);
  machine.Open(now, Type::kDatagram);
  REQUIRE(machine
              .Ask(now, {.operation = Operation::kOpen,
                         .argument = Machine::OpenArgument(Type::kStream, 0, AF_INET)})
              .result == Result::kNoSockets);
  machine.Ask(now, {.operation = Operation::kClose, .handle = first});
  const json document = Snapshot(machine, now);
  REQUIRE(document["sockets"].size() == 1);
  const json& limit = document["engines"][0]["limits"]["sockets"];
  REQUIRE(limit["limit"] == 2);
  REQUIRE(limit["used"] == 1);
  REQUIRE(limit["hits"] == 1);
}

TEST_CASE("without an engine's answer the sockets show all the same", "[observe]") {
  Machine machine(1);
  machine.Open(Instant::FromNanoseconds(5), Type::kDatagram);
  EngineFacts facts;
  facts.region = &machine.region;
  facts.state = "busy";
  const json document = json::parse(SnapshotText({.pid = 1}, {&facts, 1}));
  REQUIRE(document["sockets"].size() == 1);
  REQUIRE(document["engines"][0]["state"] == "busy");
  REQUIRE(document["engines"][0]["answered"] == false);
  REQUIRE(document["engines"][0]["limits"]["sockets"]["limit"] == 128);
}

TEST_CASE("entries that an application has scribbled on are still shown", "[observe]") {
  Machine machine(1);
  Handle socket = machine.Open(Instant::FromNanoseconds(5), Type::kDatagram);
  table::Entry& entry = machine.entry(socket);
  entry.status.store(static_cast<table::Status>(77));
  entry.type.store(static_cast<Type>(78));
  entry.error.store(200);
  entry.interface.store(60000);
  entry.options.mtu_discover_v4.store(static_cast<table::MtuDiscover>(99));
  EngineFacts facts;
  facts.region = &machine.region;
  const json document = json::parse(SnapshotText({.pid = 1}, {&facts, 1}));
  REQUIRE(document["sockets"][0]["status"] == "unknown");
  REQUIRE(document["sockets"][0]["type"] == "unknown");
  REQUIRE(document["sockets"][0]["error"] == "unknown");
}

}  // namespace
}  // namespace sluice::observe
