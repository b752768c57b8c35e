// What one direction of a simulated link does to the frames that cross it. Probabilities are in
// millionths (ppm). Everything may be changed while the simulation runs; it applies to frames sent
// from then on.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/time.h"

namespace sluice::sim {

struct SentFrame {
  std::span<const uint8_t> bytes;
  uint64_t index = 0;  // 1 for the first frame sent in this direction
  Instant at;
};

struct Impairments {
  Duration delay = Microseconds(50);
  // Each frame's delay grows by a uniform amount up to this. Frames overtake each other only
  // where `jitter_reorders`.
  Duration jitter;
  bool jitter_reorders = false;

  uint64_t rate_bits_per_second = 0;  // 0: frames need no time to be sent
  uint32_t queue_frames_max = 1000;   // waiting to be sent at that rate; more are dropped

  uint32_t loss_ppm = 0;
  // Loss in bursts (a Gilbert model): a frame begins a burst with one probability, and each frame
  // within it ends the burst with the other. All frames of a burst are lost.
  uint32_t burst_begin_ppm = 0;
  uint32_t burst_end_ppm = 250'000;

  uint32_t reorder_ppm = 0;  // held back by `reorder_delay`, so that later ones overtake
  Duration reorder_delay = Milliseconds(1);
  uint32_t duplicate_ppm = 0;
  uint32_t corrupt_ppm = 0;  // one to `corrupt_bits_max` bits are inverted
  uint32_t corrupt_bits_max = 3;

  // Drops the frames for which it is true: "the third data segment". See scripts.h.
  std::function<bool(const SentFrame&)> drop;
};

enum class Fate : uint8_t {
  kSent,       // on its way
  kDelivered,  // arrived
  kLost,
  kBurst,
  kScripted,
  kQueueFull,
  kLinkDown,
  kReceiverFull,  // arrived where nobody makes room
  kTooManyHops,
};
inline constexpr int kFates = 9;

struct DirectionStatistics {
  uint64_t sent = 0;        // given to this direction
  uint64_t duplicated = 0;  // copies made on the way
  uint64_t corrupted = 0;
  uint64_t reordered = 0;
  uint64_t delivered = 0;
  uint64_t dropped[kFates] = {};  // by fate
  uint64_t in_flight = 0;

  uint64_t dropped_total() const {
    uint64_t sum = 0;
    for (uint64_t count : dropped) sum += count;
    return sum;
  }
};

}  // namespace sluice::sim
