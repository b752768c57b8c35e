// One simulated run: connections between two hosts over a bad link, drawn from a seed. Each end
// sends a drawn number of bytes at its own pace, says it is done, reads to the end and closes.
//
//   std::string failure = RunStreams(seed);   // empty: every byte arrived once and in order, every
//                                             // connection ended, and nothing was left behind
#pragma once

#include <cstdint>
#include <string>

namespace sluice::sim {

// `engines`: of each host.
std::string RunStreams(uint64_t seed, bool verbose = false, uint8_t engines = 1);

}  // namespace sluice::sim
