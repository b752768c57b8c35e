// Epoll sets: what epoll_create makes, private to the process.
//
// A set keeps an item for each Sluice socket and each nested Sluice set, and a list of those that
// are ready: nothing is ever scanned. An item enters the list when its socket has news for it
// (watch.h) and is looked at when somebody collects: it is reported if it is ready, and stays in
// the list (level-triggered) or leaves it (edge-triggered, one-shot, or not ready any more).
// Kernel descriptors of the set live in the kernel epoll whose number the set has.
//
// Locks, in the order in which they are taken: nesting (one for the process), control (what the set
// holds), the watch lists of sockets and sets, ready (the list and who sleeps). Sets are never
// freed, only used again under a new generation, so a stale pointer is an error and no crash.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "api/descriptors.h"
#include "api/watch.h"
#include "table/handle.h"

namespace sluice::api {

// What a set holds of a socket or of another set: one cache line.
struct alignas(64) EpollItem : Watcher {
  // Under the set's ready lock, but for the set, the number and the target.
  bool queued : 1 = false;
  bool kernel_ready : 1 = false;  // a nested set whose kernel descriptors have something to tell
  uint32_t set = 0;               // its index
  int fd = -1;                    // the number it was added by; -1: the item is free
  table::Handle target;           // a socket, or a set (NamesEpoll)
  uint32_t events = 0;            // as the program gave them
  epoll_data_t data{};
  EpollItem* ready_next = nullptr;  // also the list of free items
  EpollItem* ready_previous = nullptr;
};
static_assert(sizeof(EpollItem) == 64);

// One thread in epoll_wait.
struct EpollSleeper {
  Waiter waiter;
  EpollSleeper* next = nullptr;
  EpollSleeper* previous = nullptr;
};

class EpollSet {
 public:
  // The set a handle names (nullptr and EBADF for a stale one). It may be closed at any time: the
  // methods then answer EBADF.
  static EpollSet* Find(table::Handle handle);
  // The memory of a set that a handle named once: it may have been closed since.
  static EpollSet& At(table::Handle handle);
  static EpollSet& SetAt(uint32_t index);
  // A new, empty set with one descriptor; is_none(): too many sets.
  static table::Handle Open();
  static bool AddReference(table::Handle handle);
  // One descriptor less; true if it was the last one: the set is closed.
  static bool DropReference(table::Handle handle);
  // Removes all items of a socket or set that ends, from all sets.
  static void RemoveTarget(table::Handle target, WatchList& watchers);

  // A socket's place in a set.
  struct Membership {
    table::Handle set;
    int fd;
    epoll_event event;
  };
  // RemoveTarget for a socket that becomes the kernel's: tells where it was.
  static std::vector<Membership> TakeMemberships(table::Handle target, WatchList& watchers);
  // For a forked child, where other threads' locks may be held for ever: takes none.
  static bool HeldSluiceItems(table::Handle handle);
  static void ForgetAll();

  // Control, for Sluice targets. Return 0 or an errno. `self` is the set's handle, `number` its
  // descriptor, needed to tie the kernel epolls of nested sets together.
  int Add(table::Handle self, int number, int fd, table::Handle target, const epoll_event& event);
  int Modify(table::Handle self, int number, int fd, table::Handle target,
             const epoll_event& event);
  int Remove(table::Handle self, int number, int fd, table::Handle target);

  // Takes up to `maximum` events. Thread: any.
  int Collect(table::Handle self, epoll_event* events, int maximum);
  // The same, and what the kernel has to say about its descriptors of the set, looked at now if
  // `look` or if it was not for a while. -1 and errno.
  int CollectMixed(table::Handle self, int number, epoll_event* events, int maximum, bool look);
  // Whether a Sluice item is ready: the set as an item of another one, or of poll.
  bool HasReady();

  void Sleep(EpollSleeper& sleeper);  // from now on it is signaled when an item becomes ready
  void Leave(EpollSleeper& sleeper);
  bool has_kernel_descriptors() const { return kernel_descriptors_.load() != 0; }
  void NoteKernelDescriptor() { kernel_descriptors_.store(1); }
  bool IsOpen(table::Handle self) const { return generation_.Acquire() == self.generation; }
  void RemoveAll();
  WatchList& watchers() { return watchers_; }

  // An item of a socket that has news, or of a nested set. The caller holds the lock of the watch
  // list the item is in. Returns whether a sleeper was woken.
  static bool Queue(EpollItem& item, int depth);

 private:
  EpollItem* FindItem(int fd, table::Handle target);
  EpollItem* NewItem(int fd, table::Handle target);
  void DropItem(EpollItem& item);
  void FreeItem(EpollItem& item);
  bool GrowItems();
  void StartWatching(EpollItem& item);
  void LinkReady(EpollItem& item);  // this and the next four: under the ready lock
  bool PushReady(EpollItem& item);
  void UnlinkReady(EpollItem& item);
  bool WakeOne();
  uint32_t Look(EpollItem& item);
  bool MarkNested(uint64_t tag);
  int Peek(int number, epoll_event* events, int maximum);
  // Marks notices of a nested set's kernel epoll in its parent's: a number that no program uses.
  static uint64_t TagOf(const EpollItem& item) {
    return state.nested_key ^ reinterpret_cast<uintptr_t>(&item);
  }
  bool Contains(const EpollSet* other, int depth) const;  // under the nesting lock
  void Close();

  table::Cell<uint32_t> generation_;  // odd while open
  table::Cell<uint32_t> references_;
  table::Cell<uint32_t> kernel_descriptors_;  // 1 once a kernel descriptor was added
  table::Cell<int64_t> kernel_looked_ns_;
  uint32_t index_ = 0;

  table::Cell<uint32_t> control_lock_;
  // All items that there ever were, in pieces that do not move.
  std::vector<std::pair<std::unique_ptr<EpollItem[]>, uint32_t>> items_;
  uint32_t items_used_ = 0;
  EpollItem* free_items_ = nullptr;
  std::vector<EpollItem*> nested_;  // under the nesting lock, which is one for all sets
  table::Cell<uint32_t> nested_count_;
  static table::Cell<uint32_t> nesting_lock_;
  // As deep as Linux lets sets stand in sets (epoll_ctl(2)).
  static constexpr int kMaxNesting = 5;

  WatchList watchers_;  // sets that this one is nested in, and threads that poll it

  table::Cell<uint32_t> ready_lock_;
  EpollItem* ready_first_ = nullptr;
  EpollItem* ready_last_ = nullptr;
  uint32_t ready_count_ = 0;
  EpollSleeper* sleepers_ = nullptr;
  table::Cell<uint32_t> kernel_turn_;
};

}  // namespace sluice::api
