// The manual home: nothing happens except in Poll, and time is the program's.
//
// A thread that blocks in a call sleeps until a Poll of another thread has brought what it waits
// for, or has seen its deadline pass on the program's clock. Calls that only need the engine's
// answer (socket, bind, ...) turn it themselves at the present time.
#pragma once

#include <atomic>

#include "api/home.h"
#include "runtime/clock.h"
#include "runtime/engines.h"
#include "runtime/parking.h"

namespace sluice::runtime {

class ManualHome final : public api::Home {
 public:
  // Both outlive the home.
  ManualHome(Engines& engines, Clock& clock) : engines_(engines), clock_(clock) {}

  // Runs the engines once and wakes the threads concerned. True: there was work.
  bool Poll();
  // The next timer of an engine or deadline of a waiting thread.
  Instant NextDeadline();
  // As Wait, but for anything that is announced to anybody.
  api::WaitOutcome WaitForNews(const api::WaitRequest& request);
  // Takes the engines for good.
  void Seize();

  Instant Now() override { return clock_.Now(); }
  void Turn() override { RunEngines(); }
  api::WaitOutcome Wait(api::Waiter& waiter, const api::WaitRequest& request) override;
  void Signal(api::Waiter& waiter) override { parking_.Signal(waiter); }
  // The program will poll.
  void WakeEngine(uint8_t) override {}

 private:
  bool RunEngines();
  api::WaitOutcome WaitFor(api::Waiter& waiter, const api::WaitRequest& request, bool any_news);

  Engines& engines_;
  Clock& clock_;
  Parking parking_;
  std::atomic_flag running_;  // held by the thread that runs the engines
};

}  // namespace sluice::runtime
