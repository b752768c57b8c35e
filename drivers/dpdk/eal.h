// DPDK's environment abstraction layer (EAL), started once a process and kept out of its way.
//
// A program that Sluice is loaded into did not ask for DPDK. So starting it here
//  - leaves the calling thread's CPU affinity and signal mask as they were, and gives EAL's own
//    threads a mask with every signal blocked, so that the program's handlers never run there;
//  - keeps EAL's messages from stdout and stderr; the latest are kept for error texts;
//  - names its runtime directory by process id, writes no shared configuration there, and removes
//    what processes that died left behind, so a SIGKILL never stops the next start;
//  - needs neither hugepages nor a PCI device.
//
//   EalConfig config;
//   config.memory_mib = 128;
//   if (absl::Status status = Eal::Start(config); !status.ok()) return status;
//   ...  // open ports, run, close ports
//   Eal::Stop();
//
// Start and Stop are called by one thread at a time. DPDK cannot be started again after Stop.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace sluice::dpdk {

enum class Hugepages : uint8_t {
  kAuto,     // used where enough of them are free, else ordinary pages
  kNever,    // ordinary pages
  kRequire,  // an error where too few are free
};

struct EalConfig {
  Hugepages hugepages = Hugepages::kAuto;
  // What packet pools and drivers may take. Ordinary pages are reserved but only touched when used.
  uint32_t memory_mib = 256;
  // Addresses of the PCI devices that DPDK may touch ("0000:00:05.0"). Empty: the bus is not
  // scanned at all, so DPDK never takes a network card that the machine itself uses.
  std::vector<std::string> pci_devices;
  // Passed to EAL as they stand, after Sluice's own. An option given here replaces Sluice's.
  std::vector<std::string> extra_arguments;
  bool telemetry = false;  // DPDK's telemetry socket in the runtime directory
  bool verbose = false;    // EAL's messages go to stderr as well
};

// What the arguments are chosen by.
struct Machine {
  uint64_t free_hugepage_bytes = 0;
  std::vector<int> cpus;  // that the calling thread may run on
  int process_id = 0;
};
Machine InspectMachine();

class Eal {
 public:
  // The command line (without a program name) that Start gives to rte_eal_init.
  static absl::Status Arguments(const EalConfig& config, const Machine& machine,
                                std::vector<std::string>* arguments);

  // Starts EAL; does nothing if it runs already.
  static absl::Status Start(const EalConfig& config);
  static bool started();
  // Frees what EAL holds. Every port must be closed before.
  static void Stop();

  // The latest messages of EAL and its drivers, newest last, one to a line; at most 4 KiB.
  static std::string RecentMessages();
  // What they say of the cause of a failure since `ForgetMessages`, in one line, or "".
  static std::string Cause();
  static void ForgetMessages();
};

// Removes runtime directories "sluice-<pid>" under `base` whose process no longer lives, here or in
// another PID namespace. Returns how many. Other directories and other programs' files are not
// touched.
int RemoveStaleRuntimeDirectories(const std::string& base);

}  // namespace sluice::dpdk
