#include "tests/sim/stream_script.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <sstream>
#include <vector>

#include "base/random.h"
#include "tests/sim/host.h"
#include "wire/tcp.h"

namespace sluice::sim {
namespace {

using table::Handle;
using table::Operation;
using table::Result;
using table::Status;

constexpr uint16_t kPort = 7;
constexpr Duration kTimeMax = Seconds(4 * 3600);

uint8_t ByteAt(uint64_t stream, uint32_t position) {
  return static_cast<uint8_t>((stream * 0x9e3779b97f4a7c15 + position) * 0xd1342543de82ef95 >> 56);
}

// One end of a connection, as its application plays it.
class End {
 public:
  End(Host* host, Handle handle, uint64_t sends, uint64_t receives, Random* random)
      : host_(host),
        handle_(handle),
        sends_(sends),
        receives_(receives),
        random_(random),
        total_(random->Below(5) == 0 ? 0 : random->Below(1u << (4 + random->Below(14)))),
        pace_(random->Below(3) == 0 ? Milliseconds(1 + random->Below(200)) : Nanoseconds(0)) {}

  // Does what can be done at `now`. False: the connection broke, and `why` says how.
  bool Act(Instant now, std::string* why);
  bool closed() const { return closed_; }
  // Closes an end that no peer belongs to (see Run::is_ghost).
  void Abandon() {
    closed_ = true;
    host_->Close(handle_);
  }
  const Host* host() const { return host_; }
  Instant next() const { return closed_ ? Instant::Never() : next_; }
  uint64_t sends() const { return sends_; }
  uint32_t total() const { return total_; }
  uint32_t received() const { return received_; }
  bool saw_end() const { return saw_end_; }
  std::string Describe() const;

 private:
  bool Send();
  bool Receive(std::string* why);

  Host* host_;
  Handle handle_;
  uint64_t sends_, receives_;  // which streams of bytes
  Random* random_;
  uint32_t total_;
  Duration pace_;
  uint32_t sent_ = 0, received_ = 0;
  bool shut_ = false, saw_end_ = false, closed_ = false;
  Instant next_;
};

bool End::Send() {
  table::SendWriter writer(host_->region(), host_->entry(handle_));
  uint8_t bytes[4096];
  uint32_t wanted = std::min<uint32_t>(total_ - sent_, 1 + random_->Below(sizeof(bytes)));
  for (uint32_t i = 0; i < wanted; ++i) bytes[i] = ByteAt(sends_, sent_ + i);
  uint32_t done = writer.Write({bytes, wanted});
  sent_ += done;
  return done != 0;
}

bool End::Receive(std::string* why) {
  table::ReceiveReader reader(host_->region(), host_->entry(handle_));
  uint8_t bytes[8192];
  uint32_t count = reader.Read({bytes, 1 + random_->Below(sizeof(bytes))}, false);
  for (uint32_t i = 0; i < count; ++i) {
    if (bytes[i] == ByteAt(receives_, received_ + i)) continue;
    *why = "wrong byte at position " + std::to_string(received_ + i);
    return false;
  }
  received_ += count;
  return count != 0;
}

bool End::Act(Instant now, std::string* why) {
  if (closed_ || now < next_) return true;
  table::Entry& entry = host_->entry(handle_);
  const Status status = entry.status.Acquire();
  if (entry.error.load() != 0) {
    *why = "error " + std::to_string(entry.error.load());
    return false;
  }
  if (status == Status::kConnecting) return true;
  bool moved = false;
  while (sent_ < total_ && Send()) {
    moved = true;
    if (pace_ != Nanoseconds(0)) break;
  }
  while (Receive(why)) {
    moved = true;
    if (pace_ != Nanoseconds(0)) break;
  }
  if (!why->empty()) return false;
  if (moved) host_->Doorbell(handle_);
  if (sent_ == total_ && !shut_) {
    shut_ = true;
    entry.application_flags.SetBits(table::kShutdownSend);
    Result result =
        host_->Ask({.operation = Operation::kShutdown, .argument = 1, .handle = handle_});
    if (result != Result::kOk) {
      *why = "shutdown: " + std::to_string(static_cast<int>(result));
      return false;
    }
  }
  saw_end_ = (entry.engine_flags.Acquire() & table::kEndOfStream) != 0 &&
             table::ReceiveQueueBytes(entry) == 0;
  if (saw_end_ && shut_) {
    closed_ = true;
    host_->Close(handle_);
  }
  if (pace_ != Nanoseconds(0)) next_ = now + pace_;
  return true;
}

std::string End::Describe() const {
  std::ostringstream out;
  out << "sent " << sent_ << "/" << total_ << " received " << received_ << (shut_ ? " shut" : "")
      << (saw_end_ ? " end" : "") << (closed_ ? " closed" : " open");
  if (!closed_) {
    const table::Entry& e = host_->entry(handle_);
    out << " status " << ToString(e.status.load()) << " send queue " << table::SendQueueBytes(e)
        << " receive queue " << table::ReceiveQueueBytes(e) << " flags " << e.engine_flags.load();
  }
  return out.str();
}

// One line for a TCP segment on the wire; others are left out.
void PrintFrame(const FrameEvent& event) {
  constexpr const char* kFates[] = {"sent", "delivered", "lost",    "burst",  "scripted",
                                    "full", "down",      "no room", "too far"};
  wire::ConstBytes bytes = event.bytes;
  if (bytes.size() < 14 + 20) return;
  const bool v4 = bytes[12] == 0x08 && bytes[13] == 0;
  bytes = bytes.subspan(14);
  if (bytes[v4 ? 9 : 6] != IPPROTO_TCP) return;
  bytes = bytes.subspan(v4 ? 20 : 40);
  auto tcp = wire::TcpHeader::Parse(bytes);
  if (!tcp) return;
  std::printf("%12.6f %-9s %5u > %-5u %s%s%s%s%s seq %u ack %u win %u len %zu\n",
              static_cast<double>(event.at.nanoseconds()) / 1e9,
              kFates[static_cast<int>(event.fate)], tcp->source_port, tcp->destination_port,
              tcp->syn() ? "S" : "", tcp->ack() ? "A" : "", tcp->fin() ? "F" : "",
              tcp->rst() ? "R" : "", tcp->psh() ? "P" : "", tcp->sequence.value(),
              tcp->acknowledgment.value(), tcp->window, bytes.size() - tcp->header_bytes);
}

Impairments DrawImpairments(Random& random) {
  Impairments link;
  link.delay = Microseconds(10 + random.Below(1u << (4 + random.Below(14))));
  if (random.Below(2) == 0) link.jitter = link.delay / (1 + random.Below(8));
  link.jitter_reorders = random.Below(3) == 0;
  if (random.Below(3) == 0) link.rate_bits_per_second = 1'000'000ull << random.Below(10);
  link.queue_frames_max = 20 + random.Below(500);
  if (random.Below(2) == 0) link.loss_ppm = random.Below(100'000);
  if (random.Below(6) == 0) link.burst_begin_ppm = random.Below(5'000);
  if (random.Below(2) == 0) link.reorder_ppm = random.Below(200'000);
  link.reorder_delay = Microseconds(1 + random.Below(20'000));
  if (random.Below(2) == 0) link.duplicate_ppm = random.Below(100'000);
  if (random.Below(3) == 0) link.corrupt_ppm = random.Below(50'000);
  // The Internet checksum finds every single inverted bit, but not every pair.
  link.corrupt_bits_max = 1;
  return link;
}

class Run {
 public:
  Run(uint64_t seed, uint8_t engines);
  std::string Play(bool verbose);

 private:
  std::string Listen();
  std::string Connect();
  void Accept();
  std::string ActAll(Instant now);
  std::string CheckEnd();
  bool finished() const;
  bool is_ghost(const End& end) const;
  Instant NextInstant();
  std::string Why(const std::string& what) const;

  Random random_;
  SimNetwork network_;
  std::unique_ptr<Host> server_, client_;
  std::vector<Handle> listeners_;  // one at every engine of the server
  bool v6_, cookies_;
  uint32_t connections_;
  std::vector<std::unique_ptr<End>> ends_;
};

Run::Run(uint64_t seed, uint8_t engines) : random_(seed), network_(seed * 31 + 7) {
  SimPort* a = network_.AddPort({.mtu = random_.Below(4) == 0 ? uint16_t{1280} : uint16_t{1500}});
  SimPort* b = network_.AddPort({});
  network_.Connect(a, b, DrawImpairments(random_), DrawImpairments(random_));
  HostOptions options{.number = 1, .seed = seed};
  options.engines = engines;
  options.tcp.sack = random_.Below(4) != 0;
  options.tcp.timestamps = random_.Below(4) != 0;
  options.tcp.window_scaling = random_.Below(4) != 0;
  cookies_ = random_.Below(4) == 0;
  options.tcp.syn_received_max = cookies_ ? 1 : 64;
  options.tcp.retries = 30;  // the link is bad, but it never dies
  options.tcp.orphan_retries = 30;
  options.tcp.syn_retries = 20;
  options.tcp.syn_ack_retries = 20;
  options.tcp.rto_max = Seconds(20);
  server_ = std::make_unique<Host>(&network_, a, options);
  options.number = 2;
  options.tcp.sack = random_.Below(4) != 0;
  client_ = std::make_unique<Host>(&network_, b, options);
  v6_ = random_.Below(2) == 0;
  connections_ = 1 + random_.Below(4);
}

std::string Run::Listen() {
  uint8_t family = v6_ ? AF_INET6 : AF_INET;
  for (uint8_t lane = 0; lane < server_->engine_count(); ++lane) {
    const Handle listener = server_->Open(table::Type::kStream, IPPROTO_TCP, family, lane);
    if (listener.is_none()) return "no slot for the listener";
    listeners_.push_back(listener);
    Result bound = server_->Ask({.operation = Operation::kBind,
                                 .handle = listener,
                                 .local = {server_->address(v6_), kPort, 0}});
    if (bound != Result::kOk) return "bind: " + std::to_string(static_cast<int>(bound));
    Result listening =
        server_->Ask({.operation = Operation::kListen, .argument = 64, .handle = listener});
    if (listening != Result::kOk) return "listen: " + std::to_string(static_cast<int>(listening));
  }
  return "";
}

std::string Run::Connect() {
  const auto lane = static_cast<uint8_t>(ends_.size() % client_->engine_count());
  Handle handle = client_->Open(table::Type::kStream, IPPROTO_TCP, v6_ ? AF_INET6 : AF_INET, lane);
  if (handle.is_none()) return "no slot for a connection";
  Result result = client_->Ask({.operation = Operation::kConnect,
                                .handle = handle,
                                .remote = {server_->address(v6_), kPort, 0}});
  if (result != Result::kInProgress) return "connect: " + std::to_string(static_cast<int>(result));
  uint16_t port = client_->entry(handle).local.Load().port;
  // Streams are told apart by the client's port and the direction.
  ends_.push_back(
      std::make_unique<End>(client_.get(), handle, port * 2ull, port * 2ull + 1, &random_));
  return "";
}

void Run::Accept() {
  for (const Handle listener : listeners_) {
    for (;;) {
      Handle handle = table::ReadConnection(server_->region(), server_->entry(listener));
      if (handle.is_none()) break;
      uint16_t port = server_->entry(handle).remote.Load().port;
      ends_.push_back(
          std::make_unique<End>(server_.get(), handle, port * 2ull + 1, port * 2ull, &random_));
    }
  }
}

std::string Run::ActAll(Instant now) {
  Accept();
  std::string why;
  for (auto& end : ends_) {
    if (end->Act(now, &why)) continue;
    if (!is_ghost(*end)) return why + " (" + end->Describe() + ")";
    end->Abandon();
    why.clear();
  }
  return "";
}

// SYN cookies keep no state: an acknowledgment that was delayed until its connection was over opens
// one more, that the client then resets. It may even bring that connection's FIN, so that the ghost
// says all it has to say and closes; but it must not have brought any data.
bool Run::is_ghost(const End& end) const {
  if (!cookies_ || end.host() != server_.get() || end.received() != 0) return false;
  // The connection itself was accepted before.
  const auto first = std::find_if(ends_.begin(), ends_.end(), [&](const auto& other) {
    return other->host() == end.host() && other->sends() == end.sends();
  });
  return first->get() != &end;
}

bool Run::finished() const {
  size_t closed = 0, open = 0;
  for (const auto& end : ends_) {
    if (is_ghost(*end)) continue;
    ++(end->closed() ? closed : open);
  }
  return closed == 2 * connections_ && open == 0;
}

Instant Run::NextInstant() {
  Instant next = std::min({network_.NextEvent(), server_->NextDeadline(), client_->NextDeadline()});
  for (auto& end : ends_) {
    if (end->next() > network_.now()) next = std::min(next, end->next());
  }
  return next;
}

std::string Run::Why(const std::string& what) const {
  std::ostringstream out;
  out << what << " at " << network_.now().milliseconds() << " ms";
  for (const auto& end : ends_) out << "\n    " << end->Describe();
  return out.str();
}

std::string Run::CheckEnd() {
  // Each end must have received exactly what its peer sent: streams are told apart by content, so
  // the totals are what is left to compare.
  uint64_t sent = 0, received = 0;
  for (const auto& end : ends_) {
    if (!end->closed()) end->Abandon();
    if (is_ghost(*end)) continue;
    sent += end->total();
    received += end->received();
  }
  if (sent != received) return "bytes sent and received differ";
  for (const Handle listener : listeners_) {
    server_->Ask({.operation = Operation::kClose, .handle = listener});
  }
  // TIME-WAIT and all that lingers runs out.
  const Instant end = network_.now() + Seconds(600);
  while (network_.now() < end) {
    Instant next = std::min({NextInstant(), end});
    network_.AdvanceTo(std::max(next, network_.now()));
    server_->Run(network_.now());
    client_->Run(network_.now());
  }
  for (Host* host : {server_.get(), client_.get()}) {
    if (host->open_sockets() != 0) return "slots left: " + std::to_string(host->open_sockets());
    if (host->buffers_used() != 0) return "buffers left: " + std::to_string(host->buffers_used());
    if (host->blocks_used() != 0) return "blocks left: " + std::to_string(host->blocks_used());
    if (host->packets_used() != 0) return "packets left: " + std::to_string(host->packets_used());
    for (uint8_t lane = 0; lane < host->engine_count(); ++lane) {
      engine::Engine& engine = host->engine(lane);
      if (engine.sockets().counters().illegal_changes != 0) return "illegal status changes";
      tcp::Population left = engine.tcp().population();
      if (left.connections + left.listeners + left.syn_received + left.time_wait != 0) {
        return "records left in TCP";
      }
    }
  }
  return "";
}

std::string Run::Play(bool verbose) {
  if (verbose) network_.Observe(PrintFrame);
  std::string why = Listen();
  for (uint32_t i = 0; i < connections_ && why.empty(); ++i) why = Connect();
  while (why.empty() && !finished()) {
    server_->Run(network_.now());
    client_->Run(network_.now());
    why = ActAll(network_.now());
    if (!why.empty()) break;
    server_->Run(network_.now());
    client_->Run(network_.now());
    Instant next = std::max(NextInstant(), network_.now());
    if (next.is_never() && !finished()) return Why("nothing is left to happen");
    if (next.is_never()) break;
    if (next - Instant() > kTimeMax) return Why("no end in sight");
    network_.AdvanceTo(next);
  }
  if (why.empty()) why = CheckEnd();
  if (verbose) std::printf("%s\n", Why("end").c_str());
  return why.empty() ? "" : Why(why);
}

}  // namespace

std::string RunStreams(uint64_t seed, bool verbose, uint8_t engines) {
  return Run(seed, engines).Play(verbose);
}

}  // namespace sluice::sim
