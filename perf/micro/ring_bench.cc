// Rings, queues and the socket table.
#include <benchmark/benchmark.h>
#include <netinet/in.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "table/application_queues.h"
#include "table/bounded_queue.h"
#include "table/ring.h"
#include "table/socket_table.h"

namespace sluice::table {
namespace {

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

void* Zeroed(size_t bytes) {
  const size_t whole = (bytes + 127) / 128 * 128;
  void* memory = std::aligned_alloc(128, whole);
  std::memset(memory, 0, whole);
  return memory;
}

struct Bed {
  static constexpr RegionLimits kLimits{.sockets = 1024, .buffers = 1024, .blocks = 4096};
  std::unique_ptr<void, FreeMemory> memory{Zeroed(Region::BytesNeeded(kLimits))};
  Region region = Region::Format(memory.get(), kLimits);
  SocketTable table{region, 0};

  Socket Open() {
    return table.Find(table.Open(Type::kStream, IPPROTO_TCP, AF_INET, Status::kConnected));
  }
};

// Descriptors through a ring, published and taken in bursts; both ends in one thread.
void DescriptorRing(benchmark::State& state) {
  Bed bed;
  RingProducer producer{};
  RingConsumer consumer{};
  Cursor in{}, out{};
  const int64_t burst = state.range(0);
  uint32_t left;
  for (auto _ : state) {
    for (int64_t i = 0; i < burst; ++i) {
      RingPush(bed.region, producer, consumer, in, Descriptor{});
    }
    RingPublish(producer, in);
    while (RingHas(producer, out) && RingSettle(bed.region, producer, out, left)) {
      if (left != kNone) bed.region.ReturnBlock(left);
      benchmark::DoNotOptimize(RingAt(bed.region, out));
      RingStep(out);
    }
    consumer.head.store(out.position);
  }
  state.SetItemsProcessed(state.iterations() * burst);
}
BENCHMARK(DescriptorRing)->Arg(1)->Arg(32);

// Slot indices through a queue of doorbells or events.
void SlotQueue(benchmark::State& state) {
  constexpr uint32_t kCapacity = 1024;
  const std::unique_ptr<void, FreeMemory> memory(
      Zeroed(BoundedQueue<uint32_t>::BytesNeeded(kCapacity)));
  auto& queue = *static_cast<BoundedQueue<uint32_t>*>(memory.get());
  queue.Format(kCapacity);
  const int64_t burst = state.range(0);
  for (auto _ : state) {
    for (int64_t i = 0; i < burst; ++i) queue.Push(static_cast<uint32_t>(i));
    uint32_t value;
    while (queue.Pop(value, kCapacity - 1)) benchmark::DoNotOptimize(value);
  }
  state.SetItemsProcessed(state.iterations() * burst);
}
BENCHMARK(SlotQueue)->Arg(1)->Arg(32);

// What a send costs on both sides of the table: the application's copy into the send queue, the
// engine's pass over it, and its release.
void SendQueuePass(benchmark::State& state) {
  Bed bed;
  const Socket socket = bed.Open();
  const auto bytes = static_cast<uint32_t>(state.range(0));
  const std::vector<uint8_t> payload(bytes, 1);
  SendWriter writer(bed.region, socket.entry());
  for (auto _ : state) {
    uint64_t seen = 0;
    if (writer.Write(payload) != bytes ||
        !socket.send_queue().Read(
            0, bytes, [&seen](std::span<const uint8_t> piece) { seen += piece.size(); }) ||
        !socket.send_queue().Release(bytes) || seen != bytes) {
      state.SkipWithError("the send queue refused");
      break;
    }
  }
  state.SetBytesProcessed(state.iterations() * bytes);
}
BENCHMARK(SendQueuePass)->Arg(64)->Arg(1460)->Arg(16384);

void OpenAndClose(benchmark::State& state) {
  Bed bed;
  for (auto _ : state) bed.table.Close(bed.Open());
}
BENCHMARK(OpenAndClose);

}  // namespace
}  // namespace sluice::table
