// The calls that move data: they sort by kind of socket and form of arguments.
#include <netinet/in.h>

#include <climits>
#include <cstring>
#include <span>

#include "api/address.h"
#include "api/datagram.h"
#include "api/datagram_batch.h"
#include "api/errors.h"
#include "api/kernel.h"
#include "api/socket.h"
#include "api/socket_calls.h"
#include "api/stream.h"
#include "api/time_out.h"
#include "base/unset.h"

namespace sluice::api {
namespace {

constexpr size_t kMostPieces = 1024;  // UIO_MAXIOV

ssize_t Finish(ssize_t result) { return result >= 0 ? result : Fail(static_cast<int>(-result)); }

std::span<const iovec> PiecesOf(const msghdr& message) {
  return {message.msg_iov, message.msg_iovlen};
}

ssize_t ReceiveFrom(const OpenSocket& socket, std::span<const iovec> pieces, int flags,
                    sockaddr* address, socklen_t* length) {
  if (socket.is_stream()) {
    const ssize_t received = ReceiveStream(socket, pieces, flags);
    if (received >= 0 && address != nullptr && length != nullptr) *length = 0;
    return received;
  }
  Unset<ReceivedDatagram> received;
  ReceivedDatagram& datagram = received.value;
  const int error = ReceiveDatagram(socket, pieces, flags, datagram);
  if (error == ESHUTDOWN) return 0;
  if (error != 0) return -error;
  StoreAddress(datagram.header.peer, socket.entry->family.load(), address, length);
  if ((flags & MSG_TRUNC) != 0) return datagram.length;
  return std::min<ssize_t>(datagram.length, TotalBytes(pieces));
}

ssize_t ReceiveMessage(const OpenSocket& socket, msghdr& message, int flags) {
  if (message.msg_iovlen > kMostPieces) return -EMSGSIZE;
  const std::span<const iovec> pieces = PiecesOf(message);
  message.msg_flags = 0;
  if (socket.is_stream()) {
    const ssize_t received = ReceiveStream(socket, pieces, flags);
    if (received < 0) return received;
    message.msg_namelen = 0;
    message.msg_controllen = 0;
    if ((flags & MSG_OOB) != 0) message.msg_flags |= MSG_OOB;
    return received;
  }
  Unset<ReceivedDatagram> received;
  ReceivedDatagram& datagram = received.value;
  const int error = ReceiveDatagram(socket, pieces, flags, datagram);
  if (error == ESHUTDOWN) {
    message.msg_namelen = 0;
    message.msg_controllen = 0;
    return 0;
  }
  if (error != 0) return -error;
  StoreAddress(datagram.header.peer, socket.entry->family.load(),
               static_cast<sockaddr*>(message.msg_name), &message.msg_namelen);
  StoreControl(socket, datagram, message);
  const ssize_t room = TotalBytes(pieces);
  if (datagram.length > room) message.msg_flags |= MSG_TRUNC;
  if (datagram.is_error) message.msg_flags |= MSG_ERRQUEUE;
  return (flags & MSG_TRUNC) != 0 ? datagram.length : std::min<ssize_t>(datagram.length, room);
}

// A datagram to an address that is the kernel's makes a fresh socket the kernel's.
bool SendByKernel(const OpenSocket& socket, const wire::Endpoint& to) {
  return !state.kernel_prefixes.empty() &&
         socket.entry->status.load() == table::Status::kUnconnected &&
         BelongsToKernel(to.address, true);
}

ssize_t SendMessage(int fd, const OpenSocket& socket, const msghdr& message, int flags) {
  if (message.msg_iovlen > kMostPieces) return -EMSGSIZE;
  const std::span<const iovec> pieces = PiecesOf(message);
  if (socket.is_stream()) {
    if ((flags & MSG_FASTOPEN) != 0) return -EOPNOTSUPP;
    return SendStream(socket, pieces, flags);  // Linux ignores an address here
  }
  table::DatagramHeader header;
  const bool has_destination = message.msg_name != nullptr;
  if (has_destination) {
    const int family = socket.entry->family.load();
    if (int error = ParseAddress(static_cast<const sockaddr*>(message.msg_name),
                                 message.msg_namelen, family, true, header.peer)) {
      return -error;
    }
    if (SendByKernel(socket, header.peer)) {
      if (!MoveToKernel(socket)) return -errno;
      const ssize_t sent = kernel::SendMsg(fd, &message, flags);
      return sent < 0 ? -errno : sent;
    }
  }
  if (int error = ParseControl(socket, message, header)) return -error;
  return SendDatagram(socket, pieces, flags, header, has_destination);
}

}  // namespace

ssize_t Recv(int fd, void* bytes, size_t count, int flags) {
  return RecvFrom(fd, bytes, count, flags, nullptr, nullptr);
}

ssize_t RecvFrom(int fd, void* bytes, size_t count, int flags, sockaddr* address,
                 socklen_t* length) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (address != nullptr && length == nullptr) return Fail(EFAULT);
  if (bytes == nullptr && count != 0) return Fail(EFAULT);
  const iovec piece{.iov_base = bytes, .iov_len = std::min<size_t>(count, INT_MAX)};
  return Finish(ReceiveFrom(socket, {&piece, 1}, flags, address, length));
}

ssize_t RecvMsg(int fd, msghdr* message, int flags) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (message == nullptr) return Fail(EFAULT);
  return Finish(ReceiveMessage(socket, *message, flags));
}

int RecvMmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (!IsValid(timeout)) return Fail(EINVAL);
  const Instant deadline = TimeOut::From(timeout).Deadline();
  count = std::min<unsigned>(count, kMostPieces);
  unsigned done = 0;
  // With a time-out each datagram is followed by a look at the clock.
  if (timeout == nullptr && !socket.is_stream()) {
    done = ReceiveBatch(socket, {messages, count}, flags);
    const int once = MSG_DONTWAIT | MSG_WAITFORONE;
    if (done != 0 && ((flags & once) != 0 || socket.is_nonblocking())) {
      return static_cast<int>(done);
    }
  }
  for (; done < count; ++done) {
    const ssize_t received =
        ReceiveMessage(socket, messages[done].msg_hdr, flags & ~MSG_WAITFORONE);
    if (received < 0) {
      if (done != 0) break;
      return Fail(static_cast<int>(-received));
    }
    messages[done].msg_len = static_cast<unsigned>(received);
    if ((flags & MSG_WAITFORONE) != 0) flags |= MSG_DONTWAIT;
    // As Linux: the time-out is looked at after each datagram, and never interrupts a wait.
    if (timeout != nullptr && state.home->Now() >= deadline) {
      *timeout = {};
      return static_cast<int>(done + 1);
    }
  }
  if (timeout != nullptr) {
    const int64_t left_ns = std::max<int64_t>(0, (deadline - state.home->Now()).nanoseconds());
    *timeout = {.tv_sec = left_ns / kNsPerSecond, .tv_nsec = left_ns % kNsPerSecond};
  }
  return static_cast<int>(done);
}

ssize_t Read(int fd, void* bytes, size_t count) {
  return RecvFrom(fd, bytes, count, 0, nullptr, nullptr);
}

ssize_t Readv(int fd, const iovec* pieces, int count) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (count < 0 || static_cast<size_t>(count) > kMostPieces) return Fail(EINVAL);
  return Finish(ReceiveFrom(socket, {pieces, static_cast<size_t>(count)}, 0, nullptr, nullptr));
}

ssize_t Send(int fd, const void* bytes, size_t count, int flags) {
  return SendTo(fd, bytes, count, flags, nullptr, 0);
}

ssize_t SendTo(int fd, const void* bytes, size_t count, int flags, const sockaddr* address,
               socklen_t length) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (bytes == nullptr && count != 0) return Fail(EFAULT);
  iovec piece{.iov_base = const_cast<void*>(bytes), .iov_len = std::min<size_t>(count, INT_MAX)};
  if (address == nullptr && socket.is_stream() && (flags & MSG_FASTOPEN) == 0) {
    return Finish(SendStream(socket, {&piece, 1}, flags));
  }
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(address);
  message.msg_namelen = length;
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  return Finish(SendMessage(fd, socket, message, flags));
}

ssize_t SendMsg(int fd, const msghdr* message, int flags) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (message == nullptr) return Fail(EFAULT);
  return Finish(SendMessage(fd, socket, *message, flags));
}

int SendMmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  count = std::min<unsigned>(count, kMostPieces);
  unsigned done = 0;
  if (!socket.is_stream()) done = SendBatch(socket, {messages, count}, flags);
  for (; done < count; ++done) {
    const ssize_t sent = SendMessage(fd, socket, messages[done].msg_hdr, flags);
    if (sent < 0) {
      if (done != 0) break;
      return Fail(static_cast<int>(-sent));
    }
    messages[done].msg_len = static_cast<unsigned>(sent);
  }
  return static_cast<int>(done);
}

ssize_t Write(int fd, const void* bytes, size_t count) {
  return SendTo(fd, bytes, count, 0, nullptr, 0);
}

ssize_t Writev(int fd, const iovec* pieces, int count) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (count < 0 || static_cast<size_t>(count) > kMostPieces) return Fail(EINVAL);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = static_cast<size_t>(count);
  return Finish(SendMessage(fd, socket, message, 0));
}

ssize_t NotSeekable(int fd) { return Fail(IsOurs(fd) ? ESPIPE : EBADF); }

ssize_t Splice() { return Fail(EINVAL); }

}  // namespace sluice::api
