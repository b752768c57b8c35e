#include "base/random.h"
#include "host.h"
#include "ip/destination_cache.h"
#include "ip/neighbor.h"
#include "ip/reassembly.h"
#include "ip/route.h"
#include "ip/token_bucket.h"

namespace sluice::ip {
namespace {

const auto kAny = [](const Route&) { return true; };

TEST_CASE("the longest prefix wins, then the smallest metric") {
  RouteTable routes(16);
  CHECK(routes.Add({Net("0.0.0.0/0"), Ip("192.0.2.1"), 2, 0}) == ConfigResult::kOk);
  CHECK(routes.Add({Net("10.0.0.0/8"), Ip("192.0.2.2"), 2, 10}) == ConfigResult::kOk);
  CHECK(routes.Add({Net("10.0.0.0/8"), Ip("192.0.2.3"), 2, 5}) == ConfigResult::kOk);
  CHECK(routes.Add({Net("10.1.2.99/24"), Ip("192.0.2.4"), 3, 0}) == ConfigResult::kOk);
  CHECK(routes.Add({Net("::/0"), Ip("fe80::1"), 2, 0}) == ConfigResult::kOk);
  CHECK(routes.Find(Ip("10.1.2.3"), kAny)->gateway == Ip("192.0.2.4"));
  CHECK(routes.Find(Ip("10.1.3.3"), kAny)->gateway == Ip("192.0.2.3"));
  CHECK(routes.Find(Ip("11.1.3.3"), kAny)->gateway == Ip("192.0.2.1"));
  CHECK(routes.Find(Ip("2001:db8::1"), kAny)->gateway == Ip("fe80::1"));
  // What is not usable is passed over for the next best.
  CHECK(routes.Find(Ip("10.1.2.3"), [](const Route& r) { return r.interface != 3; })->gateway ==
        Ip("192.0.2.3"));
}

TEST_CASE("an IPv4 destination never takes an IPv6 default route") {
  RouteTable routes(16);
  CHECK(routes.Add({Net("::/0"), Ip("fe80::1"), 2, 0}) == ConfigResult::kOk);
  CHECK(routes.Find(Ip("192.0.2.1"), kAny) == nullptr);
}

TEST_CASE("routes are unique, bounded and removable") {
  RouteTable routes(2);
  const Route a{Net("10.0.0.0/8"), Ip("192.0.2.2"), 2, 10};
  CHECK(routes.Add(a) == ConfigResult::kOk);
  CHECK(routes.Add(a) == ConfigResult::kExists);
  CHECK(routes.Add({{Ip("10.0.0.0"), 33}, Ip("192.0.2.2"), 2, 10}) == ConfigResult::kInvalid);
  CHECK(routes.Add({Net("10.0.0.0/9"), Ip("192.0.2.2"), 2, 10}) == ConfigResult::kOk);
  CHECK(routes.Add({Net("10.0.0.0/10"), Ip("192.0.2.2"), 2, 10}) == ConfigResult::kFull);
  CHECK(routes.Remove(a) == ConfigResult::kOk);
  CHECK(routes.Remove(a) == ConfigResult::kNotFound);
  CHECK(routes.Find(Ip("10.200.0.1"), kAny) == nullptr);
}

TEST_CASE("thousands of routes agree with a linear search") {
  RouteTable routes(5000);
  std::vector<Route> all;
  Random random(7);
  for (int i = 0; i < 3000; ++i) {
    Route r;
    const int length = static_cast<int>(8 + random.Below(25));
    r.destination = {MaskAddress(wire::IpAddress::V4(random.Next32() & 0x0fffffff), length),
                     length};
    r.gateway = wire::IpAddress::V4(static_cast<uint32_t>(i + 1));
    r.interface = 2;
    if (routes.Add(r) == ConfigResult::kOk) all.push_back(r);
  }
  for (int i = 0; i < 2000; ++i) {
    const auto address = wire::IpAddress::V4(random.Next32() & 0x0fffffff);
    const Route* best = nullptr;
    for (const Route& r : all) {
      if (address.HasPrefix(r.destination.address, r.destination.length) &&
          (best == nullptr || r.destination.length > best->destination.length)) {
        best = &r;
      }
    }
    const Route* found = routes.Find(address, kAny);
    REQUIRE((found == nullptr) == (best == nullptr));
    if (best != nullptr) REQUIRE(found->destination.length == best->destination.length);
  }
}

TEST_CASE("a token bucket gives its burst, then its rate") {
  TokenBucket bucket(10, 3);
  Instant now = Instant::FromNanoseconds(0);
  for (int i = 0; i < 3; ++i) CHECK(bucket.Take(now));
  CHECK_FALSE(bucket.Take(now));
  now += Milliseconds(99);
  CHECK_FALSE(bucket.Take(now));
  now += Milliseconds(1);
  CHECK(bucket.Take(now));
  CHECK_FALSE(bucket.Take(now));
  now += Seconds(100);
  for (int i = 0; i < 3; ++i) CHECK(bucket.Take(now));
  CHECK_FALSE(bucket.Take(now));
}

TEST_CASE("path MTUs age, and a full bucket gives up the oldest") {
  DestinationCache cache(4, SipKey{1, 2});
  const Instant t = Instant::FromNanoseconds(0);
  CHECK_FALSE(cache.SetMtu(Ip("10.0.0.1"), 1400, t + Seconds(10)));
  CHECK_FALSE(cache.SetMtu(Ip("10.0.0.2"), 1300, t + Seconds(20)));
  CHECK_FALSE(cache.SetMtu(Ip("10.0.0.3"), 1300, t + Seconds(20)));
  CHECK_FALSE(cache.SetMtu(Ip("10.0.0.4"), 1300, t + Seconds(20)));
  CHECK(cache.SetMtu(Ip("10.0.0.5"), 1300, t + Seconds(20)));
  CHECK(cache.Find(Ip("10.0.0.1")) == nullptr);
  REQUIRE(cache.Find(Ip("10.0.0.2")) != nullptr);
  CHECK(cache.Find(Ip("10.0.0.2"))->mtu == 1300);
  CHECK(cache.next_deadline() <= t + Seconds(20));
  cache.Expire(t + Seconds(10));
  CHECK(cache.Find(Ip("10.0.0.2")) != nullptr);
  CHECK(cache.Expire(t + Seconds(20)));
  CHECK(cache.Find(Ip("10.0.0.2")) == nullptr);
  CHECK(cache.next_deadline().is_never());
}

struct NeighborFixture {
  NeighborTable table{4, 2, SipKey{3, 4}};
  Counters counters;
  std::vector<NeighborTiming> timings{3};
  Instant now = Instant::FromNanoseconds(0);

  uint32_t New(std::string_view address) { return table.FindOrCreate(2, Ip(address), counters); }
  NeighborAction Due(uint32_t* index) {
    uint32_t cursor = 0;
    return table.NextDue(now, &cursor, timings.data(), index);
  }
  NeighborClaim Claim(bool solicited, bool overriding = true, uint8_t last = 9) {
    NeighborClaim claim;
    claim.mac = {{2, 0, 0, 0, 0, last}};
    claim.solicited = solicited;
    claim.override_entry = overriding;
    return claim;
  }
};

TEST_CASE_METHOD(NeighborFixture, "a neighbour goes through the states of RFC 4861") {
  const uint32_t n = New("192.0.2.1");
  CHECK(table[n].state == NeighborState::kIncomplete);
  CHECK(table.Use(now, n, timings[2]) == NeighborAction::kSolicit);
  CHECK(table.Use(now, n, timings[2]) == NeighborAction::kNone);  // one a second
  CHECK(table.OnClaim(now, n, Claim(true), timings[2]));
  CHECK(table[n].state == NeighborState::kReachable);

  now += Seconds(20);
  table.Confirm(now, n, timings[2]);
  uint32_t index;
  now += Seconds(10);
  CHECK(Due(&index) == NeighborAction::kNone);
  CHECK(table[n].state == NeighborState::kReachable);  // the confirmation counts
  now += Seconds(20);
  CHECK(Due(&index) == NeighborAction::kNone);
  CHECK(table[n].state == NeighborState::kStale);

  CHECK(table.Use(now, n, timings[2]) == NeighborAction::kNone);
  CHECK(table[n].state == NeighborState::kDelay);
  now += Seconds(5);
  for (int probe = 0; probe < 3; ++probe) {
    CHECK(Due(&index) == NeighborAction::kSolicitUnicast);
    CHECK(table[n].state == NeighborState::kProbe);
    now += Seconds(1);
  }
  CHECK(Due(&index) == NeighborAction::kFailed);
}

TEST_CASE_METHOD(NeighborFixture, "a confirmation in DELAY spares the probe") {
  const uint32_t n = New("192.0.2.1");
  CHECK(table.OnHeard(now, n, {{2, 0, 0, 0, 0, 9}}));
  CHECK(table[n].state == NeighborState::kStale);
  table.Use(now, n, timings[2]);
  table.Confirm(now, n, timings[2]);
  CHECK(table[n].state == NeighborState::kReachable);
}

TEST_CASE_METHOD(NeighborFixture, "advertisements without override only raise doubt") {
  const uint32_t n = New("2001:db8::1");
  table.OnClaim(now, n, Claim(true), timings[2]);
  const uint32_t generation = table[n].generation;
  CHECK_FALSE(table.OnClaim(now, n, Claim(true, false, 8), timings[2]));
  CHECK(table[n].state == NeighborState::kStale);
  CHECK(table[n].mac.bytes[5] == 9);
  CHECK(table[n].generation == generation);
  CHECK(table.OnClaim(now, n, Claim(false, true, 8), timings[2]));
  CHECK(table[n].mac.bytes[5] == 8);
  CHECK(table[n].state == NeighborState::kStale);
  CHECK(table[n].generation != generation);
}

TEST_CASE_METHOD(NeighborFixture, "a full table gives up what has been stale longest") {
  for (int i = 1; i <= 4; ++i) {
    now += Seconds(1);
    const uint32_t n = New("192.0.2." + std::to_string(i));
    table.OnClaim(now, n, Claim(i != 3), timings[2]);  // the third is stale
  }
  const uint32_t third = table.Find(2, Ip("192.0.2.3"));
  const uint32_t generation = table[third].generation;
  CHECK(New("192.0.2.5") == third);
  CHECK(table[third].generation != generation);
  CHECK(counters.NeighborEvictions == 1);
  CHECK(table.Find(2, Ip("192.0.2.3")) == kNoNeighbor);
  CHECK(table.Find(2, Ip("192.0.2.1")) != kNoNeighbor);
}

TEST_CASE_METHOD(NeighborFixture, "the oldest waiting packet gives way") {
  PlainPool pool(8);
  const uint32_t n = New("192.0.2.1");
  rte_mbuf* packets[3];
  for (auto& p : packets) {
    p = rte_pktmbuf_alloc(pool.get());
    table.Enqueue(n, p, counters);
  }
  CHECK(counters.NeighborQueueFull == 1);
  CHECK(pool.available() == 6);
  CHECK(table.Dequeue(n) == packets[1]);
  CHECK(table.Dequeue(n) == packets[2]);
  CHECK(table.Dequeue(n) == nullptr);
  rte_pktmbuf_free(packets[1]);
  rte_pktmbuf_free(packets[2]);
}

struct ReassemblyFixture {
  PlainPool pool{256};
  Reassembler reassembler{2, 200};
  Counters counters;
  Instant now = Instant::FromNanoseconds(0);
  Reassembled whole;

  ~ReassemblyFixture() {
    reassembler.Clear(0);
    CHECK(pool.available() == pool.count());
  }
  Reassembler::Result Add(uint32_t id, uint32_t offset, uint32_t bytes, bool more,
                          uint8_t ecn = 0) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool.get());
    REQUIRE(m != nullptr);
    char* p = rte_pktmbuf_append(m, static_cast<uint16_t>(bytes));
    for (uint32_t i = 0; i < bytes; ++i) p[i] = static_cast<char>((offset + i) / 8);
    Fragment f;
    f.packet = m;
    f.offset = offset;
    f.more = more;
    f.ecn = ecn;
    f.header_bytes = 20;
    FragmentKey key;
    key.source = Ip("192.0.2.9");
    key.identification = id;
    return reassembler.Add(now, Seconds(30), key, f, counters, &whole);
  }
};

using Result = Reassembler::Result;

TEST_CASE_METHOD(ReassemblyFixture, "fragments come together in any order") {
  const bool backwards = GENERATE(false, true);
  constexpr uint32_t kPieces = 10;
  for (uint32_t i = 0; i < kPieces; ++i) {
    const uint32_t piece = backwards ? kPieces - 1 - i : i;
    const bool last = piece == kPieces - 1;
    const Result r = Add(1, piece * 80, last ? 3 : 80, !last);
    CHECK(r == (i == kPieces - 1 ? Result::kComplete : Result::kHeld));
  }
  CHECK(whole.packet->pkt_len == 723);
  CHECK(whole.packet->nb_segs == kPieces);
  uint32_t at = 0;
  for (const rte_mbuf* s = whole.packet; s != nullptr; s = s->next) {
    for (uint32_t i = 0; i < s->data_len; ++i, ++at) {
      REQUIRE(*rte_pktmbuf_mtod_offset(s, const uint8_t*, i) == static_cast<uint8_t>(at / 8));
    }
  }
  CHECK(at == 723);
  rte_pktmbuf_free(whole.packet);
  CHECK(reassembler.fragments() == 0);
}

TEST_CASE_METHOD(ReassemblyFixture, "repetition is harmless, overlap condemns the datagram") {
  CHECK(Add(1, 0, 80, true) == Result::kHeld);
  CHECK(Add(1, 0, 80, true) == Result::kHeld);
  CHECK(reassembler.fragments() == 1);
  SECTION("from within") { CHECK(Add(1, 40, 80, true) == Result::kDropped); }
  SECTION("inside") { CHECK(Add(1, 8, 8, true) == Result::kDropped); }
  SECTION("from before") {
    CHECK(Add(1, 160, 80, true) == Result::kHeld);
    CHECK(Add(1, 80, 88, true) == Result::kDropped);
  }
  SECTION("an end before what is there") {
    CHECK(Add(1, 160, 80, true) == Result::kHeld);
    CHECK(Add(1, 80, 80, false) == Result::kDropped);
  }
  SECTION("two ends") {
    CHECK(Add(1, 160, 80, false) == Result::kHeld);
    CHECK(Add(1, 240, 80, false) == Result::kDropped);
  }
  CHECK(reassembler.fragments() == 0);
  CHECK(counters.ReassemblyOverlaps == 1);
}

TEST_CASE_METHOD(ReassemblyFixture, "congestion marks survive, contradictions do not") {
  CHECK(Add(1, 0, 80, true, 2) == Result::kHeld);
  CHECK(Add(1, 80, 80, false, 3) == Result::kComplete);
  CHECK(whole.congestion_experienced);
  rte_pktmbuf_free(whole.packet);
  CHECK(Add(2, 0, 80, true, 0) == Result::kHeld);
  CHECK(Add(2, 80, 80, false, 3) == Result::kDropped);
}

TEST_CASE_METHOD(ReassemblyFixture, "datagrams and fragments are bounded; the oldest gives way") {
  CHECK(Add(1, 0, 80, true) == Result::kHeld);
  now += Seconds(1);
  CHECK(Add(2, 0, 80, true) == Result::kHeld);
  CHECK(Add(3, 0, 80, true) == Result::kHeld);
  CHECK(counters.ReassemblyDatagramsFull == 1);
  CHECK(reassembler.fragments() == 2);
  CHECK(Add(2, 80, 80, false) == Result::kComplete);
  rte_pktmbuf_free(whole.packet);
  for (uint32_t i = 1; i < Reassembler::kFragmentsPerDatagramMax; ++i) {
    CHECK(Add(3, i * 80, 80, true) == Result::kHeld);
  }
  CHECK(Add(3, 80 * Reassembler::kFragmentsPerDatagramMax, 80, true) == Result::kDropped);
  CHECK(reassembler.fragments() == 0);
}

TEST_CASE_METHOD(ReassemblyFixture, "time runs out from the first fragment on") {
  CHECK(Add(1, 0, 80, true) == Result::kHeld);
  now += Seconds(29);
  CHECK(Add(1, 160, 80, true) == Result::kHeld);
  CHECK_FALSE(reassembler.TakeExpired(now, &whole));
  CHECK(reassembler.next_deadline() == now + Seconds(1));
  now += Seconds(1);
  REQUIRE(reassembler.TakeExpired(now, &whole));
  REQUIRE(whole.packet != nullptr);
  CHECK(whole.packet->pkt_len == 80);
  rte_pktmbuf_free(whole.packet);
  CHECK_FALSE(reassembler.TakeExpired(now, &whole));
  CHECK(reassembler.next_deadline().is_never());
}

}  // namespace
}  // namespace sluice::ip
