// The kernel's system calls, past libc: in a preloaded program libc's names for them are Sluice's
// own. Results and errno as syscall(2) gives them.
#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <climits>
#include <cstddef>
#include <cstdint>

namespace sluice::api::kernel {

inline constexpr size_t kSignalSetBytes = 8;  // the kernel's sigset_t, not libc's

inline int Close(int fd) { return static_cast<int>(syscall(SYS_close, fd)); }
inline int CloseRange(unsigned first, unsigned last, int flags) {
  return static_cast<int>(syscall(SYS_close_range, first, last, flags));
}
inline int Dup3(int from, int to, int flags) {
  return static_cast<int>(syscall(SYS_dup3, from, to, flags));
}
inline int Fcntl(int fd, int command, long argument) {
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}
inline int Fstat(int fd, struct stat* status) {
  return static_cast<int>(syscall(SYS_fstat, fd, status));
}
inline int Socket(int domain, int type, int protocol) {
  return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
}
inline int Bind(int fd, const sockaddr* address, socklen_t length) {
  return static_cast<int>(syscall(SYS_bind, fd, address, length));
}
inline int Connect(int fd, const sockaddr* address, socklen_t length) {
  return static_cast<int>(syscall(SYS_connect, fd, address, length));
}
inline int SetSockOpt(int fd, int level, int name, const void* value, socklen_t length) {
  return static_cast<int>(syscall(SYS_setsockopt, fd, level, name, value, length));
}
inline ssize_t SendMsg(int fd, const msghdr* message, int flags) {
  return syscall(SYS_sendmsg, fd, message, flags);
}
inline ssize_t Read(int fd, void* bytes, size_t count) {
  return syscall(SYS_read, fd, bytes, count);
}
inline ssize_t Write(int fd, const void* bytes, size_t count) {
  return syscall(SYS_write, fd, bytes, count);
}
inline ssize_t Pread(int fd, void* bytes, size_t count, off_t offset) {
  return syscall(SYS_pread64, fd, bytes, count, offset);
}
inline off_t Seek(int fd, off_t offset, int whence) {
  return syscall(SYS_lseek, fd, offset, whence);
}
inline int Poll(pollfd* descriptors, nfds_t count, const timespec* timeout) {
  timespec copy{};  // the kernel writes the rest of the time into it
  if (timeout != nullptr) copy = *timeout;
  return static_cast<int>(syscall(SYS_ppoll, descriptors, count,
                                  timeout == nullptr ? nullptr : &copy, nullptr, kSignalSetBytes));
}
inline int EpollCreate(int flags) { return static_cast<int>(syscall(SYS_epoll_create1, flags)); }
inline int EpollCtl(int epoll, int operation, int fd, epoll_event* event) {
  return static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, fd, event));
}
// Never sleeps.
inline int EpollPeek(int epoll, epoll_event* events, int maximum) {
  return static_cast<int>(
      syscall(SYS_epoll_pwait, epoll, events, maximum, 0, nullptr, kSignalSetBytes));
}
inline int ThreadKill(int signal) {
  return static_cast<int>(syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), signal));
}
inline int ProcessId() { return static_cast<int>(syscall(SYS_getpid)); }
inline void FutexWait(uint32_t* word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
inline void FutexWakeOne(uint32_t* word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// Whether a call that was interrupted by a signal goes on sleeping. The kernel knows which handler
// ran; we do not, so the rule is: go on if every handler that is installed has SA_RESTART.
bool EveryHandlerRestarts();

}  // namespace sluice::api::kernel
