// sim_streams [--first SEED] [--seeds N] [--engines N] [--verbose]: runs N simulated networks from
// seed SEED on, of hosts with so many engines.
// Exit status 1, and the seed that replays it, for each run that fails.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/sim/stream_script.h"

int main(int argc, char** argv) {
  uint64_t first = 1, seeds = 300;
  uint8_t engines = 1;
  bool verbose = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--verbose") == 0) {
      verbose = true;
    } else if (i + 1 < argc && std::strcmp(argv[i], "--first") == 0) {
      first = std::strtoull(argv[++i], nullptr, 0);
    } else if (i + 1 < argc && std::strcmp(argv[i], "--seeds") == 0) {
      seeds = std::strtoull(argv[++i], nullptr, 0);
    } else if (i + 1 < argc && std::strcmp(argv[i], "--engines") == 0) {
      engines = static_cast<uint8_t>(std::strtoull(argv[++i], nullptr, 0));
    } else {
      std::fprintf(stderr,
                   "usage: sim_streams [--first SEED] [--seeds N] [--engines N] [--verbose]\n");
      return 2;
    }
  }
  uint64_t failed = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    std::string failure = sluice::sim::RunStreams(seed, verbose, engines);
    if (failure.empty()) continue;
    ++failed;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), failure.c_str());
    if (failed >= 10) break;
  }
  std::printf("%llu seeds from %llu: %llu failed\n", static_cast<unsigned long long>(seeds),
              static_cast<unsigned long long>(first), static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}
