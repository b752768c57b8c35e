// sluice run: checks everything that can be checked beforehand, then becomes the program.
//
// The configuration travels as YAML text in SLUICE_CONFIG_INLINE beside LD_PRELOAD; the preloaded
// library starts Sluice from it before the program's main. The process is the program's own from
// then on: same pid, same parent, nothing left running beside it.

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "flags.h"
#include "machine.h"
#include "preflight.h"
#include "program_file.h"
#include "runtime/configuration.h"
#include "verb.h"

namespace sluice::apps {
namespace {

// Our library in front of those that the user preloads already.
std::string PreloadValue(const std::string& library) {
  const char* others = getenv("LD_PRELOAD");
  return others != nullptr && *others != '\0' ? absl::StrCat(library, ":", others) : library;
}

// The document says all, so the program must not apply single settings over it once more.
void PrepareEnvironment(const std::string& library, const std::string& document) {
  for (const std::string& name : runtime::EnvironmentNames()) unsetenv(name.c_str());
  setenv("LD_PRELOAD", PreloadValue(library).c_str(), 1);
  setenv("SLUICE_CONFIG_INLINE", document.c_str(), 1);
}

// Only returns if the program could not be started.
absl::Status Become(const std::string& path, const std::vector<std::string>& program) {
  std::vector<char*> arguments;
  for (const std::string& argument : program) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execv(path.c_str(), arguments.data());
  return absl::InternalError(absl::StrCat("cannot start ", path, ": ", strerror(errno)));
}

class RunVerb : public Verb {
 public:
  explicit RunVerb(std::vector<std::string> program) : program_(std::move(program)) {}

  CLI::App* Register(CLI::App& sluice) override {
    command_ = sluice.add_subcommand("run", "Run a program with its sockets in Sluice");
    command_->footer("The program stands behind --: sluice run [options] -- program [arguments]");
    command_->add_option("--config,-c", config_, "Read this YAML file first")->type_name("FILE");
    command_->add_flag("--print-config", print_config_,
                       "Print all settings as YAML, and do nothing else");
    command_->add_flag("--verbose,-v", verbose_, "Print all settings to standard error");
    flags_.Register(*command_);
    return command_;
  }

  absl::StatusOr<int> Execute() override {
    absl::StatusOr<runtime::Configuration> configuration = Combine();
    if (!configuration.ok()) return configuration.status();
    const std::string document = configuration->ToYaml();
    if (print_config_) {
      std::cout << document;
      return 0;
    }
    if (program_.empty()) {
      return absl::InvalidArgumentError(
          "no program is given: sluice run [options] -- program [arguments]");
    }
    absl::StatusOr<std::string> path = FindProgram(program_[0]);
    if (!path.ok()) return path.status();
    for (const absl::Status& status :
         {CheckPreloadable(*path), CheckInterfaces(*configuration), CheckMemory(*configuration)}) {
      if (!status.ok()) return status;
    }
    std::string library = PreloadLibrary();
    if (library.empty()) {
      return absl::NotFoundError(
          "libsluice-preload.so is not where it belongs; build it with ninja, or install with "
          "meson install");
    }
    if (verbose_) std::cerr << document;
    PrepareEnvironment(library, document);
    return Become(*path, program_);
  }

 private:
  // What the file, the environment and the flags say together; later ones go over earlier ones.
  absl::StatusOr<runtime::Configuration> Combine() const {
    runtime::Configuration configuration;
    if (!config_.empty()) setenv("SLUICE_CONFIG", config_.c_str(), 1);
    absl::Status status = runtime::ApplyEnvironment(environ, &configuration);
    if (status.ok()) status = flags_.Apply(*command_, &configuration);
    // As it was called: what a link to another program is named, not that program.
    if (configuration.name.empty() && !program_.empty()) {
      configuration.name = program_[0].substr(program_[0].rfind('/') + 1);
    }
    if (status.ok()) status = runtime::FinishConfiguration(&configuration);
    if (!status.ok()) return status;
    return configuration;
  }

  std::vector<std::string> program_;
  CLI::App* command_ = nullptr;
  ConfigurationFlags flags_;
  std::string config_;
  bool print_config_ = false;
  bool verbose_ = false;
};

}  // namespace

std::unique_ptr<Verb> MakeRunVerb(std::vector<std::string> program) {
  return std::make_unique<RunVerb>(std::move(program));
}

}  // namespace sluice::apps
