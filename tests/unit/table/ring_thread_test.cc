// The two sides of a socket in two threads: nothing is lost, nothing is read before it is written.
// Meant to be run under ThreadSanitizer as well.
#include <rte_mbuf.h>

#include <catch2/catch.hpp>
#include <thread>

#include "base/plain_pool.h"
#include "base/random.h"
#include "tests/unit/table/fixture.h"

namespace sluice::table {
namespace {

constexpr uint32_t kTotal = 2'000'000;

uint8_t ByteAt(uint32_t position) { return static_cast<uint8_t>(position * 2654435761u >> 24); }

TEST_CASE("a stream survives an application and an engine in two threads, sending") {
  Fixture f({.sockets = 4, .buffers = 64, .buffer_bytes = 512, .blocks = 64});
  Socket socket = f.OpenStream();
  std::thread application([&] {
    Random random(1);
    SendWriter writer(f.region, socket.entry());
    uint8_t bytes[900];
    for (uint32_t sent = 0; sent < kTotal;) {
      uint32_t wanted = std::min<uint32_t>(1 + random.Below(900), kTotal - sent);
      for (uint32_t i = 0; i < wanted; ++i) bytes[i] = ByteAt(sent + i);
      uint32_t done = writer.Write({bytes, wanted});
      sent += done;
      if (done == 0) std::this_thread::yield();
    }
  });
  Random random(2);
  bool right = true;
  SendQueue queue = socket.send_queue();
  for (uint32_t released = 0; released < kTotal && right;) {
    uint32_t available = queue.bytes();
    if (available == 0) {
      std::this_thread::yield();
      continue;
    }
    uint32_t position = released;
    right = queue.Read(0, available, [&](std::span<const uint8_t> bytes) {
      for (uint8_t byte : bytes) right = right && byte == ByteAt(position++);
    }) && right;
    uint32_t count = 1 + random.Below(available);
    right = queue.Release(count) && right;
    released += count;
  }
  application.join();
  CHECK(right);
  f.table.Close(socket);
  CHECK(f.buffers_used() == 0);
  CHECK(f.blocks_used() == 0);
}

// Takes a lock as an application's thread does (api/lock.h), but without sleep.
class Held {
 public:
  explicit Held(Cell<uint32_t>& word) : word_(word) {
    uint32_t expected = kLockFree;
    while (!word_.atomic().compare_exchange_strong(expected, kLockHeld)) {
      expected = kLockFree;
      std::this_thread::yield();
    }
  }
  ~Held() { word_.Release(kLockFree); }

 private:
  Cell<uint32_t>& word_;
};

TEST_CASE("an engine takes back the block of an idle queue while the application sends") {
  constexpr uint32_t kMessages = 50'000;
  Fixture f({.sockets = 4, .buffers = 64, .buffer_bytes = 512, .blocks = 64});
  Socket socket = f.OpenStream();
  std::thread application([&] {
    SendWriter writer(f.region, socket.entry());
    for (uint32_t sent = 0; sent < kMessages;) {
      const uint8_t byte = ByteAt(sent);
      Held held(socket.entry().send_lock);
      if (SendQueueBytes(socket.entry()) < 3) sent += writer.Write({&byte, 1});
    }
  });
  bool right = true;
  uint32_t given_back = 0;
  SendQueue queue = socket.send_queue();
  for (uint32_t released = 0; released < kMessages && right;) {
    if (queue.bytes() != 0) {
      right = queue.Read(0, 1, [&](std::span<const uint8_t> bytes) {
        right = right && bytes[0] == ByteAt(released);
      }) && right;
      right = queue.Release(1) && right;
      ++released;
    }
    const bool had = socket.side().send.first.in_block();
    queue.GiveBackIdleBlock();
    queue.GiveBackIdleBlock();
    if (had && !socket.side().send.first.in_block()) ++given_back;
  }
  application.join();
  CHECK(right);
  CHECK(given_back > 0);
  CHECK(socket.entry().send_lock.load() == kLockFree);
  f.table.Close(socket);
  CHECK(f.buffers_used() == 0);
  CHECK(f.blocks_used() == 0);
}

TEST_CASE("a stream survives an application and an engine in two threads, receiving") {
  Fixture f({.sockets = 4, .buffers = 64, .buffer_bytes = 512, .blocks = 64});
  PlainPool pool(64);
  rte_mbuf* anchor = rte_pktmbuf_alloc(pool.get());
  rte_pktmbuf_free(anchor);
  f.ShareMbufs(anchor);
  Socket socket = f.OpenStream();
  bool right = true;
  std::thread application([&] {
    Random random(3);
    ReceiveReader reader(f.region, socket.entry());
    uint8_t bytes[2000];
    for (uint32_t received = 0; received < kTotal && right;) {
      uint32_t count = reader.Read({bytes, 1 + random.Below(2000)}, false);
      for (uint32_t i = 0; i < count; ++i) right = right && bytes[i] == ByteAt(received + i);
      received += count;
      if (count == 0) std::this_thread::yield();
    }
  });
  Random random(4);
  for (uint32_t pushed = 0; pushed < kTotal;) {
    ReceiveQueue queue = socket.receive_queue();
    queue.Reclaim();
    rte_mbuf* packet = rte_pktmbuf_alloc(pool.get());
    if (packet == nullptr) {
      std::this_thread::yield();
      continue;
    }
    uint32_t length = std::min<uint32_t>(1 + random.Below(1400), kTotal - pushed);
    uint8_t* to = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(packet, length));
    for (uint32_t i = 0; i < length; ++i) to[i] = ByteAt(pushed + i);
    if (queue.bytes() < 100000 && queue.Push(packet, random.Below(3) == 0)) {
      pushed += length;
    } else {
      rte_pktmbuf_free(packet);
      std::this_thread::yield();
    }
  }
  application.join();
  CHECK(right);
  f.table.Close(socket);
  CHECK(f.blocks_used() == 0);
  CHECK(pool.available() == 64);
}

TEST_CASE("no event is lost between an engine that notifies and an application that waits") {
  Fixture f;
  Socket socket = f.OpenStream();
  Entry& e = socket.entry();
  constexpr uint32_t kRounds = 50000;
  // The engine publishes a count of bytes and notifies; the application, whenever it finds nothing
  // new, says that it waits, looks again, and then relies on the event alone.
  std::thread engine([&] {
    for (uint32_t i = 1; i <= kRounds; ++i) {
      e.receive_producer.bytes.Release(i);
      socket.Notify(kEventIn);
      if (i % 64 == 0) std::this_thread::yield();
    }
  });
  uint32_t seen = 0;
  while (seen < kRounds) {
    e.event_mask.SetBits(kEventIn);
    uint32_t now = e.receive_producer.bytes.Acquire();
    while (now == seen) {
      uint32_t index;
      if (f.region.events(0).Pop(index, f.region.slot_queue_mask())) {
        e.event_pending.Exchange(0);
        now = e.receive_producer.bytes.Acquire();
      }
    }
    seen = now;
    e.event_mask.ClearBits(kEventIn);
    uint32_t index;
    if (f.region.events(0).Pop(index, f.region.slot_queue_mask())) e.event_pending.Exchange(0);
  }
  engine.join();
  CHECK(seen == kRounds);
}

}  // namespace
}  // namespace sluice::table
