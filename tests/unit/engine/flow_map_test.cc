#include "ip/flow_map.h"

#include <catch2/catch.hpp>
#include <map>
#include <vector>

#include "base/random.h"

namespace sluice::ip {
namespace {

using wire::IpAddress;

FlowKey KeyNumber(uint32_t n) {
  FlowKey key;
  key.local = IpAddress::V4(192, 0, 2, 1);
  key.remote = IpAddress::V4(0x0a000000 + n / 5);
  key.local_port = 80;
  key.remote_port = static_cast<uint16_t>(1000 + n % 5);
  return key;
}

struct Owner {
  std::vector<FlowKey> keys;
  const FlowKey& operator()(uint32_t i) const { return keys[i]; }
};

TEST_CASE("a flow is found under its number until it is erased", "[flow_map]") {
  FlowMap map({1, 2}, 16);
  Owner owner{{KeyNumber(0), KeyNumber(1)}};
  const uint64_t hash = map.Hash(owner.keys[0]);
  REQUIRE(map.Find(hash, owner.keys[0], owner) == FlowMap::kNone);
  REQUIRE(map.Insert(hash, 0));
  REQUIRE(map.Find(hash, owner.keys[0], owner) == 0);
  REQUIRE(map.Find(map.Hash(owner.keys[1]), owner.keys[1], owner) == FlowMap::kNone);
  REQUIRE_FALSE(map.Erase(hash, 1));
  REQUIRE(map.Erase(hash, 0));
  REQUIRE_FALSE(map.Erase(hash, 0));
  REQUIRE(map.Find(hash, owner.keys[0], owner) == FlowMap::kNone);
  REQUIRE(map.size() == 0);
}

TEST_CASE("a flow can be given another number, wherever it lies") {
  constexpr uint32_t kFlows = 5000;  // the map grows on the way
  FlowMap map({1, 2}, 16);
  Owner owner;
  for (uint32_t i = 0; i < 2 * kFlows; ++i) owner.keys.push_back(KeyNumber(i % kFlows));
  for (uint32_t i = 0; i < kFlows; ++i) {
    const uint64_t hash = map.Hash(owner.keys[i]);
    REQUIRE_FALSE(map.Renumber(hash, i, i + kFlows));
    REQUIRE(map.Insert(hash, i));
    if (i % 3 != 0) REQUIRE(map.Renumber(hash, i, i + kFlows));
  }
  for (uint32_t i = 0; i < kFlows; ++i) {
    const uint32_t number = i % 3 != 0 ? i + kFlows : i;
    REQUIRE(map.Find(map.Hash(owner.keys[i]), owner.keys[i], owner) == number);
  }
  REQUIRE(map.size() == kFlows);
}

TEST_CASE("the guess is right where one flow has the hash") {
  FlowMap map({1, 2}, 1000);
  const uint64_t hash = map.Hash(KeyNumber(1));
  CHECK(map.Guess(hash) == FlowMap::kNone);
  REQUIRE(map.Insert(hash, 7));
  CHECK(map.Guess(hash) == 7);
  REQUIRE(map.Erase(hash, 7));
  CHECK(map.Guess(hash) == FlowMap::kNone);
}

TEST_CASE("every field of a flow's key counts", "[flow_map]") {
  FlowMap map({3, 4}, 16);
  Owner owner{{KeyNumber(0)}};
  map.Insert(map.Hash(owner.keys[0]), 0);
  std::vector<FlowKey> others(6, owner.keys[0]);
  others[0].local = IpAddress::V4(192, 0, 2, 2);
  others[1].remote = IpAddress::V4(10, 1, 0, 0);
  others[2].local_port = 81;
  others[3].remote_port = 1001;
  others[4].scope = 2;
  std::swap(others[5].local, others[5].remote);
  for (const FlowKey& other : others) {
    REQUIRE(map.Hash(other) != map.Hash(owner.keys[0]));
    REQUIRE(map.Find(map.Hash(other), other, owner) == FlowMap::kNone);
  }
}

TEST_CASE("flows whose hashes collide in full are told apart by their owner", "[flow_map]") {
  FlowMap map({1, 2}, 16);
  Owner owner;
  for (uint32_t i = 0; i < 40; ++i) owner.keys.push_back(KeyNumber(i));
  for (uint32_t i = 0; i < 40; ++i) REQUIRE(map.Insert(7, i));
  for (uint32_t i = 0; i < 40; i += 2) REQUIRE(map.Erase(7, i));
  for (uint32_t i = 0; i < 40; ++i) {
    REQUIRE(map.Find(7, owner.keys[i], owner) == (i % 2 == 0 ? FlowMap::kNone : i));
  }
}

TEST_CASE("the hash depends on the key and spreads over buckets", "[flow_map]") {
  FlowMap a({1, 2}, 16), b({1, 3}, 16);
  std::vector<int> counts(256);
  for (uint32_t i = 0; i < 65536; ++i) {
    REQUIRE(a.Hash(KeyNumber(i)) != b.Hash(KeyNumber(i)));
    ++counts[a.Hash(KeyNumber(i)) & 255];
  }
  for (int count : counts) {  // 256 expected, standard deviation 16
    REQUIRE(count > 160);
    REQUIRE(count < 352);
  }
}

// Random insertions and erasures against std::map, from a table that must grow many times.
TEST_CASE("the map agrees with a model while it grows and shrinks", "[flow_map]") {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    FlowMap map({seed, 9}, 8);
    Owner owner;
    for (uint32_t i = 0; i < 20000; ++i) owner.keys.push_back(KeyNumber(i));
    std::vector<bool> in(owner.keys.size());
    uint32_t size = 0;
    for (int step = 0; step < 120000; ++step) {
      // First mostly insertions, then mostly erasures, then again.
      const bool insert = random.Chance((step / 40000) % 2 == 0 ? 7 : 3, 10);
      const uint32_t i = static_cast<uint32_t>(random.Below(owner.keys.size()));
      const uint64_t hash = map.Hash(owner.keys[i]);
      REQUIRE(map.Find(hash, owner.keys[i], owner) == (in[i] ? i : FlowMap::kNone));
      if (insert != in[i]) {
        REQUIRE((insert ? map.Insert(hash, i) : map.Erase(hash, i)));
        in[i] = insert;
        size += insert ? 1 : -1;
      }
      REQUIRE(map.size() == size);
    }
    for (uint32_t i = 0; i < owner.keys.size(); ++i) {
      const uint64_t hash = map.Hash(owner.keys[i]);
      REQUIRE(map.Find(hash, owner.keys[i], owner) == (in[i] ? i : FlowMap::kNone));
    }
  }
}

TEST_CASE("a reserved map costs at most 32 bytes a flow", "[flow_map]") {
  for (uint32_t flows : {1000u, 4096u, 65536u, 100000u, 1000000u}) {
    FlowMap map({1, 2}, flows);
    REQUIRE(map.bytes() <= size_t{flows} * 32);
  }
}

}  // namespace
}  // namespace sluice::ip
