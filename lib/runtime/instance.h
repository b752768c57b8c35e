// An instance of Sluice in a process: region, ports, engines, home and the socket calls, put
// together from a configuration, and taken apart in the reverse order.
//
//   absl::StatusOr<std::unique_ptr<Instance>> instance = Instance::Start(std::move(settings));
//   if (!instance.ok()) return instance.status();   // one line; nothing is left behind
//   ... api::Socket(...) ...
//   instance->reset();
//
// At most one at a time: the socket calls are the process's. Start and the destructor must not run
// beside any socket call; the other functions may be called by any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/plain_pool.h"
#include "base/time.h"
#include "engine/engine.h"
#include "runtime/clock.h"
#include "runtime/configuration.h"
#include "runtime/engine_set.h"
#include "runtime/inline_home.h"
#include "runtime/manual_home.h"
#include "runtime/port_set.h"
#include "runtime/threads_home.h"

namespace sluice::observe {
class Capture;
class Server;
}  // namespace sluice::observe

namespace sluice::runtime {

struct InstanceSettings {
  Configuration configuration;  // finished (FinishConfiguration)
  std::vector<CallbackPortSettings> callback_ports;
  ProgramClock::Function clock = nullptr;  // progress: manual
  void* clock_argument = nullptr;
  uint64_t seed = 0;  // 0: the kernel's
};

class Instance {
 public:
  // How long an instance that ends may send what waits.
  static constexpr Duration kDrainMax = Seconds(2);

  static absl::StatusOr<std::unique_ptr<Instance>> Start(InstanceSettings settings);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  // A turn of the engines, where callers run them. True: there was work.
  bool Poll();
  Instant NextDeadline();
  Instant Now() { return clock_->Now(); }
  // progress: manual, without a clock. False: it would go back, or the time is not the program's.
  bool AdvanceTo(Instant now);
  // Sleeps until something may have happened or the deadline has come; runs the engines meanwhile
  // where callers do.
  api::WaitOutcome Wait(Instant deadline);

  callback::CallbackPort* callback_port(size_t index) const { return ports_.callback(index); }
  const Configuration& configuration() const { return settings_.configuration; }

  // The process is about to end: closes every socket as the kernel does then, and runs the engines
  // until what was written has reached the peers, at most for kDrainMax. Threads that are in a call
  // stay in it from now on. Afterwards nothing works any more, and nothing is freed.
  void EndWithProcess();

 private:
  explicit Instance(InstanceSettings settings);

  absl::Status MapRegion();
  absl::Status MakeEngines();
  absl::Status StartCaptures();
  absl::Status MakeHome();
  absl::Status InstallCalls();
  void StartServer();
  std::string Describe();
  void CloseAll();
  void Drain(Duration limit);
  SipKey MakeKey(uint64_t lane) const;

  InstanceSettings settings_;
  std::unique_ptr<Clock> clock_;
  ProgramClock* program_clock_ = nullptr;  // clock_, if the time is the program's
  PortSet ports_;
  std::unique_ptr<PlainPool> pool_;  // where there is no port to bring one
  void* region_memory_ = nullptr;
  size_t region_bytes_ = 0;
  table::Region region_;
  std::vector<engine::EngineConfig> engine_configs_;
  std::vector<std::unique_ptr<observe::Capture>> captures_;  // engines show them frames
  std::unique_ptr<engine::HandOver> hand_over_;              // of several engines
  std::vector<std::unique_ptr<engine::Engine>> engines_;
  std::vector<std::unique_ptr<EngineSet>> sets_;
  // One of these.
  std::unique_ptr<InlineHome> inline_home_;
  std::unique_ptr<ManualHome> manual_home_;
  std::unique_ptr<ThreadsHome> threads_home_;
  api::Home* home_ = nullptr;
  bool installed_ = false;
  std::unique_ptr<observe::Server> server_;
};

}  // namespace sluice::runtime
