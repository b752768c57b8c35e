#include "api/watch.h"

#include "api/epoll_set.h"
#include "api/state.h"

namespace sluice::api {

void WatchList::Link(Watcher& watcher) {
  Watcher* const head = first.load();
  watcher.next = nullptr;
  if (head == nullptr) {
    watcher.previous = &watcher;
    first.store(&watcher);
    return;
  }
  watcher.previous = head->previous;
  head->previous->next = &watcher;
  head->previous = &watcher;
}

void WatchList::Unlink(Watcher& watcher) {
  Watcher* const head = first.load();
  if (head == &watcher) {
    first.store(watcher.next);
  } else {
    watcher.previous->next = watcher.next;
  }
  // The last one's place is known by the first one, if any is left.
  Watcher* const behind = watcher.next != nullptr ? watcher.next : head;
  if (behind != &watcher) behind->previous = watcher.previous;
  watcher.next = watcher.previous = nullptr;
}

uint32_t WatchList::Mask() const {
  uint32_t mask = 0;
  for (const Watcher* w = first.load(); w != nullptr; w = w->next) mask |= w->mask;
  return mask;
}

void WatchList::Fire(uint32_t events, int depth) {
  bool exclusive_woken = false;
  for (Watcher* w = first.load(); w != nullptr; w = w->next) {
    const bool exclusive = w->kind == WatcherKind::kExclusiveItem;
    if ((w->mask & events) == 0 || (exclusive && exclusive_woken)) continue;
    if (w->kind == WatcherKind::kThread) {
      state.home->Signal(*static_cast<ThreadWatcher*>(w)->waiter);
    } else if (EpollSet::Queue(static_cast<EpollItem&>(*w), depth) && exclusive) {
      exclusive_woken = true;
    }
  }
}

}  // namespace sluice::api
