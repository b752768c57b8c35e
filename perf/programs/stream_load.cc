// TCP echo and HTTP keep-alive: messages and their answers on connections that stay open, in a
// closed loop for rates and in an open one for latencies.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "exchange.h"
#include "open_streams.h"

namespace sluice::perf {
namespace {

constexpr int kEvents = 256;
constexpr size_t kReceiveBytes = 256 << 10;
constexpr int kDueATurn = 64;  // messages of an open loop sent before looking for answers again

struct Stream {
  int fd = -1;
  bool waits_for_room = false;
  uint32_t in_flight = 0;  // messages
  uint64_t owed = 0;       // bytes that were to be sent so far
  uint64_t sent = 0;       // bytes
};

class StreamLoad {
 public:
  explicit StreamLoad(const LoadSettings& settings)
      : settings_(settings),
        exchange_(MakeExchange(settings)),
        latencies_(kLatencyMaxNs),
        buffer_(kReceiveBytes) {}

  bool Run(Report& report);

 private:
  bool Open(Report& report);
  void Hold();
  void FillWindow();
  void Begin(uint32_t index, uint32_t messages);
  bool Flush(uint32_t index);
  void Wait(uint32_t index, uint32_t interest);
  void TurnOpenLoop(int64_t now_ns, Schedule& schedule);
  void Turn(bool spin);
  void Receive(uint32_t index);
  void Completed(uint32_t index, uint32_t messages);
  void Fail(uint32_t index);
  void CountUnfinished(int64_t now_ns);

  const LoadSettings& settings_;
  const std::unique_ptr<Exchange> exchange_;
  HdrHistogram latencies_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  std::vector<Stream> streams_;
  std::vector<std::deque<int64_t>> due_;  // open loop: when the unanswered messages were due
  uint32_t turn_ = 0;                     // whose turn it is
  uint32_t alive_ = 0;
  uint64_t in_flight_ = 0;
  int64_t measure_ns_ = 0;
  LoadCounts counts_;
  std::string first_error_;
};

bool StreamLoad::Open(Report& report) {
  // Whoever looks at the memory wants to see it without connections, too.
  if (settings_.hold_seconds > 0) {
    fputs("starting\n", stderr);
    sleep(1);
  }
  epoll_ = net.epoll_create1(EPOLL_CLOEXEC);
  std::vector<int> fds;
  const int64_t begin_ns = NowNs();
  if (!OpenStreams(settings_, epoll_, fds)) return false;
  const double seconds = static_cast<double>(NowNs() - begin_ns) / 1e9;
  report.Add("connect_seconds", seconds);
  streams_.resize(settings_.connections);
  for (uint32_t i = 0; i < settings_.connections; ++i) streams_[i].fd = fds[i];
  alive_ = settings_.connections;
  exchange_->Reserve(settings_.connections);
  if (settings_.rate > 0) due_.resize(settings_.connections);
  return true;
}

// Every connection exchanges one message; then all rest for the time that was asked for, so that
// others can look at the memory that they take.
void StreamLoad::Hold() {
  constexpr uint32_t kAtOnce = 64;
  uint32_t next = 0;
  while ((next < streams_.size() || in_flight_ > 0) && alive_ > 0 && !Stopped()) {
    while (next < streams_.size() && in_flight_ < kAtOnce) Begin(next++, 1);
    Turn(settings_.spin);
  }
  fprintf(stderr, "holding %u\n", alive_);
  fflush(stderr);
  const int64_t end_ns = NowNs() + static_cast<int64_t>(settings_.hold_seconds * 1e9);
  while (NowNs() < end_ns && !Stopped()) {
    epoll_event event;
    net.epoll_wait(epoll_, &event, 1, 10);
  }
}

bool StreamLoad::Run(Report& report) {
  if (!Open(report)) return false;
  if (settings_.hold_seconds > 0) Hold();
  Phases phases(settings_);
  measure_ns_ = phases.measure_ns();
  if (settings_.rate > 0) {
    Schedule schedule(settings_, NowNs());
    while (phases.Continue(NowNs(), counts_) && alive_ > 0) TurnOpenLoop(NowNs(), schedule);
    CountUnfinished(NowNs());
  } else {
    if (settings_.window > 0) {
      FillWindow();
    } else {
      for (uint32_t i = 0; i < streams_.size(); ++i) Begin(i, settings_.depth);
    }
    while (phases.Continue(NowNs(), counts_) && alive_ > 0) {
      Turn(settings_.spin);
      if (settings_.window > 0) FillWindow();
    }
  }
  AddCounts(report, counts_, phases.seconds());
  report.Add("alive", uint64_t{alive_});
  if (!first_error_.empty()) report.Add("first_error", first_error_);
  if (settings_.rate > 0) report.Add("offered_rate", settings_.rate).Add("latency_us", latencies_);
  for (const Stream& stream : streams_) {
    if (stream.fd >= 0) net.close(stream.fd);
  }
  return true;
}

void StreamLoad::FillWindow() {
  for (uint32_t tried = 0; in_flight_ < settings_.window && tried < streams_.size(); ++tried) {
    const uint32_t index = turn_;
    turn_ = turn_ + 1 == streams_.size() ? 0 : turn_ + 1;
    if (streams_[index].fd >= 0 && streams_[index].in_flight < settings_.depth) Begin(index, 1);
  }
}

void StreamLoad::Begin(uint32_t index, uint32_t messages) {
  Stream& stream = streams_[index];
  stream.in_flight += messages;
  in_flight_ += messages;
  stream.owed += messages * exchange_->request_bytes();
  if (!stream.waits_for_room && !Flush(index)) Fail(index);
}

bool StreamLoad::Flush(uint32_t index) {
  Stream& stream = streams_[index];
  while (stream.sent < stream.owed) {
    size_t available = 0;
    const char* bytes = exchange_->Request(index, stream.sent, &available);
    const size_t piece =
        static_cast<size_t>(std::min<uint64_t>(available, stream.owed - stream.sent));
    const ssize_t count = net.send(stream.fd, bytes, piece, MSG_NOSIGNAL);
    if (count < 0) {
      if (errno != EAGAIN) return false;
      if (!stream.waits_for_room) Wait(index, EPOLLIN | EPOLLOUT);
      stream.waits_for_room = true;
      return true;
    }
    stream.sent += static_cast<uint64_t>(count);
    counts_.bytes_out += static_cast<uint64_t>(count);
  }
  if (stream.waits_for_room) Wait(index, EPOLLIN);
  stream.waits_for_room = false;
  return true;
}

void StreamLoad::Wait(uint32_t index, uint32_t interest) {
  epoll_event event = {};
  event.events = interest;
  event.data.u32 = index;
  net.epoll_ctl(epoll_, EPOLL_CTL_MOD, streams_[index].fd, &event);
}

void StreamLoad::TurnOpenLoop(int64_t now_ns, Schedule& schedule) {
  for (int i = 0; i < kDueATurn && schedule.next_ns() <= now_ns; ++i) {
    const uint32_t index = turn_;
    turn_ = turn_ + 1 == streams_.size() ? 0 : turn_ + 1;
    if (streams_[index].fd >= 0) {
      due_[index].push_back(schedule.next_ns());
      Begin(index, 1);
    }
    schedule.Advance();
  }
  Turn(true);
}

void StreamLoad::Turn(bool spin) {
  epoll_event events[kEvents];
  const int count = net.epoll_wait(epoll_, events, kEvents, spin ? 0 : 100);
  for (int i = 0; i < count; ++i) {
    const uint32_t index = events[i].data.u32;
    if ((events[i].events & EPOLLOUT) != 0 && !Flush(index)) {
      Fail(index);
    } else if ((events[i].events & ~EPOLLOUT) != 0) {
      Receive(index);
    }
  }
}

void StreamLoad::Receive(uint32_t index) {
  const ssize_t count = net.recv(streams_[index].fd, buffer_.data(), buffer_.size(), 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count == 0) errno = 0;  // the server has closed
  if (count <= 0) return Fail(index);
  counts_.bytes_in += static_cast<uint64_t>(count);
  const int answers = exchange_->Answers(index, {buffer_.data(), static_cast<size_t>(count)});
  if (answers < 0 || static_cast<uint32_t>(answers) > streams_[index].in_flight) {
    ++counts_.corrupt;
    errno = EBADMSG;
    return Fail(index);
  }
  if (answers > 0) Completed(index, static_cast<uint32_t>(answers));
}

void StreamLoad::Completed(uint32_t index, uint32_t messages) {
  Stream& stream = streams_[index];
  stream.in_flight -= messages;
  in_flight_ -= messages;
  counts_.messages += messages;
  if (settings_.rate > 0 && !due_[index].empty()) {
    const int64_t now_ns = NowNs();
    for (uint32_t i = 0; i < messages; ++i) {
      const int64_t due_ns = due_[index].front();
      due_[index].pop_front();
      if (due_ns >= measure_ns_) latencies_.Record(static_cast<uint64_t>(now_ns - due_ns));
    }
  } else if (settings_.rate == 0 && settings_.window == 0 && measure_ns_ != 0) {
    Begin(index, messages);
  }
}

void StreamLoad::Fail(uint32_t index) {
  Stream& stream = streams_[index];
  if (stream.fd < 0) return;
  if (first_error_.empty()) {
    first_error_ = errno == 0 ? "closed by the server" : strerror(errno);
    first_error_ += " (connection " + std::to_string(index) + ", " + std::to_string(stream.sent) +
                    " bytes sent)";
  }
  net.close(stream.fd);
  stream.fd = -1;
  in_flight_ -= stream.in_flight;
  stream.in_flight = 0;
  ++counts_.errors;
  --alive_;
}

// A message without an answer has waited at least until now: leaving it out would hide the worst.
void StreamLoad::CountUnfinished(int64_t now_ns) {
  for (const std::deque<int64_t>& due : due_) {
    for (const int64_t due_ns : due) {
      ++counts_.unfinished;
      if (due_ns >= measure_ns_) latencies_.Record(static_cast<uint64_t>(now_ns - due_ns));
    }
  }
}

}  // namespace

bool RunStreamLoad(const LoadSettings& settings, Report& report) {
  StreamLoad load(settings);
  return load.Run(report);
}

}  // namespace sluice::perf
