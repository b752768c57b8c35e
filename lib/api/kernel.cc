#include "api/kernel.h"

#include <cerrno>

namespace sluice::api::kernel {

bool EveryHandlerRestarts() {
  // The kernel's struct sigaction starts with the handler and the flags, each a long.
  struct {
    unsigned long handler;
    unsigned long flags;
    unsigned long rest[6];
  } action;
  constexpr int kSignals = 64;
  const int saved_errno = errno;
  bool restarts = true;
  for (int signal = 1; signal <= kSignals && restarts; ++signal) {
    if (signal == 32 || signal == 33) continue;  // libc's own, always restarting
    if (syscall(SYS_rt_sigaction, signal, nullptr, &action, kSignalSetBytes) != 0) continue;
    bool caught = action.handler != reinterpret_cast<unsigned long>(SIG_DFL) &&
                  action.handler != reinterpret_cast<unsigned long>(SIG_IGN);
    if (caught && (action.flags & SA_RESTART) == 0) restarts = false;
  }
  errno = saved_errno;
  return restarts;
}

}  // namespace sluice::api::kernel
