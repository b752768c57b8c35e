// UDP echo in a closed or an open loop, and UDP one way.
//
// A datagram holds its number within the flow, then bytes of the pattern that depend on flow and
// number. Each answer is checked; one that has not come after kLostAfterNs is lost.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "batch.h"
#include "load.h"
#include "pattern.h"

namespace sluice::perf {
namespace {

constexpr int kEvents = 256;
constexpr int kDueATurn = 64;
constexpr int64_t kLostAfterNs = 100'000'000;
constexpr size_t kNumberBytes = sizeof(uint64_t);
constexpr uint32_t kOpenLoopSlots = 1024;  // unanswered datagrams that a flow keeps track of
constexpr int kBufferBytes = 4 << 20;

struct Flow {
  int fd = -1;
  uint32_t in_flight = 0;
  uint64_t next = 1;         // number of the next datagram
  int64_t last_news_ns = 0;  // when anything was sent afresh or came back
};

// What waits for an answer: in the slot of its number.
struct Slot {
  uint64_t number = 0;  // 0: free
  int64_t due_ns = 0;
};

void Fill(char* bytes, uint64_t size, uint32_t flow, uint64_t number) {
  memcpy(bytes, &number, kNumberBytes);
  memcpy(bytes + kNumberBytes, ThePattern().At(flow, number), size - kNumberBytes);
}

int OpenFlow(const LoadSettings& settings, uint32_t index) {
  const int fd = net.socket(settings.server.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) Die("socket");
  net.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kBufferBytes, sizeof kBufferBytes);
  if (settings.source.family() != 0) {
    const Endpoint source = Shifted(settings.source, index % settings.source_count);
    if (net.bind(fd, source.address(), source.length) != 0) Die("bind");
  }
  if (net.connect(fd, settings.server.address(), settings.server.length) != 0) Die("connect");
  return fd;
}

class DatagramLoad {
 public:
  explicit DatagramLoad(const LoadSettings& settings)
      : settings_(settings),
        slots_each_(std::bit_ceil(settings.rate > 0 ? kOpenLoopSlots : settings.depth)),
        latencies_(kLatencyMaxNs),
        batch_(std::min(settings.depth, settings.batch)),
        flows_(settings.connections),
        slots_(size_t{settings.connections} * slots_each_) {}

  bool Run(Report& report);

 private:
  Slot& SlotOf(uint32_t flow, uint64_t number) {
    return slots_[size_t{flow} * slots_each_ + (number & (slots_each_ - 1))];
  }
  void Open();
  void Begin(uint32_t index, uint32_t count, int64_t due_ns);
  void Turn(bool spin);
  void Receive(uint32_t index);
  bool Accept(uint32_t index, const char* bytes, size_t length, int64_t now_ns);
  void FindLost(int64_t now_ns);
  void RunOpenLoop(Phases& phases);

  const LoadSettings& settings_;
  const uint32_t slots_each_;
  HdrHistogram latencies_;
  DatagramBatch batch_;
  std::vector<Flow> flows_;
  std::vector<Slot> slots_;
  int epoll_ = -1;
  uint32_t turn_ = 0;
  int64_t measure_ns_ = 0;
  LoadCounts counts_;
};

void DatagramLoad::Open() {
  epoll_ = net.epoll_create1(EPOLL_CLOEXEC);
  for (uint32_t i = 0; i < flows_.size(); ++i) {
    flows_[i].fd = OpenFlow(settings_, i);
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u32 = i;
    if (net.epoll_ctl(epoll_, EPOLL_CTL_ADD, flows_[i].fd, &event) != 0) Die("epoll_ctl");
  }
}

bool DatagramLoad::Run(Report& report) {
  Open();
  Phases phases(settings_);
  measure_ns_ = phases.measure_ns();
  if (settings_.rate > 0) {
    RunOpenLoop(phases);
  } else {
    for (uint32_t i = 0; i < flows_.size(); ++i) Begin(i, settings_.depth, NowNs());
    int64_t look_ns = 0;
    for (int64_t now_ns = NowNs(); phases.Continue(now_ns, counts_); now_ns = NowNs()) {
      Turn(settings_.spin);
      if (now_ns < look_ns) continue;
      FindLost(now_ns);
      look_ns = now_ns + kLostAfterNs / 2;
    }
  }
  AddCounts(report, counts_, phases.seconds());
  if (settings_.rate > 0) report.Add("offered_rate", settings_.rate).Add("latency_us", latencies_);
  for (const Flow& flow : flows_) net.close(flow.fd);
  return true;
}

void DatagramLoad::RunOpenLoop(Phases& phases) {
  Schedule schedule(settings_, NowNs());
  for (int64_t now_ns = NowNs(); phases.Continue(now_ns, counts_); now_ns = NowNs()) {
    for (int i = 0; i < kDueATurn && schedule.next_ns() <= now_ns; ++i) {
      Begin(turn_, 1, schedule.next_ns());
      turn_ = turn_ + 1 == flows_.size() ? 0 : turn_ + 1;
      schedule.Advance();
    }
    Turn(true);
  }
  // What has not come back in a while never will; the rest was merely sent last.
  const int64_t end_ns = NowNs();
  while (NowNs() < end_ns + kLostAfterNs) Turn(true);
  for (const Slot& slot : slots_) {
    if (slot.number == 0 || slot.due_ns < measure_ns_) continue;
    ++counts_.lost;
    latencies_.Record(static_cast<uint64_t>(NowNs() - slot.due_ns));
  }
}

// Sends `count` new datagrams on a flow. One that the stack does not take is lost at once; it is
// found as such because its slot stays.
void DatagramLoad::Begin(uint32_t index, uint32_t count, int64_t due_ns) {
  Flow& flow = flows_[index];
  while (count > 0) {
    const uint32_t now = std::min(count, static_cast<uint32_t>(batch_.size()));
    for (uint32_t i = 0; i < now; ++i) {
      const uint64_t number = flow.next++;
      Slot& slot = SlotOf(index, number);
      counts_.lost += slot.number != 0;
      slot = {number, due_ns};
      Fill(batch_.bytes(static_cast<int>(i)), settings_.size, index, number);
    }
    batch_.SendConnected(flow.fd, static_cast<int>(now), settings_.size);
    counts_.bytes_out += now * settings_.size;
    flow.in_flight += now;
    count -= now;
  }
}

void DatagramLoad::Turn(bool spin) {
  epoll_event events[kEvents];
  const int count = net.epoll_wait(epoll_, events, kEvents, spin ? 0 : 100);
  for (int i = 0; i < count; ++i) Receive(events[i].data.u32);
}

void DatagramLoad::Receive(uint32_t index) {
  Flow& flow = flows_[index];
  const int count = batch_.Receive(flow.fd);
  if (count <= 0) {
    counts_.errors += count < 0 && errno != EAGAIN;
    return;
  }
  // One look at the clock for all that came together; a closed loop needs it for losses only.
  const int64_t now_ns = NowNs();
  uint32_t answered = 0;
  for (int i = 0; i < count; ++i) {
    answered += Accept(index, batch_.bytes(i), batch_.length(i), now_ns);
  }
  flow.last_news_ns = now_ns;
  flow.in_flight -= std::min(flow.in_flight, answered);
  counts_.messages += answered;
  if (settings_.rate == 0) Begin(index, answered, now_ns);
}

bool DatagramLoad::Accept(uint32_t index, const char* bytes, size_t length, int64_t now_ns) {
  counts_.bytes_in += length;
  uint64_t number = 0;
  if (length == settings_.size) memcpy(&number, bytes, kNumberBytes);
  if (length != settings_.size ||
      memcmp(bytes + kNumberBytes, ThePattern().At(index, number), length - kNumberBytes) != 0) {
    ++counts_.corrupt;
    return false;
  }
  Slot& slot = SlotOf(index, number);
  if (slot.number != number) {
    ++counts_.unexpected;
    return false;
  }
  if (settings_.rate > 0 && slot.due_ns >= measure_ns_) {
    latencies_.Record(static_cast<uint64_t>(now_ns - slot.due_ns));
  }
  slot = Slot();
  return true;
}

// Closed loop: a flow that has heard nothing for a while begins anew.
void DatagramLoad::FindLost(int64_t now_ns) {
  for (uint32_t i = 0; i < flows_.size(); ++i) {
    Flow& flow = flows_[i];
    if (flow.last_news_ns == 0) flow.last_news_ns = now_ns;
    if (flow.in_flight == 0 || now_ns - flow.last_news_ns < kLostAfterNs) continue;
    for (uint32_t s = 0; s < slots_each_; ++s) {
      Slot& slot = slots_[size_t{i} * slots_each_ + s];
      counts_.lost += slot.number != 0;
      slot = Slot();
    }
    flow.in_flight = 0;
    flow.last_news_ns = now_ns;
    Begin(i, settings_.depth, now_ns);
  }
}

}  // namespace

bool RunDatagramLoad(const LoadSettings& settings, Report& report) {
  DatagramLoad load(settings);
  return load.Run(report);
}

bool RunDatagramSend(const LoadSettings& settings, Report& report) {
  DatagramBatch batch(settings.batch);
  std::vector<int> fds;
  for (uint32_t i = 0; i < settings.connections; ++i) fds.push_back(OpenFlow(settings, i));
  for (int i = 0; i < batch.size(); ++i) {
    Fill(batch.bytes(i), settings.size, 0, static_cast<uint64_t>(i));
  }
  LoadCounts counts;
  Phases phases(settings);
  size_t turn = 0;
  while (phases.Continue(NowNs(), counts)) {
    const int sent = batch.SendConnected(fds[turn], batch.size(), settings.size);
    turn = turn + 1 == fds.size() ? 0 : turn + 1;
    if (sent > 0) {
      counts.messages += static_cast<uint64_t>(sent);
      counts.bytes_out += static_cast<uint64_t>(sent) * settings.size;
    } else if (errno == EAGAIN || errno == ENOBUFS) {
      ++counts.unexpected;
      // No room: let the stack work.
      pollfd descriptor = {fds[turn], POLLOUT, 0};
      net.poll(&descriptor, 1, 0);
    } else {
      ++counts.errors;
    }
  }
  AddCounts(report, counts, phases.seconds());
  for (const int fd : fds) net.close(fd);
  return true;
}

}  // namespace sluice::perf
