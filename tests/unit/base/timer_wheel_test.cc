#include "base/timer_wheel.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <vector>

#include "base/random.h"

namespace sluice {
namespace {

Instant At(int64_t ns) { return Instant::FromNanoseconds(ns); }

std::vector<uint32_t> Fire(TimerWheel& wheel, Instant now, unsigned budget = 1000) {
  std::vector<uint32_t> tags;
  wheel.Advance(now, budget, [&](Timer& timer) { tags.push_back(timer.tag()); });
  return tags;
}
using Tags = std::vector<uint32_t>;

TEST_CASE("a timer fires once, at its deadline, never early") {
  for (int64_t start : {int64_t{0}, int64_t{-5000000000}, int64_t{1} << 62}) {
    for (int64_t delay : {int64_t{1}, int64_t{16384}, int64_t{1000000}, int64_t{7200000000000}}) {
      TimerWheel wheel(At(start));
      Timer timer(3);
      wheel.Schedule(timer, At(start + delay));
      CHECK(timer.is_scheduled());
      CHECK(wheel.NextDeadline() == At(start + delay));
      CHECK(Fire(wheel, At(start + delay - 1)).empty());
      CHECK(Fire(wheel, At(start + delay)) == Tags{3});
      CHECK_FALSE(timer.is_scheduled());
      CHECK(timer.deadline().is_never());
      CHECK(Fire(wheel, At(start + delay + 1000000)).empty());
      CHECK(wheel.NextDeadline().is_never());
    }
  }
}

TEST_CASE("order is by deadline to the nanosecond, then by scheduling") {
  TimerWheel wheel;
  Timer a(1), b(2), c(3), d(4);
  wheel.Schedule(a, At(100));
  wheel.Schedule(b, At(99));
  wheel.Schedule(c, At(100));
  wheel.Schedule(d, At(5000000));
  CHECK(Fire(wheel, At(10000000)) == Tags{2, 1, 3, 4});
}

TEST_CASE("the budget leaves the rest for the next call") {
  TimerWheel wheel;
  std::deque<Timer> timers;
  for (uint32_t i = 0; i < 100; ++i) wheel.Schedule(timers.emplace_back(i), At(1000000000));
  CHECK(Fire(wheel, At(2000000000), 0).empty());
  uint32_t expected = 0;
  for (int calls = 0; wheel.NextDeadline() <= At(2000000000); ++calls) {
    REQUIRE(calls < 200);
    const auto fired = Fire(wheel, At(2000000000), 3);
    CHECK(fired.size() <= 3);
    for (uint32_t tag : fired) CHECK(tag == expected++);
  }
  CHECK(expected == 100);
}

TEST_CASE("moving a deadline later and earlier, cancelling, never") {
  TimerWheel wheel;
  Timer timer(1), other(2);
  wheel.Schedule(timer, At(50000000));
  wheel.Schedule(other, At(60000000));
  wheel.Schedule(timer, At(90000000));
  CHECK(wheel.NextDeadline() == At(60000000));
  CHECK(Fire(wheel, At(70000000)) == Tags{2});
  wheel.Schedule(timer, At(80000000));
  CHECK(wheel.NextDeadline() == At(80000000));
  CHECK(Fire(wheel, At(80000000)) == Tags{1});
  wheel.Schedule(timer, At(100000000));
  wheel.Cancel(timer);
  wheel.Cancel(timer);
  CHECK_FALSE(timer.is_scheduled());
  wheel.Schedule(timer, At(100000000));
  wheel.Schedule(timer, Instant::Never());
  CHECK_FALSE(timer.is_scheduled());
  CHECK(wheel.size() == 0);
}

TEST_CASE("a callback may schedule and cancel, itself included") {
  TimerWheel wheel;
  Timer self(1), victim(2), born(3);
  wheel.Schedule(self, At(10));
  wheel.Schedule(victim, At(20));
  Tags order;
  auto fire = [&](Timer& timer) {
    order.push_back(timer.tag());
    if (order.size() == 1) {
      wheel.Cancel(victim);
      wheel.Schedule(born, At(15));
      wheel.Schedule(self, At(30));
    }
  };
  wheel.Advance(At(40), 100, fire);
  CHECK(order == Tags{1, 3, 1});
  // One that always finds itself due again is stopped by the budget.
  wheel.Schedule(self, At(40));
  int rounds = 0;
  CHECK(wheel.Advance(At(40), 7, [&](Timer& t) { wheel.Schedule(t, At(++rounds)); }) == 7);
  wheel.Cancel(self);
}

TEST_CASE("a clock that runs backwards or stands still fires nothing early") {
  TimerWheel wheel;
  Timer a(1), b(2);
  wheel.Schedule(a, At(9000000000));
  CHECK(Fire(wheel, At(8000000000)).empty());
  wheel.Schedule(b, At(2000000000));
  CHECK(Fire(wheel, At(1000000000)).empty());
  CHECK(wheel.NextDeadline() == At(2000000000));
  CHECK(Fire(wheel, At(2000000000)) == Tags{2});
  CHECK(Fire(wheel, At(2000000000)).empty());
  CHECK(Fire(wheel, At(9000000000)) == Tags{1});
}

TEST_CASE("OwnerOf finds the object around a timer") {
  struct Owner {
    int before = 1;
    Timer first{1};
    Timer second{2};
  } owner;
  CHECK(&OwnerOf<&Owner::first>(owner.first) == &owner);
  CHECK(&OwnerOf<&Owner::second>(owner.second) == &owner);
}

// The reference: a map sorted by deadline and, where equal, by the order of scheduling.
class Model {
 public:
  explicit Model(Random& random) : random_(random) {
    for (uint32_t i = 0; i < 200; ++i) timers_.emplace_back(i);
  }
  ~Model() {
    for (Timer& timer : timers_) wheel_.Cancel(timer);
  }

  void Step() {
    const uint32_t i = static_cast<uint32_t>(random_.Below(timers_.size()));
    switch (random_.Below(8)) {
      case 0:
        wheel_.Cancel(timers_[i]);
        expected_.erase(i);
        break;
      case 1:
      case 2:
        now_ = now_ + Delay();
        Fire(random_.Chance(1, 2) ? 1000 : 5);
        break;
      case 3:
        Fire(1000);
        break;
      default:
        Schedule(i, now_ + Delay() - (random_.Chance(1, 8) ? Milliseconds(1) : Duration()));
    }
    for (const auto& [timer, deadline] : expected_) {
      if (deadline <= now_) REQUIRE(wheel_.MayBeDue(now_));
    }
    CheckNext();
    for (uint32_t k = 0; k < timers_.size(); ++k) {
      REQUIRE(timers_[k].is_scheduled() == (expected_.count(k) != 0));
    }
  }

 private:
  Duration Delay() {
    const int64_t magnitude = int64_t{1} << random_.Below(random_.Chance(1, 20) ? 50 : 32);
    return random_.UniformDuration(Duration(), Nanoseconds(magnitude));
  }
  void Schedule(uint32_t i, Instant deadline) {
    wheel_.Schedule(timers_[i], deadline);
    expected_[i] = deadline;
  }
  void CheckNext() {
    if (random_.Chance(1, 2)) return;  // so that it is not always remembered
    Instant next = Instant::Never();
    for (const auto& [i, deadline] : expected_) next = std::min(next, deadline);
    REQUIRE(wheel_.NextDeadline() == next);
  }
  void Fire(unsigned budget) {
    Instant last = At(INT64_MIN);
    bool rescheduled = false;
    const unsigned fired = wheel_.Advance(now_, budget, [&](Timer& timer) {
      auto it = expected_.find(timer.tag());
      REQUIRE(it != expected_.end());
      REQUIRE(it->second <= now_);
      if (!rescheduled) REQUIRE(last <= it->second);
      for (const auto& [i, deadline] : expected_) REQUIRE(it->second <= deadline);
      last = it->second;
      expected_.erase(it);
      if (random_.Chance(1, 10)) {
        rescheduled = true;
        Schedule(timer.tag(), now_ + Delay());
      }
    });
    REQUIRE(fired <= budget);
    if (budget < 1000) return;
    for (const auto& [i, deadline] : expected_) REQUIRE(deadline > now_);
  }

  Random& random_;
  Instant now_ = At(static_cast<int64_t>(random_.Next64() >> 3) - (int64_t{1} << 60));
  TimerWheel wheel_;
  std::deque<Timer> timers_;
  std::map<uint32_t, Instant> expected_;
};

TEST_CASE("the wheel agrees with a sorted list") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Model model(random);
    for (int step = 0; step < 1000; ++step) model.Step();
  }
}

}  // namespace
}  // namespace sluice
