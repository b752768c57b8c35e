// Kernel sockets by system call: in a preloaded program libc's names for them are Sluice's own.
// Results and errno as syscall(2) gives them.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>

namespace sluice::observe {

// Our descriptors are numbered from here on, where that is possible: out of the program's way.
inline constexpr int kDescriptorLeast = 768;

namespace raw {

inline int Socket(int domain, int type, int protocol) {
  return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
}
inline int Bind(int fd, const sockaddr* address, socklen_t length) {
  return static_cast<int>(syscall(SYS_bind, fd, address, length));
}
inline int Listen(int fd, int backlog) {
  return static_cast<int>(syscall(SYS_listen, fd, backlog));
}
inline int Connect(int fd, const sockaddr* address, socklen_t length) {
  return static_cast<int>(syscall(SYS_connect, fd, address, length));
}
inline int Accept(int fd, int flags) {
  return static_cast<int>(syscall(SYS_accept4, fd, nullptr, nullptr, flags));
}
inline ssize_t Send(int fd, const void* bytes, size_t count, int flags) {
  return syscall(SYS_sendto, fd, bytes, count, flags, nullptr, 0);
}
inline ssize_t Receive(int fd, void* bytes, size_t count, int flags) {
  return syscall(SYS_recvfrom, fd, bytes, count, flags, nullptr, nullptr);
}
inline ssize_t Read(int fd, void* bytes, size_t count) {
  return syscall(SYS_read, fd, bytes, count);
}
inline ssize_t Write(int fd, const void* bytes, size_t count) {
  return syscall(SYS_write, fd, bytes, count);
}
inline int Close(int fd) { return static_cast<int>(syscall(SYS_close, fd)); }
inline int EventFd() { return static_cast<int>(syscall(SYS_eventfd2, 0, O_CLOEXEC | O_NONBLOCK)); }
// `milliseconds` < 0: without end.
inline int Poll(pollfd* fds, unsigned long count, int milliseconds) {
  timespec limit{milliseconds / 1000, milliseconds % 1000 * 1000000L};
  return static_cast<int>(
      syscall(SYS_ppoll, fds, count, milliseconds < 0 ? nullptr : &limit, nullptr, 0));
}
// The same file under the lowest free number from `least` on, out of the program's way; `fd` itself
// where there is none.
inline int MoveUp(int fd, int least) {
  if (fd < 0) return fd;
  const int moved = static_cast<int>(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, least));
  if (moved < 0) return fd;
  Close(fd);
  return moved;
}

}  // namespace raw
}  // namespace sluice::observe
