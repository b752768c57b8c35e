// The socket calls, with the arguments, results and errno of POSIX and Linux.
//
// Each function takes a descriptor that IsOurs() and behaves as the call it is named after: -1 and
// errno on failure. A descriptor that is not ours is EBADF, except where a call takes several
// descriptors (Poll, Select, EpollCtl, SendFile's source): those may be the kernel's and are mixed
// freely. The C functions of <sluice/sluice.h> and the symbols of the preload library are thin
// wrappers around these.
//
//   int fd = api::Socket(AF_INET, SOCK_STREAM, 0);
//   if (api::Connect(fd, address, length) != 0) ... errno ...
//
// Thread: any, at any time, once api::Install (context.h) was called. Closing a descriptor wakes
// those that wait on it: they get EBADF. Signals: a call that sleeps and is interrupted fails with
// EINTR, as on Linux: poll, select, epoll_wait and calls with a time-out always; the others unless
// every handler that the program has installed asks for SA_RESTART.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

namespace sluice::api {

// Whether a descriptor is a Sluice socket or a Sluice epoll set. Lock-free, one load.
bool IsOurs(int fd);
// Whether it is a Sluice epoll set.
bool IsOurEpoll(int fd);
// Whether socket() with these arguments is to be left to the kernel: other families and types, and
// everything while no context is installed.
bool ShouldUseKernel(int domain, int type, int protocol);
// Whether the configuration leaves an address to the kernel (loopback, say). A fresh Sluice socket
// that binds or connects to such an address is replaced by a kernel socket under the same number;
// IsOurs(fd) is false afterwards. Bind, Connect, SendTo and SendMsg do so by themselves.
bool IsKernelAddress(const sockaddr* address, socklen_t length);

int Socket(int domain, int type, int protocol);
int Bind(int fd, const sockaddr* address, socklen_t length);
int Listen(int fd, int backlog);
int Connect(int fd, const sockaddr* address, socklen_t length);
int Accept(int fd, sockaddr* address, socklen_t* length);
int Accept4(int fd, sockaddr* address, socklen_t* length, int flags);
int Shutdown(int fd, int how);
int GetSockName(int fd, sockaddr* address, socklen_t* length);
int GetPeerName(int fd, sockaddr* address, socklen_t* length);

ssize_t Send(int fd, const void* bytes, size_t count, int flags);
ssize_t SendTo(int fd, const void* bytes, size_t count, int flags, const sockaddr* address,
               socklen_t length);
ssize_t SendMsg(int fd, const msghdr* message, int flags);
int SendMmsg(int fd, mmsghdr* messages, unsigned count, int flags);
ssize_t Recv(int fd, void* bytes, size_t count, int flags);
ssize_t RecvFrom(int fd, void* bytes, size_t count, int flags, sockaddr* address,
                 socklen_t* length);
ssize_t RecvMsg(int fd, msghdr* message, int flags);
int RecvMmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout);
ssize_t Read(int fd, void* bytes, size_t count);
ssize_t Write(int fd, const void* bytes, size_t count);
ssize_t Readv(int fd, const iovec* pieces, int count);
ssize_t Writev(int fd, const iovec* pieces, int count);
// Sockets do not seek: ESPIPE. For lseek, pread, pwrite, preadv, pwritev and their variants.
ssize_t NotSeekable(int fd);
// `out` is ours; `in` is a kernel descriptor that can be read with pread or read.
ssize_t SendFile(int out, int in, off_t* offset, size_t count);
// splice, tee and vmsplice do not work on Sluice sockets: EINVAL, as from files without support.
ssize_t Splice();

int GetSockOpt(int fd, int level, int name, void* value, socklen_t* length);
int SetSockOpt(int fd, int level, int name, const void* value, socklen_t length);
int Fcntl(int fd, int command, long argument);
int Ioctl(int fd, unsigned long request, void* argument);
int Fstat(int fd, struct stat* status);

// Dup2 and Dup3 also take a kernel descriptor as `from` if `to` is ours, and the other way round.
int Dup(int fd);
int Dup2(int from, int to);
int Dup3(int from, int to, int flags);
int Close(int fd);
// As close_range(2): ours and the kernel's descriptors alike. `flags`: CLOSE_RANGE_*.
int CloseRange(unsigned first, unsigned last, int flags);

// Mixed sets. A time-out of nullptr or -1 waits for ever.
int Poll(pollfd* descriptors, nfds_t count, int timeout_ms);
int PPoll(pollfd* descriptors, nfds_t count, const timespec* timeout, const sigset_t* mask);
int Select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout);
int PSelect(int count, fd_set* read, fd_set* write, fd_set* except, const timespec* timeout,
            const sigset_t* mask);
int EpollCreate1(int flags);
// `epoll` is ours; `fd` may be anybody's.
int EpollCtl(int epoll, int operation, int fd, epoll_event* event);
int EpollWait(int epoll, epoll_event* events, int maximum, int timeout_ms);
int EpollPwait(int epoll, epoll_event* events, int maximum, int timeout_ms, const sigset_t* mask);
int EpollPwait2(int epoll, epoll_event* events, int maximum, const timespec* timeout,
                const sigset_t* mask);

}  // namespace sluice::api
