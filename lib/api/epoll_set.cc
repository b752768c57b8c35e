#include "api/epoll_set.h"

#include <algorithm>
#include <array>
#include <new>

#include "api/kernel.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

using table::Handle;

constexpr uint32_t kMaxSets = 1 << 16;
constexpr uint32_t kItemsAtFirst = 8, kItemsAtOnce = 256;

table::Cell<uint32_t> pool_lock;  // guards the two below
uint32_t sets_made = 0;
std::vector<uint32_t> free_sets;
std::array<std::atomic<EpollSet*>, kMaxSets> sets{};

// What the engine knows: the "normal" bits of poll are the same events under other names.
uint16_t WatchMask(uint32_t events) {
  uint32_t mask = events & (table::kEventIn | table::kEventPri | table::kEventOut |
                            table::kEventErr | table::kEventHup | table::kEventRdHup);
  if ((events & EPOLLRDNORM) != 0) mask |= table::kEventIn;
  if ((events & EPOLLWRNORM) != 0) mask |= table::kEventOut;
  return static_cast<uint16_t>(mask | table::kEventErr | table::kEventHup);
}

}  // namespace

table::Cell<uint32_t> EpollSet::nesting_lock_;

EpollSet* EpollSet::Find(Handle handle) {
  const uint32_t index = handle.index & ~kEpollBit;
  EpollSet* set = index < kMaxSets ? sets[index].load(std::memory_order_acquire) : nullptr;
  if (set == nullptr || !set->IsOpen(handle)) {
    errno = EBADF;
    return nullptr;
  }
  return set;
}

EpollSet& EpollSet::SetAt(uint32_t index) { return *sets[index].load(std::memory_order_acquire); }

EpollSet& EpollSet::At(Handle handle) { return SetAt(handle.index & ~kEpollBit); }

Handle EpollSet::Open() {
  LockHolder holder(pool_lock);
  uint32_t index;
  if (!free_sets.empty()) {
    index = free_sets.back();
    free_sets.pop_back();
  } else {
    if (sets_made == kMaxSets) return {};
    EpollSet* made = new (std::nothrow) EpollSet();
    if (made == nullptr) return {};
    index = sets_made++;
    made->index_ = index;
    sets[index].store(made, std::memory_order_release);
  }
  EpollSet& set = *sets[index].load();
  set.references_.store(1);
  set.kernel_descriptors_.store(0);
  set.generation_.Release(set.generation_.load() + 1);  // odd: open
  return {index | kEpollBit, set.generation_.load()};
}

bool EpollSet::AddReference(Handle handle) {
  EpollSet* set = Find(handle);
  if (set == nullptr) return false;
  uint32_t count = set->references_.load();
  while (count != 0) {
    if (set->references_.CompareExchange(count, count + 1)) return true;
  }
  return false;
}

bool EpollSet::DropReference(Handle handle) {
  EpollSet* set = Find(handle);
  if (set == nullptr || set->references_.Subtract(1) != 1) return false;
  RemoveTarget(handle, set->watchers_);
  set->Close();
  return true;
}

void EpollSet::Close() {
  {
    LockHolder holder(control_lock_);
    generation_.Release(generation_.load() + 1);  // even: free
  }
  RemoveAll();
  {
    LockHolder holder(ready_lock_);
    for (EpollSleeper* s = sleepers_; s != nullptr; s = s->next) state.home->Signal(s->waiter);
  }
  {
    LockHolder holder(watchers_.lock);
    watchers_.Fire(~0u, 0);
  }
  LockHolder holder(pool_lock);
  free_sets.push_back(index_);
}

void EpollSet::RemoveAll() {
  LockHolder holder(control_lock_);
  for (auto& [items, count] : items_) {
    for (uint32_t i = 0; i < count; ++i) {
      if (items[i].fd >= 0) DropItem(items[i]);
    }
  }
}

void EpollSet::RemoveTarget(Handle target, WatchList& watchers) {
  TakeMemberships(target, watchers);
}

// Each round takes out the first item it finds; the lock of the list cannot be held meanwhile.
std::vector<EpollSet::Membership> EpollSet::TakeMemberships(Handle target, WatchList& watchers) {
  std::vector<Membership> taken;
  for (;;) {
    EpollSet* set = nullptr;
    int fd = -1;
    {
      LockHolder holder(watchers.lock);
      for (Watcher* w = watchers.first.load(); w != nullptr && set == nullptr; w = w->next) {
        if (w->kind == WatcherKind::kThread) continue;
        set = &SetAt(static_cast<EpollItem*>(w)->set);
        fd = static_cast<EpollItem*>(w)->fd;
      }
    }
    if (set == nullptr) return taken;
    LockHolder holder(set->control_lock_);
    if (EpollItem* item = set->FindItem(fd, target)) {
      taken.push_back(
          {{set->index_ | kEpollBit, set->generation_.load()}, fd, {item->events, item->data}});
      set->DropItem(*item);
    }
  }
}

// Few sets hold the same target: its watch list is the shortest way to the item.
EpollItem* EpollSet::FindItem(int fd, Handle target) {
  WatchList& list = NamesEpoll(target) ? At(target).watchers_ : state.sides[target.index].watch;
  LockHolder holder(list.lock);
  for (Watcher* w = list.first.load(); w != nullptr; w = w->next) {
    if (w->kind == WatcherKind::kThread) continue;
    EpollItem* item = static_cast<EpollItem*>(w);
    if (item->set == index_ && item->fd == fd && item->target == target) return item;
  }
  return nullptr;
}

// Twice as many each time, up to a few pages' worth.
bool EpollSet::GrowItems() {
  const uint32_t count =
      items_.empty() ? kItemsAtFirst : std::min(items_.back().second * 2, kItemsAtOnce);
  std::unique_ptr<EpollItem[]> items(new (std::nothrow) EpollItem[count]);
  if (items == nullptr) return false;
  for (uint32_t i = count; i != 0; --i) {
    items[i - 1].ready_next = free_items_;
    free_items_ = &items[i - 1];
  }
  items_.emplace_back(std::move(items), count);
  return true;
}

EpollItem* EpollSet::NewItem(int fd, Handle target) {
  if (free_items_ == nullptr && !GrowItems()) return nullptr;
  EpollItem* item = free_items_;
  free_items_ = item->ready_next;
  ++items_used_;
  item->set = index_;
  item->target = target;
  item->fd = fd;
  item->queued = item->kernel_ready = false;
  return item;
}

void EpollSet::DropItem(EpollItem& item) {
  if (NamesEpoll(item.target)) {
    EpollSet& child = At(item.target);
    LockHolder nesting(nesting_lock_);
    nested_.erase(std::remove(nested_.begin(), nested_.end(), &item), nested_.end());
    nested_count_.store(static_cast<uint32_t>(nested_.size()));
    LockHolder holder(child.watchers_.lock);
    child.watchers_.Unlink(item);
  } else {
    UnwatchSocket(item.target.index, item);
  }
  {
    LockHolder holder(ready_lock_);
    if (item.queued) UnlinkReady(item);
  }
  FreeItem(item);
}

void EpollSet::FreeItem(EpollItem& item) {
  item.fd = -1;
  item.ready_next = free_items_;
  free_items_ = &item;
  --items_used_;
}

bool EpollSet::HeldSluiceItems(Handle handle) { return At(handle).items_used_ != 0; }

void EpollSet::ForgetAll() {
  // Their memory is left where it is: locks of threads that do not exist here may lie in it.
  for (uint32_t i = 0; i < sets_made; ++i) sets[i].store(nullptr);
  sets_made = 0;
  free_sets.clear();
  pool_lock.store(0);
  nesting_lock_.store(0);
}

bool EpollSet::Contains(const EpollSet* other, int depth) const {
  if (this == other || depth >= kMaxNesting) return true;
  for (const EpollItem* item : nested_) {
    if (At(item->target).Contains(other, depth + 1)) return true;
  }
  return false;
}

// Puts the item, whose events are set, where its target tells it of news, and takes note of what
// is ready already. The caller holds the control lock.
void EpollSet::StartWatching(EpollItem& item) {
  item.mask = WatchMask(item.events);
  item.kind =
      (item.events & EPOLLEXCLUSIVE) != 0 ? WatcherKind::kExclusiveItem : WatcherKind::kItem;
  if (NamesEpoll(item.target)) {
    EpollSet& child = At(item.target);
    LockHolder holder(child.watchers_.lock);
    child.watchers_.Link(item);
  } else {
    WatchSocket(SocketNamed(item.target), item);
  }
}

int EpollSet::Add(Handle self, int number, int fd, Handle target, const epoll_event& event) {
  const uint32_t allowed_exclusive =
      EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
  const bool nested = NamesEpoll(target);
  if ((event.events & EPOLLEXCLUSIVE) != 0 &&
      ((event.events & ~allowed_exclusive) != 0 || nested)) {
    return EINVAL;
  }
  LockHolder control(control_lock_);
  if (!IsOpen(self)) return EBADF;
  if (FindItem(fd, target) != nullptr) return EEXIST;
  EpollItem* item = NewItem(fd, target);
  if (item == nullptr) return ENOMEM;
  item->events = event.events;
  item->data = event.data;
  if (nested) {
    EpollSet& child = At(target);
    LockHolder nesting(nesting_lock_);
    if (child.Contains(this, 0)) {
      FreeItem(*item);
      return ELOOP;
    }
    nested_.push_back(item);
    nested_count_.store(static_cast<uint32_t>(nested_.size()));
  }
  StartWatching(*item);
  if (nested) {
    epoll_event tie{EPOLLIN | (event.events & (EPOLLET | EPOLLONESHOT)), {.u64 = TagOf(*item)}};
    kernel::EpollCtl(number, EPOLL_CTL_ADD, fd, &tie);
    kernel_descriptors_.store(1);
  } else if (!SocketNamed(target).IsOpen()) {
    DropItem(*item);  // it was closed meanwhile, and its end did not see the item
    return EBADF;
  }
  LockHolder holder(ready_lock_);
  if (Look(*item) != 0) PushReady(*item);
  return 0;
}

int EpollSet::Modify(Handle self, int number, int fd, Handle target, const epoll_event& event) {
  LockHolder control(control_lock_);
  if (!IsOpen(self)) return EBADF;
  EpollItem* item = FindItem(fd, target);
  if (item == nullptr) return ENOENT;
  if (item->kind == WatcherKind::kExclusiveItem || (event.events & EPOLLEXCLUSIVE) != 0)
    return EINVAL;
  {
    LockHolder holder(ready_lock_);
    item->events = event.events;
    item->data = event.data;
  }
  const uint16_t mask = WatchMask(event.events);
  if (NamesEpoll(target)) {
    EpollSet& child = At(target);
    LockHolder holder(child.watchers_.lock);
    item->mask = mask;
    epoll_event tie{EPOLLIN | (event.events & (EPOLLET | EPOLLONESHOT)), {.u64 = TagOf(*item)}};
    kernel::EpollCtl(number, EPOLL_CTL_MOD, fd, &tie);
  } else {
    ChangeWatch(SocketNamed(target), *item, mask);
  }
  LockHolder holder(ready_lock_);
  if (Look(*item) != 0) PushReady(*item);
  return 0;
}

int EpollSet::Remove(Handle self, int number, int fd, Handle target) {
  LockHolder control(control_lock_);
  if (!IsOpen(self)) return EBADF;
  EpollItem* item = FindItem(fd, target);
  if (item == nullptr) return ENOENT;
  if (NamesEpoll(target)) kernel::EpollCtl(number, EPOLL_CTL_DEL, fd, nullptr);
  DropItem(*item);
  return 0;
}

}  // namespace sluice::api
