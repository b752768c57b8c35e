// The threads home: one thread of Sluice's for each engine; the program's calls only move data.
//
// A worker polls its engine, spins for a while after the last work, then sleeps on its ports' wake
// descriptors and its own berth, where WakeEngine rings. After a turn that announced something to
// the application it tells the sleeping threads, if there are any: those count themselves in
// `sleepers_` before they look a last time, and a worker looks at the count after it announced.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "api/home.h"
#include "runtime/clock.h"
#include "runtime/engines.h"
#include "runtime/parking.h"

namespace sluice::runtime {

struct ThreadsSettings {
  Duration spin = Microseconds(200);       // of a worker after its last work
  Duration guest_spin = Microseconds(10);  // of a thread of the program before it sleeps
  // The least spin where a port has no wake descriptor, as with InlineSettings.
  Duration spin_before_nap = Milliseconds(1);
  Duration nap_min = Microseconds(50);
  Duration nap_max = Milliseconds(1);
};

class ThreadsHome final : public api::Home {
 public:
  // One Engines a worker; its index is the lane's. All outlive the home. `cores`: where each runs;
  // negative or missing: anywhere.
  ThreadsHome(std::span<Engines* const> engines, Clock& clock, const ThreadsSettings& settings,
              std::span<const int> cores);
  // Ends the threads. No other thread may be in a call.
  ~ThreadsHome() override;
  // Starts the threads, with all signals blocked in them. Once, before the first other call.
  void Start();
  // Ends the threads: nobody runs the engines any more.
  void Stop();
  // As Wait, but for anything that is announced to anybody.
  api::WaitOutcome WaitForNews(const api::WaitRequest& request);

  Instant Now() override { return clock_.Now(); }
  void Turn() override;
  api::WaitOutcome Wait(api::Waiter& waiter, const api::WaitRequest& request) override;
  void Signal(api::Waiter& waiter) override { parking_.Signal(waiter); }
  void WakeEngine(uint8_t lane) override;

 private:
  struct Worker {
    Engines* engines = nullptr;
    int core = -1;
    Parking bed{1};  // where it sleeps: the leader's berth
    std::thread thread;
  };

  void Run(Worker& worker);
  api::WaitOutcome WaitFor(api::Waiter& waiter, const api::WaitRequest& request, bool any_news);
  void SleepWorker(Worker& worker, Instant now, Duration* nap, std::vector<pollfd>* descriptors);
  bool IsNews(const api::WaitRequest& request) const;

  Clock& clock_;
  const ThreadsSettings settings_;
  Parking parking_;
  alignas(64) std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace sluice::runtime
