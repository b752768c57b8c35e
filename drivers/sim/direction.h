// One direction of a link: decides what becomes of each frame and when it arrives. Internal to the
// simulated network.
#pragma once

#include <deque>
#include <vector>

#include "base/random.h"
#include "sim/impairments.h"

namespace sluice::sim {

struct Arrival {
  Instant at;
  std::vector<uint8_t> bytes;
};

// What becomes of one frame: up to two arrivals, or the reason why there are none.
struct Outcome {
  Fate fate = Fate::kSent;
  std::vector<Arrival> arrivals;
};

class Direction {
 public:
  Direction(uint64_t seed, const Impairments& impairments)
      : impairments_(impairments), random_(seed) {}

  Outcome Send(std::span<const uint8_t> bytes, Instant now);
  // What arrived was taken (kDelivered) or not.
  void Arrived(Fate fate);

  Impairments& impairments() { return impairments_; }
  const DirectionStatistics& statistics() const { return statistics_; }
  void set_up(bool up) { is_up_ = up; }
  bool is_up() const { return is_up_; }

 private:
  Fate Decide(std::span<const uint8_t> bytes, Instant now);
  bool InBurst();
  // When the last bit of the frame has left, and room in the queue for it.
  bool Serialise(size_t bytes, Instant now, Instant* departure);
  Instant ArrivalTime(Instant departure);
  void Corrupt(std::vector<uint8_t>* bytes);

  Impairments impairments_;
  Random random_;
  DirectionStatistics statistics_;
  std::deque<Instant> departures_;  // of the frames that wait or are being sent
  Instant latest_arrival_;
  bool in_burst_ = false;
  bool is_up_ = true;
};

}  // namespace sluice::sim
