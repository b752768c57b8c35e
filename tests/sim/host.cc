#include "tests/sim/host.h"

#include <sys/mman.h>

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
  size_t bytes = (table::Region::BytesNeeded(options.region) + 127) / 128 * 128;
  memory_.reset(std::aligned_alloc(128, bytes));
  std::memset(memory_.get(), 0, bytes);
  region_ = table::Region::Format(memory_.get(), options.region);
  region_.ShareMbufs(port->plain_pool().get());

  engine::EngineConfig config;
  config.tcp = options.tcp;
  config.ip.neighbor_probes = 30;  // a bad link is no reason to call a host unreachable
  config.key = {options.seed, options.number};
  config.pool = port->plain_pool().get();
  engine_ = std::make_unique<engine::Engine>(config, region_, 0);
  uint16_t interface;
  Require(engine_->AddPort(network->now(), port, 0, {.name = "eth0"}, &interface) ==
              ip::ConfigResult::kOk,
          "the port was refused");
  for (bool v6 : {false, true}) {
    Require(engine_->ip().AddAddress(network->now(), interface, {address(v6), v6 ? 64 : 24}) ==
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
    if (engine_->Poll(now) == 0 && engine_->NextDeadline() > now) return;
  }
  Require(false, "an engine finds no end of work at one instant");
}

table::Result Host::Ask(table::Command command, uint64_t* value) {
  table::Reply& reply = region_.replies(0)[0];
  reply.state.store(table::Reply::kWaiting);
  command.reply = 0;
  Require(region_.commands(0).Push(command), "the command queue is full");
  engine_->Poll(network_->now());
  Require(reply.state.Acquire() == table::Reply::kDone, "a command was not answered");
  if (value != nullptr) *value = reply.value.load();
  reply.state.store(table::Reply::kFree);
  return reply.result.load();
}

table::Handle Host::Open(table::Type type, uint8_t protocol, uint8_t family) {
  uint64_t bits = 0;
  uint32_t argument = static_cast<uint32_t>(type) | protocol << 8 | family << 16;
  if (Ask({.operation = table::Operation::kOpen, .argument = argument}, &bits) !=
      table::Result::kOk) {
    return {};
  }
  return table::Handle::FromBits(bits);
}

}  // namespace sluice::sim
