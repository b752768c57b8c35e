// What `sluice ss` is told of an instance.

#include <limits.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "observe/server.h"
#include "observe/snapshot.h"
#include "runtime/instance.h"

namespace sluice::runtime {
namespace {

// An engine that nobody runs (progress: manual, or a program that is stopped) does not answer.
constexpr Duration kAnswerWithin = Milliseconds(100);
constexpr timespec kBetweenLooks = {.tv_sec = 0, .tv_nsec = 200'000};

std::string NameOf(Progress progress) {
  switch (progress) {
    case Progress::kInline:
      return "inline";
    case Progress::kThreads:
      return "threads";
    case Progress::kManual:
      return "manual";
  }
  return "";
}

std::string ProgramPath() {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : std::string();
}

}  // namespace

void Instance::StartServer() {
  observe::ServerConfig config;
  config.run_directory = settings_.configuration.run_directory;
  auto server = observe::Server::Start(config, [this] { return Describe(); });
  // A program that may not write there runs all the same, unseen.
  if (server.ok()) server_ = *std::move(server);
}

std::string Instance::Describe() {
  observe::ProcessFacts process;
  process.pid = getpid();
  process.program = ProgramPath();
  process.name = settings_.configuration.name.empty()
                     ? process.program.substr(process.program.rfind('/') + 1)
                     : settings_.configuration.name;
  process.home = NameOf(settings_.configuration.progress);
  process.version = SLUICE_VERSION;
  std::vector<observe::EngineFacts> facts(engines_.size());
  for (size_t i = 0; i < engines_.size(); ++i) {
    engine::Engine& engine = *engines_[i];
    const uint8_t lane = engine.lane();
    facts[i].region = &region_;
    facts[i].lane = lane;
    facts[i].config = engine_configs_[i];
    facts[i].state = region_.lane(lane).engine_sleeps.load() != 0 ? "sleeping" : "running";
    engine.AskReport();
    home_->WakeEngine(lane);
    const Instant give_up = SystemClock().Now() + kAnswerWithin;
    while (!(facts[i].answered = engine.TakeReport(&facts[i].report)) &&
           SystemClock().Now() < give_up) {
      nanosleep(&kBetweenLooks, nullptr);
    }
  }
  return observe::SnapshotText(process, facts);
}

}  // namespace sluice::runtime
