#include "table/socket_table.h"

#include <rte_mbuf.h>

#include <catch2/catch.hpp>
#include <set>
#include <vector>

#include "base/plain_pool.h"
#include "tests/unit/table/fixture.h"

namespace sluice::table {
namespace {

TEST_CASE("a stale handle is an error and never somebody else's socket") {
  Fixture f;
  Socket first = f.OpenStream();
  Handle old = first.handle();
  f.table.Close(first);
  Socket second = f.OpenStream();
  CHECK(second.index() == old.index);
  CHECK(second.handle().generation != old.generation);
  CHECK_FALSE(f.table.Find(old));
  CHECK_FALSE(f.table.Find({old.index, old.generation + 1}));
  CHECK_FALSE(f.table.Find({1000, 1}));
  CHECK_FALSE(f.table.Find({}));
  CHECK(f.table.Find(second.handle()));
  CHECK(f.table.counters().stale_handles == 4);
}

TEST_CASE("a full table refuses and recovers") {
  Fixture f({.sockets = 3, .buffers = 4, .blocks = 4});
  Socket a = f.OpenStream();
  f.OpenStream();
  f.OpenStream();
  CHECK(f.table.Open(Type::kStream, IPPROTO_TCP, AF_INET, Status::kUnconnected).is_none());
  CHECK(f.table.counters().refused_sockets == 1);
  f.table.Close(a);
  CHECK(f.OpenStream());
}

TEST_CASE("lanes of one region have slots and identifiers of their own") {
  Fixture f({.sockets = 7, .buffers = 4, .blocks = 4, .lanes = 2});
  SocketTable first(f.region, 0), second(f.region, 1);
  std::set<uint32_t> slots;
  std::set<uint64_t> identifiers;
  for (SocketTable* table : {&first, &second}) {
    for (;;) {
      Handle handle = table->Open(Type::kStream, IPPROTO_TCP, AF_INET, Status::kUnconnected);
      if (handle.is_none()) break;
      CHECK(slots.insert(handle.index).second);
      CHECK(identifiers.insert(f.region.entry(handle.index).socket_id.load()).second);
      CHECK(f.region.entry(handle.index).engine.load() == table->lane());
      CHECK_FALSE((table == &first ? second : first).Find(handle));
      CHECK_FALSE((table == &first ? second : first).At(handle.index));
    }
  }
  CHECK(slots.size() == 7);
  CHECK(first.open_sockets() == 3);
  CHECK(second.open_sockets() == 4);
}

TEST_CASE("socket identifiers are never used twice") {
  Fixture f;
  std::set<uint64_t> seen;
  for (int i = 0; i < 500; ++i) {
    Socket socket = f.OpenStream();
    CHECK(seen.insert(socket.entry().socket_id.load()).second);
    f.table.Close(socket);
  }
}

TEST_CASE("a reopened slot remembers nothing") {
  Fixture f;
  Socket socket = f.OpenStream();
  Entry& e = socket.entry();
  e.options.Set(kNoDelay, true);
  e.application_flags.SetBits(kNonBlocking);
  e.event_mask.store(kEventIn);
  e.local.Store({wire::IpAddress::V4(10, 0, 0, 1), 80, 0});
  const uint8_t bytes[] = "data";
  SendWriter(f.region, e).Write(bytes);
  f.table.Close(socket);
  Socket again = f.OpenStream();
  REQUIRE(again.index() == socket.index());
  CHECK_FALSE(e.options.is_set(kNoDelay));
  CHECK(e.application_flags.load() == 0);
  CHECK(e.event_mask.load() == 0);
  CHECK(e.local.Load() == wire::Endpoint{});
  CHECK(SendQueueBytes(e) == 0);
  CHECK(again.send_queue().bytes() == 0);
}

TEST_CASE("an event is queued once until the application takes it") {
  Fixture f;
  Socket socket = f.OpenStream();
  socket.Notify(kEventIn);  // nobody waits
  uint32_t index;
  CHECK_FALSE(f.region.events(0).Pop(index, f.region.slot_queue_mask()));
  socket.entry().event_mask.store(kEventIn);
  socket.Notify(kEventOut);  // not waited for
  CHECK(f.region.lane(0).notices.load() == 0);
  socket.Notify(kEventIn);
  socket.Notify(kEventIn);
  CHECK(f.region.lane(0).notices.load() == 1);
  REQUIRE(f.region.events(0).Pop(index, f.region.slot_queue_mask()));
  CHECK(index == socket.index());
  CHECK_FALSE(f.region.events(0).Pop(index, f.region.slot_queue_mask()));
  socket.entry().event_pending.store(0);
  socket.SetError(Result::kReset);  // errors are told whatever one waits for
  CHECK(f.region.events(0).Pop(index, f.region.slot_queue_mask()));
}

TEST_CASE("a doorbell stands in the queue once") {
  Fixture f;
  Socket socket = f.OpenStream();
  CHECK_FALSE(RingDoorbell(f.region, socket.index()));
  f.region.lane(0).engine_sleeps.store(1);
  CHECK(RingDoorbell(f.region, socket.index()));
  uint32_t index;
  CHECK(f.region.doorbells(0).Pop(index, f.region.slot_queue_mask()));
  CHECK_FALSE(f.region.doorbells(0).Pop(index, f.region.slot_queue_mask()));
}

TEST_CASE("the connection queue carries handles and gives its blocks back") {
  Fixture f({.sockets = 64, .buffers = 4, .blocks = 4});
  Socket listener = f.OpenStream(Status::kListening);
  REQUIRE(listener.OpenThirdQueue());
  CHECK(Readiness(listener.entry()) == 0);
  for (uint32_t round = 0; round < 100; ++round) {
    for (uint32_t i = 0; i < 10; ++i) REQUIRE(listener.connection_queue().Push({i, round}));
    CHECK(Readiness(listener.entry()) == kEventIn);
    for (uint32_t i = 0; i < 10; ++i) {
      CHECK(ReadConnection(f.region, listener.entry()) == Handle{i, round});
    }
    CHECK(ReadConnection(f.region, listener.entry()).is_none());
  }
  listener.connection_queue().Reclaim();
  CHECK(f.blocks_used() == 0);
  listener.connection_queue().Push({7, 1});
  ReadConnection(f.region, listener.entry());
  listener.connection_queue().Push({8, 1});
  std::set<uint32_t> waiting;
  listener.connection_queue().ForEachWaiting([&waiting](Handle h) { waiting.insert(h.index); });
  CHECK(waiting == std::set<uint32_t>{8});
  listener.connection_queue().Push({9, 1});
  CHECK(ReadConnection(f.region, listener.entry()) == Handle{8, 1});
  CHECK(ReadConnection(f.region, listener.entry()) == Handle{9, 1});
  listener.connection_queue().Push({10, 1});
  listener.connection_queue().Clear();
  CHECK(f.blocks_used() == 0);
}

TEST_CASE("an idle socket holds no storage") {
  Fixture f;
  Socket socket = f.OpenStream();
  Entry& entry = socket.entry();
  SendWriter writer(f.region, entry);
  const std::vector<uint8_t> message(10, 'x');
  const auto exchange = [&] {
    REQUIRE(writer.Write(message) == 10);
    REQUIRE(socket.send_queue().Release(10));
  };
  using Sweep = SocketTable::Sweep;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i <= round; ++i) exchange();
    CHECK(f.blocks_used() == 1);
    CHECK(f.table.SweepIdle(64) == Sweep::kAgain);
    exchange();
    CHECK(f.table.SweepIdle(64) == Sweep::kAgain);  // it was not idle since the last round
    CHECK(f.blocks_used() == 1);
    CHECK(f.table.SweepIdle(64) == Sweep::kDone);
    CHECK(f.blocks_used() == 0);
  }

  SECTION("what is not acknowledged stays") {
    REQUIRE(writer.Write(message) == 10);
    CHECK(f.table.SweepIdle(64) == Sweep::kDone);
    CHECK(f.table.SweepIdle(64) == Sweep::kDone);
    CHECK(f.blocks_used() == 1);
    CHECK(socket.send_queue().Release(10));
  }
  SECTION("small writes behind each other leave a buffer with room") {
    REQUIRE(writer.Write(message) == 10);
    REQUIRE(writer.Write(message) == 10);
    REQUIRE(socket.send_queue().Release(20));
    CHECK(f.buffers_used() == 1);
    CHECK(f.table.SweepIdle(64) == Sweep::kAgain);
    CHECK(f.table.SweepIdle(64) == Sweep::kDone);
    CHECK(f.buffers_used() == 0);
    CHECK(writer.Write(message) == 10);
    CHECK(socket.send_queue().Release(10));
  }
  SECTION("the application is in the middle of a call") {
    exchange();
    CHECK(f.table.SweepIdle(64) == Sweep::kAgain);
    entry.send_lock.store(kLockHeld);
    CHECK(f.table.SweepIdle(64) == Sweep::kAgain);
    CHECK(f.blocks_used() == 1);
    entry.send_lock.store(kLockFree);
    CHECK(f.table.SweepIdle(64) == Sweep::kDone);
    CHECK(f.blocks_used() == 0);
    CHECK(entry.send_lock.load() == kLockFree);
  }
  SECTION("a few slots at a time") {
    f.OpenStream();
    exchange();
    CHECK(f.table.SweepIdle(1) == Sweep::kGoesOn);
    CHECK(f.table.SweepIdle(1) == Sweep::kAgain);
  }
  f.table.Close(socket);
  CHECK(f.blocks_used() == 0);
}

TEST_CASE("what an idle socket has read is taken back without its doorbell") {
  Fixture f;
  Socket socket = f.OpenStream();
  using Sweep = SocketTable::Sweep;
  PlainPool pool(4);
  f.ShareMbufs(pool.get());
  rte_mbuf* packet = rte_pktmbuf_alloc(pool.get());
  rte_pktmbuf_append(packet, 100);
  REQUIRE(socket.receive_queue().Push(packet, false));
  CHECK(f.table.SweepIdle(64) == Sweep::kDone);
  CHECK(f.blocks_used() == 1);
  ReceiveReader(f.region, socket.entry()).Discard(100);
  CHECK(pool.available() == 3);
  CHECK(f.table.SweepIdle(64) == Sweep::kDone);
  CHECK(f.blocks_used() == 0);
  CHECK(pool.available() == 4);
  f.table.Close(socket);
}

TEST_CASE("a slot that is used again starts without the queue that few need") {
  Fixture f;
  for (uint32_t round = 0; round < 3; ++round) {
    Socket first = f.OpenStream(), second = f.OpenStream();
    CHECK_FALSE(first.has_third_queue());
    REQUIRE(first.OpenThirdQueue());
    REQUIRE(second.OpenThirdQueue());
    REQUIRE(first.OpenThirdQueue());
    REQUIRE(first.connection_queue().Push({1, round}));
    REQUIRE(second.connection_queue().Push({2, round}));
    CHECK(ReadConnection(f.region, first.entry()) == Handle{1, round});
    f.table.Close(first);
    CHECK(ReadConnection(f.region, second.entry()) == Handle{2, round});
    f.table.Close(second);
    CHECK(f.blocks_used() == 0);
  }
}

TEST_CASE("readiness follows queues, flags and errors") {
  Fixture f;
  Socket socket = f.OpenStream();
  Entry& e = socket.entry();
  CHECK(Readiness(e) == kEventOut);
  e.engine_flags.SetBits(kEndOfStream);
  CHECK(Readiness(e) == (kEventIn | kEventRdHup | kEventOut));
  e.engine_flags.SetBits(kSendClosed);
  CHECK(Readiness(e) == (kEventIn | kEventRdHup | kEventOut | kEventHup));
  e.error.store(static_cast<uint32_t>(Result::kReset));
  CHECK((Readiness(e) & kEventErr) != 0);
  Socket fresh = f.OpenStream(Status::kUnconnected);
  CHECK(Readiness(fresh.entry()) == (kEventOut | kEventHup));
  Socket connecting = f.OpenStream(Status::kConnecting);
  CHECK(Readiness(connecting.entry()) == 0);
}

TEST_CASE("a scribbled status misleads nobody but its reader") {
  Fixture f;
  Socket socket = f.OpenStream();
  socket.entry().status.store(static_cast<Status>(77));
  CHECK(socket.status() == Status::kConnected);
  CHECK(ToString(socket.entry().status.load()) == "invalid");
  f.table.Close(socket);
  CHECK(f.table.counters().illegal_changes == 0);
}

TEST_CASE("an idle connection's share of table and region is under 520 bytes") {
  CHECK(sizeof(Entry) + sizeof(EngineSide) <= 520);
}

}  // namespace
}  // namespace sluice::table
