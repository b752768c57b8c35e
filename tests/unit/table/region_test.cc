#include <catch2/catch.hpp>

#include "base/plain_pool.h"
#include "tests/unit/table/fixture.h"

#include <rte_mbuf.h>

namespace sluice::table {
namespace {

TEST_CASE("a second view of a region sees the same entries") {
  Fixture f;
  Socket socket = f.OpenStream();
  std::optional<Region> view =
      Region::Attach(&f.region.header(), Region::BytesNeeded(f.region.limits()));
  REQUIRE(view);
  CHECK(view->entry(socket.index()).socket_id.load() == socket.entry().socket_id.load());
  CHECK(&view->doorbells(0) == &f.region.doorbells(0));
  CHECK(view->storage(3) == f.region.storage(3));
}

TEST_CASE("memory that is no region, or too small for what it says, is refused") {
  Fixture f;
  size_t bytes = Region::BytesNeeded(f.region.limits());
  RegionHeader& header = f.region.header();
  CHECK_FALSE(Region::Attach(&header, bytes - 1));
  CHECK_FALSE(Region::Attach(&header, 16));
  header.limits.buffers = 1u << 30;
  CHECK_FALSE(Region::Attach(&header, bytes));
  header.limits.buffers = 256;
  header.magic ^= 1;
  CHECK_FALSE(Region::Attach(&header, bytes));
}

TEST_CASE("lanes do not overlap") {
  Fixture f({.sockets = 100, .buffers = 8, .blocks = 8, .lanes = 3});
  for (uint32_t lane = 0; lane < 3; ++lane) {
    for (uint32_t i = 0; i < 128; ++i) REQUIRE(f.region.events(lane).Push(lane << 16 | i));
    CHECK_FALSE(f.region.events(lane).Push(0));
    f.region.replies(lane)[0].value.store(lane);
    f.region.replies(lane)[kReplySlots - 1].value.store(lane);
  }
  for (uint32_t lane = 0; lane < 3; ++lane) {
    uint32_t value;
    for (uint32_t i = 0; i < 128; ++i) {
      REQUIRE(f.region.events(lane).Pop(value, f.region.slot_queue_mask()));
      REQUIRE(value == (lane << 16 | i));
    }
    CHECK(f.region.replies(lane)[0].value.load() == lane);
    CHECK(f.region.replies(lane)[kReplySlots - 1].value.load() == lane);
  }
}

TEST_CASE("a descriptor that points outside names nothing") {
  Fixture f;
  uint32_t room = f.region.storage_bytes();
  CHECK(f.region.Payload({.buffer = 0, .length = room, .offset = 0}).size() == room);
  CHECK(f.region.Payload({.buffer = 0, .length = room, .offset = 1}).empty());
  CHECK(f.region.Payload({.buffer = 0, .length = 0xffffffff, .offset = 1}).empty());
  CHECK(f.region.Payload({.buffer = 256, .length = 1}).empty());
  CHECK(f.region.Payload({.buffer = kNone, .length = 1}).empty());
  CHECK(f.region.Payload({.buffer = Region::kMbufBit, .length = 1}).empty());  // none are shared
}

TEST_CASE("mbufs are named by distance once they are shared") {
  Fixture f;
  PlainPool pool(4);
  rte_mbuf* packet = rte_pktmbuf_alloc(pool.get());
  CHECK(f.region.MbufReference(packet) == kNone);
  f.ShareMbufs(packet);
  uint32_t reference = f.region.MbufReference(packet);
  REQUIRE(Region::IsMbuf(reference));
  CHECK(f.region.MbufAt(reference) == packet);
  CHECK(f.region.Payload({.buffer = reference, .length = 10, .offset = packet->data_off}).data() ==
        rte_pktmbuf_mtod(packet, uint8_t*));
  CHECK(f.region.MbufReference(reinterpret_cast<rte_mbuf*>(uintptr_t{64})) == kNone);
  rte_pktmbuf_free(packet);
}

}  // namespace
}  // namespace sluice::table
