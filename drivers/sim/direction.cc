#include "sim/direction.h"

#include <algorithm>

namespace sluice::sim {
namespace {

constexpr uint64_t kMillion = 1'000'000;
constexpr uint64_t kInFlightMax = 65536;

Duration TransmissionTime(size_t bytes, uint64_t rate_bits_per_second) {
  if (rate_bits_per_second == 0) return Duration();
  const auto bits = static_cast<__uint128_t>(bytes) * 8;
  return Nanoseconds(static_cast<int64_t>(bits * 1'000'000'000 / rate_bits_per_second));
}

}  // namespace

Outcome Direction::Send(std::span<const uint8_t> bytes, Instant now) {
  ++statistics_.sent;
  Outcome outcome;
  outcome.fate = Decide(bytes, now);
  Instant departure = now;
  if (outcome.fate == Fate::kSent && !Serialise(bytes.size(), now, &departure)) {
    outcome.fate = Fate::kQueueFull;
  }
  if (outcome.fate != Fate::kSent) {
    ++statistics_.dropped[static_cast<int>(outcome.fate)];
    return outcome;
  }
  const bool duplicate = random_.Chance(impairments_.duplicate_ppm, kMillion);
  for (int copy = 0; copy < (duplicate ? 2 : 1); ++copy) {
    Arrival arrival = {ArrivalTime(departure), {bytes.begin(), bytes.end()}};
    Corrupt(&arrival.bytes);
    outcome.arrivals.push_back(std::move(arrival));
    ++statistics_.in_flight;
  }
  statistics_.duplicated += duplicate ? 1 : 0;
  return outcome;
}

void Direction::Arrived(Fate fate) {
  --statistics_.in_flight;
  if (fate == Fate::kDelivered) {
    ++statistics_.delivered;
  } else {
    ++statistics_.dropped[static_cast<int>(fate)];
  }
}

Fate Direction::Decide(std::span<const uint8_t> bytes, Instant now) {
  if (!is_up_) return Fate::kLinkDown;
  if (impairments_.drop && impairments_.drop({bytes, statistics_.sent, now})) {
    return Fate::kScripted;
  }
  if (InBurst()) return Fate::kBurst;
  if (random_.Chance(impairments_.loss_ppm, kMillion)) return Fate::kLost;
  if (statistics_.in_flight + 2 > kInFlightMax) return Fate::kQueueFull;
  return Fate::kSent;
}

bool Direction::InBurst() {
  if (!in_burst_) {
    in_burst_ = random_.Chance(impairments_.burst_begin_ppm, kMillion);
    return in_burst_;
  }
  in_burst_ = !random_.Chance(impairments_.burst_end_ppm, kMillion);
  return in_burst_;
}

bool Direction::Serialise(size_t bytes, Instant now, Instant* departure) {
  while (!departures_.empty() && departures_.front() <= now) departures_.pop_front();
  if (impairments_.rate_bits_per_second == 0) return true;
  if (departures_.size() >= impairments_.queue_frames_max) return false;
  const Instant begin = departures_.empty() ? now : std::max(now, departures_.back());
  *departure = begin + TransmissionTime(bytes, impairments_.rate_bits_per_second);
  departures_.push_back(*departure);
  return true;
}

Instant Direction::ArrivalTime(Instant departure) {
  Instant at =
      departure + impairments_.delay + random_.UniformDuration(Duration(), impairments_.jitter);
  if (random_.Chance(impairments_.reorder_ppm, kMillion)) {
    ++statistics_.reordered;
    return at + impairments_.reorder_delay;
  }
  if (!impairments_.jitter_reorders) at = std::max(at, latest_arrival_);
  latest_arrival_ = std::max(at, latest_arrival_);
  return at;
}

void Direction::Corrupt(std::vector<uint8_t>* bytes) {
  if (bytes->empty() || !random_.Chance(impairments_.corrupt_ppm, kMillion)) return;
  ++statistics_.corrupted;
  const uint64_t bits = 1 + random_.Below(std::max(1u, impairments_.corrupt_bits_max));
  for (uint64_t i = 0; i < bits; ++i) {
    const uint64_t bit = random_.Below(bytes->size() * 8);
    (*bytes)[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
  }
}

}  // namespace sluice::sim
