// One JSON document that says everything about a process under Sluice: what `sluice ss` shows.
//
//   std::string text = SnapshotText(process, engines);
//
// Sockets come from the entries in the region, which anybody may read at any time; what only an
// engine knows comes from its report, where it has answered in time. The document's keys are part
// of what users script against: add, do not rename.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/config.h"
#include "engine/report.h"
#include "table/region.h"

namespace sluice::observe {

struct ProcessFacts {
  int pid = 0;
  std::string program;  // the executable
  std::string name;     // as given to sluice run, or the program's
  std::string home;     // "inline", "threads", "manual"
  std::string version;
};

struct EngineFacts {
  const table::Region* region = nullptr;
  uint8_t lane = 0;
  std::string state;      // "running", "sleeping", ...
  bool answered = false;  // `report` holds
  engine::Report report;
  engine::EngineConfig config;
};

std::string SnapshotText(const ProcessFacts& process, std::span<const EngineFacts> engines);

}  // namespace sluice::observe
