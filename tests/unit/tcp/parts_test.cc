// The parts by themselves, against simple models: assembler, scoreboard, SYN cookies, windows.
#include <rte_mbuf.h>

#include <algorithm>
#include <bitset>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "base/plain_pool.h"
#include "base/random.h"
#include "tcp/assembler.h"
#include "tcp/congestion/congestion.h"
#include "tcp/scoreboard.h"
#include "tcp/slab.h"
#include "tcp/syn_cookies.h"

namespace sluice::tcp {
namespace {

rte_mbuf* PacketOf(rte_mempool* pool, const std::string& bytes) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool);
  REQUIRE(packet != nullptr);
  std::memcpy(rte_pktmbuf_append(packet, static_cast<uint16_t>(bytes.size())), bytes.data(),
              bytes.size());
  return packet;
}

TEST_CASE("The assembler puts any order right, whatever overlaps") {
  PlainPool pool(512);
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    AssemblerPool assembler(4, 200, 150);
    const Sequence start(static_cast<uint32_t>(random.Next64()));  // may wrap
    std::string stream;
    for (int i = 0; i < 600; ++i) stream += static_cast<char>(random.Next32());
    uint32_t assembly = kNone;
    Sequence next = start;
    std::string got;
    bool ended = false;
    for (int step = 0; step < 3000 && !ended; ++step) {
      const auto at = static_cast<uint32_t>(got.size());
      const auto begin = static_cast<uint32_t>(
          at + (random.Below(4) == 0 ? 0 : random.Below(stream.size() + 1 - at)));
      const auto count =
          static_cast<uint32_t>(std::min<uint64_t>(random.Below(60), stream.size() - begin));
      const bool fin = begin + count == stream.size();
      if (count == 0 && !fin) continue;
      rte_mbuf* packet = count == 0 ? nullptr : PacketOf(pool.get(), stream.substr(begin, count));
      const auto result = assembler.Insert(&assembly, start + begin, packet, fin);
      if (result == AssemblerPool::Result::kPacketsFull) rte_pktmbuf_free(packet);
      for (const wire::SackBlock& block : assembler.Blocks(assembly)) {
        REQUIRE(block.begin < block.end);
        REQUIRE(block.end <= start + static_cast<uint32_t>(stream.size()));
      }
      Piece piece;
      while (assembler.Take(&assembly, next, &piece)) {
        if (piece.bytes != 0) {
          REQUIRE(piece.packet->pkt_len == piece.bytes);
          got.append(rte_pktmbuf_mtod(piece.packet, const char*), piece.bytes);
          rte_pktmbuf_free(piece.packet);
        }
        next += piece.bytes;
        ended |= piece.fin;
      }
      REQUIRE(stream.compare(0, got.size(), got) == 0);
    }
    CHECK(got == stream);
    assembler.Clear(&assembly);
    CHECK(assembler.packets() == 0);
    CHECK(pool.available() == pool.count());
  }
}

TEST_CASE("The scoreboard is a set of bytes") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    Scoreboard board;
    std::bitset<2048> model;
    const Sequence start(static_cast<uint32_t>(random.Next64()));
    uint32_t una = 0;
    for (int step = 0; step < 200; ++step) {
      const auto begin = una + static_cast<uint32_t>(random.Below(2000 - una));
      const auto end =
          std::min<uint32_t>(begin + 1 + static_cast<uint32_t>(random.Below(40)), 2048);
      bool full;
      const size_t before = model.count();
      const uint32_t news = board.Mark(start + begin, start + end, &full);
      if (!full) {
        for (uint32_t i = begin; i < end; ++i) model.set(i);
      }
      REQUIRE(news == model.count() - before);
      if (random.Below(10) == 0) {
        una += static_cast<uint32_t>(random.Below(100));
        for (uint32_t i = 0; i < una; ++i) model.reset(i);
        board.Forget(start + una);
      }
      REQUIRE(board.bytes == model.count());
      for (uint32_t i = 0; i + 1 < board.count; ++i) {
        REQUIRE(board.ranges[i].end < board.ranges[i + 1].begin);
      }
      if (una > 1800) break;
    }
  }
}

TEST_CASE("Cookies come back as they went, for two minutes, to us alone") {
  const SipKey key{1, 2}, other{1, 3};
  ip::FlowKey flow;
  flow.local = wire::IpAddress::V4(192, 0, 2, 1);
  flow.remote = wire::IpAddress::V4(192, 0, 2, 2);
  flow.local_port = 80;
  flow.remote_port = 40000;
  const Instant now = Instant() + Seconds(64 * 100);
  const Sequence irs(77);
  for (const auto& [mss, kept] :
       {std::pair{100, 216}, {536, 536}, {1459, 1440}, {1460, 1460}, {65535, 8960}}) {
    const Sequence cookie = MakeCookie(key, flow, irs, static_cast<uint16_t>(mss), now);
    CHECK(CheckCookie(key, flow, irs, cookie, now) == kept);
    CHECK(CheckCookie(key, flow, irs, cookie, now + Seconds(64)) == kept);
    CHECK_FALSE(CheckCookie(key, flow, irs, cookie, now + Seconds(128)));
    CHECK_FALSE(CheckCookie(other, flow, irs, cookie, now));
    CHECK_FALSE(CheckCookie(key, flow, irs + 1, cookie, now));
    CHECK_FALSE(CheckCookie(key, flow, irs, cookie + 1, now));
  }
  for (uint32_t clock : {0u, 63u, 64u, 1000000u, 0xffffffffu}) {
    const CookieOptions options{.window_scaling = true, .sack = true, .scale = 9};
    const uint32_t timestamp = CookieTimestamp(clock, options);
    CHECK(static_cast<int32_t>(clock - timestamp) >= 0);
    CHECK(static_cast<int32_t>(clock - timestamp) < 128);
    const CookieOptions back = OptionsOfCookie(timestamp);
    CHECK(back.window_scaling);
    CHECK(back.sack);
    CHECK(back.scale == 9);
    CHECK_FALSE(OptionsOfCookie(CookieTimestamp(clock, {})).window_scaling);
  }
}

TEST_CASE("Initial windows (RFC 6928)") {
  CHECK(InitialWindow(1460, 10) == 14600);
  CHECK(InitialWindow(536, 10) == 5360);
  CHECK(InitialWindow(8960, 10) == 17920);
}

TEST_CASE("Avoidance: Reno grows by one segment a round trip, CUBIC at least as fast") {
  const uint32_t mss = 1000;
  for (auto algorithm : {table::Congestion::kNewReno, table::Congestion::kCubic}) {
    CongestionState state;
    state.algorithm = algorithm;
    state.cwnd = 100 * mss;
    Instant now = Instant() + Seconds(1);
    OnLoss(state, state.cwnd, mss);
    const uint32_t reduced = state.cwnd;
    CHECK(reduced == (algorithm == table::Congestion::kCubic ? 70 : 50) * mss);
    for (int round = 0; round < 10; ++round) {
      const uint32_t segments = state.cwnd / mss;
      for (uint32_t i = 0; i < segments; ++i) OnAcknowledged(state, now, mss, mss, 10000);
      now += Milliseconds(10);
    }
    const uint32_t grown = (state.cwnd - reduced) / mss;
    CHECK(grown >= 4);
    CHECK(grown <= 11);
  }
}

TEST_CASE("A slab hands out, takes back and refuses") {
  struct Record {
    int value = 7;
  };
  Slab<Record> slab(300);
  std::vector<uint32_t> taken;
  for (int i = 0; i < 300; ++i) {
    taken.push_back(slab.Take());
    REQUIRE(slab[taken.back()].value == 7);
    slab[taken.back()].value = i;
  }
  CHECK(slab.Take() == kNone);
  CHECK(slab.full());
  for (int i = 0; i < 300; ++i) REQUIRE(slab[taken[static_cast<size_t>(i)]].value == i);
  for (uint32_t i = 0; i < 300; i += 2) slab.Return(i);
  uint32_t left = 0;
  slab.ForEach([&](uint32_t index, Record&) {
    CHECK(index % 2 == 1);
    ++left;
  });
  CHECK(left == 150);
  CHECK(slab[slab.Take()].value == 7);
}

}  // namespace
}  // namespace sluice::tcp
