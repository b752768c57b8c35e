#include "open_streams.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sluice::perf {
namespace {

constexpr uint32_t kUnderWayMax = 512;
constexpr int kEvents = 256;

bool Complain(uint32_t index, int error) {
  fprintf(stderr, "connection %u: %s\n", index, strerror(error));
  return false;
}

}  // namespace

int StartConnect(const LoadSettings& settings, uint32_t index) {
  const int fd =
      net.socket(settings.server.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  net.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int status = 0;
  if (settings.source.family() != 0) {
    const Endpoint source = Shifted(settings.source, index % settings.source_count);
    // The port is chosen by connect, for this destination only.
    net.setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    status = net.bind(fd, source.address(), source.length);
  }
  if (status == 0) {
    const uint32_t port = index / settings.source_count % settings.port_count;
    const Endpoint server = WithPort(settings.server, settings.server.port() + port);
    status = net.connect(fd, server.address(), server.length);
    if (status != 0 && errno == EINPROGRESS) status = 0;
  }
  if (status == 0) return fd;
  const int error = errno;
  net.close(fd);
  errno = error;
  return -1;
}

int ConnectError(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (net.getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

bool OpenStreams(const LoadSettings& settings, int epoll, std::vector<int>& fds) {
  fds.reserve(settings.connections);
  uint32_t connected = 0;
  epoll_event events[kEvents];
  while (connected < settings.connections && !Stopped()) {
    while (fds.size() < settings.connections && fds.size() - connected < kUnderWayMax) {
      const auto index = static_cast<uint32_t>(fds.size());
      const int fd = StartConnect(settings, index);
      if (fd < 0) return Complain(index, errno);
      fds.push_back(fd);
      epoll_event event = {};
      event.events = EPOLLOUT;
      event.data.u32 = index;
      if (net.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return Complain(index, errno);
    }
    const int count = net.epoll_wait(epoll, events, kEvents, -1);
    for (int i = 0; i < count; ++i) {
      const uint32_t index = events[i].data.u32;
      const int error = ConnectError(fds[index]);
      if (error != 0) return Complain(index, error);
      events[i].events = EPOLLIN;
      if (net.epoll_ctl(epoll, EPOLL_CTL_MOD, fds[index], &events[i]) != 0) {
        return Complain(index, errno);
      }
      ++connected;
    }
  }
  return connected == settings.connections;
}

}  // namespace sluice::perf
