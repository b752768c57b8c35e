// Bytes as fast as they go, in one direction or both; all that arrives is checked.
#include <cerrno>
#include <vector>

#include "open_streams.h"
#include "pattern.h"

namespace sluice::perf {
namespace {

constexpr int kEvents = 64;
constexpr size_t kReceiveBytes = 256 << 10;
constexpr int kSendsATurn = 8;

struct Stream {
  int fd = -1;
  uint64_t sent = 0;      // bytes
  uint64_t received = 0;  // bytes
};

class BulkLoad {
 public:
  BulkLoad(const LoadSettings& settings, bool sends, bool takes)
      : settings_(settings), sends_(sends), takes_(takes), buffer_(kReceiveBytes) {}

  bool Run(Report& report) {
    epoll_ = net.epoll_create1(EPOLL_CLOEXEC);
    std::vector<int> fds;
    if (!OpenStreams(settings_, epoll_, fds)) return false;
    for (uint32_t i = 0; i < fds.size(); ++i) {
      streams_.push_back({fds[i]});
      epoll_event event = {};
      event.events = EPOLLIN | (sends_ ? static_cast<uint32_t>(EPOLLOUT) : 0u);
      event.data.u32 = i;
      net.epoll_ctl(epoll_, EPOLL_CTL_MOD, fds[i], &event);
    }
    Phases phases(settings_);
    epoll_event events[kEvents];
    while (phases.Continue(NowNs(), counts_) && counts_.errors == 0) {
      const int count = net.epoll_wait(epoll_, events, kEvents, settings_.spin ? 0 : 100);
      for (int i = 0; i < count; ++i) Serve(streams_[events[i].data.u32], events[i].events);
    }
    AddCounts(report, counts_, phases.seconds());
    for (const Stream& stream : streams_) net.close(stream.fd);
    return true;
  }

 private:
  void Serve(Stream& stream, uint32_t events) {
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) Receive(stream);
    if ((events & EPOLLOUT) != 0) Send(stream);
  }

  void Receive(Stream& stream) {
    const ssize_t count = net.recv(stream.fd, buffer_.data(), buffer_.size(), 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0 || !takes_) {
      ++counts_.errors;
      return;
    }
    const auto bytes = static_cast<size_t>(count);
    if (!ThePattern().Matches(buffer_.data(), bytes, 0, stream.received)) {
      ++counts_.corrupt;
      ++counts_.errors;
    }
    stream.received += bytes;
    counts_.bytes_in += bytes;
    ++counts_.messages;
  }

  void Send(Stream& stream) {
    for (int i = 0; i < kSendsATurn; ++i) {
      const ssize_t count =
          net.send(stream.fd, ThePattern().At(0, stream.sent), Pattern::kContiguous, MSG_NOSIGNAL);
      if (count < 0) {
        counts_.errors += errno != EAGAIN;
        return;
      }
      stream.sent += static_cast<uint64_t>(count);
      counts_.bytes_out += static_cast<uint64_t>(count);
      if (static_cast<size_t>(count) < Pattern::kContiguous) return;
    }
  }

  const LoadSettings& settings_;
  const bool sends_;
  const bool takes_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  std::vector<Stream> streams_;
  LoadCounts counts_;
};

}  // namespace

bool RunBulkLoad(const LoadSettings& settings, bool sends, bool takes, Report& report) {
  BulkLoad load(settings, sends, takes);
  return load.Run(report);
}

}  // namespace sluice::perf
