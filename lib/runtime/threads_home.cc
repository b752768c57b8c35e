#include "runtime/threads_home.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <string>

namespace sluice::runtime {

using api::Waiter;
using api::WaitOutcome;
using api::WaitRequest;

ThreadsHome::ThreadsHome(std::span<Engines* const> engines, Clock& clock,
                         const ThreadsSettings& settings, std::span<const int> cores)
    : clock_(clock), settings_(settings) {
  for (size_t i = 0; i < engines.size(); ++i) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->engines = engines[i];
    if (i < cores.size()) workers_.back()->core = cores[i];
  }
}

void ThreadsHome::Start() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (size_t i = 0; i < workers_.size(); ++i) {
    Worker& worker = *workers_[i];
    worker.thread = std::thread([this, &worker] { Run(worker); });
    pthread_setname_np(worker.thread.native_handle(), ("sluice-" + std::to_string(i)).c_str());
    if (worker.core < 0) continue;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(worker.core, &set);
    // A core that is not there leaves the thread where it may run: slower, not wrong.
    pthread_setaffinity_np(worker.thread.native_handle(), sizeof set, &set);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadsHome::~ThreadsHome() { Stop(); }

void ThreadsHome::Stop() {
  stop_.store(true);
  for (auto& worker : workers_) worker->bed.Wake(Parking::kLeaderBerth);
  for (auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
}

void ThreadsHome::Turn() { syscall(SYS_sched_yield); }

void ThreadsHome::WakeEngine(uint8_t lane) {
  if (lane < workers_.size()) workers_[lane]->bed.Wake(Parking::kLeaderBerth);
}

void ThreadsHome::Run(Worker& worker) {
  const Duration spin = worker.engines->must_nap()
                            ? std::max(settings_.spin, settings_.spin_before_nap)
                            : settings_.spin;
  Instant now = clock_.Now();
  Instant idle_since = now;
  Duration nap = settings_.nap_min;
  uint32_t told = worker.engines->notices();
  std::vector<pollfd> descriptors(1 + worker.engines->wake_descriptors().size());
  while (!stop_.load(std::memory_order_relaxed)) {
    bool worked = worker.engines->Poll(now);
    uint32_t notices = worker.engines->notices();
    if (notices != told) {
      told = notices;
      // Pairs with Wait: its thread counts itself and then looks at the notices.
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (sleepers_.load(std::memory_order_relaxed) != 0) {
        worker.engines->Dispatch();
        parking_.WakeListeners();
      }
    }
    if (worked) {
      idle_since = now;
      nap = settings_.nap_min;
    } else if (now - idle_since >= spin) {
      SleepWorker(worker, now, &nap, &descriptors);
    } else {
      Pause();
    }
    now = clock_.Now();
  }
}

void ThreadsHome::SleepWorker(Worker& worker, Instant now, Duration* nap,
                              std::vector<pollfd>* descriptors) {
  Waiter waiter;
  Parking::Stay stay(worker.bed, waiter);
  if (worker.engines->PrepareToSleep() && !stop_.load()) {
    std::span<const int> ports = worker.engines->wake_descriptors();
    for (size_t i = 0; i < ports.size(); ++i) (*descriptors)[1 + i] = {ports[i], POLLIN, 0};
    Instant until = worker.engines->NextDeadline();
    Duration timeout = until.is_never() ? Duration::Infinite() : until - now;
    if (worker.engines->must_nap()) {
      timeout = std::min(timeout, *nap);
      *nap = std::min(*nap * 2, settings_.nap_max);
    }
    stay.Sleep(*descriptors, timeout, nullptr);
  }
  worker.engines->WakeUp();
}

bool ThreadsHome::IsNews(const WaitRequest& request) const {
  uint32_t sum = 0;
  for (const auto& worker : workers_) sum += worker->engines->notices();
  return sum != request.notices_seen;
}

WaitOutcome ThreadsHome::Wait(Waiter& waiter, const WaitRequest& request) {
  return WaitFor(waiter, request, false);
}

WaitOutcome ThreadsHome::WaitForNews(const WaitRequest& request) {
  Waiter waiter;
  return WaitFor(waiter, request, true);
}

WaitOutcome ThreadsHome::WaitFor(Waiter& waiter, const WaitRequest& request, bool any_news) {
  Instant now = clock_.Now();
  for (Instant until = now + settings_.guest_spin; now < until; now = clock_.Now()) {
    if (waiter.signaled.Acquire() != 0 || IsNews(request)) return WaitOutcome::kLook;
    if (now >= request.deadline) return WaitOutcome::kDeadline;
    Pause();
  }
  Parking::Stay stay(parking_, waiter, request);
  if (!stay.is_parked()) return WaitOutcome::kLook;
  if (any_news) stay.SetListening();
  struct Count {
    explicit Count(std::atomic<uint32_t>& sleepers) : sleepers(sleepers) { sleepers.fetch_add(1); }
    ~Count() { sleepers.fetch_sub(1); }
    std::atomic<uint32_t>& sleepers;
  } count(sleepers_);
  // Pairs with Run: either this sees what was announced, or the worker sees the count.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (IsNews(request)) return WaitOutcome::kLook;
  return stay.Sleep(request, request.deadline);
}

}  // namespace sluice::runtime
