// A verb of the sluice command: it adds its options to the command line and, once that is parsed,
// does its work.
//
// Execute returns the exit status, or an error whose message is one line for the user that says
// what to do; main prints it behind "sluice: " and exits with status 2.
//
// Example: a verb without options.
//   class Hello : public Verb {
//    public:
//     CLI::App* Register(CLI::App& sluice) override {
//       return sluice.add_subcommand("hello", "Says hello");
//     }
//     absl::StatusOr<int> Execute() override { puts("hello"); return 0; }
//   };
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "absl/status/statusor.h"

namespace sluice::apps {

class Verb {
 public:
  virtual ~Verb() = default;
  // Called once, before parsing. The returned subcommand belongs to `sluice`; options point into
  // this object.
  virtual CLI::App* Register(CLI::App& sluice) = 0;
  virtual absl::StatusOr<int> Execute() = 0;
};

// `program` is what stood behind `--` on the command line.
std::unique_ptr<Verb> MakeRunVerb(std::vector<std::string> program);
std::unique_ptr<Verb> MakeSsVerb();
std::unique_ptr<Verb> MakeDoctorVerb();

}  // namespace sluice::apps
