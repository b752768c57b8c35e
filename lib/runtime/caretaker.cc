// The caretaker's half of the inline home: see inline_home.h.

#include <pthread.h>
#include <signal.h>

#include <algorithm>

#include "runtime/inline_home.h"

namespace sluice::runtime {
namespace {

// Looks in a row that must find the leader asleep before the caretaker dozes.
constexpr int kLooksBeforeDozing = 4;

}  // namespace

InlineHome::InlineHome(Engines& engines, Clock& clock, const InlineSettings& settings)
    : engines_(engines), clock_(clock), settings_(settings), nap_(settings.nap_min) {
  descriptors_.reserve(2 + engines_.wake_descriptors().size());
}

void InlineHome::Start() {
  if (!settings_.caretaker) return;
  // Signals are the program's: its own threads take them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  caretaker_ = std::thread([this] { RunCaretaker(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

InlineHome::~InlineHome() { StopCaretaker(); }

void InlineHome::StopCaretaker() {
  if (!caretaker_.joinable()) return;
  stop_.store(true);
  caretaker_word_.store(1);
  FutexWake(caretaker_word_);
  parking_.Wake(Parking::kLeaderBerth);
  caretaker_.join();
}

void InlineHome::RunCaretaker() {
  pthread_setname_np(pthread_self(), "sluice-care");
  Duration period = settings_.caretaker_min;
  uint64_t turns_seen = 0;
  int looks_asleep = 0;
  while (!stop_.load()) {
    if (looks_asleep >= kLooksBeforeDozing) {
      Doze();
      looks_asleep = 0;
      period = settings_.caretaker_min;
    } else {
      // With guests asleep, somebody may be waiting for what nobody fetches: look more often.
      if (parking_.guests() != 0) period = std::min(period, settings_.caretaker_min * 4);
      FutexWait(caretaker_word_, 0, SystemClock().Now() + period);
    }
    caretaker_word_.store(0);
    uint64_t turns = turns_.load(std::memory_order_relaxed);
    bool turned = turns != turns_seen;
    turns_seen = turns;
    if (LeaderSleeps()) {
      ++looks_asleep;
      period = settings_.caretaker_max;
      continue;
    }
    looks_asleep = 0;
    if (turned) {
      period = std::min(period * 2, settings_.caretaker_max);
    } else if (TryTake(kCaretaker)) {
      period = settings_.caretaker_min;
      LeadAsCaretaker();
      turns_seen = turns_.load(std::memory_order_relaxed);
    }
  }
}

bool InlineHome::LeaderSleeps() const {
  return token_.load(std::memory_order_seq_cst) == kProgram && leader_sleeps_.load();
}

void InlineHome::Doze() {
  dozing_.store(1, std::memory_order_seq_cst);
  // Pairs with Release: a leader that leaves after this look sees dozing_ and wakes this thread.
  while (LeaderSleeps() && dozing_.load() != 0 && !stop_.load()) {
    FutexWait(caretaker_word_, 0, Instant::Never());
    if (caretaker_word_.load() != 0) break;
  }
  dozing_.store(0);
}

void InlineHome::LeadAsCaretaker() {
  api::Waiter waiter;
  uint32_t dispatched = engines_.notices() - 1;  // look once for what came before
  Instant now = clock_.Now();
  idle_since_ = now;
  while (!stop_.load(std::memory_order_relaxed)) {
    bool worked = PollOnce(now);
    uint32_t notices = engines_.notices();
    if (notices != dispatched) {
      dispatched = notices;
      engines_.Dispatch();
      parking_.WakeListeners();
    }
    if (wanted_.load() != 0) break;
    if (!worked) {
      // Not the place to spin: the program has something better to do with the core.
      Sleep(waiter, {.notices_seen = dispatched}, now);
      waiter.signaled.store(0);
    }
    now = clock_.Now();
  }
  left_with_work_ = true;
  wanted_.store(0);
  Release();
  // Whoever wanted the token may have gone to sleep before it came free.
  if (guest_wants_.exchange(false)) parking_.WakeOne();
}

}  // namespace sluice::runtime
