// A connection for each request: connect, send, take the answer and the peer's close, close.
#include <netinet/in.h>

#include <cerrno>
#include <string>
#include <vector>

#include "exchange.h"
#include "http_parser.h"
#include "open_streams.h"
#include "pattern.h"

namespace sluice::perf {
namespace {

constexpr int kEvents = 256;
constexpr size_t kReceiveBytes = 64 << 10;

struct Attempt {
  int fd = -1;
  bool sent = false;
  uint64_t received = 0;  // bytes of the answer; of an HTTP answer's body
  bool complete = false;  // an HTTP answer
  int64_t begin_ns = 0;
  HttpParser parser{HttpParser::Kind::kResponse};
};

class ConnectLoad {
 public:
  explicit ConnectLoad(const LoadSettings& settings)
      : settings_(settings),
        request_(settings.http ? HttpRequest(settings.size, false)
                               : std::string(ThePattern().At(0, 0), settings.size)),
        latencies_(kLatencyMaxNs),
        buffer_(kReceiveBytes),
        attempts_(settings.connections) {}

  bool Run(Report& report);

 private:
  void Begin(uint32_t index);
  void Serve(uint32_t index, uint32_t events);
  bool Send(Attempt& attempt);
  bool Check(Attempt& attempt, std::string_view bytes);
  void Finish(uint32_t index);
  void Fail(uint32_t index);

  const LoadSettings& settings_;
  const std::string request_;
  HdrHistogram latencies_;
  std::vector<char> buffer_;
  std::vector<Attempt> attempts_;
  std::vector<uint32_t> waiting_;  // those to begin anew, after an error in the next turn
  int epoll_ = -1;
  uint32_t number_ = 0;
  Phases* phases_ = nullptr;
  LoadCounts counts_;
};

bool ConnectLoad::Run(Report& report) {
  epoll_ = net.epoll_create1(EPOLL_CLOEXEC);
  for (uint32_t i = 0; i < attempts_.size(); ++i) waiting_.push_back(i);
  Phases phases(settings_);
  phases_ = &phases;
  epoll_event events[kEvents];
  while (phases.Continue(NowNs(), counts_)) {
    std::vector<uint32_t> now_due;
    now_due.swap(waiting_);
    for (const uint32_t index : now_due) Begin(index);
    const int count = net.epoll_wait(epoll_, events, kEvents, settings_.spin ? 0 : 100);
    for (int i = 0; i < count; ++i) Serve(events[i].data.u32, events[i].events);
  }
  AddCounts(report, counts_, phases.seconds());
  report.Add("latency_us", latencies_);
  for (const Attempt& attempt : attempts_) {
    if (attempt.fd >= 0) net.close(attempt.fd);
  }
  return true;
}

void ConnectLoad::Begin(uint32_t index) {
  Attempt& attempt = attempts_[index];
  attempt = Attempt();
  attempt.begin_ns = NowNs();
  attempt.fd = StartConnect(settings_, number_++);
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;  // one registration for the whole life
  event.data.u32 = index;
  if (attempt.fd < 0 || net.epoll_ctl(epoll_, EPOLL_CTL_ADD, attempt.fd, &event) != 0) Fail(index);
}

void ConnectLoad::Serve(uint32_t index, uint32_t events) {
  Attempt& attempt = attempts_[index];
  if (attempt.fd < 0) return;
  if ((events & EPOLLERR) != 0 || (!attempt.sent && !Send(attempt))) return Fail(index);
  if ((events & (EPOLLIN | EPOLLHUP)) == 0) return;
  while (true) {
    const ssize_t count = net.recv(attempt.fd, buffer_.data(), buffer_.size(), 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) return Fail(index);
    if (count == 0) return Finish(index);
    counts_.bytes_in += static_cast<uint64_t>(count);
    if (!Check(attempt, {buffer_.data(), static_cast<size_t>(count)})) {
      ++counts_.corrupt;
      return Fail(index);
    }
  }
}

// The request is small: an empty connection has room for it.
bool ConnectLoad::Send(Attempt& attempt) {
  const ssize_t count = net.send(attempt.fd, request_.data(), request_.size(), MSG_NOSIGNAL);
  if (count < 0) return errno == EAGAIN;  // not connected yet
  attempt.sent = true;
  counts_.bytes_out += static_cast<uint64_t>(count);
  return static_cast<size_t>(count) == request_.size();
}

bool ConnectLoad::Check(Attempt& attempt, std::string_view bytes) {
  if (!settings_.http) {
    const bool matches = ThePattern().Matches(bytes.data(), bytes.size(), 0, attempt.received);
    attempt.received += bytes.size();
    return matches && attempt.received <= settings_.size;
  }
  while (true) {
    switch (attempt.parser.Feed(bytes)) {
      case HttpParser::Found::kMore:
        return true;
      case HttpParser::Found::kInvalid:
        return false;
      case HttpParser::Found::kBody: {
        const std::string_view body = attempt.parser.body();
        if (!ThePattern().Matches(body.data(), body.size(), 0, attempt.received)) return false;
        attempt.received += body.size();
        break;
      }
      case HttpParser::Found::kMessage:
        if (attempt.complete || attempt.parser.status() != 200) return false;
        attempt.complete = true;
        break;
    }
  }
}

void ConnectLoad::Finish(uint32_t index) {
  Attempt& attempt = attempts_[index];
  const bool whole = attempt.received == settings_.size && (attempt.complete || !settings_.http);
  if (!whole) {
    ++counts_.corrupt;
    return Fail(index);
  }
  net.close(attempt.fd);
  attempt.fd = -1;
  ++counts_.messages;
  if (phases_->measuring()) {
    latencies_.Record(static_cast<uint64_t>(NowNs() - attempt.begin_ns));
  }
  Begin(index);
}

void ConnectLoad::Fail(uint32_t index) {
  Attempt& attempt = attempts_[index];
  if (attempt.fd >= 0) net.close(attempt.fd);
  attempt.fd = -1;
  ++counts_.errors;
  waiting_.push_back(index);
}

}  // namespace

bool RunConnectLoad(const LoadSettings& settings, Report& report) {
  ConnectLoad load(settings);
  return load.Run(report);
}

}  // namespace sluice::perf
