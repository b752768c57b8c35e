#include "dpdk/wake.h"

#include <poll.h>
#include <rte_ethdev.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace sluice::dpdk {
namespace {

// An epoll set of the driver's descriptors, itself watchable. While disarmed the set asks for no
// event, so arriving frames wake nobody; armed, each descriptor reports once.
class WatchedDescriptors final : public WakeSource {
 public:
  explicit WatchedDescriptors(int epoll) : epoll_(epoll) {}
  ~WatchedDescriptors() override { ::close(epoll_); }
  WatchedDescriptors(const WatchedDescriptors&) = delete;
  WatchedDescriptors& operator=(const WatchedDescriptors&) = delete;

  bool Add(int descriptor) {
    epoll_event event{};
    event.data.fd = descriptor;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) return false;
    watched_.push_back({descriptor, 0, 0});
    return true;
  }

  int descriptor() const override { return epoll_; }

  bool Arm() override {
    for (pollfd& watched : watched_) Modify(watched.fd, EPOLLIN | EPOLLONESHOT);
    // Both orders are safe: a frame that came before is seen here, one that comes after rings.
    for (pollfd& watched : watched_) watched.events = POLLIN;
    if (::poll(watched_.data(), watched_.size(), 0) <= 0) return true;
    bool waiting = false;
    for (pollfd& watched : watched_) {
      if ((watched.revents & POLLIN) != 0) waiting = true;
      if ((watched.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) Forgive(&watched);
    }
    watched_.erase(std::remove_if(watched_.begin(), watched_.end(),
                                  [](const pollfd& watched) { return watched.fd < 0; }),
                   watched_.end());
    if (waiting) Disarm();
    return !waiting;
  }

  void Disarm() override {
    for (pollfd& watched : watched_) Modify(watched.fd, 0);
    // Takes what is in the ready list off it, so that the set is not readable any more.
    epoll_event ignored[8];
    [[maybe_unused]] int taken = ::epoll_wait(epoll_, ignored, 8, 0);
  }

 private:
  void Modify(int descriptor, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = descriptor;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
  }

  // A socket keeps an error (its interface went down) until somebody asks for it; what has no
  // such error or stays broken is watched no more, or the engine could never sleep again.
  void Forgive(pollfd* watched) {
    int error = 0;
    socklen_t size = sizeof(error);
    if (::getsockopt(watched->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0) {
      pollfd again = {watched->fd, POLLIN, 0};
      ::poll(&again, 1, 0);
      if ((again.revents & (POLLERR | POLLHUP | POLLNVAL)) == 0) return;
    }
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, watched->fd, nullptr);
    watched->fd = -1;
  }

  const int epoll_;
  std::vector<pollfd> watched_;
};

class InterruptSource final : public WakeSource {
 public:
  InterruptSource(uint16_t port_id, uint16_t queue, int descriptor)
      : port_id_(port_id), queue_(queue), descriptor_(descriptor) {}

  int descriptor() const override { return descriptor_; }

  bool Arm() override {
    if (rte_eth_dev_rx_intr_enable(port_id_, queue_) != 0) return false;
    // A frame between the last burst and the arming may have rung nobody.
    const bool waiting = rte_eth_rx_descriptor_status(port_id_, queue_, 0) == RTE_ETH_RX_DESC_DONE;
    if (waiting) Disarm();
    return !waiting;
  }

  void Disarm() override {
    rte_eth_dev_rx_intr_disable(port_id_, queue_);
    uint64_t count;
    pollfd readable = {descriptor_, POLLIN, 0};
    if (::poll(&readable, 1, 0) == 1) {
      [[maybe_unused]] ssize_t size = ::read(descriptor_, &count, sizeof(count));
    }
  }

 private:
  const uint16_t port_id_;
  const uint16_t queue_;
  const int descriptor_;
};

}  // namespace

std::unique_ptr<WakeSource> WatchDescriptors(const std::vector<int>& descriptors) {
  if (descriptors.empty()) return nullptr;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return nullptr;
  auto source = std::make_unique<WatchedDescriptors>(epoll);
  for (int descriptor : descriptors) {
    if (!source->Add(descriptor)) return nullptr;
  }
  return source;
}

std::unique_ptr<WakeSource> ReceiveInterrupt(uint16_t port_id, uint16_t queue) {
  const int descriptor = rte_eth_dev_rx_intr_ctl_q_get_fd(port_id, queue);
  if (descriptor < 0 || rte_eth_dev_rx_intr_enable(port_id, queue) != 0) return nullptr;
  auto source = std::make_unique<InterruptSource>(port_id, queue, descriptor);
  source->Disarm();
  return source;
}

}  // namespace sluice::dpdk
