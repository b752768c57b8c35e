#include "runtime/instance.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/context.h"
#include "observe/capture.h"
#include "observe/server.h"
#include "runtime/engine_config.h"

namespace sluice::runtime {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
// For an instance without a port: what it sends to itself.
constexpr unsigned kPoolPacketsMax = 65536;

wire::Prefix PrefixOf(std::string_view text) { return *wire::ParsePrefix(text); }

}  // namespace

Instance::Instance(InstanceSettings settings) : settings_(std::move(settings)) {}

absl::StatusOr<std::unique_ptr<Instance>> Instance::Start(InstanceSettings settings) {
  if (api::IsInstalled()) {
    return absl::AlreadyExistsError("an instance of Sluice runs already in this process");
  }
  std::unique_ptr<Instance> instance(new Instance(std::move(settings)));
  const InstanceSettings& s = instance->settings_;
  if (s.configuration.progress == Progress::kManual) {
    auto clock = std::make_unique<ProgramClock>(s.clock, s.clock_argument);
    instance->program_clock_ = clock.get();
    instance->clock_ = std::move(clock);
  } else {
    instance->clock_ = std::make_unique<SystemClock>();
  }
  absl::Status status = PortSet::Open(s.configuration, s.callback_ports, &instance->ports_);
  if (status.ok()) status = instance->MapRegion();
  if (status.ok()) status = instance->MakeEngines();
  if (status.ok()) status = instance->StartCaptures();
  if (status.ok()) status = instance->MakeHome();
  if (status.ok()) status = instance->InstallCalls();
  if (!status.ok()) return status;
  if (s.configuration.progress != Progress::kManual) instance->StartServer();
  return instance;
}

absl::Status Instance::MapRegion() {
  const table::RegionLimits limits = MakeRegionLimits(settings_.configuration);
  region_bytes_ = table::Region::BytesNeeded(limits) + kHugePageBytes;
  // Only what is used takes memory; whatever is used is taken in large pages where that is
  // possible.
  void* memory = mmap(nullptr, region_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for the socket table (", region_bytes_ >> 20,
                     " MiB): ", strerror(errno), "; lower limits.buffers or limits.sockets"));
  }
  region_memory_ = memory;
  auto start = (reinterpret_cast<uintptr_t>(memory) + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  madvise(reinterpret_cast<void*>(start), region_bytes_ - kHugePageBytes, MADV_HUGEPAGE);
  region_ = table::Region::Format(reinterpret_cast<void*>(start), limits);
  return absl::OkStatus();
}

SipKey Instance::MakeKey(uint64_t lane) const {
  SipKey key;
  if (settings_.seed != 0) {
    const SipKey seed = {settings_.seed, lane};
    return {SipHashOf(seed, uint64_t{0}), SipHashOf(seed, uint64_t{1})};
  }
  // Without randomness peers could guess sequence numbers: there is no going on.
  if (getrandom(&key, sizeof key, 0) != sizeof key) abort();
  return key;
}

absl::Status Instance::MakeEngines() {
  const Configuration& configuration = settings_.configuration;
  if (ports_.empty()) {
    pool_ = std::make_unique<PlainPool>(std::min(configuration.limits.mbufs, kPoolPacketsMax));
  }
  if (configuration.engine.count > 1) {
    hand_over_ = std::make_unique<engine::HandOver>(configuration.engine.count);
    hand_over_->SetWaker([this](uint8_t lane) { home_->WakeEngine(lane); });
  }
  rte_mempool* anchor = ports_.empty() ? pool_->get() : ports_.first()->pool(0);
  region_.ShareMbufs(anchor);
  for (uint16_t lane = 0; lane < configuration.engine.count; ++lane) {
    rte_mempool* pool = ports_.empty() ? pool_->get() : ports_.first()->pool(lane);
    engine_configs_.push_back(
        MakeEngineConfig(configuration, MakeKey(lane), pool, hand_over_.get()));
    auto engine = std::make_unique<engine::Engine>(engine_configs_.back(), region_,
                                                   static_cast<uint8_t>(lane));
    SetSocketDefaults(configuration, &engine->sockets().defaults());
    absl::Status status = ConfigureEngine(configuration, ports_, lane, clock_->Now(), engine.get());
    if (!status.ok()) return status;
    engines_.push_back(std::move(engine));
  }
  return absl::OkStatus();
}

absl::Status Instance::MakeHome() {
  const EngineSettings& settings = settings_.configuration.engine;
  std::vector<engine::Engine*> all;
  for (const auto& engine : engines_) all.push_back(engine.get());
  if (settings_.configuration.progress == Progress::kThreads) {
    std::vector<Engines*> workers;
    for (engine::Engine* engine : all) {
      sets_.push_back(std::make_unique<EngineSet>(std::vector{engine}));
      workers.push_back(sets_.back().get());
    }
    ThreadsSettings threads;
    threads.spin = Microseconds(settings.spin_us);
    threads.nap_min = Microseconds(settings.nap_us);
    threads.nap_max = Microseconds(settings.nap_us_max);
    const std::vector<int> cores(settings.cores.begin(), settings.cores.end());
    threads_home_ = std::make_unique<ThreadsHome>(workers, *clock_, threads, cores);
    home_ = threads_home_.get();
    return absl::OkStatus();
  }
  sets_.push_back(std::make_unique<EngineSet>(all));
  if (settings_.configuration.progress == Progress::kManual) {
    manual_home_ = std::make_unique<ManualHome>(*sets_.front(), *clock_);
    home_ = manual_home_.get();
    return absl::OkStatus();
  }
  InlineSettings inline_settings;
  inline_settings.spin = Microseconds(settings.spin_us);
  inline_settings.nap_min = Microseconds(settings.nap_us);
  inline_settings.nap_max = Microseconds(settings.nap_us_max);
  // With one caller nobody else may run the engine: it stands still while the program computes.
  inline_settings.caretaker = settings_.configuration.callers == Callers::kMany;
  inline_home_ = std::make_unique<InlineHome>(*sets_.front(), *clock_, inline_settings);
  home_ = inline_home_.get();
  return absl::OkStatus();
}

absl::Status Instance::InstallCalls() {
  const Configuration& configuration = settings_.configuration;
  api::ContextConfig context;
  context.region = region_;
  context.home = home_;
  context.kernel_prefixes = configuration.kernel_prefixes;
  context.one_caller = configuration.callers == Callers::kOne;
  context.own_numbers = configuration.descriptors == Descriptors::kOwn;
  if (configuration.loopback == Loopback::kKernel) {
    context.kernel_prefixes.push_back(PrefixOf("127.0.0.0/8"));
    context.kernel_prefixes.push_back(PrefixOf("::1/128"));
  }
  if (!api::Install(context)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot set up the socket calls: ", strerror(errno)));
  }
  installed_ = true;
  if (inline_home_) inline_home_->Start();
  if (threads_home_) threads_home_->Start();
  return absl::OkStatus();
}

Instance::~Instance() {
  server_.reset();
  if (installed_) {
    for (const auto& set : sets_) set->Mute();
    api::Uninstall();
    Drain(program_clock_ != nullptr ? Duration() : kDrainMax);
  }
  inline_home_.reset();
  manual_home_.reset();
  threads_home_.reset();
  sets_.clear();
  engines_.clear();  // before the pools that their packets come from
  hand_over_.reset();
  ports_ = PortSet();
  pool_.reset();
  if (region_memory_ != nullptr) munmap(region_memory_, region_bytes_);
}

bool Instance::Poll() {
  if (inline_home_) return inline_home_->TryPoll();
  return manual_home_ && manual_home_->Poll();
}

Instant Instance::NextDeadline() {
  if (inline_home_) return inline_home_->NextDeadline();
  return manual_home_ ? manual_home_->NextDeadline() : Instant::Never();
}

bool Instance::AdvanceTo(Instant now) {
  return program_clock_ != nullptr && program_clock_->AdvanceTo(now);
}

api::WaitOutcome Instance::Wait(Instant deadline) {
  // What was announced after this thread's last wait ended may be what it looked for in vain.
  static thread_local uint32_t seen = 0;
  // From now on all news is announced; what came before it was said is there to be seen.
  bool announced = true;
  for (size_t lane = 0; lane < region_.limits().lanes; ++lane) {
    announced = region_.lane(lane).announce_all.Exchange(1) != 0 && announced;
  }
  if (!announced) return api::WaitOutcome::kLook;
  uint32_t notices = 0;
  for (const auto& set : sets_) notices += set->notices();
  if (notices != seen) {
    seen = notices;
    api::DispatchEvents();
    return api::WaitOutcome::kLook;
  }
  api::WaitRequest request = {.notices_seen = seen, .deadline = deadline};
  if (inline_home_) return inline_home_->WaitForNews(request);
  if (manual_home_) return manual_home_->WaitForNews(request);
  return threads_home_->WaitForNews(request);
}

void Instance::EndWithProcess() {
  server_.reset();  // with it goes its place in the run directory
  Drain(kDrainMax);
}

// Asks the engines to close what the application has not closed.
void Instance::CloseAll() {
  for (uint32_t slot = 0; slot < region_.limits().sockets; ++slot) {
    table::Entry& entry = region_.entry(slot);
    if (entry.socket_id.load() == 0) continue;  // never used
    const uint8_t lane = entry.engine.load();
    if ((entry.application_flags.load() & table::kClosed) != 0 || lane >= engines_.size()) continue;
    table::Command command;
    command.operation = table::Operation::kClose;
    command.handle = {slot, entry.generation.load()};
    // The handle of a free slot is stale, which the engine counts and forgets.
    while (!region_.commands(lane).Push(command)) engines_[lane]->Poll(clock_->Now());
  }
}

void Instance::Drain(Duration limit) {
  if (inline_home_ && !inline_home_->Seize()) return;
  if (manual_home_) manual_home_->Seize();
  if (threads_home_) threads_home_->Stop();
  // From here on the engines are this thread's.
  CloseAll();
  const Instant give_up = clock_->Now() + limit;
  for (;;) {
    bool idle = true;
    uint32_t open = 0;
    for (const auto& engine : engines_) {
      idle = engine->Poll(clock_->Now()) == 0 && idle;
      open += engine->sockets().open_sockets();
    }
    if ((idle && open == 0) || clock_->Now() >= give_up) return;
  }
}

}  // namespace sluice::runtime
