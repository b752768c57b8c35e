// Stand-ins for poll, select, epoll and their variants. A set without a descriptor of Sluice's is
// libc's business.

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "preload/symbols.h"

namespace sluice::preload {
namespace {

bool HasOurs(const pollfd* descriptors, nfds_t count) {
  if (calls() == nullptr || descriptors == nullptr) return false;
  for (nfds_t i = 0; i < count; ++i) {
    if (descriptors[i].fd >= 0 && IsOurs(descriptors[i].fd)) return true;
  }
  return false;
}

bool HasOurs(int count, const fd_set* read, const fd_set* write, const fd_set* except) {
  if (calls() == nullptr) return false;
  // By words: sets beyond FD_SETSIZE are the program's business, and mostly empty.
  constexpr int kWordBits = 8 * sizeof(unsigned long);
  for (const fd_set* set : {read, write, except}) {
    if (set == nullptr) continue;
    const unsigned long* words = reinterpret_cast<const unsigned long*>(set);
    for (int base = 0; base < count; base += kWordBits) {
      unsigned long bits = words[base / kWordBits];
      for (; bits != 0; bits &= bits - 1) {
        int fd = base + __builtin_ctzl(bits);
        if (fd < count && IsOurs(fd)) return true;
      }
    }
  }
  return false;
}

int DoPoll(pollfd* descriptors, nfds_t count, int timeout_ms) {
  static constinit Libc<int(pollfd*, nfds_t, int)> libc("poll");
  return HasOurs(descriptors, count) ? calls()->poll(descriptors, count, timeout_ms)
                                     : libc(descriptors, count, timeout_ms);
}

int DoPPoll(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  static constinit Libc<int(pollfd*, nfds_t, const timespec*, const sigset_t*)> libc("ppoll");
  return HasOurs(descriptors, count) ? calls()->ppoll(descriptors, count, timeout, mask)
                                     : libc(descriptors, count, timeout, mask);
}

int DoSelect(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
  static constinit Libc<int(int, fd_set*, fd_set*, fd_set*, timeval*)> libc("select");
  return HasOurs(count, read, write, except) ? calls()->select(count, read, write, except, timeout)
                                             : libc(count, read, write, except, timeout);
}

// An epoll set made before the first socket may hold sockets later, so it starts Sluice as well.
int DoEpollCreate(Libc<int(int)>& libc, int argument, int flags) {
  const Calls* sluice = IsInside() ? nullptr : Enter();
  return sluice != nullptr ? sluice->epoll_create1(flags) : libc(argument);
}

}  // namespace

SLUICE_SYMBOL(int, poll, (pollfd * descriptors, nfds_t count, int timeout_ms)) {
  return DoPoll(descriptors, count, timeout_ms);
}
SLUICE_SYMBOL(int, __poll, (pollfd * descriptors, nfds_t count, int timeout_ms)) {
  return DoPoll(descriptors, count, timeout_ms);
}
SLUICE_SYMBOL(int, __poll_chk, (pollfd * descriptors, nfds_t count, int timeout_ms, size_t room)) {
  static constinit Libc<int(pollfd*, nfds_t, int, size_t)> libc("__poll_chk");
  if (room / sizeof(pollfd) < count) return libc(descriptors, count, timeout_ms, room);
  return DoPoll(descriptors, count, timeout_ms);
}
SLUICE_SYMBOL(int, ppoll,
              (pollfd * descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask)) {
  return DoPPoll(descriptors, count, timeout, mask);
}
SLUICE_SYMBOL(int, __ppoll_chk,
              (pollfd * descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask,
               size_t room)) {
  static constinit Libc<int(pollfd*, nfds_t, const timespec*, const sigset_t*, size_t)> libc(
      "__ppoll_chk");
  if (room / sizeof(pollfd) < count) return libc(descriptors, count, timeout, mask, room);
  return DoPPoll(descriptors, count, timeout, mask);
}

SLUICE_SYMBOL(int, select,
              (int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout)) {
  return DoSelect(count, read, write, except, timeout);
}
SLUICE_SYMBOL(int, __select,
              (int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout)) {
  return DoSelect(count, read, write, except, timeout);
}
SLUICE_SYMBOL(int, pselect,
              (int count, fd_set* read, fd_set* write, fd_set* except, const timespec* timeout,
               const sigset_t* mask)) {
  static constinit Libc<int(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*)> libc(
      "pselect");
  return HasOurs(count, read, write, except)
             ? calls()->pselect(count, read, write, except, timeout, mask)
             : libc(count, read, write, except, timeout, mask);
}

SLUICE_SYMBOL(int, epoll_create, (int size)) {
  static constinit Libc<int(int)> libc("epoll_create");
  return size <= 0 ? libc(size) : DoEpollCreate(libc, size, 0);
}
SLUICE_SYMBOL(int, epoll_create1, (int flags)) {
  static constinit Libc<int(int)> libc("epoll_create1");
  return DoEpollCreate(libc, flags, flags);
}
SLUICE_SYMBOL(int, epoll_ctl, (int epoll, int operation, int fd, epoll_event* event)) {
  static constinit Libc<int(int, int, int, epoll_event*)> libc("epoll_ctl");
  return IsOurs(epoll) ? calls()->epoll_ctl(epoll, operation, fd, event)
                       : libc(epoll, operation, fd, event);
}
SLUICE_SYMBOL(int, epoll_pwait,
              (int epoll, epoll_event* events, int maximum, int timeout_ms, const sigset_t* mask)) {
  static constinit Libc<int(int, epoll_event*, int, int, const sigset_t*)> libc("epoll_pwait");
  return IsOurs(epoll) ? calls()->epoll_pwait(epoll, events, maximum, timeout_ms, mask)
                       : libc(epoll, events, maximum, timeout_ms, mask);
}
SLUICE_SYMBOL(int, epoll_wait, (int epoll, epoll_event* events, int maximum, int timeout_ms)) {
  static constinit Libc<int(int, epoll_event*, int, int)> libc("epoll_wait");
  return IsOurs(epoll) ? calls()->epoll_pwait(epoll, events, maximum, timeout_ms, nullptr)
                       : libc(epoll, events, maximum, timeout_ms);
}
SLUICE_SYMBOL(int, epoll_pwait2,
              (int epoll, epoll_event* events, int maximum, const timespec* timeout,
               const sigset_t* mask)) {
  static constinit Libc<int(int, epoll_event*, int, const timespec*, const sigset_t*)> libc(
      "epoll_pwait2");
  return IsOurs(epoll) ? calls()->epoll_pwait2(epoll, events, maximum, timeout, mask)
                       : libc(epoll, events, maximum, timeout, mask);
}

}  // namespace sluice::preload
