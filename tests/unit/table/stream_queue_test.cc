// Both ends of a stream's queues against a model that is a string.
#include <rte_mbuf.h>

#include <catch2/catch.hpp>
#include <string>

#include "base/plain_pool.h"
#include "base/random.h"
#include "tests/unit/table/fixture.h"

namespace sluice::table {
namespace {

std::span<const uint8_t> Bytes(const std::string& s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

std::string Text(uint64_t from, uint32_t length) {
  std::string text(length, 0);
  for (uint32_t i = 0; i < length; ++i) text[i] = static_cast<char>((from + i) * 31 % 251);
  return text;
}

rte_mbuf* Packet(PlainPool& pool, const std::string& text, uint32_t piece = 0) {
  rte_mbuf* head = rte_pktmbuf_alloc(pool.get());
  if (head == nullptr) return nullptr;
  uint32_t first = piece == 0 ? text.size() : std::min<size_t>(piece, text.size());
  std::memcpy(rte_pktmbuf_append(head, first), text.data(), first);
  if (first < text.size()) {
    rte_mbuf* rest = Packet(pool, text.substr(first), piece);
    REQUIRE(rte_pktmbuf_chain(head, rest) == 0);
  }
  return head;
}

// An address among the pool's mbufs.
const void* Anchor(PlainPool& pool) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool.get());
  rte_pktmbuf_free(packet);
  return packet;
}

std::string ReadAll(SendQueue& queue, uint32_t offset, uint32_t length, bool& whole) {
  std::string text;
  whole = queue.Read(offset, length, [&text](std::span<const uint8_t> bytes) {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return text;
}

TEST_CASE("what is written to a send queue is read, read again, and released") {
  Fixture f;
  Socket socket = f.OpenStream();
  SendWriter writer(f.region, socket.entry());
  CHECK(writer.Write(Bytes("hello, ")) == 7);
  CHECK(writer.Write(Bytes("world")) == 5);
  SendQueue queue = socket.send_queue();
  CHECK(queue.bytes() == 12);
  bool whole = false;
  CHECK(ReadAll(queue, 0, 12, whole) == "hello, world");
  CHECK(ReadAll(queue, 3, 6, whole) == "lo, wo");
  CHECK(whole);
  ReadAll(queue, 3, 10, whole);
  CHECK_FALSE(whole);
  CHECK(queue.Release(9));
  CHECK(ReadAll(queue, 0, 3, whole) == "rld");
  CHECK_FALSE(queue.Release(4));
  CHECK(SendQueueBytes(socket.entry()) == 0);
}

TEST_CASE("no more than the limit waits for its first transmission") {
  Fixture f;
  Socket socket = f.OpenStream();
  Entry& e = socket.entry();
  e.options.send_buffer_bytes.store(1 << 20);
  SendWriter writer(f.region, e);
  const auto fill = [&writer] {
    uint32_t total = 0;
    while (const uint32_t taken = writer.Write(Bytes(Text(0, 4096)))) total += taken;
    return total;
  };
  SECTION("by default so much that a third of it wakes a program") {
    CHECK(fill() == kNotSentBytes);
    CHECK_FALSE(StreamWritable(e));
    e.bytes_sent.store(kNotSentBytes / 3 - 1);
    CHECK_FALSE(StreamWritable(e));
    e.bytes_sent.store(kNotSentBytes / 3 + 1);
    CHECK(StreamWritable(e));
    e.bytes_sent.store(kNotSentBytes);
    CHECK(fill() == kNotSentBytes);
  }
  SECTION("as TCP_NOTSENT_LOWAT says, though never a few bytes at a time") {
    e.options.not_sent_low_water_bytes.store(1);
    CHECK(writer.Room() == kNotSentStepBytes);
    CHECK(StreamWritable(e));
    CHECK(writer.Write(Bytes("x")) == 1);
    CHECK(writer.Room() == 0);
    CHECK_FALSE(StreamWritable(e));
    e.bytes_sent.store(1);
    CHECK(StreamWritable(e));
  }
  SECTION("but all of a buffer whose size the program has set") {
    e.options.Set(kSendBufferLocked, true);
    e.options.send_buffer_bytes.store(2 * kNotSentBytes);
    CHECK(fill() == 2 * kNotSentBytes);
  }
  SECTION("and what is released counts as sent") {
    CHECK(fill() == kNotSentBytes);
    CHECK(socket.send_queue().Release(kNotSentBytes));
    CHECK(StreamWritable(e));
    CHECK(writer.Room() == kNotSentBytes);
  }
}

TEST_CASE("an idle socket holds no buffer after its data is acknowledged") {
  Fixture f;
  Socket socket = f.OpenStream();
  SendWriter writer(f.region, socket.entry());
  REQUIRE(writer.Write(Bytes(Text(0, 5000))) == 5000);
  CHECK(f.buffers_used() == 3);
  REQUIRE(socket.send_queue().Release(5000));
  CHECK(f.buffers_used() == 0);
  CHECK(f.blocks_used() <= 1);
  f.table.Close(socket);
  CHECK(f.blocks_used() == 0);
}

TEST_CASE("small writes behind a backlog share a buffer") {
  Fixture f;
  Socket socket = f.OpenStream();
  SendWriter writer(f.region, socket.entry());
  for (int i = 0; i < 100; ++i) REQUIRE(writer.Write(Bytes("ten bytes!")) == 10);
  CHECK(f.buffers_used() <= 2);
  REQUIRE(socket.send_queue().Release(1000));
  f.table.Close(socket);
  CHECK(f.buffers_used() == 0);
  CHECK(f.blocks_used() == 0);
}

TEST_CASE("a write takes what the send buffer and the region hold") {
  Fixture f({.sockets = 4, .buffers = 2, .buffer_bytes = 1024, .blocks = 8});
  Socket socket = f.OpenStream();
  socket.entry().options.send_buffer_bytes.store(1500);
  SendWriter writer(f.region, socket.entry());
  CHECK(writer.Write(Bytes(Text(0, 4000))) == 1500);
  CHECK(writer.Write(Bytes("x")) == 0);
  socket.entry().options.send_buffer_bytes.store(100000);
  CHECK(writer.Write(Bytes("x")) == 0);  // room, but no buffer
  CHECK(f.region.header().buffers.exhausted.load() >= 1);
  f.table.Close(socket);
  CHECK(f.buffers_used() == 0);
}

TEST_CASE("a send queue behaves as a string does, for many seeds") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    Fixture f({.sockets = 4, .buffers = 40, .buffer_bytes = 256, .blocks = 64});
    Socket socket = f.OpenStream();
    SendWriter writer(f.region, socket.entry());
    SendQueue queue = socket.send_queue();
    std::string model;
    uint64_t written = 0;
    for (int step = 0; step < 200; ++step) {
      if (random.Below(2) == 0) {
        std::string text = Text(written, 1 + random.Below(700));
        uint32_t taken = writer.Write(Bytes(text));
        model += text.substr(0, taken);
        written += taken;
      } else if (random.Below(2) == 0 && !model.empty()) {
        uint32_t offset = random.Below(model.size());
        uint32_t length = 1 + random.Below(model.size() - offset);
        bool whole = false;
        REQUIRE(ReadAll(queue, offset, length, whole) == model.substr(offset, length));
        REQUIRE(whole);
      } else {
        uint32_t count = random.Below(model.size() + 1);
        REQUIRE(queue.Release(count));
        model.erase(0, count);
      }
      REQUIRE(queue.bytes() == model.size());
    }
    f.table.Close(socket);
    REQUIRE(f.buffers_used() == 0);
    REQUIRE(f.blocks_used() == 0);
  }
}

TEST_CASE("a receive queue behaves as a string does, for many seeds, and gives all back") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    Fixture f({.sockets = 4, .buffers = 24, .buffer_bytes = 256, .blocks = 24});
    PlainPool pool(64);
    if (seed % 3 != 0) f.ShareMbufs(Anchor(pool));
    Socket socket = f.OpenStream();
    ReceiveReader reader(f.region, socket.entry());
    std::string model;
    uint64_t pushed = 0;
    for (int step = 0; step < 200; ++step) {
      if (random.Below(2) == 0) {
        std::string text = Text(pushed, 1 + random.Below(1400));
        rte_mbuf* packet = Packet(pool, text, random.Below(3) == 0 ? 400 : 0);
        if (packet == nullptr) continue;
        if (socket.receive_queue().Push(packet, random.Below(4) == 0)) {
          model += text;
          pushed += text.size();
        } else {
          rte_pktmbuf_free(packet);
        }
      } else {
        std::string into(1 + random.Below(3000), 0);
        bool peek = random.Below(4) == 0;
        uint32_t taken = reader.Read({reinterpret_cast<uint8_t*>(into.data()), into.size()}, peek);
        REQUIRE(taken == std::min(into.size(), model.size()));
        REQUIRE(into.substr(0, taken) == model.substr(0, taken));
        if (!peek) model.erase(0, taken);
      }
      REQUIRE(socket.receive_queue().bytes() == model.size());
    }
    reader.Discard(model.size());
    socket.receive_queue().Reclaim();
    REQUIRE(f.buffers_used() == 0);
    REQUIRE(f.blocks_used() == 0);
    REQUIRE(pool.available() == 64);
    if (seed % 2 == 0) REQUIRE(socket.receive_queue().Push(Packet(pool, "left"), false));
    f.table.Close(socket);
    REQUIRE(f.blocks_used() == 0);
    REQUIRE(pool.available() == 64);
  }
}

TEST_CASE("many small unread pieces do not pin an mbuf each") {
  Fixture f;
  PlainPool pool(64);
  f.ShareMbufs(Anchor(pool));
  Socket socket = f.OpenStream();
  for (int i = 0; i < 500; ++i) {
    REQUIRE(socket.receive_queue().Push(Packet(pool, "x"), false));
  }
  CHECK(pool.available() >= 64 - 9);
  CHECK(f.buffers_used() <= 2);
  f.table.Close(socket);
}

TEST_CASE("zero copy: the front of a receive queue lies where it was received") {
  Fixture f;
  PlainPool pool(8);
  f.ShareMbufs(Anchor(pool));
  Socket socket = f.OpenStream();
  rte_mbuf* packet = Packet(pool, "payload");
  const uint8_t* where = rte_pktmbuf_mtod(packet, const uint8_t*);
  REQUIRE(socket.receive_queue().Push(packet, false));
  ReceiveReader reader(f.region, socket.entry());
  CHECK(reader.Front().data() == where);
  CHECK(reader.Front().size() == 7);
  reader.Discard(3);
  CHECK(reader.Front().data() == where + 3);
  socket.receive_queue().Reclaim();
  CHECK(pool.available() == 7);
  reader.Discard(4);
  CHECK(reader.Front().empty());
  socket.receive_queue().Reclaim();
  CHECK(pool.available() == 8);
}

TEST_CASE("a scribbled send queue fails and leads nowhere") {
  Fixture f;
  Socket socket = f.OpenStream();
  SendWriter writer(f.region, socket.entry());
  REQUIRE(writer.Write(Bytes(Text(0, 100))) == 100);
  bool whole = false;
  SendQueue queue = socket.send_queue();
  SECTION("a count without descriptors") {
    socket.entry().send_producer.bytes.store(1000);
    ReadAll(queue, 0, 1000, whole);
    CHECK_FALSE(whole);
    CHECK_FALSE(queue.Release(1000));
  }
  SECTION("a buffer that does not exist") {
    RingAt(f.region, {.position = 0, .place = 0}).buffer = 0x7fffffff;
    ReadAll(queue, 0, 100, whole);
    CHECK_FALSE(whole);
  }
  SECTION("a block that does not exist") {
    socket.entry().send_producer.first_block.store(0x12345678);
    ReadAll(queue, 0, 100, whole);
    CHECK_FALSE(whole);
    CHECK_FALSE(queue.Release(100));
  }
}

}  // namespace
}  // namespace sluice::table
