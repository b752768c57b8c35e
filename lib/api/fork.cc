// What becomes of Sluice's descriptors in a forked child (context.h, AfterForkInChild).
#include "api/context.h"
#include "api/epoll_set.h"
#include "api/state.h"

namespace sluice::api {

void AfterForkInChild() {
  if (!IsInstalled()) return;
  state.own_numbers.Unlock();
  // Sockets fail from now on, and sets that hold some; other sets are what they are in the kernel.
  DisinheritAll([](table::Handle handle) {
    return !NamesEpoll(handle) || EpollSet::HeldSluiceItems(handle);
  });
  // The region, its home and the locks are the parent's: nothing of them is touched or freed, and
  // locks that other threads held when this one forked stay behind with them.
  state.installed.store(false);
  state.region = table::Region();
  state.home = nullptr;
  state.lanes = 0;
  state.sides = nullptr;
  state.rare_sides = nullptr;
  state.lane_waiters = nullptr;
  state.kernel_prefixes.clear();
  state.base_descriptor = -1;
  table::only_thread = nullptr;
  EpollSet::ForgetAll();
}

}  // namespace sluice::api
