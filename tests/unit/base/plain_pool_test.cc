// Everything of rte_mbuf.h that the stack uses, on a pool made without the EAL.
#include "base/plain_pool.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "base/lifo_pool_ops.h"

namespace sluice {
namespace {

TEST_CASE("a pool hands out each packet once and refuses beyond its size") {
  PlainPool pool(8);
  CHECK(pool.available() == 8);
  std::vector<rte_mbuf*> taken;
  for (int i = 0; i < 8; ++i) taken.push_back(rte_pktmbuf_alloc(pool.get()));
  for (rte_mbuf* packet : taken) {
    REQUIRE(packet != nullptr);
    CHECK(packet->pool == pool.get());
    CHECK(packet->data_off == RTE_PKTMBUF_HEADROOM);
    CHECK(rte_pktmbuf_headroom(packet) == RTE_PKTMBUF_HEADROOM);
    CHECK(rte_pktmbuf_tailroom(packet) == 2048);
    std::memset(packet->buf_addr, 0xa5, packet->buf_len);
    CHECK(rte_mbuf_refcnt_read(packet) == 1);
  }
  CHECK(rte_pktmbuf_alloc(pool.get()) == nullptr);
  CHECK(pool.available() == 0);
  rte_pktmbuf_free_bulk(taken.data(), 8);
  CHECK(pool.available() == 8);
}

TEST_CASE("what was freed last is handed out first") {
  PlainPool pool(4);
  rte_mbuf* a = rte_pktmbuf_alloc(pool.get());
  rte_mbuf* b = rte_pktmbuf_alloc(pool.get());
  rte_pktmbuf_free(b);
  rte_pktmbuf_free(a);
  CHECK(rte_pktmbuf_alloc(pool.get()) == a);
  rte_pktmbuf_free(a);
}

TEST_CASE("bulk allocation is all or nothing") {
  PlainPool pool(4);
  rte_mbuf* packets[5];
  CHECK(rte_pktmbuf_alloc_bulk(pool.get(), packets, 5) != 0);
  CHECK(pool.available() == 4);
  REQUIRE(rte_pktmbuf_alloc_bulk(pool.get(), packets, 4) == 0);
  CHECK(pool.available() == 0);
  rte_pktmbuf_free_bulk(packets, 4);
}

TEST_CASE("packets grow at both ends, chain and clone") {
  PlainPool pool(8);
  UniqueMbuf first(rte_pktmbuf_alloc(pool.get()));
  std::memset(rte_pktmbuf_append(first.get(), 100), 1, 100);
  std::memset(rte_pktmbuf_prepend(first.get(), 20), 2, 20);
  rte_mbuf* second = rte_pktmbuf_alloc(pool.get());
  std::memset(rte_pktmbuf_append(second, 30), 3, 30);
  REQUIRE(rte_pktmbuf_chain(first.get(), second) == 0);
  CHECK(rte_pktmbuf_pkt_len(first.get()) == 150);
  CHECK(first->nb_segs == 2);

  UniqueMbuf clone(rte_pktmbuf_clone(first.get(), pool.get()));
  REQUIRE(clone != nullptr);
  CHECK(rte_pktmbuf_pkt_len(clone.get()) == 150);
  CHECK(pool.available() == 4);
  first.reset();
  CHECK(pool.available() == 4);  // the clone holds the bytes
  uint8_t copy[150];
  const auto* bytes = static_cast<const uint8_t*>(rte_pktmbuf_read(clone.get(), 0, 150, copy));
  REQUIRE(bytes != nullptr);
  CHECK(bytes[0] == 2);
  CHECK(bytes[20] == 1);
  CHECK(bytes[149] == 3);
  clone.reset();
  CHECK(pool.available() == 8);
}

TEST_CASE("a packet that comes back from a clone has its own buffer again") {
  PlainPool pool(2);
  rte_mbuf* owner = rte_pktmbuf_alloc(pool.get());
  rte_mbuf* indirect = rte_pktmbuf_alloc(pool.get());
  void* own = indirect->buf_addr;
  rte_pktmbuf_attach(indirect, owner);
  CHECK(indirect->buf_addr == owner->buf_addr);
  rte_pktmbuf_free(owner);
  rte_pktmbuf_free(indirect);
  CHECK(pool.available() == 2);
  rte_mbuf* again[2];
  REQUIRE(rte_pktmbuf_alloc_bulk(pool.get(), again, 2) == 0);
  CHECK((again[0]->buf_addr == own || again[1]->buf_addr == own));
  CHECK(again[0]->buf_addr != again[1]->buf_addr);
  rte_pktmbuf_free_bulk(again, 2);
}

TEST_CASE("pools of other sizes stand beside each other") {
  PlainPool small(3, RTE_PKTMBUF_HEADROOM + 64);
  PlainPool big(2, 65535);
  UniqueMbuf a(rte_pktmbuf_alloc(small.get()));
  UniqueMbuf b(rte_pktmbuf_alloc(big.get()));
  CHECK(rte_pktmbuf_tailroom(a.get()) == 64);
  CHECK(rte_pktmbuf_append(a.get(), 65) == nullptr);
  CHECK(rte_pktmbuf_tailroom(b.get()) == 65535 - RTE_PKTMBUF_HEADROOM);
  CHECK(std::strcmp(LifoPoolOpsName(), "sluice_lifo") == 0);
}

}  // namespace
}  // namespace sluice
