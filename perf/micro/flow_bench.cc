// Finding the connection of a segment, with 1 k to 10 M of them, and timers by the hundred
// thousand. Flows are looked up in an order that no cache can foresee.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "base/timer_wheel.h"
#include "ip/flow_map.h"

namespace sluice {
namespace {

constexpr SipKey kKey{1, 2};
constexpr size_t kOrder = 1 << 16;  // lookups before the order repeats
constexpr size_t kBurst = 32;

// A map and its flows; kept between the benchmarks of one size, since filling takes long.
struct Flows {
  explicit Flows(uint32_t count) : map(kKey, count), keys(count), order(kOrder) {
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t address = __builtin_bswap32(0x0a000000 + i / 50000);
      keys[i].local = wire::IpAddress::FromV4Bytes("\x0a\xff\0\1");
      keys[i].remote = wire::IpAddress::FromV4Bytes(&address);
      keys[i].local_port = 80;
      keys[i].remote_port = static_cast<uint16_t>(1024 + i % 50000);
      map.Insert(map.Hash(keys[i]), i);
    }
    uint64_t number = 1;
    for (uint32_t& next : order) {
      number = number * 6364136223846793005 + 1442695040888963407;
      next = static_cast<uint32_t>((number >> 32) * count >> 32);
    }
  }
  // As the TCP layer does it: the key to be found stands in the packet, its twin in the map's
  // owner's memory.
  uint32_t Find(const ip::FlowKey& key, uint64_t hash) const {
    return map.Find(hash, key, [this](uint32_t i) -> const ip::FlowKey& { return keys[i]; });
  }

  ip::FlowMap map;
  std::vector<ip::FlowKey> keys;
  std::vector<uint32_t> order;
};

const Flows& FlowsOf(int64_t count) {
  static std::unique_ptr<Flows> flows;
  if (flows == nullptr || flows->keys.size() != static_cast<size_t>(count)) {
    flows.reset();
    flows = std::make_unique<Flows>(static_cast<uint32_t>(count));
  }
  return *flows;
}

// Each lookup waits for the one before: the time of one segment that comes alone.
void FlowLookup(benchmark::State& state) {
  const Flows& flows = FlowsOf(state.range(0));
  size_t at = 0;
  uint32_t found = 0;
  for (auto _ : state) {
    ip::FlowKey key = flows.keys[flows.order[at++ % kOrder]];
    key.unused = static_cast<uint16_t>(found >> 31);  // 0, but only the lookup before says so
    found = flows.Find(key, flows.map.Hash(key));
    if (found == ip::FlowMap::kNone) state.SkipWithError("a flow is missing");
  }
}
BENCHMARK(FlowLookup)->RangeMultiplier(10)->Range(1000, 10000000);

// A burst at a time: all buckets are on their way before the first is looked at.
void FlowLookupBurst(benchmark::State& state) {
  const Flows& flows = FlowsOf(state.range(0));
  size_t at = 0;
  for (auto _ : state) {
    uint64_t hashes[kBurst];
    ip::FlowKey keys[kBurst];
    for (size_t i = 0; i < kBurst; ++i) {
      keys[i] = flows.keys[flows.order[(at + i) % kOrder]];
      hashes[i] = flows.map.Hash(keys[i]);
      flows.map.Prefetch(hashes[i]);
    }
    for (size_t i = 0; i < kBurst; ++i) benchmark::DoNotOptimize(flows.Find(keys[i], hashes[i]));
    at += kBurst;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBurst));
}
BENCHMARK(FlowLookupBurst)->RangeMultiplier(10)->Range(1000, 10000000);

void FlowInsertAndErase(benchmark::State& state) {
  Flows flows(static_cast<uint32_t>(state.range(0)));
  size_t at = 0;
  for (auto _ : state) {
    const uint32_t number = flows.order[at++ % kOrder];
    const uint64_t hash = flows.map.Hash(flows.keys[number]);
    flows.map.Erase(hash, number);
    flows.map.Insert(hash, number);
  }
}
BENCHMARK(FlowInsertAndErase)->Arg(1000)->Arg(1000000);

// A wheel that `count` timers lie in, with deadlines up to ten seconds ahead.
struct Wheel {
  explicit Wheel(size_t count) : timers(std::make_unique<Timer[]>(count)), size(count) {
    for (size_t i = 0; i < size; ++i) Arm(i);
  }
  ~Wheel() {
    for (size_t i = 0; i < size; ++i) wheel.Cancel(timers[i]);
  }
  void Arm(size_t i) {
    number = number * 6364136223846793005 + 1442695040888963407;
    wheel.Schedule(timers[i], now + Milliseconds(1 + static_cast<int64_t>(number >> 33) % 10000));
  }

  TimerWheel wheel;
  std::unique_ptr<Timer[]> timers;
  size_t size;
  Instant now;
  uint64_t number = 1;
};

void TimerArmAndCancel(benchmark::State& state) {
  Wheel wheel(static_cast<size_t>(state.range(0)));
  size_t at = 0;
  for (auto _ : state) {
    Timer& timer = wheel.timers[at];
    wheel.wheel.Cancel(timer);
    wheel.Arm(at);
    at = (at + 7919) % wheel.size;
  }
}
BENCHMARK(TimerArmAndCancel)->Arg(1000)->Arg(100000);

// A deadline that moves to a later time, as a retransmission's does with each acknowledgment.
void TimerPutOff(benchmark::State& state) {
  Wheel wheel(static_cast<size_t>(state.range(0)));
  size_t at = 0;
  int64_t later_ns = 10000000000;
  for (auto _ : state) {
    wheel.wheel.Schedule(wheel.timers[at], wheel.now + Duration::FromNanoseconds(later_ns++));
    at = (at + 7919) % wheel.size;
  }
}
BENCHMARK(TimerPutOff)->Arg(1000)->Arg(100000);

// Turns of 10 us; timers that fire are armed anew. Items are timers.
void TimerAdvance(benchmark::State& state) {
  Wheel wheel(static_cast<size_t>(state.range(0)));
  int64_t fired = 0;
  for (auto _ : state) {
    wheel.now += Microseconds(10);
    fired += wheel.wheel.Advance(wheel.now, 1024, [&wheel](Timer& timer) {
      wheel.Arm(static_cast<size_t>(&timer - wheel.timers.get()));
    });
  }
  state.SetItemsProcessed(fired);
}
BENCHMARK(TimerAdvance)->Arg(1000)->Arg(100000);

}  // namespace
}  // namespace sluice
