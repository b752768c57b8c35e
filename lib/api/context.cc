#include "api/context.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>

#include "api/callback.h"
#include "api/descriptors.h"
#include "api/kernel.h"
#include "api/socket.h"
#include "api/socket_calls.h"
#include "api/state.h"

namespace sluice::api {

State state;

namespace {

constexpr int kBaseNumber = 512;
constexpr Duration kTurnInterval = Microseconds(20);

// Neither the limit of the process nor the one of the system (fs.nr_open, unless somebody has
// raised it) lets the kernel give out these numbers.
bool MapOwnNumbers(uint32_t sockets) {
  state.own_numbers.Unmap();  // a forked child has its parent's
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  const rlim_t first = std::max<rlim_t>(limit.rlim_max, kMaxDescriptors);
  const uint32_t count = std::min(sockets, NumberRange::kCountMax / 2) * 2;  // half for duplicates
  if (first > static_cast<rlim_t>(INT_MAX) - count) {
    errno = EOVERFLOW;
    return false;
  }
  return state.own_numbers.Map(static_cast<int>(first), count);
}

bool Prepare(const ContextConfig& config) {
  state.region = config.region;
  state.home = config.home;
  state.kernel_prefixes = config.kernel_prefixes;
  state.lanes = config.region.limits().lanes;
  state.process_id = static_cast<uint32_t>(kernel::ProcessId());
  if (syscall(SYS_getrandom, &state.nested_key, sizeof(state.nested_key), 0) < 0) return false;
  // A UNIX socket that nobody talks to: fstat and /proc show a socket, and it is never readable.
  int base = kernel::Socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (base < 0) return false;
  // Out of the way of the low numbers, which programs expect to get.
  state.base_descriptor = kernel::Fcntl(base, F_DUPFD_CLOEXEC, kBaseNumber);
  if (state.base_descriptor < 0) {
    state.base_descriptor = base;
  } else {
    kernel::Close(base);
  }
  if (config.own_numbers && !MapOwnNumbers(config.region.limits().sockets)) return false;
  const size_t sockets = config.region.limits().sockets;
  state.sides_bytes = (sizeof(SocketSide) + sizeof(RareSide)) * sockets;
  void* memory = mmap(nullptr, state.sides_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  state.sides = static_cast<SocketSide*>(memory);
  state.rare_sides = reinterpret_cast<RareSide*>(state.sides + sockets);
  state.lane_waiters = new (std::nothrow) LaneWaiters[state.lanes];
  return state.lane_waiters != nullptr;
}

void Release() {
  // Where there are others, they may be reading it: then it is nullptr already, and stays so.
  if (table::IsOneThread()) table::only_thread = nullptr;
  if (state.base_descriptor >= 0) kernel::Close(state.base_descriptor);
  state.base_descriptor = -1;
  state.own_numbers.Unmap();
  if (state.sides != nullptr) munmap(state.sides, state.sides_bytes);
  state.sides = nullptr;
  state.rare_sides = nullptr;
  delete[] state.lane_waiters;
  state.lane_waiters = nullptr;
  state.kernel_prefixes.clear();
  state.region = table::Region();
  state.home = nullptr;
  state.lanes = 0;
  state.last_turn_ns.store(0);  // the next context's clock may begin anew
}

}  // namespace

bool Install(const ContextConfig& config) {
  if (state.installed.load()) {
    errno = EBUSY;
    return false;
  }
  if (!Prepare(config)) {
    int error = errno;
    Release();
    errno = error;
    return false;
  }
  if (config.one_caller) table::only_thread = __builtin_thread_pointer();
  state.installed.store(true, std::memory_order_release);  // pairs with IsInstalled
  return true;
}

bool IsInstalled() { return state.installed.load(std::memory_order_acquire); }

void Uninstall() {
  if (!IsInstalled()) return;
  CloseAll();
  ForgetCallbackSet();
  state.installed.store(false);
  Release();
}

void Turn() {
  state.home->Turn();
  state.last_turn_ns.store(state.home->Now().nanoseconds(), std::memory_order_relaxed);
}

void TurnSometimes() {
  const Instant last = Instant::FromNanoseconds(state.last_turn_ns.load(std::memory_order_relaxed));
  if (state.home->Now() - last >= kTurnInterval) Turn();
}

}  // namespace sluice::api
