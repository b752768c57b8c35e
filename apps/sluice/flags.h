// The flags of `sluice run` that set what a configuration file can set too.
//
// Example: --device net_tap0 --address 10.0.0.1/24 --spin-us 20
//   configuration.interfaces[0].device == "net_tap0"; configuration.engine.spin_us == 20;
//
// With several devices each interface flag belongs to the --device in front of it; with one, the
// order does not matter. Lists are added to, anything else is replaced.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "runtime/configuration.h"

namespace sluice::apps {

class ConfigurationFlags {
 public:
  // Adds all flags to `command`. They point into this object.
  void Register(CLI::App& command);

  // Lays what was given on the parsed `command` over `configuration`. An error is one line that
  // begins with the flag.
  absl::Status Apply(const CLI::App& command, runtime::Configuration* configuration) const;

 private:
  std::map<std::string, std::vector<std::string>> values_;  // by flag; addresses stay good
  std::map<std::string, bool> switches_;
};

}  // namespace sluice::apps
