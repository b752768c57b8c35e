// The inline home: whoever waits runs the engines.
//
// One thread at a time holds the token and leads: it polls the engines until something was
// announced to the application, then returns to look whether that concerns it. Others that wait
// meanwhile are guests: they sleep in a berth until somebody signals their waiter. A leader spins
// for a while after the last work, then sleeps on the ports' wake descriptors and its berth.
//
// A leader that finds news for others only, and wakes one of them, gives way: it sleeps as a guest,
// and the one that was woken leads when it waits again. So a program whose connections are one
// thread's, while another waits for new ones, is led by the thread that has the work, which needs
// not be woken for it.
//
// A leader that returns to its program wakes nobody: it will mostly be back in a moment. For when
// it is not, there is the caretaker, a thread of Sluice's. It looks every so often whether the
// engines were run; if they were not, it takes the token and leads, tells guests what came for
// them, and hands the token back when a thread of the program wants it. While the leader of the
// program's own sleeps, the caretaker dozes without a time-out, until a leader leaves.
//
// Words and who writes them: `token_` by whoever takes or gives it; `turns_`, `idle_since_`,
// `last_look_` by the holder of the token; `woke_by_` and `woke_turn_` by whoever wakes a guest;
// `wanted_` set by threads of the program and cleared by the caretaker; `guest_wants_` set by
// guests and cleared by the caretaker; `dozing_` set by the caretaker and cleared by a leader that
// leaves.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "api/home.h"
#include "runtime/clock.h"
#include "runtime/engines.h"
#include "runtime/parking.h"

namespace sluice::runtime {

struct InlineSettings {
  Duration spin = Microseconds(200);       // after the last work, before sleeping
  Duration guest_spin = Microseconds(10);  // before a thread that does not lead sleeps
  // The least spin where a port has no wake descriptor: a nap that is taken too early costs more
  // than the work it waits for.
  Duration spin_before_nap = Milliseconds(1);
  Duration nap_min = Microseconds(50);  // sleeps while a port has no wake descriptor ...
  Duration nap_max = Milliseconds(1);   // ... doubling up to this while nothing comes
  Duration look_at_descriptor =
      Microseconds(30);  // how often a leader looks at a kernel descriptor
  // How often the caretaker looks while the program is active; doubling while it finds them run.
  Duration caretaker_min = Microseconds(100);
  Duration caretaker_max = Milliseconds(1);
  bool caretaker = true;
};

class InlineHome final : public api::Home {
 public:
  // Both outlive the home.
  InlineHome(Engines& engines, Clock& clock, const InlineSettings& settings);
  // Ends the caretaker. No other thread may be in a call.
  ~InlineHome() override;
  // Starts the caretaker, with all signals blocked in it. Once, before the first other call.
  void Start();

  Instant Now() override { return clock_.Now(); }
  void Turn() override;
  api::WaitOutcome Wait(api::Waiter& waiter, const api::WaitRequest& request) override;
  void Signal(api::Waiter& waiter) override;
  void WakeEngine(uint8_t lane) override;

  // Runs the engines once unless somebody else does now; true: there was work.
  bool TryPoll();
  // As Wait, but for anything that is announced to anybody.
  api::WaitOutcome WaitForNews(const api::WaitRequest& request);
  Instant NextDeadline();
  // Takes the engines from whoever runs them, for good: threads that wait go on waiting. False:
  // they cannot be had, because this is a signal handler that interrupted them or because somebody
  // does not give them up.
  bool Seize();

 private:
  enum Holder : uint32_t { kNobody, kProgram, kCaretaker };

  bool TryTake(Holder holder);
  void Release();
  void Demand();
  bool PollOnce(Instant now);

  api::WaitOutcome Lead(api::Waiter& waiter, const api::WaitRequest& request);
  std::optional<api::WaitOutcome> Sleep(api::Waiter& waiter, const api::WaitRequest& request,
                                        Instant now);
  std::optional<api::WaitOutcome> LookAtDescriptor(const api::WaitRequest& request, Instant now);
  api::WaitOutcome WaitFor(api::Waiter& waiter, const api::WaitRequest& request, bool any_news);
  std::optional<api::WaitOutcome> WaitAsGuest(api::Waiter& waiter, const api::WaitRequest& request,
                                              bool any_news, bool gives_way);
  bool GivesWay();

  void StopCaretaker();
  void RunCaretaker();
  void LeadAsCaretaker();
  void Doze();
  bool LeaderSleeps() const;

  Engines& engines_;
  Clock& clock_;
  const InlineSettings settings_;
  Parking parking_;

  alignas(64) std::atomic<uint32_t> token_{kNobody};
  std::atomic<uint32_t> wanted_{0};
  std::atomic<bool> seized_{false};
  std::atomic<bool> polling_{false};          // the holder is inside the engines
  std::atomic<const void*> holder_{nullptr};  // its thread, as ThisThread() names it
  // The thread that last woke a guest, and turns_ then.
  std::atomic<const void*> woke_by_{nullptr};
  std::atomic<uint64_t> woke_turn_{0};

  alignas(64) std::atomic<uint64_t> turns_{0};
  std::atomic<bool> leader_sleeps_{false};
  Instant idle_since_;
  Instant last_look_;
  Duration nap_;
  bool left_with_work_ = false;
  std::vector<pollfd> descriptors_;

  alignas(64) std::atomic<uint32_t> caretaker_word_{0};
  std::atomic<uint32_t> dozing_{0};
  std::atomic<bool> guest_wants_{false};  // a guest went to sleep for want of the caretaker's token
  std::atomic<bool> stop_{false};
  std::thread caretaker_;
};

}  // namespace sluice::runtime
