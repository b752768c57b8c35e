// poll and ppoll: Sluice's descriptors and the kernel's in one set.
#include <cerrno>
#include <memory>
#include <new>

#include "api/epoll_set.h"
#include "api/errors.h"
#include "api/kernel.h"
#include "api/poll_set.h"
#include "api/socket_calls.h"
#include "api/time_out.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

using table::Handle;

// What the engine calls the events of poll: the "normal" and "band" ones have other names there.
uint32_t EngineMask(short events) {
  uint32_t mask = static_cast<uint16_t>(events) & (POLLIN | POLLPRI | POLLOUT | POLLRDHUP);
  if ((events & POLLRDNORM) != 0) mask |= table::kEventIn;
  if ((events & POLLWRNORM) != 0) mask |= table::kEventOut;
  return mask;
}

short PollEvents(uint32_t ready, short wanted) {
  if ((ready & table::kEventIn) != 0) ready |= POLLRDNORM;
  if ((ready & table::kEventOut) != 0) ready |= POLLWRNORM;
  return static_cast<short>(ready & (static_cast<uint16_t>(wanted) | uint32_t{POLLERR | POLLHUP}));
}

// What one of ours is ready for. A set of ours tells of its Sluice items only.
short LookAt(Handle handle, short events) {
  if (handle == kInherited) {
    WhyNoSocket(handle);
    return POLLNVAL;
  }
  if (NamesEpoll(handle)) {
    EpollSet* set = EpollSet::Find(handle);
    if (set == nullptr) return POLLNVAL;
    return set->HasReady() ? PollEvents(table::kEventIn, events) : short{0};
  }
  const OpenSocket socket = SocketNamed(handle);
  if (!socket.IsOpen()) return POLLNVAL;
  return PollEvents(ReadinessFor(socket, EngineMask(events)), events);
}

}  // namespace

PollSet::PollSet(pollfd* descriptors, size_t count) : descriptors_(descriptors), count_(count) {
  for (size_t i = 0; i < count; ++i) {
    if (descriptors[i].fd < 0) continue;
    const Handle handle = DescriptorHandle(descriptors[i].fd);
    // A set of ours may hold kernel descriptors, which its number shows to the kernel.
    if (handle.generation == 0 || NamesEpoll(handle)) ++kernel_count_;
    if (handle.generation != 0) ++sluice_count_;
  }
}

PollSet::~PollSet() {
  Unlink();
  if (kernel_set_ >= 0) kernel::Close(kernel_set_);
}

bool PollSet::Allocate() {
  if (kernel_count_ > kInlineCount) {
    kernel_heap_.reset(new (std::nothrow) pollfd[kernel_count_]);
    if (kernel_heap_ == nullptr) return false;
    kernel_ = kernel_heap_.get();
  }
  size_t next = 0;
  for (size_t i = 0; i < count_ && next < kernel_count_; ++i) {
    if (descriptors_[i].fd < 0) continue;
    const Handle handle = DescriptorHandle(descriptors_[i].fd);
    if (handle.generation == 0 || NamesEpoll(handle)) kernel_[next++] = descriptors_[i];
  }
  kernel_count_ = next;
  return true;
}

int PollSet::Look() {
  if (kernel_count_ != 0) {
    const timespec now{};
    if (kernel::Poll(kernel_, kernel_count_, &now) < 0) return -1;
  }
  int ready = 0;
  size_t next = 0;
  for (size_t i = 0; i < count_; ++i) {
    pollfd& d = descriptors_[i];
    d.revents = 0;
    if (d.fd < 0) continue;
    const Handle handle = DescriptorHandle(d.fd);
    if (handle.generation != 0) d.revents = LookAt(handle, d.events);
    // The same order as in Allocate; a descriptor that changed sides meanwhile has no place there.
    if (next < kernel_count_ && kernel_[next].fd == d.fd) {
      d.revents |= kernel_[next++].revents;
    } else if (handle.generation == 0) {
      d.revents = POLLNVAL;  // it was ours, and has been closed
    }
    if (d.revents != 0) ++ready;
  }
  return ready;
}

bool PollSet::Link() {
  if (sluice_count_ > kInlineCount) {
    watch_heap_.reset(new (std::nothrow) Watch[sluice_count_]);
    if (watch_heap_ == nullptr) return false;
    watches_ = watch_heap_.get();
  }
  for (size_t i = 0; i < count_ && linked_ < sluice_count_; ++i) {
    if (descriptors_[i].fd < 0) continue;
    const Handle handle = DescriptorHandle(descriptors_[i].fd);
    if (handle.generation == 0 || handle == kInherited) continue;
    Watch& watch = watches_[linked_];
    watch.handle = handle;
    watch.watcher.waiter = &waiter_;
    watch.watcher.mask = static_cast<uint16_t>(EngineMask(descriptors_[i].events));
    if (NamesEpoll(handle)) {
      EpollSet* set = EpollSet::Find(handle);
      if (set == nullptr) continue;
      watch.watcher.mask = static_cast<uint16_t>(watch.watcher.mask | table::kEventIn);
      LockHolder holder(set->watchers().lock);
      set->watchers().Link(watch.watcher);
    } else {
      WatchSocket(SocketNamed(handle), watch.watcher);
    }
    ++linked_;
  }
  return true;
}

void PollSet::Unlink() {
  for (; linked_ != 0; --linked_) {
    Watch& watch = watches_[linked_ - 1];
    if (NamesEpoll(watch.handle)) {
      WatchList& list = EpollSet::At(watch.handle).watchers();
      LockHolder holder(list.lock);
      list.Unlink(watch.watcher);
    } else {
      UnwatchSocket(watch.handle.index, watch.watcher);
    }
  }
}

bool PollSet::OpenKernelSet() {
  if (kernel_count_ <= 1) return true;
  kernel_set_ = kernel::EpollCreate(EPOLL_CLOEXEC);
  if (kernel_set_ < 0) return false;
  for (size_t i = 0; i < kernel_count_; ++i) {
    epoll_event event{static_cast<uint16_t>(kernel_[i].events), {.fd = kernel_[i].fd}};
    if (kernel::EpollCtl(kernel_set_, EPOLL_CTL_ADD, kernel_[i].fd, &event) == 0) continue;
    if (errno != EEXIST) continue;  // what epoll does not take is always ready, and was reported
    // The same descriptor twice: wake for what any of them wants.
    for (size_t k = 0; k < i; ++k) {
      if (kernel_[k].fd == kernel_[i].fd) event.events |= static_cast<uint16_t>(kernel_[k].events);
    }
    kernel::EpollCtl(kernel_set_, EPOLL_CTL_MOD, kernel_[i].fd, &event);
  }
  return true;
}

void PollSet::Describe(WaitRequest& request) const {
  if (kernel_set_ >= 0) {
    request.kernel_descriptor = kernel_set_;
  } else if (kernel_count_ == 1) {
    request.kernel_descriptor = kernel_[0].fd;
    request.kernel_events = kernel_[0].events;
  }
}

int WaitForAny(PollSet& set, TimeOut time_out, const sigset_t* mask) {
  if (!set.Allocate()) return Fail(ENOMEM);
  TurnSometimes();
  DispatchEvents();
  int ready = set.Look();
  if (ready == 0) {
    Turn();
    DispatchEvents();
    ready = set.Look();
  }
  if (ready != 0 || time_out.is_zero()) return ready;

  const Instant deadline = time_out.Deadline();
  if (!set.Link() || !set.OpenKernelSet()) return Fail(ENOMEM);
  WaitOutcome outcome = WaitOutcome::kLook;
  for (;;) {
    WaitRequest request{.notices_seen = NoticesSeen(), .deadline = deadline, .signal_mask = mask};
    set.Describe(request);
    DispatchEvents();
    set.waiter().signaled.Exchange(0);
    ready = set.Look();
    if (ready != 0 || outcome == WaitOutcome::kDeadline) return ready;
    if (outcome == WaitOutcome::kInterrupted) return Fail(EINTR);
    outcome = state.home->Wait(set.waiter(), request);
  }
}

namespace {

int PollFor(pollfd* descriptors, nfds_t count, TimeOut time_out, const sigset_t* mask) {
  if (descriptors == nullptr && count != 0) return Fail(EFAULT);
  if (!IsInstalled()) return Fail(ENOTSUP);
  PollSet set(descriptors, count);
  return WaitForAny(set, time_out, mask);
}

}  // namespace

int Poll(pollfd* descriptors, nfds_t count, int timeout_ms) {
  return PollFor(descriptors, count, TimeOut::FromMilliseconds(timeout_ms), nullptr);
}

int PPoll(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  if (!IsValid(timeout)) return Fail(EINVAL);
  return PollFor(descriptors, count, TimeOut::From(timeout), mask);
}

}  // namespace sluice::api
