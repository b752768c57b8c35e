// The one JSON object that a measuring program prints on standard output.
//
//   Report report;
//   report.Add("rate", 1.5e6).Add("mode", "echo");
//   report.Print();
#pragma once

#include <cstdint>
#include <string>

#include "hdr_histogram.h"

namespace sluice::perf {

class Report {
 public:
  Report& Add(const std::string& name, const std::string& text);
  Report& Add(const std::string& name, const char* text) { return Add(name, std::string(text)); }
  Report& Add(const std::string& name, uint64_t number);
  Report& Add(const std::string& name, double number);
  // Percentiles of nanoseconds, in microseconds, and the distribution as [microseconds, share of
  // all that are not larger] pairs.
  Report& Add(const std::string& name, const HdrHistogram& nanoseconds);
  // On one line, and flushed.
  void Print() const;

 private:
  Report& AddRaw(const std::string& name, const std::string& json);
  std::string text_;
};

}  // namespace sluice::perf
