// The socket calls that the measuring programs make: Sluice's or the kernel's, chosen at run time,
// so that the same program runs on both.
//
//   if (!StartSockets(flags)) return 2;
//   int fd = net.socket(AF_INET, SOCK_STREAM, 0);
//   ...
//   FinishSockets();
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <cstdint>
#include <string>

#include "flags.h"

struct sluice_zc_datagram;

namespace sluice::perf {

struct Calls {
  const char* name;
  int (*socket)(int, int, int);
  int (*bind)(int, const sockaddr*, socklen_t);
  int (*listen)(int, int);
  int (*connect)(int, const sockaddr*, socklen_t);
  int (*accept4)(int, sockaddr*, socklen_t*, int);
  int (*close)(int);
  int (*setsockopt)(int, int, int, const void*, socklen_t);
  int (*getsockopt)(int, int, int, void*, socklen_t*);
  ssize_t (*send)(int, const void*, size_t, int);
  ssize_t (*recv)(int, void*, size_t, int);
  int (*sendmmsg)(int, mmsghdr*, unsigned, int);
  int (*recvmmsg)(int, mmsghdr*, unsigned, int, timespec*);
  int (*epoll_create1)(int);
  int (*epoll_ctl)(int, int, int, epoll_event*);
  int (*epoll_wait)(int, epoll_event*, int, int);
  int (*poll)(pollfd*, nfds_t, int);
  // Sluice's only; null on the kernel's sockets.
  int (*set_callback)(int, uint32_t, void (*)(int, uint32_t, void*), void*);
  int (*run_stack)();
  int (*zc_recv_datagrams)(int, sluice_zc_datagram*, unsigned, int);
  int (*zc_settle)(int, const sluice_zc_datagram*, unsigned, int);
};

extern Calls net;

// --kernel takes the kernel's sockets; else --config FILE (or the environment, see sluice_init)
// starts Sluice. Raises the limit of descriptors as far as it may. Says on standard error what is
// wrong, and returns false.
bool StartSockets(Flags& flags);
void FinishSockets();

// Set by SIGINT and SIGTERM; StartSockets installs the handlers.
bool Stopped();

// Nanoseconds of the monotonic clock.
inline int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// An IPv4 or IPv6 address with a port.
struct Endpoint {
  sockaddr_storage storage;
  socklen_t length;
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  unsigned port() const;
};
// Exits the program with a message if the text is no address.
Endpoint ParseEndpoint(const std::string& address, unsigned port);
// The same address with `offset` added to its last 32 bits: the n-th of a row of addresses.
Endpoint Shifted(Endpoint endpoint, uint32_t offset);

Endpoint WithPort(Endpoint endpoint, unsigned port);

// Prints what failed and why, and exits.
[[noreturn]] void Die(const char* what);

}  // namespace sluice::perf
