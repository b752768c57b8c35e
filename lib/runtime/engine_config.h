// From what a user can set to what an engine is made of.
#pragma once

#include "absl/status/status.h"
#include "base/siphash.h"
#include "base/time.h"
#include "engine/config.h"
#include "runtime/configuration.h"
#include "table/options.h"
#include "table/region.h"

struct rte_mempool;

namespace sluice::engine {
class Engine;
}

namespace sluice::runtime {

class PortSet;

engine::EngineConfig MakeEngineConfig(const Configuration& configuration, const SipKey& key,
                                      rte_mempool* pool, engine::HandOver* hand_over);
table::RegionLimits MakeRegionLimits(const Configuration& configuration);
// What a new socket starts with.
void SetSocketDefaults(const Configuration& configuration, table::Options* options);

// Gives an engine its interfaces over its queue of each port, their addresses, and the routes.
absl::Status ConfigureEngine(const Configuration& configuration, const PortSet& ports,
                             uint16_t queue, Instant now, engine::Engine* engine);

}  // namespace sluice::runtime
