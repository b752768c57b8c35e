// UDP servers: echo, and a sink that counts.
#include <netinet/in.h>
#include <sluice/sluice.h>

#include <cerrno>
#include <vector>

#include "batch.h"
#include "stream_server.h"

namespace sluice::perf {
namespace {

constexpr int kReceiveBufferBytes = 4 << 20;

int Open(const Endpoint& local, int epoll) {
  const int fd = net.socket(local.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  epoll_event event = {};
  event.events = EPOLLIN;
  if (fd < 0 || net.bind(fd, local.address(), local.length) != 0 ||
      net.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    Die("udp");
  }
  net.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBufferBytes, sizeof kReceiveBufferBytes);
  return fd;
}

}  // namespace

void RunDatagramServer(const Endpoint& local, bool echo, unsigned batch, bool spin,
                       Report& report) {
  const int epoll = net.epoll_create1(EPOLL_CLOEXEC);
  const int fd = Open(local, epoll);
  DatagramBatch datagrams(batch);
  uint64_t received = 0, bytes = 0, unsent = 0;
  int64_t first = 0, last = 0;
  while (!Stopped()) {
    epoll_event event;
    if (net.epoll_wait(epoll, &event, 1, spin ? 0 : -1) <= 0) continue;
    const int count = datagrams.Receive(fd);
    if (count <= 0) continue;
    received += static_cast<uint64_t>(count);
    for (int i = 0; i < count; ++i) bytes += datagrams.length(i);
    if (echo) {
      // What has no room is dropped, as any UDP server would.
      const int sent = datagrams.SendBack(fd, count);
      unsent += static_cast<uint64_t>(count - (sent > 0 ? sent : 0));
    } else {
      last = NowNs();
      if (first == 0) first = last;
    }
  }
  report.Add("datagrams", received).Add("bytes", bytes).Add("unsent", unsent);
  if (last > first) {
    const double seconds = static_cast<double>(last - first) / 1e9;
    report.Add("seconds", seconds);
    report.Add("rate", static_cast<double>(received) / seconds);
    report.Add("bits_per_second", static_cast<double>(bytes) * 8 / seconds);
  }
}

void RunZeroCopyDatagramServer(const Endpoint& local, unsigned batch, bool spin, Report& report) {
  const int epoll = net.epoll_create1(EPOLL_CLOEXEC);
  const int fd = Open(local, epoll);
  std::vector<sluice_zc_datagram> datagrams(batch);
  uint64_t received = 0, bytes = 0;
  while (!Stopped()) {
    epoll_event event;
    if (net.epoll_wait(epoll, &event, 1, spin ? 0 : -1) <= 0) continue;
    const int count = net.zc_recv_datagrams(fd, datagrams.data(), batch, MSG_DONTWAIT);
    if (count <= 0) continue;
    received += static_cast<uint64_t>(count);
    for (int i = 0; i < count; ++i) {
      bytes += datagrams[static_cast<size_t>(i)].length;
      datagrams[static_cast<size_t>(i)].send_back = 1;
    }
    if (net.zc_settle(fd, datagrams.data(), static_cast<unsigned>(count), 0) != 0) Die("settle");
  }
  report.Add("datagrams", received).Add("bytes", bytes);
}

}  // namespace sluice::perf
