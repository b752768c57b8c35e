#include "stream_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>

namespace sluice::perf {
namespace {

constexpr uint32_t kFirstListener = UINT32_MAX - 0xffff;  // event data from here on: a listener
constexpr int kEvents = 256;
constexpr size_t kReceiveBytes = 256 << 10;
constexpr int kAcceptsATurn = 1024;

int OpenListener(const Endpoint& local) {
  const int fd = net.socket(local.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd < 0 || net.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      net.bind(fd, local.address(), local.length) != 0 || net.listen(fd, 4096) != 0) {
    Die("listen");
  }
  return fd;
}

}  // namespace

StreamServer::StreamServer(const Endpoint& local, uint32_t ports, StreamService& service,
                           Waiting waiting)
    : service_(service), waiting_(waiting), buffer_(kReceiveBytes) {
  epoll_ = net.epoll_create1(EPOLL_CLOEXEC);
  for (uint32_t i = 0; i < ports; ++i) {
    listeners_.push_back(OpenListener(WithPort(local, local.port() + i)));
    if (!Watch(EPOLL_CTL_ADD, listeners_[i], kFirstListener + i, EPOLLIN)) Die("watch");
  }
}

bool StreamServer::Watch(int operation, int fd, uint32_t index, uint32_t interest) {
  if (waiting_ != Waiting::kCallbacks) {
    epoll_event event = {};
    event.events = interest;
    event.data.u32 = index;
    return net.epoll_ctl(epoll_, operation, fd, &event) == 0;
  }
  const auto at = static_cast<size_t>(fd);
  if (at >= index_of_.size()) index_of_.resize(at * 2 + 1);
  index_of_[at] = index;
  return net.set_callback(fd, interest, &StreamServer::OnEvent, this) == 0;
}

void StreamServer::OnEvent(int fd, uint32_t events, void* server) {
  auto& self = *static_cast<StreamServer*>(server);
  const uint32_t index = self.index_of_[static_cast<size_t>(fd)];
  if (index >= kFirstListener) {
    self.Accept(fd);
  } else if (!self.Serve(self.connections_[index], events)) {
    self.Close(index);
  }
}

void StreamServer::RunCallbacks() {
  while (!Stopped()) net.run_stack();
}

void StreamServer::Run() {
  if (waiting_ == Waiting::kCallbacks) return RunCallbacks();
  epoll_event events[kEvents];
  while (!Stopped()) {
    const int timeout_ms = waiting_ == Waiting::kSpin ? 0 : -1;
    const int count = net.epoll_wait(epoll_, events, kEvents, timeout_ms);
    if (count < 0 && errno != EINTR) Die("epoll_wait");
    for (int i = 0; i < count; ++i) {
      const uint32_t index = events[i].data.u32;
      if (index >= kFirstListener) {
        Accept(listeners_[index - kFirstListener]);
      } else if (!Serve(connections_[index], events[i].events)) {
        Close(index);
      }
    }
  }
}

void StreamServer::Accept(int listener) {
  for (int i = 0; i < kAcceptsATurn; ++i) {
    const int fd = net.accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno != EAGAIN && errno != ECONNABORTED) ++counts.errors;
      return;
    }
    const int on = 1;
    net.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    uint32_t index = static_cast<uint32_t>(connections_.size());
    if (free_.empty()) {
      connections_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Connection& connection = connections_[index];
    connection.fd = fd;
    connection.interest = EPOLLIN;
    ++counts.accepted;
    ++counts.open;
    if (!Watch(EPOLL_CTL_ADD, fd, index, EPOLLIN) || !service_.Opened(*this, connection)) {
      ++counts.errors;
      Close(index);
    }
  }
}

bool StreamServer::Serve(Connection& connection, uint32_t events) {
  if ((events & EPOLLOUT) != 0 && !service_.Writable(*this, connection)) return false;
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0) return true;
  if ((connection.interest & EPOLLIN) == 0) {  // broken while it had something to send
    ++counts.errors;
    return false;
  }
  // A callback comes once for all that is there; epoll asks again.
  const bool until_empty = waiting_ == Waiting::kCallbacks;
  ssize_t count = 0;
  do {
    count = net.recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (count < 0) {
      if (errno == EAGAIN) return true;
      ++counts.errors;
      return false;
    }
    counts.bytes_in += static_cast<uint64_t>(count);
    const bool stays =
        service_.Received(*this, connection, buffer_.data(), static_cast<size_t>(count));
    connection.received += static_cast<uint64_t>(count);
    if (!stays || count == 0) return false;
  } while (until_empty && static_cast<size_t>(count) == buffer_.size() &&
           (connection.interest & EPOLLIN) != 0);
  return true;
}

ssize_t StreamServer::Send(Connection& connection, const char* bytes, size_t count) {
  const ssize_t sent = net.send(connection.fd, bytes, count, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN) return 0;
    ++counts.errors;
    return -1;
  }
  connection.sent += static_cast<uint64_t>(sent);
  counts.bytes_out += static_cast<uint64_t>(sent);
  return sent;
}

void StreamServer::WaitFor(Connection& connection, uint32_t interest) {
  if (connection.interest == interest) return;
  connection.interest = interest;
  const auto index = static_cast<uint32_t>(&connection - connections_.data());
  if (!Watch(EPOLL_CTL_MOD, connection.fd, index, interest)) Die("watch");
}

void StreamServer::Close(uint32_t index) {
  net.close(connections_[index].fd);  // leaves the epoll set by itself
  connections_[index] = Connection();
  free_.push_back(index);
  --counts.open;
}

}  // namespace sluice::perf
