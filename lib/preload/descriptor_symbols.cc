// Stand-ins for the calls that copy and close descriptors, and for stdio on sockets.
//
// A child of vfork (posix_spawn in a program's own clothes) closes and replaces descriptors in its
// own table while it runs in its parent's memory: there the kernel alone is asked. Descriptors of
// Sluice's own, which a program does not know of, survive a program that closes all it finds.

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "preload/symbols.h"

namespace sluice::preload {
namespace {

constexpr unsigned kDescriptorsMax = 1 << 16;  // Sluice's own lie below

int DoClose(int fd) {
  static constinit Libc<int(int)> libc("close");
  if (IsOurs(fd) && IsOwner()) return calls()->close(fd);
  if (IsInternal(fd) && IsOwner()) {
    if (!IsInside()) {
      errno = EBADF;
      return -1;
    }
    calls()->forget_internal(fd);  // a thread of Sluice's, DPDK's among them, closes its own
  }
  return libc(fd);
}

int DoDup2(int from, int to) {
  static constinit Libc<int(int, int)> libc("dup2");
  if (calls() == nullptr || !IsOwner()) return libc(from, to);
  if (IsInternal(to)) {
    errno = EBUSY;
    return -1;
  }
  return IsOurs(from) || IsOurs(to) ? calls()->dup2(from, to) : libc(from, to);
}

int DoFcntl(Libc<int(int, int, long)>& libc, int fd, int command, long argument) {
  return IsOurs(fd) && IsOwner() ? calls()->fcntl(fd, command, argument)
                                 : libc(fd, command, argument);
}

// Closes what lies between Sluice's own descriptors.
int CloseAround(unsigned first, unsigned last, int flags) {
  unsigned begin = first;
  int status = 0;
  for (unsigned fd = first; fd <= last && fd < kDescriptorsMax; ++fd) {
    if (!IsInternal(static_cast<int>(fd))) continue;
    if (fd > begin) status |= calls()->close_range(begin, fd - 1, flags);
    begin = fd + 1;
  }
  if (begin <= last) status |= calls()->close_range(begin, last, flags);
  return status;
}

}  // namespace

SLUICE_SYMBOL(int, close, (int fd)) { return DoClose(fd); }
SLUICE_SYMBOL(int, __close, (int fd)) { return DoClose(fd); }

SLUICE_SYMBOL(int, close_range, (unsigned first, unsigned last, int flags)) {
  static constinit Libc<int(unsigned, unsigned, int)> libc("close_range");
  bool plain =
      calls() == nullptr || !IsOwner() || first > last || (flags & CLOSE_RANGE_UNSHARE) != 0;
  return plain ? libc(first, last, flags) : CloseAround(first, last, flags);
}
SLUICE_SYMBOL(void, closefrom, (int lowest)) {
  static constinit Libc<void(int)> libc("closefrom");
  if (calls() == nullptr || !IsOwner()) return libc(lowest);
  CloseAround(lowest < 0 ? 0 : static_cast<unsigned>(lowest), ~0u, 0);
}

SLUICE_SYMBOL(int, dup, (int fd)) {
  static constinit Libc<int(int)> libc("dup");
  return IsOurs(fd) && IsOwner() ? calls()->dup(fd) : libc(fd);
}
SLUICE_SYMBOL(int, dup2, (int from, int to)) { return DoDup2(from, to); }
SLUICE_SYMBOL(int, __dup2, (int from, int to)) { return DoDup2(from, to); }
SLUICE_SYMBOL(int, dup3, (int from, int to, int flags)) {
  static constinit Libc<int(int, int, int)> libc("dup3");
  if (calls() == nullptr || !IsOwner()) return libc(from, to, flags);
  if (IsInternal(to)) {
    errno = EBUSY;
    return -1;
  }
  return IsOurs(from) || IsOurs(to) ? calls()->dup3(from, to, flags) : libc(from, to, flags);
}

// The third argument is an int, a long, a pointer or nothing: always one register.
#define SLUICE_FCNTL(name)                                  \
  SLUICE_SYMBOL(int, name, (int fd, int command, ...)) {    \
    static constinit Libc<int(int, int, long)> libc(#name); \
    va_list list;                                           \
    va_start(list, command);                                \
    long argument = va_arg(list, long);                     \
    va_end(list);                                           \
    return DoFcntl(libc, fd, command, argument);            \
  }
SLUICE_FCNTL(fcntl)
SLUICE_FCNTL(__fcntl)
SLUICE_FCNTL(fcntl64)

SLUICE_SYMBOL(int, sockatmark, (int fd)) {
  static constinit Libc<int(int)> libc("sockatmark");
  if (!IsOurs(fd)) return libc(fd);
  int mark = 0;
  return calls()->ioctl(fd, SIOCATMARK, &mark) != 0 ? -1 : mark;
}

// stdio reads and writes by names inside libc that nobody can stand in for. A stream over a socket
// of Sluice's is therefore one with functions of its own.
namespace {

int FileOf(void* cookie) { return static_cast<int>(reinterpret_cast<intptr_t>(cookie)); }

ssize_t CookieRead(void* cookie, char* bytes, size_t count) {
  return calls()->read(FileOf(cookie), bytes, count);
}
ssize_t CookieWrite(void* cookie, const char* bytes, size_t count) {
  ssize_t written = calls()->write(FileOf(cookie), bytes, count);
  return written < 0 ? 0 : written;  // fopencookie(3): errors are 0, never negative
}
int CookieClose(void* cookie) { return DoClose(FileOf(cookie)); }

FILE* DoFdopen(int fd, const char* mode) {
  static constinit Libc<FILE*(int, const char*)> libc("fdopen");
  if (!IsOurs(fd)) return libc(fd, mode);
  cookie_io_functions_t functions = {CookieRead, CookieWrite, nullptr, CookieClose};
  FILE* stream = fopencookie(reinterpret_cast<void*>(intptr_t{fd}), mode, functions);
  if (stream != nullptr) stream->_fileno = fd;  // for fileno()
  return stream;
}

int PrintTo(int fd, const char* format, va_list list) {
  char* text = nullptr;
  int length = vasprintf(&text, format, list);
  if (length < 0) return -1;
  int done = 0;
  while (done < length) {
    ssize_t written = calls()->write(fd, text + done, static_cast<size_t>(length - done));
    if (written <= 0) break;
    done += static_cast<int>(written);
  }
  free(text);
  return done < length ? -1 : done;
}

}  // namespace

SLUICE_SYMBOL(FILE*, fdopen, (int fd, const char* mode)) { return DoFdopen(fd, mode); }
SLUICE_SYMBOL(FILE*, _IO_fdopen, (int fd, const char* mode)) { return DoFdopen(fd, mode); }

SLUICE_SYMBOL(int, vdprintf, (int fd, const char* format, va_list list)) {
  static constinit Libc<int(int, const char*, va_list)> libc("vdprintf");
  return IsOurs(fd) ? PrintTo(fd, format, list) : libc(fd, format, list);
}
SLUICE_SYMBOL(int, __vdprintf_chk, (int fd, int flag, const char* format, va_list list)) {
  static constinit Libc<int(int, int, const char*, va_list)> libc("__vdprintf_chk");
  return IsOurs(fd) ? PrintTo(fd, format, list) : libc(fd, flag, format, list);
}
SLUICE_SYMBOL(int, dprintf, (int fd, const char* format, ...)) {
  va_list list;
  va_start(list, format);
  int status = SluiceSymbol_vdprintf(fd, format, list);
  va_end(list);
  return status;
}
SLUICE_SYMBOL(int, __dprintf_chk, (int fd, int flag, const char* format, ...)) {
  va_list list;
  va_start(list, format);
  int status = SluiceSymbol___vdprintf_chk(fd, flag, format, list);
  va_end(list);
  return status;
}

}  // namespace sluice::preload
