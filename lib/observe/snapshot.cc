#include "observe/snapshot.h"

#include <nlohmann/json.hpp>
#include <unordered_map>
#include <vector>

#include "observe/engine_json.h"
#include "observe/socket_json.h"

namespace sluice::observe {
namespace {

using nlohmann::json;

std::vector<std::string> DeviceNames(const engine::Report& report) {
  std::vector<std::string> names;
  for (const ip::InterfaceView& view : report.interfaces) {
    if (view.index >= names.size()) names.resize(view.index + size_t{1});
    names[view.index] = view.name;
  }
  return names;
}

void AddSockets(const EngineFacts& facts, json& sockets) {
  const std::vector<std::string> devices = DeviceNames(facts.report);
  std::unordered_map<uint64_t, const table::TcpInformation*> connections;
  for (const engine::ConnectionReport& c : facts.report.connections) {
    connections[c.handle.bits()] = &c.information;
  }
  for (uint32_t slot = 0; slot < facts.region->limits().sockets; ++slot) {
    const table::Entry& entry = facts.region->entry(slot);
    const uint32_t generation = entry.generation.Acquire();  // pairs with SocketTable::Open
    if ((generation & 1) == 0 || entry.engine.load() != facts.lane) continue;
    json socket = SocketJson(entry, slot, devices);
    const auto tcp = connections.find(table::Handle{slot, generation}.bits());
    if (tcp != connections.end()) socket["tcp"] = TcpJson(*tcp->second);
    sockets.push_back(std::move(socket));
  }
}

}  // namespace

std::string SnapshotText(const ProcessFacts& process, std::span<const EngineFacts> engines) {
  json document;
  document["pid"] = process.pid;
  document["program"] = process.program;
  document["name"] = process.name;
  document["home"] = process.home;
  document["version"] = process.version;
  document["engines"] = json::array();
  document["sockets"] = json::array();
  for (const EngineFacts& facts : engines) {
    document["engines"].push_back(EngineJson(facts));
    AddSockets(facts, document["sockets"]);
  }
  // What a program's command line holds need not be UTF-8.
  return document.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace sluice::observe
