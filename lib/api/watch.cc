#include "api/watch.h"

#include "api/epoll_set.h"
#include "api/state.h"

namespace sluice::api {

void WatchList::Link(Watcher& watcher) {
  watcher.next = nullptr;
  watcher.previous = last;
  (last == nullptr ? first : last->next) = &watcher;
  last = &watcher;
  length.store(length.load() + 1);
}

void WatchList::Unlink(Watcher& watcher) {
  (watcher.previous == nullptr ? first : watcher.previous->next) = watcher.next;
  (watcher.next == nullptr ? last : watcher.next->previous) = watcher.previous;
  watcher.next = watcher.previous = nullptr;
  length.store(length.load() - 1);
}

uint32_t WatchList::Mask() const {
  uint32_t mask = 0;
  for (const Watcher* w = first; w != nullptr; w = w->next) mask |= w->mask;
  return mask;
}

void WatchList::Fire(uint32_t events, int depth) {
  bool exclusive_woken = false;
  for (Watcher* w = first; w != nullptr; w = w->next) {
    if ((w->mask & events) == 0 || (w->exclusive && exclusive_woken)) continue;
    if (w->waiter != nullptr) {
      state.home->Signal(*w->waiter);
    } else if (EpollSet::Queue(static_cast<EpollItem&>(*w), depth) && w->exclusive) {
      exclusive_woken = true;
    }
  }
}

}  // namespace sluice::api
