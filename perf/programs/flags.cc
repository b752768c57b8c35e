#include "flags.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sluice::perf {
namespace {

[[noreturn]] void Refuse(const std::string& what) {
  fprintf(stderr, "%s\n", what.c_str());
  exit(2);
}

}  // namespace

Flags::Flags(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (strncmp(argv[i], "--", 2) != 0) Refuse(std::string("what is ") + argv[i] + "?");
    const std::string option = argv[i] + 2;
    const size_t equals = option.find('=');
    if (equals != std::string::npos) {
      given_[option.substr(0, equals)] = option.substr(equals + 1);
    } else if (i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0) {
      given_[option] = argv[++i];
    } else {
      given_[option] = "";
    }
  }
}

std::string Flags::Text(const std::string& name, const std::string& fallback) {
  asked_.insert(name);
  const auto found = given_.find(name);
  return found == given_.end() ? fallback : found->second;
}

uint64_t Flags::Number(const std::string& name, uint64_t fallback) {
  const std::string text = Text(name, std::to_string(fallback));
  char* end = nullptr;
  errno = 0;
  const uint64_t value = strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || errno != 0) Refuse("--" + name + " takes a number");
  return value;
}

double Flags::Real(const std::string& name, double fallback) {
  const std::string text = Text(name, std::to_string(fallback));
  char* end = nullptr;
  const double value = strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0') Refuse("--" + name + " takes a number");
  return value;
}

bool Flags::Switch(const std::string& name) {
  asked_.insert(name);
  const auto found = given_.find(name);
  if (found == given_.end()) return false;
  if (!found->second.empty()) Refuse("--" + name + " takes no value");
  return true;
}

void Flags::RefuseOthers() const {
  for (const auto& [name, value] : given_) {
    if (!asked_.contains(name)) Refuse("there is no option --" + name + " here");
  }
}

}  // namespace sluice::perf
