// The engines of lib/engine as a home sees them: one or several that one thread at a time runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/engines.h"
#include "table/cell.h"

namespace sluice::engine {
class Engine;
}

namespace sluice::runtime {

class EngineSet final : public Engines {
 public:
  // The engines outlive the set and have their ports already.
  explicit EngineSet(std::vector<engine::Engine*> engines);

  bool Poll(Instant now) override;
  Instant NextDeadline() override;
  bool PrepareToSleep() override;
  void WakeUp() override;
  std::span<const int> wake_descriptors() const override { return wake_descriptors_; }
  bool must_nap() const override { return must_nap_; }
  uint32_t notices() const override;
  void Dispatch() override;
  // The socket calls are about to be taken away: ends Dispatch, waiting for one that is under way.
  void Mute();

 private:
  std::vector<engine::Engine*> engines_;
  std::vector<const table::Cell<uint32_t>*> notices_;
  std::vector<int> wake_descriptors_;
  bool must_nap_ = false;
  std::atomic<bool> muted_{false};
  std::atomic<uint32_t> dispatching_{0};
  size_t asleep_ = 0;  // engines that announced their sleep, from the first on
};

}  // namespace sluice::runtime
