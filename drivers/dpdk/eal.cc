#include "dpdk/eal.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dpdk/message_log.h"

namespace sluice::dpdk {
namespace {

constexpr char kPrefix[] = "sluice-";
constexpr int kLcoreCpuMax = 128;  // RTE_MAX_LCORE of Debian's build
constexpr int kStaleDirectoriesMax = 4096;

bool g_started = false;
int g_owner_process = 0;  // a forked child must not remove its parent's directory

std::string RuntimeBase() {
  if (geteuid() == 0) return "/var/run/dpdk";
  const char* directory = getenv("XDG_RUNTIME_DIR");
  return absl::StrCat(directory != nullptr ? directory : "/tmp", "/dpdk");
}

std::string OwnPrefix(int process_id) { return absl::StrCat(kPrefix, process_id); }

bool Gives(const std::vector<std::string>& arguments, std::initializer_list<const char*> options) {
  for (const std::string& argument : arguments) {
    for (const char* option : options) {
      const size_t length = strlen(option);
      if (argument.compare(0, length, option) != 0) continue;
      const bool is_long = option[1] == '-';
      if (argument.size() == length || !is_long || argument[length] == '=') return true;
    }
  }
  return false;
}

uint64_t ReadNumber(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : 0;
}

uint64_t FreeHugepageBytes() {
  constexpr char kBase[] = "/sys/kernel/mm/hugepages";
  DIR* directory = opendir(kBase);
  if (directory == nullptr) return 0;
  uint64_t bytes = 0;
  while (const dirent* entry = readdir(directory)) {
    constexpr char kName[] = "hugepages-";
    if (strncmp(entry->d_name, kName, sizeof(kName) - 1) != 0) continue;
    const uint64_t page_kib = strtoull(entry->d_name + sizeof(kName) - 1, nullptr, 10);
    bytes +=
        page_kib * 1024 * ReadNumber(absl::StrCat(kBase, "/", entry->d_name, "/free_hugepages"));
  }
  closedir(directory);
  return bytes;
}

absl::Status AppendMemoryArguments(const EalConfig& config, const Machine& machine,
                                   std::vector<std::string>* arguments) {
  const bool enough = machine.free_hugepage_bytes >= uint64_t{config.memory_mib} << 20;
  if (config.hugepages == Hugepages::kRequire && !enough) {
    return absl::FailedPreconditionError(absl::StrCat(
        "hugepages are required, but only ", machine.free_hugepage_bytes >> 20, " MiB of ",
        config.memory_mib, " MiB are free; reserve them with: dpdk-hugepages.py -p 2M --setup ",
        config.memory_mib, "M"));
  }
  if (config.hugepages != Hugepages::kNever && enough) {
    // Anonymous hugepages, given back by the kernel however the process ends.
    arguments->push_back("--in-memory");
    return absl::OkStatus();
  }
  // DPDK 22.11 refuses --in-memory together with --no-huge; --no-shconf is the part needed here.
  arguments->insert(arguments->end(),
                    {"--no-huge", "-m", absl::StrCat(config.memory_mib), "--no-shconf"});
  return absl::OkStatus();
}

// Restores the calling thread's affinity and signal mask, and blocks all signals meanwhile, which
// the threads that EAL creates inherit.
class ThreadStateKeeper {
 public:
  ThreadStateKeeper() {
    has_affinity_ = pthread_getaffinity_np(pthread_self(), sizeof(cpus_), &cpus_) == 0;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask_);
  }
  ~ThreadStateKeeper() {
    if (has_affinity_) pthread_setaffinity_np(pthread_self(), sizeof(cpus_), &cpus_);
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }

 private:
  cpu_set_t cpus_;
  sigset_t mask_;
  bool has_affinity_;
};

// Removes the plain files and sockets in `path`, then `path`; never descends further.
bool RemoveFlatDirectory(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return false;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_type == DT_REG || entry->d_type == DT_SOCK) {
      unlinkat(dirfd(directory), entry->d_name, 0);
    }
  }
  closedir(directory);
  return rmdir(path.c_str()) == 0;
}

// With what a port that was never closed left there.
void RemoveOwnRuntimeDirectory() {
  if (g_owner_process != getpid()) return;
  RemoveFlatDirectory(absl::StrCat(RuntimeBase(), "/", OwnPrefix(g_owner_process)));
}

// Held as long as the process lives, by a lock that is seen where the process's number is not: in
// another container.
void HoldRuntimeDirectory() {
  static const int directory = open(rte_eal_get_runtime_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) flock(directory, LOCK_EX | LOCK_NB);
}

bool IsHeld(const std::string& path) {
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_held = directory >= 0 && flock(directory, LOCK_EX | LOCK_NB) != 0;
  if (directory >= 0) close(directory);
  return is_held;
}

std::optional<int> ProcessOfDirectory(const char* name) {
  const size_t length = sizeof(kPrefix) - 1;
  if (strncmp(name, kPrefix, length) != 0) return std::nullopt;
  int process_id = 0;
  const char* end = name + strlen(name);
  const auto [rest, error] = std::from_chars(name + length, end, process_id);
  if (error != std::errc() || rest != end || process_id <= 0) return std::nullopt;
  return process_id;
}

}  // namespace

Machine InspectMachine() {
  Machine machine;
  machine.free_hugepage_bytes = FreeHugepageBytes();
  machine.process_id = getpid();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) machine.cpus.push_back(cpu);
    }
  }
  return machine;
}

absl::Status Eal::Arguments(const EalConfig& config, const Machine& machine,
                            std::vector<std::string>* arguments) {
  const std::vector<std::string>& extra = config.extra_arguments;
  if (!Gives(extra,
             {"--no-huge", "--in-memory", "--legacy-mem", "-m", "--socket-mem", "--huge-dir"})) {
    if (absl::Status status = AppendMemoryArguments(config, machine, arguments); !status.ok()) {
      return status;
    }
  }
  if (!Gives(extra, {"--file-prefix"})) {
    arguments->push_back(absl::StrCat("--file-prefix=", OwnPrefix(machine.process_id)));
  }
  if (!config.telemetry && !Gives(extra, {"--telemetry", "--no-telemetry"})) {
    arguments->push_back("--no-telemetry");
  }
  if (!Gives(extra, {"-l", "-c", "--lcores"})) {
    std::vector<int> usable;
    for (int cpu : machine.cpus) {
      if (cpu < kLcoreCpuMax) usable.push_back(cpu);
    }
    // One lcore that floats over all CPUs: Sluice places its threads itself.
    if (!usable.empty()) {
      arguments->push_back(absl::StrCat("--lcores=0@(", absl::StrJoin(usable, ","), ")"));
    }
  }
  if (config.pci_devices.empty()) {
    if (!Gives(extra, {"-a", "--allow", "-b", "--block", "--no-pci"})) {
      arguments->push_back("--no-pci");
    }
  }
  for (const std::string& address : config.pci_devices) {
    arguments->insert(arguments->end(), {"-a", address});
  }
  arguments->insert(arguments->end(), extra.begin(), extra.end());
  return absl::OkStatus();
}

absl::Status Eal::Start(const EalConfig& config) {
  if (g_started) return absl::OkStatus();
  static std::vector<std::string> arguments;  // EAL keeps pointers into its command line
  static std::vector<char*> pointers;
  arguments = {"sluice"};
  if (absl::Status status = Arguments(config, InspectMachine(), &arguments); !status.ok()) {
    return status;
  }
  RemoveStaleRuntimeDirectories(RuntimeBase());
  pointers.clear();
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  const int count = static_cast<int>(pointers.size());
  pointers.push_back(nullptr);

  MessageLog::set_forward(config.verbose);
  MessageLog::Clear();
  if (MessageLog::stream() != nullptr) rte_openlog_stream(MessageLog::stream());
  rte_log_set_global_level(config.verbose ? RTE_LOG_INFO : RTE_LOG_NOTICE);
  g_owner_process = getpid();
  int result;
  {
    ThreadStateKeeper keeper;
    result = rte_eal_init(count, pointers.data());
  }
  closelog();  // EAL opens syslog under its own name; the program may want it under another
  if (result < 0) {
    RemoveOwnRuntimeDirectory();
    return absl::FailedPreconditionError(absl::StrCat(
        "DPDK did not start: ", Cause().empty() ? rte_strerror(rte_errno) : Cause(),
        " (EAL arguments: ", absl::StrJoin(arguments.begin() + 1, arguments.end(), " "), ")"));
  }
  g_started = true;
  HoldRuntimeDirectory();
  atexit(RemoveOwnRuntimeDirectory);
  return absl::OkStatus();
}

bool Eal::started() { return g_started; }

void Eal::Stop() {
  if (!g_started || g_owner_process != getpid()) return;
  rte_eal_cleanup();
  g_started = false;
  RemoveOwnRuntimeDirectory();
}

std::string Eal::RecentMessages() { return MessageLog::Text(); }
std::string Eal::Cause() { return MessageLog::Cause(); }
void Eal::ForgetMessages() { MessageLog::Clear(); }

int RemoveStaleRuntimeDirectories(const std::string& base) {
  DIR* directory = opendir(base.c_str());
  if (directory == nullptr) return 0;
  std::vector<std::string> stale;
  while (const dirent* entry = readdir(directory)) {
    if (stale.size() >= kStaleDirectoriesMax) break;
    const std::optional<int> process_id = ProcessOfDirectory(entry->d_name);
    if (!process_id || kill(*process_id, 0) == 0 || errno != ESRCH) continue;
    stale.push_back(absl::StrCat(base, "/", entry->d_name));
  }
  closedir(directory);
  int removed = 0;
  for (const std::string& path : stale) {
    if (!IsHeld(path) && RemoveFlatDirectory(path)) ++removed;
  }
  return removed;
}

}  // namespace sluice::dpdk
