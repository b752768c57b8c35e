// What all loads of the client share: their settings, the schedule of an open loop, and results.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>

#include "calls.h"
#include "hdr_histogram.h"
#include "report.h"

namespace sluice::perf {

struct LoadSettings {
  Endpoint server;
  Endpoint source;            // family 0: the stack chooses
  uint32_t source_count = 1;  // addresses from `source` on, used in turn
  uint32_t port_count = 1;    // of the server, from its port on, used in turn
  uint32_t connections = 1;
  uint64_t size = 64;    // bytes of a message
  uint32_t depth = 1;    // messages in flight on each connection
  uint32_t window = 0;   // in flight on all connections together, which take turns; 0: no limit
  uint32_t batch = 32;   // datagrams a call
  double rate = 0;       // messages a second of an open loop; 0: closed loop
  bool poisson = false;  // exponential gaps instead of equal ones
  bool http = false;     // crr: HTTP requests; else `size` bytes
  bool spin = false;     // poll instead of waiting
  double warmup_seconds = 0.5;
  double seconds = 3;
  double hold_seconds = 0;  // idle time before the load, with all connections open
  uint64_t seed = 1;
};

// When the messages of an open loop are due. Latency counts from here, whatever happens before the
// message really leaves: so a stall of the program or of the stack is charged to every message that
// was due meanwhile (no coordinated omission).
class Schedule {
 public:
  Schedule(const LoadSettings& settings, int64_t begin_ns)
      : gap_ns_(1e9 / settings.rate),
        poisson_(settings.poisson),
        random_(settings.seed),
        gaps_(1.0),
        next_ns_(static_cast<double>(begin_ns)) {}

  int64_t next_ns() const { return static_cast<int64_t>(next_ns_); }
  void Advance() { next_ns_ += poisson_ ? gap_ns_ * gaps_(random_) : gap_ns_; }

 private:
  const double gap_ns_;
  const bool poisson_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> gaps_;
  double next_ns_;
};

// Counts of the measured time only, except for errors.
struct LoadCounts {
  uint64_t messages = 0;  // completed
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint64_t errors = 0;      // connections that failed or ended early
  uint64_t corrupt = 0;     // answers that were not as expected
  uint64_t lost = 0;        // datagrams without an answer
  uint64_t unexpected = 0;  // datagrams that nobody waited for: late or doubled
  uint64_t unfinished = 0;  // open loop: due but not answered at the end
};

// The phases of a run: warm-up, measured time, end.
class Phases {
 public:
  explicit Phases(const LoadSettings& settings)
      : measure_ns_(NowNs() + static_cast<int64_t>(settings.warmup_seconds * 1e9)),
        end_ns_(measure_ns_ + static_cast<int64_t>(settings.seconds * 1e9)) {}

  // Looks at the clock; true while the run lasts. `counts` begins anew when measuring begins.
  bool Continue(int64_t now_ns, LoadCounts& counts) {
    if (!measuring_ && now_ns >= measure_ns_) {
      measuring_ = true;
      begun_ns_ = now_ns;
      const uint64_t errors = counts.errors, corrupt = counts.corrupt;
      counts = LoadCounts();
      counts.errors = errors;
      counts.corrupt = corrupt;
    }
    ended_ns_ = now_ns;
    return now_ns < end_ns_ && !Stopped();
  }
  bool measuring() const { return measuring_; }
  int64_t measure_ns() const { return measure_ns_; }
  double seconds() const { return static_cast<double>(ended_ns_ - begun_ns_) / 1e9; }

 private:
  int64_t measure_ns_;
  int64_t end_ns_;
  int64_t begun_ns_ = 0;
  int64_t ended_ns_ = 0;
  bool measuring_ = false;
};

constexpr uint64_t kLatencyMaxNs = 60'000'000'000;

inline void AddCounts(Report& report, const LoadCounts& counts, double seconds) {
  const auto per_second = [&](uint64_t count) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
  };
  report.Add("seconds", seconds).Add("messages", counts.messages);
  report.Add("rate", per_second(counts.messages));
  report.Add("bits_per_second_in", per_second(counts.bytes_in) * 8);
  report.Add("bits_per_second_out", per_second(counts.bytes_out) * 8);
  report.Add("errors", counts.errors).Add("corrupt", counts.corrupt).Add("lost", counts.lost);
  report.Add("unexpected", counts.unexpected).Add("unfinished", counts.unfinished);
}

// Each runs a whole load and adds its results; false: it could not run.
bool RunStreamLoad(const LoadSettings& settings, Report& report);   // echo, HTTP keep-alive
bool RunConnectLoad(const LoadSettings& settings, Report& report);  // a connection per request
bool RunBulkLoad(const LoadSettings& settings, bool sends, bool takes, Report& report);
bool RunDatagramLoad(const LoadSettings& settings, Report& report);  // UDP echo
bool RunDatagramSend(const LoadSettings& settings, Report& report);  // UDP one-way

}  // namespace sluice::perf
