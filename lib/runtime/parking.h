// Where waiting threads sleep.
//
// A waiter lives on a stack that may be gone a moment after it was signaled, so nobody sleeps on
// the waiter itself: a thread takes a berth, notes its number in the waiter, and sleeps there.
// Berths live as long as the home. A wake that comes too late hits a berth, where it is a wake for
// nothing, which every waiting thread expects.
//
//   Parking::Stay stay(parking, waiter, request);
//   if (!stay.is_parked()) return;           // signaled before
//   if (nothing to wait for any more) return;
//   stay.Sleep(request, request.deadline);
//
// The handshake: the sleeper notes its berth in the waiter (compare-exchange from 0), then looks
// once more at what it waits for, then sleeps while the berth's word is 0. The waker makes it so,
// then exchanges the waiter for 1; if a berth was noted there it sets the berth's word to 1, and
// rings if it was 0. All of these are sequentially consistent: either the sleeper sees what it
// waits for, or the waker sees the berth.
#pragma once

#include <signal.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "api/home.h"
#include "base/time.h"
#include "runtime/kernel_sleep.h"

namespace sluice::runtime {

// What a request waits for beside its waiter, as ppoll wants it.
inline pollfd DescriptorOf(const api::WaitRequest& request) {
  short events = request.kernel_events != 0 ? request.kernel_events : short{POLLIN};
  return {.fd = request.kernel_descriptor, .events = events, .revents = 0};
}

class Parking {
 public:
  static constexpr uint32_t kBerthsMax = 4096;
  // Whoever leads the engine sleeps here; only one thread does at a time.
  static constexpr uint32_t kLeaderBerth = 0;

  // Room for `berths` threads, the leader's berth among them.
  explicit Parking(uint32_t berths = kBerthsMax);
  ~Parking();
  Parking(const Parking&) = delete;
  Parking& operator=(const Parking&) = delete;

  // Makes a waiter signaled and wakes its thread if that sleeps. True: it did, in a berth other
  // than the leader's. Any thread.
  bool Signal(api::Waiter& waiter);
  // Wakes whoever sleeps in a berth; false: nobody does, or he was woken before. Any thread.
  bool Wake(uint32_t berth);
  // Wakes one thread that sleeps in a berth other than the leader's. False: there is none.
  bool WakeOne();
  // Wakes those whose deadline has come, and who gave one on a clock that the kernel does not know.
  void WakeExpired(Instant now);
  // Wakes those who wait for news of any kind (Stay::SetListening).
  void WakeListeners();
  // The earliest deadline that WakeExpired would act on.
  Instant EarliestDeadline() const;

  // Threads in berths other than the leader's.
  uint32_t guests() const { return guests_.load(std::memory_order_seq_cst); }

  class Stay {
   public:
    // Takes a berth for a guest whose request says what else ends its sleep.
    Stay(Parking& parking, api::Waiter& waiter, const api::WaitRequest& request);
    // Takes the leader's.
    Stay(Parking& parking, api::Waiter& waiter);
    ~Stay();
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;

    // False: the waiter was signaled before, or every berth is taken.
    bool is_parked() const { return parked_; }
    // The time at which WakeExpired ends this stay.
    void SetDeadline(Instant deadline);
    // WakeListeners ends this stay.
    void SetListening();

    // A guest's sleep: until woken, until the request's kernel descriptor is ready, a signal comes
    // or the deadline has passed, which here is one on CLOCK_MONOTONIC (Never: it is on another
    // clock).
    api::WaitOutcome Sleep(const api::WaitRequest& request, Instant deadline);
    // The leader's: until woken or one of `descriptors` is ready. The first of them is the berth's
    // own and is filled in here. `timeout` is relative.
    SleepResult Sleep(std::span<pollfd> descriptors, Duration timeout, const sigset_t* mask);

   private:
    void Park(bool with_descriptor);

    Parking& parking_;
    api::Waiter& waiter_;
    uint32_t berth_;
    bool parked_ = false;
  };

 private:
  struct alignas(64) Berth {
    std::atomic<uint32_t> word{0};    // 1: woken
    std::atomic<bool> rings{false};   // asleep on the descriptor, not on the word
    std::atomic<int> descriptor{-1};  // an eventfd, made when first needed, never closed
    std::atomic<int64_t> deadline_ns{0};
    std::atomic<bool> listens{false};
  };
  // In a waiter's word: 0 awake, 1 signaled, from here on a berth.
  static constexpr uint32_t kNoted = 16;
  static constexpr uint32_t kNoBerth = 0xffffffff;

  uint32_t Take();
  void Return(uint32_t berth);
  bool EnsureDescriptor(Berth& berth);
  template <typename Visitor>
  void ForEachGuest(Visitor&& visit) const;

  std::array<std::atomic<uint64_t>, kBerthsMax / 64> taken_{};
  const uint32_t count_;
  std::atomic<uint32_t> guests_{0};
  std::atomic<uint32_t> listeners_{0};
  std::unique_ptr<Berth[]> berths_;
};

}  // namespace sluice::runtime
