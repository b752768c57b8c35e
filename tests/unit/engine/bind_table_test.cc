#include "ip/bind_table.h"

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/random.h"

namespace sluice::ip {
namespace {

using wire::IpAddress;

const IpAddress kA = IpAddress::V4(192, 0, 2, 1);
const IpAddress kB = IpAddress::V4(192, 0, 2, 2);
const IpAddress kPeer = IpAddress::V4(198, 51, 100, 1);
const IpAddress kSix = *wire::ParseIp("2001:db8::1");

constexpr SipKey kKey{11, 12};

struct Table : BindTable {
  explicit Table(BindRules rules, uint32_t max = 64) : BindTable(rules, max, kKey) {}

  BindResult Try(BindRequest request, uint32_t* binding = nullptr) {
    uint32_t ignored;
    request.ipv6 = request.ipv6 || request.address.is_v6();
    return Bind(request, binding != nullptr ? binding : &ignored);
  }
  uint32_t Must(const BindRequest& request) {
    uint32_t binding = kNone;
    REQUIRE(Try(request, &binding) == BindResult::kOk);
    return binding;
  }
};

TEST_CASE("a port is taken until it is given back", "[bind_table]") {
  Table table(BindRules::kTcp);
  const uint32_t first = table.Must({.address = kA, .port = 80});
  REQUIRE(table.Try({.address = kA, .port = 80}) == BindResult::kInUse);
  REQUIRE(table.Try({.address = IpAddress::AnyV4(), .port = 80}) == BindResult::kInUse);
  table.Must({.address = kB, .port = 80});
  table.Must({.address = kA, .port = 81});
  REQUIRE(table.counters().conflicts == 2);
  table.Unbind(first);
  table.Must({.address = kA, .port = 80});
}

TEST_CASE("'::' takes IPv4 too unless it is IPv6 only", "[bind_table]") {
  Table table(BindRules::kTcp);
  const uint32_t both = table.Must({.address = IpAddress::AnyV6(), .port = 80});
  REQUIRE(table.Try({.address = IpAddress::AnyV4(), .port = 80}) == BindResult::kInUse);
  REQUIRE(table.Try({.address = kA, .port = 80}) == BindResult::kInUse);
  REQUIRE(table.Try({.address = kSix, .port = 80}) == BindResult::kInUse);
  table.Unbind(both);
  table.Must({.address = IpAddress::AnyV6(), .port = 80, .flags = kBindIpv6Only});
  table.Must({.address = IpAddress::AnyV4(), .port = 80});
  REQUIRE(table.Try({.address = kSix, .port = 80}) == BindResult::kInUse);
}

TEST_CASE("SO_REUSEADDR shares a TCP port that nobody listens on", "[bind_table]") {
  Table table(BindRules::kTcp);
  const BindRequest request{.address = kA, .port = 80, .flags = kBindReuseAddress};
  const uint32_t first = table.Must(request);
  const uint32_t second = table.Must(request);
  REQUIRE(table.Try({.address = kA, .port = 80}) == BindResult::kInUse);  // needs both
  REQUIRE(table.SetListening(first, true));
  REQUIRE(table.Try(request) == BindResult::kInUse);
  REQUIRE_FALSE(table.SetListening(second, true));
  REQUIRE(table.SetListening(first, false));
  REQUIRE(table.SetListening(second, true));
}

TEST_CASE("SO_REUSEADDR shares a UDP port, and the newest socket gets the datagrams",
          "[bind_table]") {
  Table table(BindRules::kUdp);
  for (uint32_t owner = 1; owner <= 3; ++owner) {
    table.SetListening(
        table.Must({.address = kA, .port = 53, .flags = kBindReuseAddress, .owner = owner}), true);
  }
  REQUIRE(table.Find({.local = kA, .port = 53}) == 3);
}

TEST_CASE("accepted connections keep the port of a listener that has gone", "[bind_table]") {
  Table table(BindRules::kTcp);
  const uint32_t binding = table.Must({.address = kA, .port = 80, .flags = kBindReuseAddress});
  table.SetListening(binding, true);
  table.Share(binding);
  table.Share(binding);
  table.Unbind(binding);
  REQUIRE(table.Find({.local = kA, .port = 80}) == BindTable::kNone);
  REQUIRE(table.Try({.address = kA, .port = 80}) == BindResult::kInUse);
  const uint32_t next = table.Must({.address = kA, .port = 80, .flags = kBindReuseAddress});
  REQUIRE(table.SetListening(next, true));
  table.Unbind(next);
  table.Unshare(binding);
  REQUIRE(table.Try({.address = kA, .port = 80}) == BindResult::kInUse);
  table.Unshare(binding);
  table.Must({.address = kA, .port = 80});
  REQUIRE(table.size() == 1);
}

TEST_CASE("devices keep bindings apart", "[bind_table]") {
  Table table(BindRules::kUdp);
  table.SetListening(
      table.Must({.address = IpAddress::AnyV4(), .port = 67, .interface = 2, .owner = 2}), true);
  table.SetListening(
      table.Must({.address = IpAddress::AnyV4(), .port = 67, .interface = 3, .owner = 3}), true);
  REQUIRE(table.Try({.address = IpAddress::AnyV4(), .port = 67}) == BindResult::kInUse);
  REQUIRE(table.Find({.local = kA, .port = 67, .interface = 2}) == 2);
  REQUIRE(table.Find({.local = kA, .port = 67, .interface = 3}) == 3);
  REQUIRE(table.Find({.local = kA, .port = 67, .interface = 4}) == BindTable::kNone);
}

TEST_CASE("the most specific binding is found", "[bind_table]") {
  Table table(BindRules::kUdp);
  auto add = [&](const IpAddress& address, uint16_t interface, uint32_t owner) {
    table.SetListening(table.Must({.address = address,
                                   .port = 53,
                                   .interface = interface,
                                   .flags = kBindReuseAddress,
                                   .owner = owner}),
                       true);
  };
  add(IpAddress::AnyV6(), 0, 1);
  REQUIRE(table.Find({.local = kA, .port = 53, .interface = 2}) == 1);
  REQUIRE(table.Find({.local = kSix, .port = 53, .interface = 2}) == 1);
  add(IpAddress::AnyV4(), 0, 2);
  REQUIRE(table.Find({.local = kA, .port = 53, .interface = 2}) == 2);
  REQUIRE(table.Find({.local = kSix, .port = 53, .interface = 2}) == 1);
  add(IpAddress::AnyV4(), 2, 3);
  REQUIRE(table.Find({.local = kA, .port = 53, .interface = 2}) == 3);
  REQUIRE(table.Find({.local = kA, .port = 53, .interface = 3}) == 2);
  add(kA, 0, 4);
  REQUIRE(table.Find({.local = kA, .port = 53, .interface = 2}) == 4);
  REQUIRE(table.Find({.local = kB, .port = 53, .interface = 2}) == 3);
}

TEST_CASE("SO_REUSEPORT spreads flows over all listeners evenly and steadily", "[bind_table]") {
  Table table(BindRules::kTcp);
  std::map<uint32_t, int> counts;
  for (uint32_t owner = 0; owner < 4; ++owner) {
    const uint32_t binding = table.Must(
        {.address = IpAddress::AnyV4(), .port = 80, .flags = kBindReusePort, .owner = owner});
    REQUIRE(table.SetListening(binding, true));
  }
  REQUIRE(table.Try({.address = kA, .port = 80, .flags = kBindReuseAddress}) == BindResult::kInUse);
  for (uint64_t i = 0; i < 4000; ++i) {
    const BindQuery query{.local = kA, .port = 80, .interface = 2, .spread = SipHashOf(kKey, i)};
    const uint32_t owner = table.Find(query);
    REQUIRE(table.Find(query) == owner);
    ++counts[owner];
  }
  REQUIRE(counts.size() == 4);
  for (auto [owner, count] : counts) REQUIRE(std::abs(count - 1000) < 150);
}

TEST_CASE("every socket that a group's packet fits is visited", "[bind_table]") {
  Table table(BindRules::kUdp);
  const IpAddress group = IpAddress::V4(239, 1, 2, 3);
  auto add = [&](const IpAddress& address, uint16_t port, uint32_t owner) {
    table.Must({.address = address, .port = port, .flags = kBindReuseAddress, .owner = owner});
  };
  add(group, 5353, 1);
  add(IpAddress::AnyV4(), 5353, 2);
  add(IpAddress::AnyV6(), 5353, 3);
  add(kA, 5353, 4);
  add(IpAddress::AnyV4(), 5354, 5);
  std::set<uint32_t> seen;
  table.ForEachMatch({.local = group, .port = 5353, .interface = 2},
                     [&](uint32_t owner) { seen.insert(owner); });
  REQUIRE(seen == std::set<uint32_t>{1, 2, 3});
}

TEST_CASE("ephemeral ports are all used before the range is exhausted", "[bind_table]") {
  Table table(BindRules::kUdp, 200);
  table.SetPortRange(40000, 40099);
  table.Must({.address = IpAddress::AnyV4(), .port = 40050});
  std::set<uint16_t> ports;
  for (int i = 0; i < 99; ++i) {
    ports.insert(table.Local(table.Must({.address = kA, .port = 0})).port);
  }
  REQUIRE(ports.size() == 99);
  REQUIRE(ports.count(40050) == 0);
  REQUIRE(table.Try({.address = kA, .port = 0}) == BindResult::kInUse);
  REQUIRE(table.counters().ports_exhausted == 1);
  table.Must({.address = kB, .port = 0});  // another address has its own
}

TEST_CASE("a connect may share the ports of other connections but not of binds", "[bind_table]") {
  Table table(BindRules::kTcp);
  table.SetPortRange(40000, 40003);
  table.Must({.address = IpAddress::AnyV4(), .port = 40001, .flags = kBindReuseAddress});
  const wire::Endpoint remote{kPeer, 443, 0};
  std::set<uint16_t> taken;
  for (int i = 0; i < 3; ++i) {
    const uint16_t port =
        table.ChoosePort(kA, remote, [&](uint16_t p) { return taken.count(p) == 0; });
    REQUIRE(port != 0);
    REQUIRE(taken.insert(port).second);
    table.Must({.address = kA, .port = port, .flags = kBindAutomatic});
  }
  REQUIRE(taken == std::set<uint16_t>{40000, 40002, 40003});
  REQUIRE(table.ChoosePort(kA, remote, [&](uint16_t p) { return taken.count(p) == 0; }) == 0);
  // To another peer each of the three is free again.
  REQUIRE(taken.count(table.ChoosePort(kA, {kB, 443, 0}, [](uint16_t) { return true; })) == 1);
}

TEST_CASE("ports to different destinations begin at unrelated places", "[bind_table]") {
  Table table(BindRules::kTcp);
  std::set<uint16_t> first;
  for (uint16_t i = 0; i < 100; ++i) {
    first.insert(table.ChoosePort(kA, {kPeer, static_cast<uint16_t>(1000 + i), 0},
                                  [](uint16_t) { return true; }));
  }
  REQUIRE(first.size() > 95);
}

TEST_CASE("the limit of bindings is an answer", "[bind_table]") {
  Table table(BindRules::kTcp, 2);
  const uint32_t binding = table.Must({.address = kA, .port = 1});
  table.Must({.address = kA, .port = 2});
  REQUIRE(table.Try({.address = kA, .port = 3}) == BindResult::kFull);
  REQUIRE(table.counters().table_full == 1);
  table.Unbind(binding);
  table.Must({.address = kA, .port = 3});
}

// --- Model -------------------------------------------------------------------------------------

struct ModelBinding {
  BindRequest request;
  bool listening = false;
  uint64_t order = 0;
};

// What Linux's rules say, written from the point of view of packets: two bindings overlap if there
// is one that either could take.
struct Model {
  BindRules rules;
  std::map<uint32_t, ModelBinding> bindings;

  static bool Takes(const BindRequest& b, const IpAddress& to, uint16_t interface) {
    if (b.interface != 0 && b.interface != interface) return false;
    if (b.address == to) return true;
    if (b.address == IpAddress::AnyV4()) return to.is_v4();
    if (b.address == IpAddress::AnyV6()) return to.is_v6() || (b.flags & kBindIpv6Only) == 0;
    return false;
  }
  static bool Overlap(const BindRequest& a, const BindRequest& b) {
    for (const IpAddress& to : {kA, kB, kPeer, kSix, *wire::ParseIp("2001:db8::2")}) {
      for (uint16_t interface = 1; interface <= 3; ++interface) {
        if (Takes(a, to, interface) && Takes(b, to, interface)) return true;
      }
    }
    return false;
  }
  bool Conflicts(const BindRequest& a, bool listens, uint32_t except) const {
    for (const auto& [id, b] : bindings) {
      if (id == except || b.request.port != a.port || !Overlap(a, b.request)) continue;
      if (listens && !b.listening) continue;  // settled when they were bound
      const uint8_t both = a.flags & b.request.flags;
      if ((both & kBindReusePort) != 0) continue;
      if ((both & kBindReuseAddress) != 0) {
        if (rules == BindRules::kUdp || (!b.listening && !listens)) continue;
      }
      return true;
    }
    return false;
  }
  // All owners that share the best rank.
  std::set<uint32_t> Best(const BindQuery& q) const {
    int best = -1;
    std::set<uint32_t> owners;
    for (const auto& [id, b] : bindings) {
      if (!b.listening || b.request.port != q.port || !Takes(b.request, q.local, q.interface)) {
        continue;
      }
      const int rank = (b.request.address.is_unspecified() ? 0 : 4) +
                       (b.request.interface != 0 ? 2 : 0) +
                       (b.request.ipv6 == q.local.is_v6() ? 1 : 0);
      if (rank > best) owners.clear();
      if (rank >= best) owners.insert(b.request.owner);
      best = std::max(best, rank);
    }
    return owners;
  }
};

TEST_CASE("binding and finding agree with a model", "[bind_table]") {
  const IpAddress addresses[] = {kA, kB, kSix, IpAddress::AnyV4(), IpAddress::AnyV6()};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const BindRules rules = random.Chance(1, 2) ? BindRules::kTcp : BindRules::kUdp;
    Table table(rules, 1000);
    Model model{rules, {}};
    uint32_t owner = 0;
    for (int step = 0; step < 1500; ++step) {
      const uint64_t choice = random.Below(10);
      if (choice < 4) {
        BindRequest request{.address = addresses[random.Below(std::size(addresses))],
                            .port = static_cast<uint16_t>(100 + random.Below(6)),
                            .interface = static_cast<uint16_t>(random.Below(3)),
                            .flags = static_cast<uint8_t>(random.Below(8)),
                            .owner = ++owner};
        request.ipv6 = request.address.is_v6();
        uint32_t binding;
        const BindResult result = table.Try(request, &binding);
        REQUIRE((result == BindResult::kInUse) == model.Conflicts(request, false, ~0u));
        if (result == BindResult::kOk) model.bindings[binding] = {request, false, owner};
      } else if (choice < 7 && !model.bindings.empty()) {
        auto it = std::next(model.bindings.begin(),
                            static_cast<long>(random.Below(model.bindings.size())));
        const bool listen = random.Chance(3, 4);
        const bool expected = !listen || rules == BindRules::kUdp ||
                              !model.Conflicts(it->second.request, true, it->first);
        REQUIRE(table.SetListening(it->first, listen) == expected);
        if (expected) it->second.listening = listen;
      } else if (choice < 8 && !model.bindings.empty()) {
        auto it = std::next(model.bindings.begin(),
                            static_cast<long>(random.Below(model.bindings.size())));
        table.Unbind(it->first);
        model.bindings.erase(it);
      }
      const BindQuery query{.local = addresses[random.Below(3)],
                            .port = static_cast<uint16_t>(100 + random.Below(6)),
                            .interface = static_cast<uint16_t>(1 + random.Below(3)),
                            .spread = random.Next64()};
      const std::set<uint32_t> best = model.Best(query);
      const uint32_t found = table.Find(query);
      REQUIRE((best.empty() ? found == BindTable::kNone : best.count(found) == 1));
      REQUIRE(table.size() == model.bindings.size());
    }
  }
}

}  // namespace
}  // namespace sluice::ip
