#include <rte_mbuf.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/plain_pool.h"
#include "base/random.h"
#include "tests/unit/table/fixture.h"

namespace sluice::table {
namespace {

DatagramHeader From(uint16_t port) {
  DatagramHeader header;
  header.peer = {wire::IpAddress::V4(192, 0, 2, 1), port, 0};
  return header;
}

rte_mbuf* Packet(PlainPool& pool, const std::string& text) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool.get());
  std::memcpy(rte_pktmbuf_append(packet, text.size()), text.data(), text.size());
  return packet;
}

struct Read {
  bool ok;
  DatagramHeader header;
  uint32_t length = 0;
  uint16_t flags = 0;
  std::string text;
};

Read ReadOne(ReceiveReader reader, size_t room, bool peek = false) {
  Read read;
  std::string text(room, 0);
  // Two pieces, one of them empty, to cross the seams.
  iovec pieces[] = {
      {text.data(), room / 2}, {nullptr, 0}, {text.data() + room / 2, room - room / 2}};
  read.ok = reader.ReadDatagram(read.header, pieces, read.length, read.flags, peek);
  read.text = text.substr(0, std::min<size_t>(room, read.length));
  return read;
}

TEST_CASE("datagrams keep their borders, their senders and their order") {
  Fixture f;
  PlainPool pool(16);
  bool shared = GENERATE(false, true);
  rte_mbuf* anchor = rte_pktmbuf_alloc(pool.get());
  rte_pktmbuf_free(anchor);
  if (shared) f.ShareMbufs(anchor);
  Socket socket = f.OpenDatagram();
  ReceiveReader reader(f.region, socket.entry());
  CHECK_FALSE(ReadOne(reader, 10).ok);
  REQUIRE(socket.receive_queue().PushDatagram(From(1), Packet(pool, "first"), false));
  REQUIRE(socket.receive_queue().PushDatagram(From(2), Packet(pool, ""), false));
  REQUIRE(socket.receive_queue().PushDatagram(From(3), Packet(pool, "third"), false));
  CHECK((Readiness(socket.entry()) & kEventIn) != 0);
  Read peeked = ReadOne(reader, 10, true);
  CHECK(peeked.text == "first");
  Read first = ReadOne(reader, 3);
  CHECK(first.ok);
  CHECK(first.text == "fir");
  CHECK(first.length == 5);
  CHECK(first.header.peer.port == 1);
  Read second = ReadOne(reader, 10);
  CHECK(second.ok);
  CHECK(second.length == 0);
  CHECK(second.header.peer.port == 2);
  CHECK(ReadOne(reader, 10).text == "third");
  CHECK((Readiness(socket.entry()) & kEventIn) == 0);
  socket.receive_queue().Reclaim();
  CHECK(pool.available() == 16);
  CHECK(f.buffers_used() == 0);
  CHECK(f.blocks_used() == 0);
}

TEST_CASE("stored datagrams are seen once they are published") {
  Fixture f;
  PlainPool pool(16);
  rte_mbuf* lent = Packet(pool, "first");
  f.ShareMbufs(lent);
  Socket socket = f.OpenDatagram();
  ReceiveReader reader(f.region, socket.entry());
  ReceiveQueue queue = socket.receive_queue();
  *queue.StoreDatagram(lent) = From(1);
  *queue.StoreDatagram(Packet(pool, "")) = From(2);
  CHECK_FALSE(ReadOne(reader, 10).ok);
  CHECK(queue.bytes() == 0);
  queue.PublishStored(5);
  CHECK(queue.bytes() == 5);
  Descriptor descriptor;
  const DatagramHeader* const front = reader.FrontWhole(descriptor);
  REQUIRE(front != nullptr);
  CHECK(front->peer.port == 1);
  CHECK(reader.PayloadOf(descriptor).size() == 5);
  reader.TakeWhole();
  REQUIRE(reader.FrontWhole(descriptor) != nullptr);
  reader.TakeWhole();
  CHECK(reader.FrontWhole(descriptor) == nullptr);
  CHECK(queue.mbufs_held() == 2);
  reader.PublishTaken(5);
  queue.Reclaim();
  CHECK(queue.mbufs_held() == 0);
  CHECK(queue.bytes() == 0);
  CHECK(pool.available() == 16);
}

TEST_CASE("a packet that cannot be lent is not stored") {
  Fixture f;
  PlainPool pool(16);
  rte_mbuf* packet = Packet(pool, "bytes");
  f.ShareMbufs(packet);
  Socket socket = f.OpenDatagram();
  ReceiveQueue queue = socket.receive_queue();
  SECTION("a second reference") {
    rte_mbuf_refcnt_update(packet, 1);
    CHECK(queue.StoreDatagram(packet) == nullptr);
    rte_mbuf_refcnt_update(packet, -1);
  }
  SECTION("a chain") {
    REQUIRE(rte_pktmbuf_chain(packet, Packet(pool, "more")) == 0);
    CHECK(queue.StoreDatagram(packet) == nullptr);
  }
  SECTION("no headroom") {
    rte_pktmbuf_prepend(packet, 60);
    CHECK(queue.StoreDatagram(packet) == nullptr);
  }
  CHECK(queue.held() == 0);
  rte_pktmbuf_free(packet);
  CHECK(pool.available() == 16);
}

TEST_CASE("a run of datagrams is seen when it ends, and leaves no buffer behind") {
  Fixture f;
  Socket socket = f.OpenDatagram();
  Entry& entry = socket.entry();
  entry.options.send_buffer_bytes.store(12);
  SendQueue queue = socket.send_queue();
  char text[] = "datagram";
  const iovec piece{text, 8};
  {
    DatagramRun run(f.region, entry, 5);
    CHECK(run.Write(From(1), {wire::IpAddress::V4(192, 0, 2, 7), 7, 0}, piece, 0));
    CHECK(run.Write(From(1), {wire::IpAddress::V4(192, 0, 2, 8), 8, 0}, piece, 8));
    CHECK_FALSE(run.Write(From(1), {wire::IpAddress::V4(192, 0, 2, 9), 9, 0}, piece, 8));
    CHECK(queue.descriptors() == 0);
  }
  CHECK(queue.descriptors() == 2);
  CHECK(queue.bytes() == 8);
  CHECK(f.buffers_used() == 2);
  DatagramHeader header;
  SendQueue::Whole whole;
  REQUIRE(queue.ReadWhole(header, whole));
  CHECK(header.peer.port == 7);
  CHECK(whole.payload.empty());
  queue.DropWhole(whole);
  REQUIRE(queue.ReadWhole(header, whole));
  CHECK(header.peer.port == 8);
  CHECK(std::string(whole.payload.begin(), whole.payload.end()) == "datagram");
  queue.DropWhole(whole);
  CHECK_FALSE(queue.ReadWhole(header, whole));
  queue.Publish();
  CHECK(SendQueueBytes(entry) == 0);
  CHECK(f.buffers_used() == 0);
}

TEST_CASE("a datagram whose bytes another packet shares keeps them as they are") {
  Fixture f;
  PlainPool pool(16);
  rte_mbuf* original = Packet(pool, "shared");
  f.ShareMbufs(original);
  std::memset(original->buf_addr, 0x55, original->data_off);
  rte_mbuf* packet = original;
  SECTION("a clone") { packet = rte_pktmbuf_clone(original, pool.get()); }
  SECTION("a second reference") { rte_mbuf_refcnt_update(original, 1); }
  Socket socket = f.OpenDatagram();
  REQUIRE(socket.receive_queue().PushDatagram(From(7), packet, false));
  const auto* headroom = static_cast<const uint8_t*>(original->buf_addr);
  CHECK(std::all_of(headroom, headroom + original->data_off,
                    [](uint8_t byte) { return byte == 0x55; }));
  CHECK(ReadOne(ReceiveReader(f.region, socket.entry()), 10).text == "shared");
  socket.receive_queue().Reclaim();
  rte_pktmbuf_free(original);
  CHECK(pool.available() == 16);
}

TEST_CASE("a datagram of 65,507 bytes crosses the send queue") {
  Fixture f;
  Socket socket = f.OpenDatagram();
  SendWriter writer(f.region, socket.entry());
  std::string text(65507, 0);
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i % 249);
  iovec pieces[] = {{text.data(), 1000}, {text.data() + 1000, 64507}};
  REQUIRE(writer.WriteDatagram(From(9), pieces, 65507));
  DatagramHeader header;
  uint32_t length;
  std::string read;
  SendQueue queue = socket.send_queue();
  REQUIRE(queue.ReadDatagram(header, length, [&read](std::span<const uint8_t> bytes) {
    read.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }));
  CHECK(length == 65507);
  CHECK(header.peer.port == 9);
  CHECK(read == text);
  queue.PopDatagram();
  CHECK(f.buffers_used() == 0);
  CHECK(SendQueueBytes(socket.entry()) == 0);
}

TEST_CASE("a datagram that does not fit leaves nothing behind") {
  Fixture f({.sockets = 4, .buffers = 4, .buffer_bytes = 1024, .blocks = 4});
  Socket socket = f.OpenDatagram();
  SendWriter writer(f.region, socket.entry());
  std::string text(5000, 'x');
  iovec piece{text.data(), text.size()};
  CHECK_FALSE(writer.WriteDatagram(From(1), {&piece, 1}, 5000));
  CHECK(f.buffers_used() == 0);
  CHECK(f.blocks_used() == 0);
  piece.iov_len = 3000;
  CHECK(writer.WriteDatagram(From(1), {&piece, 1}, 3000));
  DatagramHeader header;
  uint32_t length;
  CHECK(socket.send_queue().ReadDatagram(header, length, [](auto) {}));
  CHECK(length == 3000);
}

TEST_CASE("datagrams both ways behave as a list does, for many seeds") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    Fixture f({.sockets = 4, .buffers = 32, .buffer_bytes = 512, .blocks = 32});
    Socket socket = f.OpenDatagram();
    SendWriter writer(f.region, socket.entry());
    SendQueue queue = socket.send_queue();
    std::vector<std::string> model;
    for (int step = 0; step < 150; ++step) {
      if (random.Below(2) == 0) {
        std::string text(random.Below(3000), static_cast<char>(random.Below(256)));
        iovec piece{text.data(), text.size()};
        if (writer.WriteDatagram(From(5), {&piece, 1}, text.size())) model.push_back(text);
      } else if (!model.empty()) {
        DatagramHeader header;
        uint32_t length;
        std::string read;
        REQUIRE(queue.ReadDatagram(header, length, [&read](std::span<const uint8_t> bytes) {
          read.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        }));
        REQUIRE(read == model.front());
        model.erase(model.begin());
        queue.PopDatagram();
      }
    }
    f.table.Close(socket);
    REQUIRE(f.buffers_used() == 0);
    REQUIRE(f.blocks_used() == 0);
  }
}

TEST_CASE("the error queue is a queue of its own") {
  Fixture f;
  PlainPool pool(4);
  Socket socket = f.OpenDatagram();
  DatagramHeader report = From(7);
  report.error_origin = 2;
  report.error = static_cast<uint8_t>(Result::kRefused);
  REQUIRE(socket.OpenThirdQueue());
  REQUIRE(socket.error_queue().PushDatagram(report, Packet(pool, "quoted"), false));
  CHECK((Readiness(socket.entry()) & kEventErr) != 0);
  CHECK((Readiness(socket.entry()) & kEventIn) == 0);
  uint32_t offset = 0;
  Read read = ReadOne(ReceiveReader::ErrorQueue(f.region, socket.entry(), offset), 20);
  CHECK(read.text == "quoted");
  CHECK((read.flags & kErrorReport) != 0);
  CHECK(read.header.error == static_cast<uint8_t>(Result::kRefused));
  f.table.Close(socket);
  CHECK(f.buffers_used() == 0);
  CHECK(f.blocks_used() == 0);
}

}  // namespace
}  // namespace sluice::table
