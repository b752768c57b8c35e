// Stand-in for syscall(2), by which some libraries make calls that their libc may lack or that must
// not be a cancellation point: libuv closes descriptors, and moves datagrams by the batch, so.
//
// What Sluice and DPDK ask of the kernel themselves passes through here too: numbers that name no
// socket of Sluice's go straight on.

#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/symbols.h"

namespace sluice::preload {
namespace {

constexpr int kArguments = 6;

// Calls on one of our sockets. False: this call is the kernel's.
bool Answer(const Calls& sluice, long number, const long (&a)[kArguments], long* result) {
  int fd = static_cast<int>(a[0]);
  switch (number) {
    case SYS_close:
      *result = close(fd);  // our own stand-in
      return true;
    case SYS_accept4:
      *result = sluice.accept4(fd, reinterpret_cast<sockaddr*>(a[1]),
                               reinterpret_cast<socklen_t*>(a[2]), static_cast<int>(a[3]));
      return true;
    case SYS_recvmmsg:
      *result = sluice.recvmmsg(fd, reinterpret_cast<mmsghdr*>(a[1]), static_cast<unsigned>(a[2]),
                                static_cast<int>(a[3]), reinterpret_cast<timespec*>(a[4]));
      return true;
    case SYS_sendmmsg:
      *result = sluice.sendmmsg(fd, reinterpret_cast<mmsghdr*>(a[1]), static_cast<unsigned>(a[2]),
                                static_cast<int>(a[3]));
      return true;
    default:
      return false;
  }
}

}  // namespace

SLUICE_SYMBOL(long, syscall, (long number, ...)) {
  static constinit Libc<long(long, long, long, long, long, long, long)> libc("syscall");
  // Like libc's, this takes as many words as a call may have, whatever was given.
  long a[kArguments];
  va_list list;
  va_start(list, number);
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  switch (number) {
    case SYS_close:
    case SYS_accept4:
    case SYS_recvmmsg:
    case SYS_sendmmsg: {
      long result;
      if (!IsInside() && IsOurs(static_cast<int>(a[0])) && Answer(*calls(), number, a, &result)) {
        return result;
      }
      break;
    }
    default:
      break;
  }
  return libc(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

}  // namespace sluice::preload
