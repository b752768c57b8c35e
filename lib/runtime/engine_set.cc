#include "runtime/engine_set.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "api/context.h"
#include "engine/engine.h"

namespace sluice::runtime {

EngineSet::EngineSet(std::vector<engine::Engine*> engines) : engines_(std::move(engines)) {
  for (engine::Engine* engine : engines_) {
    notices_.push_back(&engine->sockets().region().lane(engine->lane()).notices);
    std::span<const int> descriptors = engine->wake_descriptors();
    wake_descriptors_.insert(wake_descriptors_.end(), descriptors.begin(), descriptors.end());
    must_nap_ = must_nap_ || !engine->ports_can_wake();
  }
}

bool EngineSet::Poll(Instant now) {
  unsigned work = 0;
  for (engine::Engine* engine : engines_) work += engine->Poll(now);
  return work != 0;
}

Instant EngineSet::NextDeadline() {
  Instant earliest = Instant::Never();
  for (engine::Engine* engine : engines_) earliest = std::min(earliest, engine->NextDeadline());
  return earliest;
}

bool EngineSet::PrepareToSleep() {
  for (engine::Engine* engine : engines_) {
    if (!engine->PrepareToSleep()) {
      WakeUp();
      return false;
    }
    ++asleep_;
  }
  return true;
}

void EngineSet::WakeUp() {
  for (size_t i = 0; i < asleep_; ++i) engines_[i]->WakeUp();
  asleep_ = 0;
}

uint32_t EngineSet::notices() const {
  uint32_t sum = 0;
  for (const table::Cell<uint32_t>* notices : notices_) sum += notices->Acquire();
  return sum;
}

void EngineSet::Dispatch() {
  // Pairs with Mute: either this sees that it is muted, or Mute sees that this is under way.
  dispatching_.fetch_add(1);
  if (!muted_.load()) api::DispatchEvents();
  dispatching_.fetch_sub(1);
}

void EngineSet::Mute() {
  muted_.store(true);
  while (dispatching_.load() != 0) std::this_thread::yield();
}

}  // namespace sluice::runtime
