// fcntl, ioctl and fstat on sockets and sets.
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "api/datagram.h"
#include "api/descriptors.h"
#include "api/errors.h"
#include "api/interfaces.h"
#include "api/kernel.h"
#include "api/socket_calls.h"
#include "api/stream.h"

namespace sluice::api {
namespace {

void SetNonBlocking(const OpenSocket& socket, bool on) {
  if (on) {
    socket.entry->application_flags.SetBits(table::kNonBlocking);
  } else {
    socket.entry->application_flags.ClearBits(table::kNonBlocking);
  }
}

int StoreInt(void* argument, int64_t value) {
  if (argument == nullptr) return Fail(EFAULT);
  *static_cast<int*>(argument) = static_cast<int>(value);
  return 0;
}

// SIOCINQ: unread bytes in front of the urgent mark, or the size of the first datagram.
int BytesToRead(const OpenSocket& socket, void* argument) {
  if (!socket.is_stream()) {
    return StoreInt(argument, std::max<int64_t>(0, FirstDatagramBytes(socket)));
  }
  if (socket.entry->status.load() == table::Status::kListening) return Fail(EINVAL);
  LockHolder holder(socket.entry->receive_lock);
  if (!socket.IsOpen()) return Fail(EBADF);
  const UrgentWindow window = UrgentWindowOf(socket);
  const uint32_t unread = table::ReceiveQueueBytes(*socket.entry);
  return StoreInt(argument,
                  std::min(unread < window.skip ? 0 : unread - window.skip, window.limit));
}

int SocketIoctl(const OpenSocket& socket, unsigned long request, void* argument) {
  table::Entry& entry = *socket.entry;
  switch (request) {
    case FIONREAD:
      return BytesToRead(socket, argument);
    case SIOCOUTQ:
      if (entry.status.load() == table::Status::kListening) return Fail(EINVAL);
      return StoreInt(argument, table::SendQueueBytes(entry));
    case SIOCOUTQNSD: {
      // What is not sent yet is the engine's knowledge; what is queued bounds it.
      if (!socket.is_stream()) return Fail(ENOTTY);
      return StoreInt(argument, table::SendQueueBytes(entry));
    }
    case FIONBIO:
      if (argument == nullptr) return Fail(EFAULT);
      SetNonBlocking(socket, *static_cast<const int*>(argument) != 0);
      return 0;
    case FIOASYNC:
      // SIGIO is not sent: only switching it off can be done.
      if (argument == nullptr) return Fail(EFAULT);
      return *static_cast<const int*>(argument) == 0 ? 0 : Fail(EOPNOTSUPP);
    case SIOCATMARK: {
      if (!socket.is_stream()) return Fail(ENOTTY);
      LockHolder holder(entry.receive_lock);
      return StoreInt(argument, IsAtUrgentMark(socket) ? 1 : 0);
    }
    default:
      return InterfaceIoctl(socket, request, argument);
  }
}

}  // namespace

int Fcntl(int fd, int command, long argument) {
  const table::Handle handle = DescriptorHandle(fd);
  if (handle.generation == 0) return Fail(EBADF);
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return DupFrom(fd, static_cast<int>(argument), command == F_DUPFD_CLOEXEC);
    case F_GETFL: {
      if (NamesEpoll(handle)) return kernel::Fcntl(fd, command, 0);
      OpenSocket socket;
      if (!FindSocket(fd, socket)) return -1;
      return O_RDWR | (socket.is_nonblocking() ? O_NONBLOCK : 0);
    }
    case F_SETFL: {
      if (NamesEpoll(handle)) return kernel::Fcntl(fd, command, argument);
      OpenSocket socket;
      if (!FindSocket(fd, socket)) return -1;
      SetNonBlocking(socket, (argument & O_NONBLOCK) != 0);
      return 0;
    }
    case F_GETFD:
    case F_SETFD:
      // Numbers of our own do not outlive exec, whatever was asked for.
      if (IsOwnNumber(fd)) return command == F_GETFD ? FD_CLOEXEC : 0;
      return kernel::Fcntl(fd, command, argument);
    case F_GETOWN:
    case F_SETOWN:
      return 0;  // taken note of by nobody: SIGIO and SIGURG are not sent
    default:
      return Fail(EINVAL);
  }
}

int Ioctl(int fd, unsigned long request, void* argument) {
  const table::Handle handle = DescriptorHandle(fd);
  if (request == FIOCLEX || request == FIONCLEX) {
    if (handle.generation == 0) return Fail(EBADF);
    if (IsOwnNumber(fd)) return 0;  // as F_SETFD
    return kernel::Fcntl(fd, F_SETFD, request == FIOCLEX ? FD_CLOEXEC : 0);
  }
  if (NamesEpoll(handle)) return Fail(ENOTTY);
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  return SocketIoctl(socket, request, argument);
}

int Fstat(int fd, struct stat* status) {
  if (!IsOurs(fd)) return Fail(EBADF);
  // The reserved number is a socket's (or a kernel epoll's): the kernel says what is to be said.
  return kernel::Fstat(IsOwnNumber(fd) ? state.base_descriptor : fd, status);
}

}  // namespace sluice::api
