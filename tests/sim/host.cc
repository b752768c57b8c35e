#include "tests/sim/host.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sluice::sim {
namespace {

constexpr int kTurnsMax = 10000;

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "simulation: %s\n", what);
  std::abort();
}

}  // namespace

void Host::Free::operator()(void* memory) const { std::free(memory); }

Host::Host(SimNetwork* network, SimPort* port, const HostOptions& options)
    : network_(network), port_(port), options_(options), packets_(port->plain_pool().available()) {
  options_.region.lanes = options.engines;
  size_t bytes = (table::Region::BytesNeeded(options_.region) + 127) / 128 * 128;
  memory_.reset(std::aligned_alloc(128, bytes));
  std::memset(memory_.get(), 0, bytes);
  region_ = table::Region::Format(memory_.get(), options_.region);
  region_.ShareMbufs(port->plain_pool().get());
  if (options.engines > 1) hand_over_ = std::make_unique<engine::HandOver>(options.engines);
  for (uint8_t lane = 0; lane < options.engines; ++lane) AddEngine(lane);
}

void Host::AddEngine(uint8_t lane) {
  engine::EngineConfig config;
  config.tcp = options_.tcp;
  config.ip.neighbor_probes = 30;  // a bad link is no reason to call a host unreachable
  config.key = {options_.seed + lane * uint64_t{1000003}, options_.number};
  config.pool = port_->plain_pool().get();
  config.hand_over = hand_over_.get();
  engines_.push_back(std::make_unique<engine::Engine>(config, region_, lane));
  engine::Engine& engine = *engines_.back();
  uint16_t interface;
  Require(engine.AddPort(network_->now(), port_, lane, {.name = "eth0"}, &interface) ==
              ip::ConfigResult::kOk,
          "the port was refused");
  for (bool v6 : {false, true}) {
    Require(engine.ip().AddAddress(network_->now(), interface, {address(v6), v6 ? 64 : 24}) ==
                ip::ConfigResult::kOk,
            "the address was refused");
  }
}

Host::~Host() = default;

wire::IpAddress Host::address(bool v6) const {
  if (!v6) return wire::IpAddress::V4(192, 0, 2, options_.number);
  return wire::IpAddress::V6(
      {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, options_.number});
}

void Host::Run(Instant now) {
  for (int turn = 0; turn < kTurnsMax; ++turn) {
    unsigned work = 0;
    for (auto& engine : engines_) work += engine->Poll(now);
    if (work == 0 && NextDeadline() > now) return;
  }
  Require(false, "an engine finds no end of work at one instant");
}

Instant Host::NextDeadline() {
  Instant next = Instant::Never();
  for (auto& engine : engines_) next = std::min(next, engine->NextDeadline());
  return next;
}

table::Result Host::AskAt(uint8_t lane, table::Command command, uint64_t* value) {
  table::Reply& reply = region_.replies(lane)[0];
  reply.state.store(table::Reply::kWaiting);
  command.reply = 0;
  Require(region_.commands(lane).Push(command), "the command queue is full");
  engines_[lane]->Poll(network_->now());
  Require(reply.state.Acquire() == table::Reply::kDone, "a command was not answered");
  if (value != nullptr) *value = reply.value.load();
  reply.state.store(table::Reply::kFree);
  return reply.result.load();
}

table::Result Host::Ask(table::Command command, uint64_t* value) {
  return AskAt(entry(command.handle).engine.load(), command, value);
}

table::Handle Host::Open(table::Type type, uint8_t protocol, uint8_t family, uint8_t lane) {
  uint64_t bits = 0;
  uint32_t argument = static_cast<uint32_t>(type) | protocol << 8 | family << 16;
  if (AskAt(lane, {.operation = table::Operation::kOpen, .argument = argument}, &bits) !=
      table::Result::kOk) {
    return {};
  }
  return table::Handle::FromBits(bits);
}

void Host::Close(table::Handle handle) {
  region_.commands(entry(handle).engine.load())
      .Push({.operation = table::Operation::kClose, .handle = handle});
}

uint32_t Host::open_sockets() {
  uint32_t open = 0;
  for (auto& engine : engines_) open += engine->sockets().open_sockets();
  return open;
}

// What an engine keeps at hand is not in use.
uint32_t Host::buffers_used() {
  const uint32_t taken = region_.buffers_used();
  uint32_t used = taken;
  for (auto& engine : engines_) used -= taken - engine->sockets().region().buffers_used();
  return used;
}

uint32_t Host::blocks_used() {
  const uint32_t taken = region_.blocks_used();
  uint32_t used = taken;
  for (auto& engine : engines_) used -= taken - engine->sockets().region().blocks_used();
  return used;
}

}  // namespace sluice::sim
