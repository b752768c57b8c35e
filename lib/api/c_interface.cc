// The C functions of <sluice/sluice.h>: the same calls under C names.
#include <sluice/sluice.h>

#include <cerrno>
#include <cstdarg>

#include "api/callback.h"
#include "api/errors.h"
#include "api/socket_calls.h"
#include "api/zero_copy.h"

namespace api = sluice::api;

extern "C" {

int sluice_socket(int domain, int type, int protocol) {
  return api::Socket(domain, type, protocol);
}
int sluice_bind(int fd, const sockaddr* address, socklen_t length) {
  return api::Bind(fd, address, length);
}
int sluice_listen(int fd, int backlog) { return api::Listen(fd, backlog); }
int sluice_connect(int fd, const sockaddr* address, socklen_t length) {
  return api::Connect(fd, address, length);
}
int sluice_accept(int fd, sockaddr* address, socklen_t* length) {
  return api::Accept(fd, address, length);
}
int sluice_accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  return api::Accept4(fd, address, length, flags);
}
int sluice_shutdown(int fd, int how) { return api::Shutdown(fd, how); }
int sluice_close(int fd) { return api::Close(fd); }
int sluice_getsockname(int fd, sockaddr* address, socklen_t* length) {
  return api::GetSockName(fd, address, length);
}
int sluice_getpeername(int fd, sockaddr* address, socklen_t* length) {
  return api::GetPeerName(fd, address, length);
}
int sluice_dup(int fd) { return api::Dup(fd); }
int sluice_dup2(int from, int to) {
  return api::IsOurs(from) ? api::Dup2(from, to) : api::Fail(EBADF);
}
int sluice_dup3(int from, int to, int flags) {
  return api::IsOurs(from) ? api::Dup3(from, to, flags) : api::Fail(EBADF);
}
int sluice_is_ours(int fd) { return api::IsOurs(fd) ? 1 : 0; }

ssize_t sluice_send(int fd, const void* bytes, size_t count, int flags) {
  return api::Send(fd, bytes, count, flags);
}
ssize_t sluice_sendto(int fd, const void* bytes, size_t count, int flags, const sockaddr* address,
                      socklen_t length) {
  return api::SendTo(fd, bytes, count, flags, address, length);
}
ssize_t sluice_sendmsg(int fd, const msghdr* message, int flags) {
  return api::SendMsg(fd, message, flags);
}
int sluice_sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags) {
  return api::SendMmsg(fd, messages, count, flags);
}
ssize_t sluice_recv(int fd, void* bytes, size_t count, int flags) {
  return api::Recv(fd, bytes, count, flags);
}
ssize_t sluice_recvfrom(int fd, void* bytes, size_t count, int flags, sockaddr* address,
                        socklen_t* length) {
  return api::RecvFrom(fd, bytes, count, flags, address, length);
}
ssize_t sluice_recvmsg(int fd, msghdr* message, int flags) {
  return api::RecvMsg(fd, message, flags);
}
int sluice_recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, timespec* timeout) {
  return api::RecvMmsg(fd, messages, count, flags, timeout);
}
ssize_t sluice_read(int fd, void* bytes, size_t count) { return api::Read(fd, bytes, count); }
ssize_t sluice_write(int fd, const void* bytes, size_t count) {
  return api::Write(fd, bytes, count);
}
ssize_t sluice_readv(int fd, const iovec* pieces, int count) {
  return api::Readv(fd, pieces, count);
}
ssize_t sluice_writev(int fd, const iovec* pieces, int count) {
  return api::Writev(fd, pieces, count);
}
ssize_t sluice_sendfile(int out, int in, off_t* offset, size_t count) {
  return api::SendFile(out, in, offset, count);
}

int sluice_getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  return api::GetSockOpt(fd, level, name, value, length);
}
int sluice_setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  return api::SetSockOpt(fd, level, name, value, length);
}
int sluice_fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  const long argument = va_arg(arguments, long);
  va_end(arguments);
  return api::Fcntl(fd, command, argument);
}
int sluice_ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return api::Ioctl(fd, request, argument);
}

int sluice_poll_fds(pollfd* descriptors, nfds_t count, int timeout_ms) {
  return api::Poll(descriptors, count, timeout_ms);
}
int sluice_ppoll(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  return api::PPoll(descriptors, count, timeout, mask);
}
int sluice_select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
  return api::Select(count, read, write, except, timeout);
}
int sluice_pselect(int count, fd_set* read, fd_set* write, fd_set* except, const timespec* timeout,
                   const sigset_t* mask) {
  return api::PSelect(count, read, write, except, timeout, mask);
}
int sluice_epoll_create(int size) { return size > 0 ? api::EpollCreate1(0) : api::Fail(EINVAL); }
int sluice_epoll_create1(int flags) { return api::EpollCreate1(flags); }
int sluice_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  return api::EpollCtl(epoll, operation, fd, event);
}
int sluice_epoll_wait(int epoll, epoll_event* events, int maximum, int timeout_ms) {
  return api::EpollWait(epoll, events, maximum, timeout_ms);
}
int sluice_epoll_pwait(int epoll, epoll_event* events, int maximum, int timeout_ms,
                       const sigset_t* mask) {
  return api::EpollPwait(epoll, events, maximum, timeout_ms, mask);
}
int sluice_epoll_pwait2(int epoll, epoll_event* events, int maximum, const timespec* timeout,
                        const sigset_t* mask) {
  return api::EpollPwait2(epoll, events, maximum, timeout, mask);
}

int sluice_zc_alloc(sluice_zc_buffer* buffer) { return api::ZeroCopyAllocate(buffer); }
void sluice_zc_free(sluice_zc_buffer* buffer) { api::ZeroCopyFree(buffer); }
ssize_t sluice_zc_send(int fd, sluice_zc_buffer* buffer, size_t offset, size_t length, int flags) {
  return api::ZeroCopySend(fd, buffer, offset, length, flags);
}
ssize_t sluice_zc_recv(int fd, iovec* pieces, int maximum, int* used, int flags) {
  return api::ZeroCopyReceive(fd, pieces, maximum, used, flags);
}
int sluice_zc_release(int fd, size_t count) { return api::ZeroCopyRelease(fd, count); }
int sluice_zc_recv_datagrams(int fd, sluice_zc_datagram* datagrams, unsigned maximum, int flags) {
  return api::ZeroCopyReceiveDatagrams(fd, datagrams, maximum, flags);
}
int sluice_zc_settle(int fd, const sluice_zc_datagram* datagrams, unsigned count, int flags) {
  return api::ZeroCopySettleDatagrams(fd, datagrams, count, flags);
}

int sluice_set_callback(int fd, uint32_t events, sluice_callback function, void* argument) {
  return api::SetCallback(fd, events, function, argument);
}

}  // extern "C"
