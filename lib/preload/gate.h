// Whether calls go to Sluice in this process, and the moment when they begin to.
//
// A process is one of: undecided (no inet socket yet), Sluice's, or the kernel's. It is the
// kernel's if the environment names no configuration, or if it is the child of a process that is
// Sluice's: the configuration describes one process, which owns the ports. Children of that process
// get ordinary kernel sockets.
#pragma once

#include <atomic>

#include "preload/calls.h"

namespace sluice::preload {

namespace gate {
extern std::atomic<const Calls*> calls;
// Set while this thread starts Sluice, and in threads that Sluice starts: their calls are libc's.
extern thread_local int inside __attribute__((tls_model("initial-exec")));
extern int owner_pid;           // see IsOwner
extern char owner_setting[32];  // kOwnerVariable as an environment holds it
}  // namespace gate

// The table once Sluice runs in this process, else nullptr.
inline const Calls* calls() { return gate::calls.load(std::memory_order_acquire); }

inline bool IsOurs(int fd) {
  const Calls* table = calls();
  return table != nullptr && table->is_ours(fd);
}
inline bool IsInternal(int fd) {
  const Calls* table = calls();
  return table != nullptr && table->is_internal(fd);
}
inline bool IsInside() { return gate::inside != 0; }

// Decides, and starts Sluice if this process is to have it. Returns the table or nullptr. If Sluice
// cannot be started, prints one line and ends the process with status 2.
const Calls* Enter();

// Whether this process is the one whose memory this is. A child of vfork shares its parent's memory
// but not its descriptors: what closes or replaces descriptors asks this first.
bool IsOwner();

// The process is about to end without running destructors.
void Finish();

class Inside {
 public:
  Inside() { ++gate::inside; }
  ~Inside() { --gate::inside; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};

// The variable by which children learn whose configuration it is.
inline constexpr char kOwnerVariable[] = "SLUICE_OWNER";

}  // namespace sluice::preload
