// Engines for the tests of homes: a port that any thread may push numbers into, and consumers that
// wait for them, each as lib/api waits for a socket.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <vector>

#include "api/home.h"
#include "runtime/engines.h"

namespace sluice::runtime {

class FakeEngines final : public Engines {
 public:
  static constexpr size_t kConsumers = 8;

  // has_descriptor: the port can wake a sleeper; otherwise it must be polled.
  explicit FakeEngines(bool has_descriptor) : has_descriptor_(has_descriptor) {
    descriptor_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  }
  ~FakeEngines() override { close(descriptor_); }
  void set_home(api::Home* home) { home_ = home; }

  // A frame for a consumer arrives.
  void Arrive(size_t consumer) {
    {
      std::lock_guard lock(port_lock_);
      port_.push_back(consumer);
    }
    if (has_descriptor_ && armed_.load()) Ring();
  }
  // The application asks something of the engine: as a doorbell.
  void Command(size_t consumer) {
    {
      std::lock_guard lock(port_lock_);
      port_.push_back(consumer);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (sleeps_.load() != 0) home_->WakeEngine(0);
  }

  // Waits for one frame as a blocking call does. False: the deadline passed.
  bool Receive(size_t consumer, Instant deadline, int kernel_descriptor = -1) {
    api::Waiter waiter;
    {
      std::lock_guard lock(lock_);
      waiters_[consumer] = &waiter;
    }
    bool received = false;
    for (;;) {
      waiter.signaled.store(0);
      uint32_t seen = notices();
      Dispatch();
      if (TryReceive(consumer)) {
        received = true;
        break;
      }
      api::WaitOutcome outcome = home_->Wait(
          waiter,
          {.notices_seen = seen, .deadline = deadline, .kernel_descriptor = kernel_descriptor});
      last_outcome[consumer] = outcome;
      if (outcome == api::WaitOutcome::kKernelReady) break;
      if (outcome == api::WaitOutcome::kDeadline && !TryReceive(consumer)) break;
      if (outcome == api::WaitOutcome::kDeadline) {
        received = true;
        break;
      }
    }
    std::lock_guard lock(lock_);
    waiters_[consumer] = nullptr;
    return received;
  }

  bool Poll(Instant now) override {
    polls.fetch_add(1);
    last_poll = now;
    std::vector<size_t> taken;
    {
      std::lock_guard lock(port_lock_);
      taken.assign(port_.begin(), port_.end());
      port_.clear();
    }
    if (taken.empty()) return false;
    std::lock_guard lock(lock_);
    for (size_t consumer : taken) events_.push_back(consumer);
    notices_.fetch_add(1, std::memory_order_release);
    return true;
  }
  Instant NextDeadline() override { return next_deadline; }
  bool PrepareToSleep() override {
    sleeps_.store(1);
    armed_.store(true);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    std::lock_guard lock(port_lock_);
    return port_.empty();
  }
  void WakeUp() override {
    sleeps_.store(0);
    armed_.store(false);
    uint64_t count;
    [[maybe_unused]] ssize_t drained = read(descriptor_, &count, sizeof count);
  }
  std::span<const int> wake_descriptors() const override {
    return {&descriptor_, has_descriptor_ ? size_t{1} : size_t{0}};
  }
  bool must_nap() const override { return !has_descriptor_; }
  uint32_t notices() const override { return notices_.load(std::memory_order_acquire); }
  void Dispatch() override {
    std::lock_guard lock(lock_);
    for (size_t consumer : events_) {
      ++ready_[consumer];
      if (waiters_[consumer] != nullptr) home_->Signal(*waiters_[consumer]);
    }
    events_.clear();
  }

  std::atomic<uint64_t> polls{0};
  Instant next_deadline = Instant::Never();
  Instant last_poll;
  std::array<api::WaitOutcome, kConsumers> last_outcome{};

 private:
  bool TryReceive(size_t consumer) {
    std::lock_guard lock(lock_);
    if (ready_[consumer] == 0) return false;
    --ready_[consumer];
    return true;
  }
  void Ring() {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = write(descriptor_, &one, sizeof one);
  }

  const bool has_descriptor_;
  api::Home* home_ = nullptr;
  int descriptor_;
  std::atomic<uint32_t> sleeps_{0};
  std::atomic<bool> armed_{false};
  std::atomic<uint32_t> notices_{0};
  std::mutex port_lock_;
  std::deque<size_t> port_;
  std::mutex lock_;  // never held while the home is called, except for Signal
  std::deque<size_t> events_;
  std::array<int, kConsumers> ready_{};
  std::array<api::Waiter*, kConsumers> waiters_{};
};

}  // namespace sluice::runtime
