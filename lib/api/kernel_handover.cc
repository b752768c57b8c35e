// A fresh socket whose address turns out to be the kernel's becomes a kernel socket.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include "api/kernel.h"
#include "api/socket.h"
#include "api/time_out.h"

namespace sluice::api {
namespace {

using table::Options;

void SetInt(int fd, int level, int name, int value) {
  kernel::SetSockOpt(fd, level, name, &value, sizeof(value));
}

void SetFlag(int fd, const Options& options, table::Flag flag, int level, int name) {
  if (options.is_set(flag)) SetInt(fd, level, name, 1);
}

void SetTimeOut(int fd, int name, int64_t ns) {
  if (ns == 0) return;
  const timeval time{.tv_sec = ns / kNsPerSecond, .tv_usec = ns % kNsPerSecond / 1000};
  kernel::SetSockOpt(fd, SOL_SOCKET, name, &time, sizeof(time));
}

// What a program may have set between socket() and bind() or connect().
void CopyOptions(const OpenSocket& socket, int fd) {
  const Options& o = socket.entry->options;
  SetFlag(fd, o, table::kReuseAddress, SOL_SOCKET, SO_REUSEADDR);
  SetFlag(fd, o, table::kReusePort, SOL_SOCKET, SO_REUSEPORT);
  SetFlag(fd, o, table::kBroadcast, SOL_SOCKET, SO_BROADCAST);
  SetFlag(fd, o, table::kKeepAlive, SOL_SOCKET, SO_KEEPALIVE);
  SetFlag(fd, o, table::kOutOfBandInline, SOL_SOCKET, SO_OOBINLINE);
  SetFlag(fd, o, table::kTimestamp, SOL_SOCKET, SO_TIMESTAMP);
  SetFlag(fd, o, table::kTimestampNs, SOL_SOCKET, SO_TIMESTAMPNS);
  SetTimeOut(fd, SO_RCVTIMEO, o.receive_timeout_ns.load());
  SetTimeOut(fd, SO_SNDTIMEO, o.send_timeout_ns.load());
  if (o.is_set(table::kSendBufferLocked)) {
    SetInt(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(o.send_buffer_bytes.load() / 2));
  }
  if (o.is_set(table::kReceiveBufferLocked)) {
    SetInt(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(o.receive_buffer_bytes.load() / 2));
  }
  if (o.is_set(table::kLinger)) {
    const linger value{.l_onoff = 1, .l_linger = static_cast<int>(o.linger_s.load())};
    kernel::SetSockOpt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value));
  }
  SetFlag(fd, o, table::kPacketInfoV4, IPPROTO_IP, IP_PKTINFO);
  SetFlag(fd, o, table::kReceiveTtl, IPPROTO_IP, IP_RECVTTL);
  SetFlag(fd, o, table::kReceiveTos, IPPROTO_IP, IP_RECVTOS);
  SetFlag(fd, o, table::kReceiveErrorsV4, IPPROTO_IP, IP_RECVERR);
  if (o.tos.load() != 0) SetInt(fd, IPPROTO_IP, IP_TOS, o.tos.load());
  if (o.ttl.load() >= 0) SetInt(fd, IPPROTO_IP, IP_TTL, o.ttl.load());
  if (socket.is_v6()) {
    SetInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, o.is_set(table::kIpv6Only) ? 1 : 0);
    SetFlag(fd, o, table::kPacketInfoV6, IPPROTO_IPV6, IPV6_RECVPKTINFO);
    SetFlag(fd, o, table::kReceiveHopLimit, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
    SetFlag(fd, o, table::kReceiveErrorsV6, IPPROTO_IPV6, IPV6_RECVERR);
  }
  if (!socket.is_stream()) return;
  SetFlag(fd, o, table::kNoDelay, IPPROTO_TCP, TCP_NODELAY);
  SetFlag(fd, o, table::kCork, IPPROTO_TCP, TCP_CORK);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(o.keepalive_idle_s.load()));
  SetInt(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(o.keepalive_interval_s.load()));
  SetInt(fd, IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(o.keepalive_count.load()));
  if (uint32_t ms = o.user_timeout_ms.load()) {
    SetInt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(ms));
  }
}

}  // namespace

bool MoveToKernel(const OpenSocket& socket) {
  const int type = (socket.is_stream() ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC |
                   (socket.is_nonblocking() ? SOCK_NONBLOCK : 0);
  const int fresh =
      kernel::Socket(socket.entry->family.load(), type, socket.entry->protocol.load());
  if (fresh < 0) return false;
  CopyOptions(socket, fresh);
  const bool moved = ReplaceByKernel(socket.handle, fresh);
  const int error = errno;
  kernel::Close(fresh);
  errno = error;
  return moved;
}

}  // namespace sluice::api
