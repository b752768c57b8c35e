// The epoll calls.
#include <cerrno>

#include "api/descriptors.h"
#include "api/epoll_set.h"
#include "api/kernel.h"
#include "api/socket_calls.h"
#include "api/time_out.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

using table::Handle;

// False and errno: not a set of ours.
EpollSet* FindSet(int fd, Handle& handle) {
  handle = DescriptorHandle(fd);
  if (handle == kInherited || handle.generation == 0) {
    errno = WhyNoSocket(handle);
    return nullptr;
  }
  if (!NamesEpoll(handle)) {
    errno = EINVAL;
    return nullptr;
  }
  return EpollSet::Find(handle);
}

int Wait(int epoll, epoll_event* events, int maximum, TimeOut time_out, const sigset_t* mask) {
  Handle self;
  EpollSet* set = FindSet(epoll, self);
  if (set == nullptr) return -1;
  if (maximum <= 0) return Fail(EINVAL);
  if (events == nullptr) return Fail(EFAULT);
  // The engine gets its turn in time, however much there is to do; and at once if there is nothing.
  TurnSometimes();
  DispatchEvents();
  int count = set->CollectMixed(self, epoll, events, maximum, false);
  if (count == 0) {
    Turn();
    DispatchEvents();
    count = set->CollectMixed(self, epoll, events, maximum, time_out.is_zero());
  }
  if (count != 0 || time_out.is_zero()) return count;

  const Instant deadline = time_out.Deadline();
  EpollSleeper sleeper;
  set->Sleep(sleeper);
  WaitOutcome outcome = WaitOutcome::kLook;
  for (;;) {
    WaitRequest request{.notices_seen = NoticesSeen(),
                        .deadline = deadline,
                        .kernel_descriptor = set->has_kernel_descriptors() ? epoll : -1,
                        .signal_mask = mask};
    DispatchEvents();
    sleeper.waiter.signaled.Exchange(0);
    if (!set->IsOpen(self)) {
      count = Fail(EBADF);
      break;
    }
    count = set->CollectMixed(self, epoll, events, maximum, true);
    if (count != 0 || outcome == WaitOutcome::kDeadline) break;
    if (outcome == WaitOutcome::kInterrupted) {
      count = Fail(EINTR);
      break;
    }
    outcome = state.home->Wait(sleeper.waiter, request);
  }
  const int error = errno;
  set->Leave(sleeper);
  errno = error;
  return count;
}

}  // namespace

void EpollSet::Sleep(EpollSleeper& sleeper) {
  LockHolder holder(ready_lock_);
  sleeper.previous = nullptr;
  sleeper.next = sleepers_;
  if (sleepers_ != nullptr) sleepers_->previous = &sleeper;
  sleepers_ = &sleeper;
}

void EpollSet::Leave(EpollSleeper& sleeper) {
  LockHolder holder(ready_lock_);
  (sleeper.previous == nullptr ? sleepers_ : sleeper.previous->next) = sleeper.next;
  if (sleeper.next != nullptr) sleeper.next->previous = sleeper.previous;
  // What is left is for the next one.
  if (ready_count_ != 0) WakeOne();
}

int EpollCreate1(int flags) {
  if ((flags & ~EPOLL_CLOEXEC) != 0) return Fail(EINVAL);
  const int fd = kernel::EpollCreate(flags);
  if (fd < 0) return -1;
  const Handle handle = fd < kMaxDescriptors ? EpollSet::Open() : Handle{};
  if (handle.is_none()) {
    kernel::Close(fd);
    return Fail(EMFILE);
  }
  Assign(fd, handle);
  return fd;
}

int EpollCtl(int epoll, int operation, int fd, epoll_event* event) {
  if (operation != EPOLL_CTL_DEL && event == nullptr) return Fail(EFAULT);
  Handle self;
  EpollSet* set = FindSet(epoll, self);
  if (set == nullptr) return -1;
  const Handle target = DescriptorHandle(fd);
  if (target.generation == 0) {
    const int result = kernel::EpollCtl(epoll, operation, fd, event);
    if (result == 0 && operation == EPOLL_CTL_ADD) set->NoteKernelDescriptor();
    return result;
  }
  if (target == kInherited) return Fail(WhyNoSocket(target));
  if (fd == epoll || target == self) return Fail(EINVAL);
  int error = EINVAL;
  switch (operation) {
    case EPOLL_CTL_ADD:
      error = set->Add(self, epoll, fd, target, *event);
      break;
    case EPOLL_CTL_MOD:
      error = set->Modify(self, epoll, fd, target, *event);
      break;
    case EPOLL_CTL_DEL:
      error = set->Remove(self, epoll, fd, target);
      break;
    default:
      break;
  }
  return error == 0 ? 0 : Fail(error);
}

int EpollWait(int epoll, epoll_event* events, int maximum, int timeout_ms) {
  return Wait(epoll, events, maximum, TimeOut::FromMilliseconds(timeout_ms), nullptr);
}

int EpollPwait(int epoll, epoll_event* events, int maximum, int timeout_ms, const sigset_t* mask) {
  return Wait(epoll, events, maximum, TimeOut::FromMilliseconds(timeout_ms), mask);
}

int EpollPwait2(int epoll, epoll_event* events, int maximum, const timespec* timeout,
                const sigset_t* mask) {
  if (!IsValid(timeout)) return Fail(EINVAL);
  return Wait(epoll, events, maximum, TimeOut::From(timeout), mask);
}

}  // namespace sluice::api
