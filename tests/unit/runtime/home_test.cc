// Homes: no wake is ever lost, whoever sleeps where. Deadlines stand far off, so that a lost wake
// shows as a failed receive; nothing here depends on how fast anything is.

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <thread>

#include "fake_engines.h"
#include "runtime/inline_home.h"
#include "runtime/internal_descriptors.h"
#include "runtime/manual_home.h"
#include "runtime/threads_home.h"

namespace sluice::runtime {
namespace {

constexpr Duration kLostAfter = Seconds(20);

// Consumers that each wait for `rounds` frames, and a producer that sends one to each at random
// moments. `arrive` is how frames come in.
void RunConsumers(FakeEngines& engines, Clock& clock, size_t consumers, int rounds,
                  const std::function<void(size_t)>& arrive) {
  std::atomic<int> received{0}, lost{0};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < consumers; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < rounds; ++round) {
        bool ok = engines.Receive(i, clock.Now() + kLostAfter);
        (ok ? received : lost).fetch_add(1);
        if (!ok) return;
      }
    });
  }
  uint64_t random = 88172645463325252;
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < consumers; ++i) {
      arrive(i);
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      for (uint64_t spin = random % 2048; spin > 0; --spin) Pause();
    }
  }
  for (auto& thread : threads) thread.join();
  CHECK(lost.load() == 0);
  CHECK(received.load() == static_cast<int>(consumers) * rounds);
}

InlineSettings Eager() {
  // Sleep at once: the races of interest are those of going to sleep.
  return {.spin = Duration(), .guest_spin = Duration()};
}

}  // namespace

TEST_CASE("inline home: frames reach every waiting thread", "[home]") {
  for (bool has_descriptor : {true, false}) {
    for (bool spins : {true, false}) {
      FakeEngines engines(has_descriptor);
      SystemClock clock;
      InlineHome home(engines, clock, spins ? InlineSettings{} : Eager());
      engines.set_home(&home);
      home.Start();
      RunConsumers(engines, clock, 4, 300, [&](size_t i) { engines.Arrive(i); });
    }
  }
}

TEST_CASE("inline home: commands of other threads wake the sleeping leader", "[home]") {
  FakeEngines engines(true);
  SystemClock clock;
  InlineHome home(engines, clock, Eager());
  engines.set_home(&home);
  home.Start();
  RunConsumers(engines, clock, 3, 500, [&](size_t i) { engines.Command(i); });
}

TEST_CASE("inline home: one thread alone", "[home]") {
  FakeEngines engines(true);
  SystemClock clock;
  InlineHome home(engines, clock, Eager());
  engines.set_home(&home);
  home.Start();
  RunConsumers(engines, clock, 1, 2000, [&](size_t i) { engines.Arrive(i); });
}

TEST_CASE("inline home: a leader that has woken another one gives way", "[home]") {
  constexpr uint32_t kLeaderAsleep = 16;  // in a waiter's word; beyond: a guest is
  FakeEngines engines(true);
  SystemClock clock;
  InlineSettings settings;
  settings.guest_spin = Duration();
  settings.caretaker_min = settings.caretaker_max = Seconds(20);  // no part in this
  InlineHome home(engines, clock, settings);
  engines.set_home(&home);
  home.Start();
  api::Waiter leader, guest;
  const Instant lost = clock.Now() + kLostAfter;
  std::thread other([&] {
    while (engines.polls.load() == 0) sched_yield();  // the first thread leads
    home.Wait(guest, {.notices_seen = engines.notices(), .deadline = lost});
  });
  std::thread port([&] {
    while (guest.signaled.load() <= kLeaderAsleep) sched_yield();
    engines.Arrive(0);
  });
  CHECK(home.Wait(leader, {.notices_seen = engines.notices(), .deadline = lost}) ==
        api::WaitOutcome::kLook);
  port.join();
  home.Signal(guest);
  const uint64_t polls = engines.polls.load();
  CHECK(home.Wait(leader,
                  {.notices_seen = engines.notices(), .deadline = clock.Now() + Milliseconds(5)}) ==
        api::WaitOutcome::kDeadline);
  CHECK(engines.polls.load() == polls);  // that was for the other one to do
  // But only once: who then finds the engines without a leader leads.
  home.Wait(leader, {.notices_seen = engines.notices(), .deadline = clock.Now() + Milliseconds(5)});
  CHECK(engines.polls.load() > polls);
  other.join();
}

TEST_CASE("inline home: the caretaker runs the engines of a busy program", "[home]") {
  FakeEngines engines(true);
  SystemClock clock;
  InlineHome home(engines, clock, {});
  engines.set_home(&home);
  home.Start();
  // No thread of the program ever waits: only the caretaker can take the frame.
  engines.Arrive(0);
  Instant lost = clock.Now() + kLostAfter;
  while (engines.notices() == 0 && clock.Now() < lost) Pause();
  CHECK(engines.notices() == 1);
  // And it hands the token back to a thread that then waits.
  engines.Arrive(0);
  CHECK(engines.Receive(0, clock.Now() + kLostAfter));
  CHECK(engines.Receive(0, clock.Now() + kLostAfter));
}

TEST_CASE("inline home: a deadline ends a wait", "[home]") {
  FakeEngines engines(true);
  SystemClock clock;
  InlineHome home(engines, clock, Eager());
  engines.set_home(&home);
  home.Start();
  Instant deadline = clock.Now() + Milliseconds(2);
  CHECK_FALSE(engines.Receive(0, deadline));
  CHECK(clock.Now() >= deadline);
}

TEST_CASE("inline home: a timer of the engine is run while the leader sleeps", "[home]") {
  FakeEngines engines(true);
  SystemClock clock;
  engines.next_deadline = clock.Now() + Milliseconds(1);
  InlineSettings settings = Eager();
  settings.caretaker = false;
  InlineHome home(engines, clock, settings);
  engines.set_home(&home);
  home.Start();
  Instant timer = engines.next_deadline;
  CHECK_FALSE(engines.Receive(0, timer + Milliseconds(2)));
  CHECK(engines.last_poll >= timer);
}

TEST_CASE("inline home: a kernel descriptor ends a wait, leading or not", "[home]") {
  FakeEngines engines(true);
  SystemClock clock;
  InlineHome home(engines, clock, Eager());
  engines.set_home(&home);
  home.Start();
  int pipes[2][2];
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 2; ++i) {
    REQUIRE(pipe2(pipes[i], O_CLOEXEC) == 0);
    threads.emplace_back([&, i] { engines.Receive(i, clock.Now() + kLostAfter, pipes[i][0]); });
  }
  for (size_t i = 0; i < 2; ++i) REQUIRE(write(pipes[i][1], "x", 1) == 1);
  for (auto& thread : threads) thread.join();
  for (size_t i = 0; i < 2; ++i) {
    CHECK(engines.last_outcome[i] == api::WaitOutcome::kKernelReady);
    close(pipes[i][0]);
    close(pipes[i][1]);
  }
}

namespace {
std::atomic<int> signals_seen{0};
void CountSignal(int) { signals_seen.fetch_add(1); }
TEST_CASE("internal descriptors: a number that was closed and given out again is the program's") {
  const int ours = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(ours >= 0);
  MarkInternal(ours, true);
  CHECK(IsInternal(ours));
  ::close(ours);  // as a driver does, which cannot tell
  CHECK_FALSE(IsInternal(ours));
  MarkInternal(ours, true);
  const int theirs = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(theirs == ours);  // the lowest number that is free
  CHECK_FALSE(IsInternal(theirs));
  ::close(theirs);
}

}  // namespace

TEST_CASE("inline home: a signal interrupts a sleeping wait, with SA_RESTART too", "[home]") {
  struct sigaction action = {}, before;
  action.sa_handler = CountSignal;
  action.sa_flags = SA_RESTART;
  REQUIRE(sigaction(SIGUSR1, &action, &before) == 0);
  FakeEngines engines(true);
  SystemClock clock;
  InlineHome home(engines, clock, Eager());
  engines.set_home(&home);
  home.Start();
  for (int threads = 1; threads <= 2; ++threads) {  // the leader, and a guest beside it
    std::vector<std::thread> waiting;
    std::vector<api::WaitOutcome> outcomes(threads);
    std::atomic<int> done{0};
    for (int i = 0; i < threads; ++i) {
      waiting.emplace_back([&, i] {
        api::Waiter waiter;
        do {
          outcomes[i] = home.Wait(
              waiter, {.notices_seen = engines.notices(), .deadline = clock.Now() + kLostAfter});
        } while (outcomes[i] == api::WaitOutcome::kLook);
        done.fetch_add(1);
        if (i == 0)
          while (done.load() < threads) Pause();  // keep pthread_kill's target alive
      });
    }
    // A signal that comes before the thread sleeps is lost on it, as on the kernel: repeat.
    while (done.load() < threads) {
      for (auto& thread : waiting) pthread_kill(thread.native_handle(), SIGUSR1);
      std::this_thread::yield();
    }
    for (auto& thread : waiting) thread.join();
    for (auto outcome : outcomes) CHECK(outcome == api::WaitOutcome::kInterrupted);
  }
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("threads home: frames and commands reach every waiting thread", "[home]") {
  for (bool spins : {true, false}) {
    FakeEngines engines(true);
    SystemClock clock;
    ThreadsSettings settings;
    if (!spins) settings = {.spin = Duration(), .guest_spin = Duration()};
    Engines* all[] = {&engines};
    ThreadsHome home(all, clock, settings, {});
    engines.set_home(&home);
    home.Start();
    RunConsumers(engines, clock, 4, 300, [&](size_t i) { engines.Arrive(i); });
    RunConsumers(engines, clock, 4, 300, [&](size_t i) { engines.Command(i); });
  }
}

TEST_CASE("manual home: a blocked thread sleeps until a poll brings its frame", "[home]") {
  FakeEngines engines(true);
  ProgramClock clock;
  ManualHome home(engines, clock);
  engines.set_home(&home);
  std::atomic<int> received{0};
  std::thread blocked([&] {
    for (int i = 0; i < 200; ++i) {
      if (engines.Receive(0, Instant::Never())) received.fetch_add(1);
    }
  });
  for (int i = 0; i < 200; ++i) {
    engines.Arrive(0);
    home.Poll();
  }
  blocked.join();
  CHECK(received.load() == 200);
}

TEST_CASE("manual home: a blocked thread's deadline is on the program's clock", "[home]") {
  FakeEngines engines(true);
  ProgramClock clock;
  ManualHome home(engines, clock);
  engines.set_home(&home);
  engines.next_deadline = Instant() + Seconds(9);
  for (int i = 0; i < 50; ++i) {
    Instant deadline = clock.Now() + Seconds(5);
    engines.next_deadline = deadline + Seconds(4);
    std::atomic<bool> done{false}, received{false};
    std::thread blocked([&] {
      received.store(engines.Receive(0, deadline));
      done.store(true);
    });
    while (home.NextDeadline() != deadline) std::this_thread::yield();  // until it sleeps
    REQUIRE(clock.AdvanceTo(deadline - Nanoseconds(1)));
    home.Poll();
    CHECK_FALSE(done.load());
    REQUIRE(clock.AdvanceTo(deadline));
    home.Poll();
    blocked.join();
    CHECK_FALSE(received.load());
    CHECK(home.NextDeadline() == engines.next_deadline);
  }
}

TEST_CASE("program clock: never goes back", "[home]") {
  ProgramClock clock;
  CHECK(clock.AdvanceTo(Instant() + Seconds(2)));
  CHECK(clock.AdvanceTo(Instant() + Seconds(2)));
  CHECK_FALSE(clock.AdvanceTo(Instant() + Seconds(1)));
  CHECK(clock.Now() == Instant() + Seconds(2));
  static uint64_t told = 5;
  ProgramClock function([](void*) { return told; });
  CHECK(function.Now().nanoseconds() == 5);
  told = 3;
  CHECK(function.Now().nanoseconds() == 5);
  CHECK_FALSE(function.AdvanceTo(Instant() + Seconds(1)));
}

}  // namespace sluice::runtime
