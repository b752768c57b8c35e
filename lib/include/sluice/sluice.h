/* Sluice's socket calls for C and C++ programs. <sluice/instance.h> starts the stack they run on.
 *
 * Every function has the name of the POSIX or Linux call it stands for, with the prefix sluice_,
 * and that call's arguments, result and errno (see its page in section 2 of the manual). They work
 * on descriptors that sluice_socket, sluice_accept, sluice_accept4 and sluice_epoll_create1
 * return; any other descriptor is EBADF. sluice_poll_fds, sluice_select, sluice_epoll_ctl and
 * their relatives also take the kernel's descriptors, mixed with Sluice's as you like.
 *
 *     int fd = sluice_socket(AF_INET, SOCK_STREAM, 0);
 *     if (sluice_connect(fd, address, length) != 0) perror("connect");
 *     sluice_send(fd, "hello", 5, 0);
 *     sluice_close(fd);
 *
 * Descriptors are numbers of the kernel's: they never collide with files, and the limit is
 * RLIMIT_NOFILE. Any thread may use any socket at any time. Closing a socket wakes the threads that
 * wait on it: their calls fail with EBADF.
 *
 * Signals: a call that sleeps and is interrupted by a handler fails with EINTR. poll, select,
 * epoll_wait and calls under SO_RCVTIMEO or SO_SNDTIMEO always do; other calls go on sleeping if
 * every handler of the program was installed with SA_RESTART. Sending on a connection that is shut
 * down raises SIGPIPE unless MSG_NOSIGNAL is given.
 */
#ifndef SLUICE_SLUICE_H_
#define SLUICE_SLUICE_H_

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_API __attribute__((visibility("default")))

struct mmsghdr;

/* ---- Sockets ---- */

/* AF_INET or AF_INET6 with SOCK_STREAM or SOCK_DGRAM (SOCK_NONBLOCK, SOCK_CLOEXEC may be added).
 * Beside POSIX's errors: ENFILE, every slot of the socket table is taken; ENOTSUP, no stack runs.
 */
SLUICE_API int sluice_socket(int domain, int type, int protocol);
SLUICE_API int sluice_bind(int fd, const struct sockaddr* address, socklen_t length);
SLUICE_API int sluice_listen(int fd, int backlog);
SLUICE_API int sluice_connect(int fd, const struct sockaddr* address, socklen_t length);
SLUICE_API int sluice_accept(int fd, struct sockaddr* address, socklen_t* length);
SLUICE_API int sluice_accept4(int fd, struct sockaddr* address, socklen_t* length, int flags);
SLUICE_API int sluice_shutdown(int fd, int how);
SLUICE_API int sluice_close(int fd);
SLUICE_API int sluice_getsockname(int fd, struct sockaddr* address, socklen_t* length);
SLUICE_API int sluice_getpeername(int fd, struct sockaddr* address, socklen_t* length);
SLUICE_API int sluice_dup(int fd);
SLUICE_API int sluice_dup2(int from, int to);
SLUICE_API int sluice_dup3(int from, int to, int flags);

/* 1 if the descriptor is Sluice's, else 0. */
SLUICE_API int sluice_is_ours(int fd);

/* ---- Data ---- */

SLUICE_API ssize_t sluice_send(int fd, const void* bytes, size_t count, int flags);
SLUICE_API ssize_t sluice_sendto(int fd, const void* bytes, size_t count, int flags,
                                 const struct sockaddr* address, socklen_t length);
SLUICE_API ssize_t sluice_sendmsg(int fd, const struct msghdr* message, int flags);
SLUICE_API int sluice_sendmmsg(int fd, struct mmsghdr* messages, unsigned int count, int flags);
SLUICE_API ssize_t sluice_recv(int fd, void* bytes, size_t count, int flags);
SLUICE_API ssize_t sluice_recvfrom(int fd, void* bytes, size_t count, int flags,
                                   struct sockaddr* address, socklen_t* length);
SLUICE_API ssize_t sluice_recvmsg(int fd, struct msghdr* message, int flags);
SLUICE_API int sluice_recvmmsg(int fd, struct mmsghdr* messages, unsigned int count, int flags,
                               struct timespec* timeout);
SLUICE_API ssize_t sluice_read(int fd, void* bytes, size_t count);
SLUICE_API ssize_t sluice_write(int fd, const void* bytes, size_t count);
SLUICE_API ssize_t sluice_readv(int fd, const struct iovec* pieces, int count);
SLUICE_API ssize_t sluice_writev(int fd, const struct iovec* pieces, int count);
/* `in` is a descriptor of the kernel's: a file, or anything that read(2) works on. */
SLUICE_API ssize_t sluice_sendfile(int out, int in, off_t* offset, size_t count);

/* ---- Options ---- */

SLUICE_API int sluice_getsockopt(int fd, int level, int name, void* value, socklen_t* length);
SLUICE_API int sluice_setsockopt(int fd, int level, int name, const void* value, socklen_t length);
SLUICE_API int sluice_fcntl(int fd, int command, ...);
SLUICE_API int sluice_ioctl(int fd, unsigned long request, ...);

/* ---- Waiting; sets may mix Sluice's descriptors and the kernel's ---- */

/* poll(2). It has another name because sluice_poll runs the stack. */
SLUICE_API int sluice_poll_fds(struct pollfd* descriptors, nfds_t count, int timeout_ms);
SLUICE_API int sluice_ppoll(struct pollfd* descriptors, nfds_t count,
                            const struct timespec* timeout, const sigset_t* mask);
SLUICE_API int sluice_select(int count, fd_set* read, fd_set* write, fd_set* except,
                             struct timeval* timeout);
SLUICE_API int sluice_pselect(int count, fd_set* read, fd_set* write, fd_set* except,
                              const struct timespec* timeout, const sigset_t* mask);
SLUICE_API int sluice_epoll_create(int size);
SLUICE_API int sluice_epoll_create1(int flags);
SLUICE_API int sluice_epoll_ctl(int epoll, int operation, int fd, struct epoll_event* event);
SLUICE_API int sluice_epoll_wait(int epoll, struct epoll_event* events, int maximum,
                                 int timeout_ms);
SLUICE_API int sluice_epoll_pwait(int epoll, struct epoll_event* events, int maximum,
                                  int timeout_ms, const sigset_t* mask);
SLUICE_API int sluice_epoll_pwait2(int epoll, struct epoll_event* events, int maximum,
                                   const struct timespec* timeout, const sigset_t* mask);

/* ---- Zero copy for SOCK_STREAM (EOPNOTSUPP elsewhere) ---- */

/* A buffer to send from. It is yours from sluice_zc_alloc until sluice_zc_send took it or
 * sluice_zc_free gave it back; write into data[0 .. capacity) as you like meanwhile. Buffers are
 * limited: do not keep more than you are filling. */
struct sluice_zc_buffer {
  void* data;
  size_t capacity; /* bytes */
  uint64_t token;  /* Sluice's */
};

/* Takes a buffer. -1, ENOBUFS: none is left at the moment. */
SLUICE_API int sluice_zc_alloc(struct sluice_zc_buffer* buffer);
/* Gives back a buffer that was not sent. */
SLUICE_API void sluice_zc_free(struct sluice_zc_buffer* buffer);
/* Sends data[offset .. offset + length) without copying it; errors and flags as send. Whole or not
 * at all: on success (`length` is returned) the buffer is Sluice's and must not be touched any
 * more; on failure it is still yours. EMSGSIZE: the range is empty or lies outside the buffer. */
SLUICE_API ssize_t sluice_zc_send(int fd, struct sluice_zc_buffer* buffer, size_t offset,
                                  size_t length, int flags);

/* Lends the bytes that stand first in the receive queue, behind those already lent, where they lie:
 * up to `maximum` pieces. `*used` says how many there are; the sum of their lengths is returned; 0
 * is the end of the stream. Waits and fails as recv; flags: MSG_DONTWAIT.
 * The bytes are yours to read (not to write) until sluice_zc_release gives them back, in order. As
 * long as bytes are lent, recv and its relatives fail with EBUSY on this socket. Closing the socket
 * ends all loans. */
SLUICE_API ssize_t sluice_zc_recv(int fd, struct iovec* pieces, int maximum, int* used, int flags);
/* Gives back the first `count` bytes on loan; which may end within a piece. EINVAL: so many are not
 * on loan. The peer's window opens only by what is given back. */
SLUICE_API int sluice_zc_release(int fd, size_t count);

/* ---- Zero copy for SOCK_DGRAM (EOPNOTSUPP elsewhere) ---- */

/* A received datagram on loan, where it lies. */
struct sluice_zc_datagram {
  void* data;      /* its payload: yours to read and to write until it is settled */
  size_t length;   /* bytes of it */
  size_t capacity; /* bytes from `data` on that may be written; at least `length` */
  int send_back;   /* 0; set it to 1 to have data[0 .. length) sent back to the peer */
  union {
    struct sockaddr_in v4;  /* of an AF_INET socket */
    struct sockaddr_in6 v6; /* of an AF_INET6 socket; IPv4 in its mapped form */
  } peer;                   /* who sent it; read only: another address here changes nothing */
};

/* Lends up to `maximum` datagrams that stand first in the receive queue, behind those already
 * lent. Returns how many there are; 0 after shutdown(SHUT_RD). Waits for the first one and fails as
 * recvfrom; flags: MSG_DONTWAIT. EMSGSIZE: the first one lies in several pieces, as datagrams do
 * that came in fragments: settle what is on loan and take it with recvmsg.
 * As long as datagrams are lent, recv and its relatives fail with EBUSY on this socket, and it
 * stays readable. Packets are limited: settle before you wait. Closing the socket ends all loans,
 * and drops what could not be sent back by then. */
SLUICE_API int sluice_zc_recv_datagrams(int fd, struct sluice_zc_datagram* datagrams,
                                        unsigned int maximum, int flags);
/* Gives back the `count` oldest datagrams on loan, in the order in which they were lent. Those with
 * `send_back` set go back to their peers from where they lie, with as many bytes as `length` says
 * now; their source is the address that they had been sent to, and the port the socket's. Answers
 * go out in their order, but not in order with what send and its relatives queue; they are held
 * back, not dropped, while the port is busy. What fails later (no route, EMSGSIZE beyond the path's
 * MTU if it may not be fragmented) is an error that waits for the socket's next call. On success 0;
 * none of them may be touched any more. On failure nothing has been settled: EINVAL, so many are
 * not on loan; EMSGSIZE, a `length` exceeds its `capacity`; EPIPE, sending was shut down (and
 * SIGPIPE unless flags has MSG_NOSIGNAL). */
SLUICE_API int sluice_zc_settle(int fd, const struct sluice_zc_datagram* datagrams,
                                unsigned int count, int flags);

/* ---- Callbacks: run to completion ---- */

/* What sluice_poll calls when the socket has become ready: `events` are those of epoll (EPOLLIN,
 * EPOLLOUT, EPOLLERR, EPOLLHUP ...) that hold now. */
typedef void (*sluice_callback)(int fd, uint32_t events, void* argument);

/* From now on sluice_poll calls `function` on its own thread each time a new event of the mask
 * `events` happens (edge-triggered: read and accept until EAGAIN), and once at first if the socket
 * is ready already. A callback may use any call, also close its own socket. NULL removes it. */
SLUICE_API int sluice_set_callback(int fd, uint32_t events, sluice_callback function,
                                   void* argument);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_SLUICE_H_ */
