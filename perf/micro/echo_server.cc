#include "echo_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sluice/sluice.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "echo_peer.h"

namespace sluice::perf {
namespace {

constexpr int kEvents = 256;
constexpr size_t kDatagramBytesMax = 2048;
constexpr int kBatch = 32;

[[noreturn]] void Die(const char* what) {
  fprintf(stderr, "echo_path: the server's %s: %s\n", what, strerror(errno));
  exit(1);
}

int Bound(int type) {
  const int fd = sluice_socket(AF_INET, type | SOCK_NONBLOCK, 0);
  sockaddr_in local = {};
  local.sin_family = AF_INET;
  local.sin_port = htons(Peer::kServerPort);
  if (fd < 0) Die("socket");
  if (sluice_bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) Die("bind");
  return fd;
}

void Watch(int epoll, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  if (sluice_epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
}

}  // namespace

StreamServer::StreamServer(Kind kind, const std::string& answer, size_t buffer_bytes)
    : kind_(kind),
      answer_(answer),
      buffer_(buffer_bytes),
      listener_(Bound(SOCK_STREAM)),
      epoll_(sluice_epoll_create1(0)) {
  if (sluice_listen(listener_, 4096) != 0) Die("listen");
  Watch(epoll_, listener_, EPOLLIN);
}

void StreamServer::Serve() {
  epoll_event events[kEvents];
  const int count = sluice_epoll_wait(epoll_, events, kEvents, 0);
  if (count < 0) Die("epoll_wait");
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (fd == listener_) {
      Accept();
    } else if ((events[i].events & EPOLLOUT) != 0) {
      while (sluice_send(fd, buffer_.data(), buffer_.size(), MSG_NOSIGNAL) > 0) continue;
    } else {
      Receive(fd);
    }
  }
}

void StreamServer::Accept() {
  for (;;) {
    const int fd = sluice_accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno != EAGAIN) Die("accept4");
      return;
    }
    const int on = 1;
    sluice_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Watch(epoll_, fd, kind_ == Kind::kSource ? EPOLLOUT : EPOLLIN);
  }
}

void StreamServer::Receive(int fd) {
  const ssize_t count = sluice_recv(fd, buffer_.data(), buffer_.size(), 0);
  if (count <= 0) Die("recv");
  const std::string_view bytes(buffer_.data(), static_cast<size_t>(count));
  switch (kind_) {
    case Kind::kEcho:
      Send(fd, bytes.data(), bytes.size());
      break;
    case Kind::kAnswer:
    case Kind::kAnswerAndClose:
      if (!bytes.ends_with("\r\n\r\n")) Die("request");
      Send(fd, answer_.data(), answer_.size());
      if (kind_ == Kind::kAnswerAndClose) sluice_close(fd);
      break;
    case Kind::kSink:
    case Kind::kSource:
      break;
  }
}

void StreamServer::Send(int fd, const char* bytes, size_t count) {
  if (sluice_send(fd, bytes, count, MSG_NOSIGNAL) != static_cast<ssize_t>(count)) Die("send");
}

DatagramServer::DatagramServer(Kind kind)
    : kind_(kind), fd_(Bound(SOCK_DGRAM)), epoll_(sluice_epoll_create1(0)) {
  Watch(epoll_, fd_, EPOLLIN);
}

void DatagramServer::Serve() {
  epoll_event event;
  const int count = sluice_epoll_wait(epoll_, &event, 1, 0);
  if (count < 0) Die("epoll_wait");
  if (count == 0) return;
  switch (kind_) {
    case Kind::kSink:
    case Kind::kEcho:
      while (ServeOne()) continue;
      break;
    case Kind::kEchoInBatches:
      while (ServeBatch()) continue;
      break;
    case Kind::kEchoWithoutCopy:
      while (ServeWithoutCopy()) continue;
      break;
  }
}

bool DatagramServer::ServeOne() {
  char bytes[kDatagramBytesMax];
  sockaddr_in from;
  socklen_t length = sizeof from;
  auto* address = reinterpret_cast<sockaddr*>(&from);
  const ssize_t received = sluice_recvfrom(fd_, bytes, sizeof bytes, 0, address, &length);
  if (received < 0) {
    if (errno != EAGAIN) Die("recvfrom");
    return false;
  }
  if (kind_ == Kind::kSink) return true;
  const auto size = static_cast<size_t>(received);
  if (sluice_sendto(fd_, bytes, size, 0, address, length) != received) Die("sendto");
  return true;
}

bool DatagramServer::ServeBatch() {
  static char bytes[kBatch][kDatagramBytesMax];
  sockaddr_in peers[kBatch];
  iovec pieces[kBatch];
  mmsghdr messages[kBatch] = {};
  for (int i = 0; i < kBatch; ++i) {
    pieces[i] = {bytes[i], sizeof bytes[i]};
    messages[i].msg_hdr.msg_name = &peers[i];
    messages[i].msg_hdr.msg_namelen = sizeof peers[i];
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int count = sluice_recvmmsg(fd_, messages, kBatch, 0, nullptr);
  if (count < 0) {
    if (errno != EAGAIN) Die("recvmmsg");
    return false;
  }
  for (int i = 0; i < count; ++i) pieces[i].iov_len = messages[i].msg_len;
  if (sluice_sendmmsg(fd_, messages, static_cast<unsigned>(count), 0) != count) Die("sendmmsg");
  return count == kBatch;
}

bool DatagramServer::ServeWithoutCopy() {
  sluice_zc_datagram datagrams[kBatch];
  const int count = sluice_zc_recv_datagrams(fd_, datagrams, kBatch, 0);
  if (count < 0) {
    if (errno != EAGAIN) Die("zc_recv_datagrams");
    return false;
  }
  for (int i = 0; i < count; ++i) datagrams[i].send_back = 1;
  if (sluice_zc_settle(fd_, datagrams, static_cast<unsigned>(count), 0) != 0) Die("zc_settle");
  return count == kBatch;
}

}  // namespace sluice::perf
