// Stand-ins for the calls that move data, with the fortified variants that a compiler calls in
// their place (-D_FORTIFY_SOURCE) and the aliases that glibc exports.

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "preload/symbols.h"

namespace sluice::preload {
namespace {

ssize_t DoRead(int fd, void* bytes, size_t count) {
  static constinit Libc<ssize_t(int, void*, size_t)> libc("read");
  return IsOurs(fd) ? calls()->read(fd, bytes, count) : libc(fd, bytes, count);
}

ssize_t DoWrite(int fd, const void* bytes, size_t count) {
  static constinit Libc<ssize_t(int, const void*, size_t)> libc("write");
  return IsOurs(fd) ? calls()->write(fd, bytes, count) : libc(fd, bytes, count);
}

ssize_t DoSend(int fd, const void* bytes, size_t count, int flags) {
  static constinit Libc<ssize_t(int, const void*, size_t, int)> libc("send");
  return IsOurs(fd) ? calls()->send(fd, bytes, count, flags) : libc(fd, bytes, count, flags);
}

ssize_t DoSendFile(Libc<ssize_t(int, int, off_t*, size_t)>& libc, int out, int in, off_t* offset,
                   size_t count) {
  if (IsOurs(out)) return calls()->sendfile(out, in, offset, count);
  if (IsOurs(in)) {  // sockets are no source: sendfile(2) wants something like a file
    errno = EINVAL;
    return -1;
  }
  return libc(out, in, offset, count);
}

}  // namespace

SLUICE_SYMBOL(ssize_t, read, (int fd, void* bytes, size_t count)) {
  return DoRead(fd, bytes, count);
}
SLUICE_SYMBOL(ssize_t, __read, (int fd, void* bytes, size_t count)) {
  return DoRead(fd, bytes, count);
}
SLUICE_SYMBOL(ssize_t, __read_chk, (int fd, void* bytes, size_t count, size_t room)) {
  static constinit Libc<ssize_t(int, void*, size_t, size_t)> libc("__read_chk");
  // libc's own ends the program where the buffer is too small.
  return IsOurs(fd) && count <= room ? calls()->read(fd, bytes, count)
                                     : libc(fd, bytes, count, room);
}
SLUICE_SYMBOL(ssize_t, write, (int fd, const void* bytes, size_t count)) {
  return DoWrite(fd, bytes, count);
}
SLUICE_SYMBOL(ssize_t, __write, (int fd, const void* bytes, size_t count)) {
  return DoWrite(fd, bytes, count);
}

SLUICE_SYMBOL(ssize_t, readv, (int fd, const iovec* pieces, int count)) {
  static constinit Libc<ssize_t(int, const iovec*, int)> libc("readv");
  return IsOurs(fd) ? calls()->readv(fd, pieces, count) : libc(fd, pieces, count);
}
SLUICE_SYMBOL(ssize_t, writev, (int fd, const iovec* pieces, int count)) {
  static constinit Libc<ssize_t(int, const iovec*, int)> libc("writev");
  return IsOurs(fd) ? calls()->writev(fd, pieces, count) : libc(fd, pieces, count);
}

SLUICE_SYMBOL(ssize_t, send, (int fd, const void* bytes, size_t count, int flags)) {
  return DoSend(fd, bytes, count, flags);
}
SLUICE_SYMBOL(ssize_t, __send, (int fd, const void* bytes, size_t count, int flags)) {
  return DoSend(fd, bytes, count, flags);
}
SLUICE_SYMBOL(ssize_t, sendto,
              (int fd, const void* bytes, size_t count, int flags, const sockaddr* address,
               socklen_t length)) {
  static constinit Libc<ssize_t(int, const void*, size_t, int, const sockaddr*, socklen_t)> libc(
      "sendto");
  return IsOurs(fd) ? calls()->sendto(fd, bytes, count, flags, address, length)
                    : libc(fd, bytes, count, flags, address, length);
}
SLUICE_SYMBOL(ssize_t, sendmsg, (int fd, const msghdr* message, int flags)) {
  static constinit Libc<ssize_t(int, const msghdr*, int)> libc("sendmsg");
  return IsOurs(fd) ? calls()->sendmsg(fd, message, flags) : libc(fd, message, flags);
}
SLUICE_SYMBOL(int, sendmmsg, (int fd, mmsghdr* messages, unsigned count, int flags)) {
  static constinit Libc<int(int, mmsghdr*, unsigned, int)> libc("sendmmsg");
  return IsOurs(fd) ? calls()->sendmmsg(fd, messages, count, flags)
                    : libc(fd, messages, count, flags);
}

SLUICE_SYMBOL(ssize_t, recv, (int fd, void* bytes, size_t count, int flags)) {
  static constinit Libc<ssize_t(int, void*, size_t, int)> libc("recv");
  return IsOurs(fd) ? calls()->recv(fd, bytes, count, flags) : libc(fd, bytes, count, flags);
}
SLUICE_SYMBOL(ssize_t, __recv_chk, (int fd, void* bytes, size_t count, size_t room, int flags)) {
  static constinit Libc<ssize_t(int, void*, size_t, size_t, int)> libc("__recv_chk");
  return IsOurs(fd) && count <= room ? calls()->recv(fd, bytes, count, flags)
                                     : libc(fd, bytes, count, room, flags);
}
SLUICE_SYMBOL(ssize_t, recvfrom,
              (int fd, void* bytes, size_t count, int flags, sockaddr* address,
               socklen_t* length)) {
  static constinit Libc<ssize_t(int, void*, size_t, int, sockaddr*, socklen_t*)> libc("recvfrom");
  return IsOurs(fd) ? calls()->recvfrom(fd, bytes, count, flags, address, length)
                    : libc(fd, bytes, count, flags, address, length);
}
SLUICE_SYMBOL(ssize_t, __recvfrom_chk,
              (int fd, void* bytes, size_t count, size_t room, int flags, sockaddr* address,
               socklen_t* length)) {
  static constinit Libc<ssize_t(int, void*, size_t, size_t, int, sockaddr*, socklen_t*)> libc(
      "__recvfrom_chk");
  return IsOurs(fd) && count <= room ? calls()->recvfrom(fd, bytes, count, flags, address, length)
                                     : libc(fd, bytes, count, room, flags, address, length);
}
SLUICE_SYMBOL(ssize_t, recvmsg, (int fd, msghdr* message, int flags)) {
  static constinit Libc<ssize_t(int, msghdr*, int)> libc("recvmsg");
  return IsOurs(fd) ? calls()->recvmsg(fd, message, flags) : libc(fd, message, flags);
}
SLUICE_SYMBOL(int, recvmmsg,
              (int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout)) {
  static constinit Libc<int(int, mmsghdr*, unsigned, int, timespec*)> libc("recvmmsg");
  return IsOurs(fd) ? calls()->recvmmsg(fd, messages, count, flags, timeout)
                    : libc(fd, messages, count, flags, timeout);
}

SLUICE_SYMBOL(ssize_t, sendfile, (int out, int in, off_t* offset, size_t count)) {
  static constinit Libc<ssize_t(int, int, off_t*, size_t)> libc("sendfile");
  return DoSendFile(libc, out, in, offset, count);
}
SLUICE_SYMBOL(ssize_t, sendfile64, (int out, int in, off_t* offset, size_t count)) {
  static constinit Libc<ssize_t(int, int, off_t*, size_t)> libc("sendfile64");
  return DoSendFile(libc, out, in, offset, count);
}

SLUICE_SYMBOL(ssize_t, splice,
              (int in, off_t* in_offset, int out, off_t* out_offset, size_t count,
               unsigned flags)) {
  static constinit Libc<ssize_t(int, off_t*, int, off_t*, size_t, unsigned)> libc("splice");
  if (IsOurs(in) || IsOurs(out)) return calls()->splice();
  return libc(in, in_offset, out, out_offset, count, flags);
}
SLUICE_SYMBOL(ssize_t, tee, (int in, int out, size_t count, unsigned flags)) {
  static constinit Libc<ssize_t(int, int, size_t, unsigned)> libc("tee");
  if (IsOurs(in) || IsOurs(out)) return calls()->splice();
  return libc(in, out, count, flags);
}
SLUICE_SYMBOL(ssize_t, vmsplice, (int fd, const iovec* pieces, size_t count, unsigned flags)) {
  static constinit Libc<ssize_t(int, const iovec*, size_t, unsigned)> libc("vmsplice");
  if (IsOurs(fd)) return calls()->splice();
  return libc(fd, pieces, count, flags);
}

}  // namespace sluice::preload
