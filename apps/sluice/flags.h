// The flags of `sluice run` that say what the configuration file says too, as one table: so the
// command line, the environment and the YAML document cannot drift apart.
//
// Example: --device net_tap0 --address 10.0.0.1/24 --spin-us 20 becomes
//   interfaces:
//     - device: net_tap0
//       addresses: [10.0.0.1/24]
//   ...
//
// With several devices each interface flag belongs to the --device in front of it; with one, the
// order does not matter.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::apps {

struct Flag {
  const char* name;         // "--address"
  const char* environment;  // variable that stands in for it, "SLUICE_ADDRESS"
  const char* section;      // mapping it goes to; "": the top, "interface": that of its device
  const char* key;          // within the section
  bool many;                // a list; may be repeated
  const char* type;         // of its value, for --help; "": a switch
  const char* help;
};

class ConfigurationFlags {
 public:
  // Adds all flags to `command`. They point into this object.
  void Register(CLI::App& command);

  // What the flags given on `command` say, laid over the YAML text `base` (may be empty): a list is
  // added to, anything else is replaced. Returns YAML text, not yet validated.
  absl::StatusOr<std::string> Document(const CLI::App& command, const std::string& base) const;

 private:
  struct Value {
    std::vector<std::string> given;
    bool on = false;
  };
  std::map<std::string, Value> values_;  // by name; addresses stay good
};

}  // namespace sluice::apps
