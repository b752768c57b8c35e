// The ready list of an epoll set: how items enter it, and how they are collected.
#include <algorithm>

#include "api/epoll_set.h"
#include "api/kernel.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

using table::Handle;

// Under load the kernel is asked about its descriptors no more often than this.
constexpr int64_t kKernelLookInterval_ns = 50'000;
constexpr uint32_t kPrivateBits = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;

// One-shot, and it has had its shot.
bool IsDisabled(const EpollItem& item) {
  return (item.events & EPOLLONESHOT) != 0 && (item.events & ~kPrivateBits) == 0;
}

}  // namespace

void EpollSet::LinkReady(EpollItem& item) {
  item.queued = true;
  item.ready_next = nullptr;
  item.ready_previous = ready_last_;
  (ready_last_ == nullptr ? ready_first_ : ready_last_->ready_next) = &item;
  ready_last_ = &item;
  ++ready_count_;
}

// Returns whether a sleeper was woken. The ready lock is held.
bool EpollSet::PushReady(EpollItem& item) {
  if (IsDisabled(item)) return false;
  if (!item.queued) LinkReady(item);
  return WakeOne();
}

void EpollSet::UnlinkReady(EpollItem& item) {
  (item.ready_previous == nullptr ? ready_first_ : item.ready_previous->ready_next) =
      item.ready_next;
  (item.ready_next == nullptr ? ready_last_ : item.ready_next->ready_previous) =
      item.ready_previous;
  item.queued = false;
  --ready_count_;
}

// Signals a sleeper that has not been signaled yet; false if there is none. The lock is held.
bool EpollSet::WakeOne() {
  for (EpollSleeper* s = sleepers_; s != nullptr; s = s->next) {
    if (s->waiter.signaled.load() == 1) continue;  // other values tell where it sleeps
    state.home->Signal(s->waiter);
    return true;
  }
  return false;
}

bool EpollSet::Queue(EpollItem& item, int depth) {
  EpollSet& set = SetAt(item.set);
  bool woken = false;
  {
    LockHolder holder(set.ready_lock_);
    woken = set.PushReady(item);
  }
  // Who nests or polls this set looks at it after he has linked himself: one of us sees the other.
  if (depth >= kMaxNesting || set.watchers_.first.load() == nullptr) return woken;
  LockHolder holder(set.watchers_.lock);
  set.watchers_.Fire(table::kEventIn, depth + 1);
  return woken;
}

// What the item would report now; 0: nothing. The ready lock is held.
uint32_t EpollSet::Look(EpollItem& item) {
  if (IsDisabled(item)) return 0;
  const uint32_t wanted = item.events & ~kPrivateBits;
  uint32_t ready;
  if (NamesEpoll(item.target)) {
    EpollSet* child = Find(item.target);
    ready = child != nullptr && (item.kernel_ready || child->HasReady()) ? table::kEventIn : 0u;
    item.kernel_ready = false;
  } else {
    const OpenSocket socket = SocketNamed(item.target);
    if (socket.entry->generation.Acquire() != item.target.generation) return 0;
    uint32_t mask = wanted;
    if ((wanted & EPOLLRDNORM) != 0) mask |= table::kEventIn;
    if ((wanted & EPOLLWRNORM) != 0) mask |= table::kEventOut;
    ready = ReadinessFor(socket, mask);
  }
  if ((ready & table::kEventIn) != 0) ready |= EPOLLRDNORM;
  if ((ready & table::kEventOut) != 0) ready |= EPOLLWRNORM;
  return ready & (wanted | table::kEventErr | table::kEventHup);
}

bool EpollSet::HasReady() {
  LockHolder holder(ready_lock_);
  for (uint32_t left = ready_count_; left != 0; --left) {
    EpollItem& item = *ready_first_;
    if (Look(item) != 0) return true;
    UnlinkReady(item);
  }
  return false;
}

int EpollSet::Collect(Handle self, epoll_event* events, int maximum) {
  LockHolder holder(ready_lock_);
  if (!IsOpen(self)) return 0;
  int count = 0;
  for (uint32_t left = ready_count_; left != 0 && count < maximum; --left) {
    EpollItem& item = *ready_first_;
    // It leaves the list before it is looked at: news that come meanwhile put it in again.
    UnlinkReady(item);
    const uint32_t ready = Look(item);
    if (ready == 0) continue;
    events[count].events = ready;
    events[count].data = item.data;
    ++count;
    if ((item.events & EPOLLONESHOT) != 0) {
      item.events &= kPrivateBits;  // disabled until EPOLL_CTL_MOD
    } else if ((item.events & EPOLLET) == 0) {
      // Behind all others: with a small `maximum` each gets its turn.
      LinkReady(item);
    }
  }
  return count;
}

// A nested set's kernel descriptors have something: its item is looked at by the next Collect.
// False: the tag is none of ours.
bool EpollSet::MarkNested(uint64_t tag) {
  LockHolder nesting(nesting_lock_);
  for (EpollItem* item : nested_) {
    if (TagOf(*item) != tag) continue;
    LockHolder holder(ready_lock_);
    item->kernel_ready = true;
    PushReady(*item);
    return true;
  }
  return false;
}

// What the kernel says of its descriptors, without sleeping. -1 and errno.
int EpollSet::Peek(int number, epoll_event* events, int maximum) {
  const int found = kernel::EpollPeek(number, events, maximum);
  if (found <= 0 || nested_count_.load() == 0) return found;
  int count = 0;
  for (int i = 0; i < found; ++i) {
    const epoll_event event = events[i];
    if (!MarkNested(event.data.u64)) events[count++] = event;
  }
  return count;
}

int EpollSet::CollectMixed(Handle self, int number, epoll_event* events, int maximum, bool look) {
  if (!has_kernel_descriptors()) return Collect(self, events, maximum);
  const int64_t now_ns = state.home->Now().nanoseconds();
  // A look costs a system call; who has found nothing asks again for one before it sleeps.
  if (!look && now_ns - kernel_looked_ns_.load() < kKernelLookInterval_ns) {
    return Collect(self, events, maximum);
  }
  // Half of the room for each side; where there is room for one only, they take turns.
  int share = (maximum + 1) / 2;
  const bool sluice_first = maximum == 1 && kernel_turn_.Exchange(!kernel_turn_.load()) == 0;
  if (sluice_first) {
    const int count = Collect(self, events, maximum);
    if (count != 0) return count;
    share = maximum;
  }
  kernel_looked_ns_.store(now_ns);
  const int count = Peek(number, events, share);
  if (count < 0) return -1;
  return count + (count < maximum ? Collect(self, events + count, maximum - count) : 0);
}

}  // namespace sluice::api
