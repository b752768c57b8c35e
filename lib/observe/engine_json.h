// An engine's report as JSON: its ports and interfaces, tables, limits and counters.
#pragma once

#include <nlohmann/json.hpp>

#include "observe/snapshot.h"

namespace sluice::observe {

nlohmann::json EngineJson(const EngineFacts& facts);

// Limits, how far they are used up where that is known, and how often each was hit.
nlohmann::json LimitsJson(const EngineFacts& facts);

nlohmann::json CountersJson(const engine::Report& report);

}  // namespace sluice::observe
