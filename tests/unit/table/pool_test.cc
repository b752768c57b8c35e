#include <atomic>
#include <catch2/catch.hpp>
#include <span>
#include <thread>
#include <vector>

#include "base/random.h"
#include "table/bounded_queue.h"
#include "tests/unit/table/fixture.h"

namespace sluice::table {
namespace {

TEST_CASE("a pool hands out each index once and says when it is exhausted") {
  Fixture f({.sockets = 4, .buffers = 3, .blocks = 2});
  uint32_t a = f.region.TakeBuffer(), b = f.region.TakeBuffer(), c = f.region.TakeBuffer();
  CHECK(std::vector<uint32_t>{a, b, c} == std::vector<uint32_t>{0, 1, 2});
  CHECK(f.region.TakeBuffer() == kNone);
  CHECK(f.region.header().buffers.exhausted.load() == 1);
  f.region.DropReference(b);
  CHECK(f.region.TakeBuffer() == b);
  CHECK(f.buffers_used() == 3);
}

TEST_CASE("a buffer returns with its last reference") {
  Fixture f;
  uint32_t buffer = f.region.TakeBuffer();
  f.region.AddReference(buffer);
  f.region.DropReference(buffer);
  CHECK(f.buffers_used() == 1);
  f.region.DropReference(buffer);
  CHECK(f.buffers_used() == 0);
}

TEST_CASE("several buffers at once are returned ones first, then fresh ones") {
  Fixture f({.sockets = 4, .buffers = 8, .blocks = 2});
  uint32_t held[4];
  REQUIRE(f.region.TakeBuffers(held) == 4);
  CHECK(std::vector<uint32_t>(held, held + 4) == std::vector<uint32_t>{0, 1, 2, 3});
  for (uint32_t buffer : held) f.region.DropReference(buffer);
  uint32_t all[10];
  REQUIRE(f.region.TakeBuffers({all, 2}) == 2);
  CHECK(f.buffers_used() == 2);
  REQUIRE(f.region.TakeBuffers(std::span(all).subspan(2)) == 6);
  CHECK(std::vector<uint32_t>(all, all + 8) == std::vector<uint32_t>{3, 2, 1, 0, 4, 5, 6, 7});
  CHECK(f.region.header().buffers.exhausted.load() == 1);
  for (uint32_t i = 0; i < 8; ++i) f.region.DropReference(all[i]);
  CHECK(f.buffers_used() == 0);
}

TEST_CASE("a scribbled free list gives what stands before the scribble") {
  Fixture f({.sockets = 4, .buffers = 8, .blocks = 8});
  uint32_t held[3];
  REQUIRE(f.region.TakeBuffers(held) == 3);
  for (uint32_t buffer : held) f.region.DropReference(buffer);
  f.region.buffer_header(held[1]).link.next.store(0xdeadbeef);
  uint32_t taken[3];
  REQUIRE(f.region.TakeBuffers(taken) == 3);
  CHECK(std::vector<uint32_t>(taken, taken + 3) == std::vector<uint32_t>{2, 1, 3});
  CHECK(f.region.header().buffers.corrupt.load() == 1);
}

TEST_CASE("a scribbled free list ends the list and is counted") {
  Fixture f({.sockets = 4, .buffers = 8, .blocks = 8});
  uint32_t first = f.region.TakeBlock(), second = f.region.TakeBlock();
  f.region.ReturnBlock(first);
  f.region.ReturnBlock(second);
  f.region.block(second).link.next.store(0xdeadbeef);
  CHECK(f.region.TakeBlock() == second);
  CHECK(f.region.TakeBlock() == 2);  // a fresh one: the rest of the list is lost
  CHECK(f.region.header().blocks.corrupt.load() == 1);
}

TEST_CASE("a cache serves its owner, gives back in bulk, and leaves small pools alone") {
  Fixture f({.sockets = 4, .buffers = 8, .blocks = 4096});
  StorageCache cache(f.region.limits());
  Region cached = f.region;
  cached.UseCache(&cache);
  std::vector<uint32_t> held;
  for (int i = 0; i < 100; ++i) held.push_back(cached.TakeBlock());
  CHECK(f.blocks_used() == 100);
  for (uint32_t block : held) cached.ReturnBlock(block);
  CHECK(cached.blocks_used() == 0);
  CHECK(f.blocks_used() == cache.blocks.size());
  CHECK(cache.blocks.size() > 0);
  CHECK(cache.blocks.size() <= 32);
  // What was returned last comes first.
  CHECK(cached.TakeBlock() == held.back());
  cached.ReturnBlock(held.back());
  cached.ReleaseStorage();
  CHECK(f.blocks_used() == 0);
  // Every index is there once.
  std::vector<bool> seen(100);
  for (int i = 0; i < 100; ++i) {
    const uint32_t block = f.region.TakeBlock();
    REQUIRE(block < 100);
    CHECK_FALSE(seen[block]);
    seen[block] = true;
  }
  const uint32_t buffer = cached.TakeBuffer();
  cached.DropReference(buffer);
  CHECK(cache.buffers.size() == 0);
  CHECK(f.buffers_used() == 0);
}

TEST_CASE("threads that take and return blocks never hold the same one") {
  Fixture f({.sockets = 4, .buffers = 8, .blocks = 64});
  std::vector<std::atomic<int>> owners(64);
  std::atomic<int> clashes{0};
  auto work = [&](uint64_t seed, Region region) {
    Random random(seed);
    std::vector<uint32_t> held;
    for (int i = 0; i < 20000; ++i) {
      if (held.size() < 8 && random.Below(2) == 0) {
        uint32_t block = region.TakeBlock();
        if (block == kNone) continue;
        if (owners[block].exchange(1) != 0) ++clashes;
        held.push_back(block);
      } else if (!held.empty()) {
        owners[held.back()].store(0);
        region.ReturnBlock(held.back());
        held.pop_back();
      }
    }
    for (uint32_t block : held) {
      owners[block].store(0);
      region.ReturnBlock(block);
    }
    region.ReleaseStorage();
  };
  StorageCache cache({.blocks = 4096});
  Region cached = f.region;
  cached.UseCache(&cache);
  std::thread a(work, 1, f.region), b(work, 2, f.region), c(work, 3, cached);
  a.join();
  b.join();
  c.join();
  CHECK(clashes == 0);
  CHECK(f.blocks_used() == 0);
}

TEST_CASE("a bounded queue keeps order, and full is an answer") {
  Fixture f;
  BoundedQueue<Command>& queue = f.region.commands(0);
  for (uint32_t i = 0; i < kCommandSlots; ++i) REQUIRE(queue.Push({.argument = i}));
  CHECK_FALSE(queue.Push({}));
  Command command;
  for (uint32_t i = 0; i < kCommandSlots; ++i) {
    REQUIRE(queue.Pop(command, Region::kCommandMask));
    CHECK(command.argument == i);
  }
  CHECK_FALSE(queue.Pop(command, Region::kCommandMask));
  CHECK(queue.empty(Region::kCommandMask));
}

TEST_CASE("a bounded queue loses and invents nothing with three producers") {
  Fixture f;
  BoundedQueue<Command>& queue = f.region.commands(0);
  constexpr uint32_t kEach = 20000;
  auto produce = [&queue](uint8_t who) {
    for (uint32_t i = 0; i < kEach; ++i) {
      while (!queue.Push({.unused = who, .argument = i})) std::this_thread::yield();
    }
  };
  std::thread a(produce, 0), b(produce, 1), c(produce, 2);
  uint32_t next[3] = {0, 0, 0};
  bool ordered = true;
  for (uint32_t taken = 0; taken < 3 * kEach;) {
    Command command;
    if (!queue.Pop(command, Region::kCommandMask)) {
      std::this_thread::yield();
      continue;
    }
    ordered = ordered && command.unused < 3 && command.argument == next[command.unused]++;
    ++taken;
  }
  a.join();
  b.join();
  c.join();
  CHECK(ordered);
}

}  // namespace
}  // namespace sluice::table
