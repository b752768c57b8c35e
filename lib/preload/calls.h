// What libsluice-preload.so knows of libsluice.so.
//
// The preload library is loaded into every program under `sluice run`, and into every child of such
// a program. So it is small and needs nothing but libc. The rest (libsluice.so with the engine and
// DPDK) is loaded when a program asks for its first inet socket or epoll set, and answers through
// this table. Private: both libraries come from the same build, which `kVersion` checks.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include <cstddef>
#include <cstdint>

namespace sluice::preload {

struct Calls {
  static constexpr uint32_t kVersion = 2;
  static constexpr const char* kSymbol = "sluice_preload_calls";

  uint32_t version;

  // Starts an instance from the environment. False: `error` says why, in one line.
  bool (*start)(char* error, size_t error_bytes);
  // The process ends: gives the engine a bounded time to send what was written and closed.
  void (*finish)();
  // In a child, right after fork.
  void (*after_fork_in_child)();
  // Whether a descriptor belongs to Sluice itself: a program that closes all it sees must not
  // close that.
  bool (*is_internal)(int fd);
  // It is being closed by Sluice: the number may become the program's.
  void (*forget_internal)(int fd);

  bool (*is_ours)(int fd);
  bool (*should_use_kernel)(int domain, int type, int protocol);

  int (*socket)(int, int, int);
  int (*bind)(int, const sockaddr*, socklen_t);
  int (*listen)(int, int);
  int (*connect)(int, const sockaddr*, socklen_t);
  int (*accept4)(int, sockaddr*, socklen_t*, int);
  int (*shutdown)(int, int);
  int (*getsockname)(int, sockaddr*, socklen_t*);
  int (*getpeername)(int, sockaddr*, socklen_t*);
  ssize_t (*send)(int, const void*, size_t, int);
  ssize_t (*sendto)(int, const void*, size_t, int, const sockaddr*, socklen_t);
  ssize_t (*sendmsg)(int, const msghdr*, int);
  int (*sendmmsg)(int, mmsghdr*, unsigned, int);
  ssize_t (*recv)(int, void*, size_t, int);
  ssize_t (*recvfrom)(int, void*, size_t, int, sockaddr*, socklen_t*);
  ssize_t (*recvmsg)(int, msghdr*, int);
  int (*recvmmsg)(int, mmsghdr*, unsigned, int, timespec*);
  ssize_t (*read)(int, void*, size_t);
  ssize_t (*write)(int, const void*, size_t);
  ssize_t (*readv)(int, const iovec*, int);
  ssize_t (*writev)(int, const iovec*, int);
  ssize_t (*sendfile)(int, int, off_t*, size_t);
  ssize_t (*splice)();
  int (*getsockopt)(int, int, int, void*, socklen_t*);
  int (*setsockopt)(int, int, int, const void*, socklen_t);
  int (*fcntl)(int, int, long);
  int (*ioctl)(int, unsigned long, void*);
  int (*fstat)(int, struct stat*);
  int (*dup)(int);
  int (*dup3)(int, int, int);
  int (*dup2)(int, int);
  int (*close)(int);
  int (*close_range)(unsigned, unsigned, int);
  int (*poll)(pollfd*, nfds_t, int);
  int (*ppoll)(pollfd*, nfds_t, const timespec*, const sigset_t*);
  int (*select)(int, fd_set*, fd_set*, fd_set*, timeval*);
  int (*pselect)(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*);
  int (*epoll_create1)(int);
  int (*epoll_ctl)(int, int, int, epoll_event*);
  int (*epoll_pwait)(int, epoll_event*, int, int, const sigset_t*);
  int (*epoll_pwait2)(int, epoll_event*, int, const timespec*, const sigset_t*);
};

// The table, in libsluice.so.
extern "C" const Calls* sluice_preload_calls();

}  // namespace sluice::preload
