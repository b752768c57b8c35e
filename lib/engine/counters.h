// What an engine's loop counts of itself.
#pragma once

#include <cstdint>

// One line a counter; the struct and the table of names are made of the same list.
// clang-format off
#define SLUICE_ENGINE_COUNTERS(X) \
  X(Turns) X(IdleTurns) X(FramesReceived) X(FramesTransmitted) X(FramesLooped) \
  X(TransmitBacklogs) X(Commands) X(CommandsInvalid) X(CommandsStale) X(Doorbells) \
  X(DoorbellsStale) X(Timers) X(Sleeps) X(SleepsRefused) X(UnknownProtocols) X(PoolLow) \
  X(LinkChanges) X(HandOversGiven) X(HandOversTaken) X(HandOversRefused) X(HandOverCopiesFailed)
// clang-format on

namespace sluice::engine {

struct Counters {
#define SLUICE_ENGINE_COUNTER_FIELD(name) uint64_t name = 0;
  SLUICE_ENGINE_COUNTERS(SLUICE_ENGINE_COUNTER_FIELD)
#undef SLUICE_ENGINE_COUNTER_FIELD

  // Calls visit("Turns", value) for each, in the order of the list.
  template <typename Visitor>
  void ForEach(Visitor&& visit) const {
#define SLUICE_ENGINE_COUNTER_VISIT(name) visit(#name, name);
    SLUICE_ENGINE_COUNTERS(SLUICE_ENGINE_COUNTER_VISIT)
#undef SLUICE_ENGINE_COUNTER_VISIT
  }
};

}  // namespace sluice::engine
