#include "report.h"

#include <cmath>
#include <cstdio>

namespace sluice::perf {
namespace {

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) quoted += c;
  }
  return quoted + '"';
}

std::string Formatted(double number) {
  if (!std::isfinite(number)) return "null";
  char text[64];
  snprintf(text, sizeof text, "%.10g", number);
  return text;
}

std::string Microseconds(uint64_t nanoseconds) {
  return Formatted(static_cast<double>(nanoseconds) / 1000);
}

}  // namespace

Report& Report::AddRaw(const std::string& name, const std::string& json) {
  text_ += (text_.empty() ? "" : ", ") + Quoted(name) + ": " + json;
  return *this;
}

Report& Report::Add(const std::string& name, const std::string& text) {
  return AddRaw(name, Quoted(text));
}

Report& Report::Add(const std::string& name, uint64_t number) {
  return AddRaw(name, std::to_string(number));
}

Report& Report::Add(const std::string& name, double number) {
  return AddRaw(name, Formatted(number));
}

Report& Report::Add(const std::string& name, const HdrHistogram& histogram) {
  std::string json = "{\"count\": " + std::to_string(histogram.total());
  json += ", \"mean\": " + Formatted(histogram.mean() / 1000);
  json += ", \"min\": " + Microseconds(histogram.minimum());
  constexpr struct {
    const char* name;
    double percent;
  } kPercentiles[] = {{"p50", 50}, {"p75", 75},     {"p90", 90},      {"p95", 95},
                      {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}};
  for (const auto& [label, percent] : kPercentiles) {
    json += ", " + Quoted(label) + ": " + Microseconds(histogram.ValueAtPercentile(percent));
  }
  json += ", \"max\": " + Microseconds(histogram.maximum()) + ", \"distribution\": [";
  // Enough points for a smooth curve: one for each half percent, finer towards the tail.
  double next = 0;
  uint64_t seen = 0;
  bool first = true;
  histogram.ForEach([&](uint64_t value, uint64_t count) {
    seen += count;
    const double share = static_cast<double>(seen) / static_cast<double>(histogram.total());
    if (share < next) return;
    json += (first ? "[" : ", [") + Microseconds(value) + ", " + Formatted(share) + "]";
    first = false;
    next = share + std::max((1 - share) / 10, 1e-6) * 0.5;
  });
  return AddRaw(name, json + "]}");
}

void Report::Print() const {
  printf("{%s}\n", text_.c_str());
  fflush(stdout);
}

}  // namespace sluice::perf
