// Stand-ins for the calls that make, name and set up sockets.

#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "preload/symbols.h"

namespace sluice::preload {
namespace {

// Whether these arguments may be for Sluice at all, before anything is started for them.
bool IsInetSocket(int domain, int type) {
  int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  return (domain == AF_INET || domain == AF_INET6) && (kind == SOCK_STREAM || kind == SOCK_DGRAM);
}

}  // namespace

SLUICE_SYMBOL(int, socket, (int domain, int type, int protocol)) {
  static constinit Libc<int(int, int, int)> libc("socket");
  if (!IsInetSocket(domain, type)) return libc(domain, type, protocol);
  // DPDK's drivers ask for an interface's flags through an inet socket, which a sandbox may forbid
  // to the process. They send nothing over it, and the kernel answers on a socket of any family.
  if (IsInside()) return libc(AF_UNIX, type, 0);
  const Calls* sluice = Enter();
  if (sluice == nullptr || sluice->should_use_kernel(domain, type, protocol)) {
    return libc(domain, type, protocol);
  }
  return sluice->socket(domain, type, protocol);
}

SLUICE_SYMBOL(int, bind, (int fd, const sockaddr* address, socklen_t length)) {
  static constinit Libc<int(int, const sockaddr*, socklen_t)> libc("bind");
  return IsOurs(fd) ? calls()->bind(fd, address, length) : libc(fd, address, length);
}

SLUICE_SYMBOL(int, listen, (int fd, int backlog)) {
  static constinit Libc<int(int, int)> libc("listen");
  return IsOurs(fd) ? calls()->listen(fd, backlog) : libc(fd, backlog);
}

namespace {
int Connect(int fd, const sockaddr* address, socklen_t length) {
  static constinit Libc<int(int, const sockaddr*, socklen_t)> libc("connect");
  return IsOurs(fd) ? calls()->connect(fd, address, length) : libc(fd, address, length);
}
}  // namespace

SLUICE_SYMBOL(int, connect, (int fd, const sockaddr* address, socklen_t length)) {
  return Connect(fd, address, length);
}
SLUICE_SYMBOL(int, __connect, (int fd, const sockaddr* address, socklen_t length)) {
  return Connect(fd, address, length);
}

SLUICE_SYMBOL(int, accept4, (int fd, sockaddr* address, socklen_t* length, int flags)) {
  static constinit Libc<int(int, sockaddr*, socklen_t*, int)> libc("accept4");
  return IsOurs(fd) ? calls()->accept4(fd, address, length, flags)
                    : libc(fd, address, length, flags);
}

SLUICE_SYMBOL(int, accept, (int fd, sockaddr* address, socklen_t* length)) {
  static constinit Libc<int(int, sockaddr*, socklen_t*)> libc("accept");
  return IsOurs(fd) ? calls()->accept4(fd, address, length, 0) : libc(fd, address, length);
}

SLUICE_SYMBOL(int, shutdown, (int fd, int how)) {
  static constinit Libc<int(int, int)> libc("shutdown");
  return IsOurs(fd) ? calls()->shutdown(fd, how) : libc(fd, how);
}

SLUICE_SYMBOL(int, getsockname, (int fd, sockaddr* address, socklen_t* length)) {
  static constinit Libc<int(int, sockaddr*, socklen_t*)> libc("getsockname");
  return IsOurs(fd) ? calls()->getsockname(fd, address, length) : libc(fd, address, length);
}

SLUICE_SYMBOL(int, getpeername, (int fd, sockaddr* address, socklen_t* length)) {
  static constinit Libc<int(int, sockaddr*, socklen_t*)> libc("getpeername");
  return IsOurs(fd) ? calls()->getpeername(fd, address, length) : libc(fd, address, length);
}

SLUICE_SYMBOL(int, getsockopt, (int fd, int level, int name, void* value, socklen_t* length)) {
  static constinit Libc<int(int, int, int, void*, socklen_t*)> libc("getsockopt");
  return IsOurs(fd) ? calls()->getsockopt(fd, level, name, value, length)
                    : libc(fd, level, name, value, length);
}

SLUICE_SYMBOL(int, setsockopt, (int fd, int level, int name, const void* value, socklen_t length)) {
  static constinit Libc<int(int, int, int, const void*, socklen_t)> libc("setsockopt");
  return IsOurs(fd) ? calls()->setsockopt(fd, level, name, value, length)
                    : libc(fd, level, name, value, length);
}

SLUICE_SYMBOL(int, ioctl, (int fd, unsigned long request, ...)) {
  static constinit Libc<int(int, unsigned long, void*)> libc("ioctl");
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  return IsOurs(fd) ? calls()->ioctl(fd, request, argument) : libc(fd, request, argument);
}

namespace {
// fstat and its names from before glibc 2.33; on 64-bit machines struct stat64 is struct stat.
int Fstat(Libc<int(int, struct stat*)>& libc, int fd, struct stat* status) {
  return IsOurs(fd) ? calls()->fstat(fd, status) : libc(fd, status);
}
int OldFstat(Libc<int(int, int, struct stat*)>& libc, int version, int fd, struct stat* status) {
  return IsOurs(fd) ? calls()->fstat(fd, status) : libc(version, fd, status);
}
}  // namespace

SLUICE_SYMBOL(int, fstat, (int fd, struct stat* status)) {
  static constinit Libc<int(int, struct stat*)> libc("fstat");
  return Fstat(libc, fd, status);
}
SLUICE_SYMBOL(int, fstat64, (int fd, struct stat* status)) {
  static constinit Libc<int(int, struct stat*)> libc("fstat64");
  return Fstat(libc, fd, status);
}
SLUICE_SYMBOL(int, __fxstat, (int version, int fd, struct stat* status)) {
  static constinit Libc<int(int, int, struct stat*)> libc("__fxstat");
  return OldFstat(libc, version, fd, status);
}
SLUICE_SYMBOL(int, __fxstat64, (int version, int fd, struct stat* status)) {
  static constinit Libc<int(int, int, struct stat*)> libc("__fxstat64");
  return OldFstat(libc, version, fd, status);
}

}  // namespace sluice::preload
