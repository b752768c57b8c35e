// An engine with a region, a pool and a port, and the program's side of its lane.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "base/plain_pool.h"
#include "engine/engine.h"
#include "table/application_queues.h"
#include "test_port.h"

namespace sluice::engine {

struct Answer {
  table::Result result = table::Result::kOk;
  uint64_t value = 0;
  std::string payload;
};

class Machine {
 public:
  explicit Machine(uint8_t number, EngineConfig config = {}, uint32_t sockets = 128)
      : pool(4096),
        limits_{.sockets = sockets, .buffers = 2048, .blocks = 4096},
        memory_(Allocate(limits_)),
        region(table::Region::Format(memory_.get(), limits_)),
        port("test" + std::to_string(number), number, pool.get()) {
    region.ShareMbufs(pool.get());
    config.pool = pool.get();
    config.key = {number, 42};
    engine = std::make_unique<Engine>(config, region, 0);
    ip::InterfaceConfig interface;
    interface.name = "eth0";
    interface.announce = false;
    REQUIRE(engine->AddPort(Instant(), &port, 0, interface, &eth0) == ip::ConfigResult::kOk);
    address = wire::IpAddress::V4(192, 0, 2, number);
    address6 = *wire::ParseIp("2001:db8::" + std::to_string(number));
    engine->ip().AddAddress(Instant(), eth0, {address, 24});
    engine->ip().AddAddress(Instant(), eth0, {address6, 64});
  }

  // Pushes a command and lets the engine answer it.
  Answer Ask(Instant now, table::Command command) {
    auto replies = region.replies(0);
    command.reply = 5;
    replies[5].state.store(table::Reply::kWaiting);
    const uint32_t notices = region.lane(0).notices.load();
    REQUIRE(region.commands(0).Push(command));
    engine->Poll(now);
    REQUIRE(replies[5].state.Acquire() == table::Reply::kDone);
    REQUIRE(region.lane(0).notices.load() > notices);
    Answer answer{replies[5].result.load(), replies[5].value.load(), {}};
    answer.payload.assign(reinterpret_cast<const char*>(replies[5].payload),
                          replies[5].length.load());
    replies[5].state.Release(table::Reply::kFree);
    return answer;
  }
  static uint32_t OpenArgument(table::Type type, int protocol, int family) {
    return static_cast<uint32_t>(type) | static_cast<uint32_t>(protocol) << 8 |
           static_cast<uint32_t>(family) << 16;
  }
  table::Handle Open(Instant now, table::Type type, int family = AF_INET) {
    Answer answer =
        Ask(now, {.operation = table::Operation::kOpen, .argument = OpenArgument(type, 0, family)});
    REQUIRE(answer.result == table::Result::kOk);
    return table::Handle::FromBits(answer.value);
  }
  table::Result Bind(Instant now, table::Handle handle, const wire::Endpoint& local) {
    return Ask(now, {.operation = table::Operation::kBind, .handle = handle, .local = local})
        .result;
  }
  table::Entry& entry(table::Handle handle) { return region.entry(handle.index); }

  bool Send(table::Handle handle, const wire::Endpoint& to, std::string_view payload) {
    table::DatagramHeader header;
    header.peer = to;
    iovec piece{const_cast<char*>(payload.data()), payload.size()};
    const bool taken =
        table::SendWriter(region, entry(handle))
            .WriteDatagram(header, {&piece, 1}, static_cast<uint32_t>(payload.size()));
    table::RingDoorbell(region, handle.index);
    return taken;
  }
  std::optional<std::string> Receive(table::Handle handle, wire::Endpoint* from = nullptr) {
    std::string buffer(70000, 0);
    iovec piece{buffer.data(), buffer.size()};
    table::DatagramHeader header;
    uint32_t length = 0;
    uint16_t flags = 0;
    if (!table::ReceiveReader(region, entry(handle))
             .ReadDatagram(header, {&piece, 1}, length, flags, false)) {
      return std::nullopt;
    }
    if (from != nullptr) *from = header.peer;
    table::RingDoorbell(region, handle.index);
    return buffer.substr(0, length);
  }
  uint32_t Write(table::Handle handle, std::string_view bytes) {
    const uint32_t taken =
        table::SendWriter(region, entry(handle))
            .Write({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    table::RingDoorbell(region, handle.index);
    return taken;
  }
  std::string Read(table::Handle handle) {
    std::string buffer(1 << 20, 0);
    const uint32_t count =
        table::ReceiveReader(region, entry(handle))
            .Read({reinterpret_cast<uint8_t*>(buffer.data()), buffer.size()}, false);
    table::RingDoorbell(region, handle.index);
    return buffer.substr(0, count);
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  static void* Allocate(const table::RegionLimits& limits) {
    const size_t bytes = (table::Region::BytesNeeded(limits) + 127) / 128 * 128;
    void* memory = std::aligned_alloc(128, bytes);
    std::memset(memory, 0, bytes);
    return memory;
  }

 public:
  PlainPool pool;

 private:
  table::RegionLimits limits_;
  std::unique_ptr<void, Free> memory_;

 public:
  table::Region region;
  TestPort port;
  std::unique_ptr<Engine> engine;
  uint16_t eth0 = 0;
  wire::IpAddress address, address6;
};

// Two machines on one cable, whose engines run until nothing moves any more.
struct Bench {
  Bench() : a(1), b(2) { a.port.Join(b.port); }
  explicit Bench(const EngineConfig& config) : a(1, config), b(2, config) { a.port.Join(b.port); }
  ~Bench() {
    // Each may hold packets of the other's pool.
    a.engine.reset();
    b.engine.reset();
  }
  void Run() {
    for (int turn = 0; turn < 5000; ++turn) {
      const unsigned work = a.engine->Poll(now) + b.engine->Poll(now);
      if (work == 0 && a.engine->NextDeadline() > now && b.engine->NextDeadline() > now) return;
      now += Microseconds(10);
    }
    FAIL("it does not come to rest");
  }
  // Lets time pass up to `end`, turn by turn, at the engines' deadlines.
  void RunUntil(Instant end) {
    for (;;) {
      Run();
      const Instant next = std::min(a.engine->NextDeadline(), b.engine->NextDeadline());
      if (next > end) break;
      now = next;
    }
    now = end;
  }

  Instant now = Instant::FromNanoseconds(1'000'000'000);
  Machine a, b;
};

}  // namespace sluice::engine
