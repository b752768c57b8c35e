// Command-line options of the measuring programs: --name VALUE, --name=VALUE, --name.
//
//   Flags flags(argc, argv);
//   const uint64_t connections = flags.Number("connections", 64);
//   flags.RefuseOthers();
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace sluice::perf {

class Flags {
 public:
  // Exits with a message if an argument is no option.
  Flags(int argc, char** argv);

  std::string Text(const std::string& name, const std::string& fallback);
  // Exits with a message if the value is no number.
  uint64_t Number(const std::string& name, uint64_t fallback);
  double Real(const std::string& name, double fallback);
  bool Switch(const std::string& name);

  // Exits with a message if an option was given that nobody has asked for: call it last.
  void RefuseOthers() const;

 private:
  std::map<std::string, std::string> given_;
  std::set<std::string> asked_;
};

}  // namespace sluice::perf
