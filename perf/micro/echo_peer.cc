#include "echo_peer.h"

#include <sluice/instance.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sluice::perf {
namespace {

constexpr uint32_t kServer = 0x0a000001;       // 10.0.0.1
constexpr uint32_t kFirstClient = 0x0a010001;  // 10.1.0.1; the next one when its ports are used up
constexpr uint16_t kFirstPort = 1024;
constexpr uint32_t kPorts = 60000;
constexpr uint32_t kAcknowledgeEvery = 2;  // segments; RFC 9293 section 3.8.6.3

void Require(bool condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "echo_path: the clients saw what should not be: %s\n", what);
  exit(1);
}

}  // namespace

Peer::Peer(const Settings& settings)
    : settings_(settings), flows_(settings.flows), store_(kStoreFrames * kStoreFrameBytes) {
  for (Flow& flow : flows_) {
    NameFlow(flow);
    List(flow);
  }
}

sluice_callback_config Peer::port_config() {
  sluice_callback_config config = {};
  config.struct_size = sizeof config;
  config.link_type = SLUICE_LINK_ETHERNET;
  memcpy(config.mac, kServerMac.data(), kServerMac.size());
  config.buffers = 16384;
  config.output = Output;
  config.user = this;
  return config;
}

// What is full keeps the frame in Sluice.
int Peer::Output(void* user, const void* frame, size_t frame_bytes) {
  auto* peer = static_cast<Peer*>(user);
  if (peer->stored_ == kStoreFrames) return -1;
  memcpy(&peer->store_[peer->stored_ * kStoreFrameBytes], frame, frame_bytes);
  peer->stored_bytes_[peer->stored_++] = static_cast<uint32_t>(frame_bytes);
  return 0;
}

// A connection's name is its serial number: client address and port.
void Peer::NameFlow(Flow& flow) {
  flow = Flow();
  flow.address = kFirstClient + serial_ / kPorts;
  flow.port = static_cast<uint16_t>(kFirstPort + serial_ % kPorts);
  flow.next_out = serial_ * 64007;
  ++serial_;
  flow_of_.push_back(static_cast<uint32_t>(&flow - flows_.data()));
}

Peer::Flow& Peer::Find(const Frame& frame) {
  const uint32_t serial =
      (frame.destination - kFirstClient) * kPorts + frame.destination_port - kFirstPort;
  Require(frame.source == kServer && frame.source_port == kServerPort && serial < flow_of_.size(),
          "a frame for nobody");
  Flow& flow = flows_[flow_of_[serial]];
  Require(flow.address == frame.destination && flow.port == frame.destination_port,
          "a frame for a connection that has ended");
  return flow;
}

void Peer::List(Flow& flow) {
  if (flow.listed) return;
  flow.listed = true;
  ready_.push_back(static_cast<uint32_t>(&flow - flows_.data()));
}

void Peer::Take(int64_t now_ns) {
  now_ms_ = 1000 + static_cast<uint32_t>(now_ns / 1000000);
  const size_t stored = stored_;
  stored_ = 0;
  for (size_t i = 0; i < stored; ++i) {
    const std::span<const uint8_t> bytes(&store_[i * kStoreFrameBytes], stored_bytes_[i]);
    if (IsArp(bytes)) {
      AnswerArp(bytes);
      continue;
    }
    Frame frame;
    Require(Parse(bytes, &frame), "a frame that is malformed");
    ++frames_out_;
    if (frame.tcp) {
      TakeSegment(frame);
    } else {
      TakeDatagram(frame);
    }
  }
  // What came together is acknowledged to the end.
  for (Flow& flow : flows_) {
    if (flow.unacknowledged != 0) Acknowledge(flow);
  }
}

void Peer::AnswerArp(std::span<const uint8_t> request) {
  std::array<uint8_t, kFrameBytesMax> answer;
  const size_t bytes = BuildArpAnswer(request, answer);
  if (bytes != 0) Require(sluice_port_input(0, answer.data(), bytes) == 0, "a full port");
}

void Peer::TakeSegment(const Frame& frame) {
  Flow& flow = Find(frame);
  Require((frame.flags & kReset) == 0, "a reset");
  Require(
      (frame.flags & kAck) != 0 && static_cast<int32_t>(frame.acknowledgment - flow.next_out) <= 0,
      "an acknowledgment of what was not sent");
  if (flow.step == Step::kSynSent) {
    Require((frame.flags & kSyn) != 0, "no SYN");
    flow.step = Step::kOpen;
    flow.next_in = frame.sequence + 1;
    flow.window_shift = frame.window_shift;
    ++connected_;
    List(flow);
  } else {
    TakeStream(flow, frame);
  }
  const int shift = (frame.flags & kSyn) != 0 ? 0 : flow.window_shift;
  flow.allowed = frame.acknowledgment + (uint32_t{frame.window} << shift);
  flow.time_echo = frame.time;
  if (flow.step == Step::kLastAck && frame.acknowledgment == flow.next_out) {
    ++requests_;
    NameFlow(flow);
    List(flow);
  } else if (settings_.load == Load::kStreamOut && WindowHasRoom(flow)) {
    List(flow);
  }
}

void Peer::TakeStream(Flow& flow, const Frame& frame) {
  const bool fin = (frame.flags & kFin) != 0;
  if (frame.payload.empty() && !fin) return;
  Require(frame.sequence == flow.next_in, "a segment out of order");
  flow.next_in += static_cast<uint32_t>(frame.payload.size()) + (fin ? 1 : 0);
  if (settings_.load == Load::kStreamIn) {
    ++requests_;
    if (++flow.unacknowledged == kAcknowledgeEvery) Acknowledge(flow);
    return;
  }
  TakeAnswer(flow, frame.payload);
  if (fin) {
    Require(settings_.load == Load::kConnect && flow.answered == settings_.answer.size(),
            "the end of a connection");
    flow.step = Step::kEnded;
    List(flow);
  } else if (settings_.load == Load::kExchange && flow.answered == settings_.answer.size()) {
    flow.answered = 0;
    ++requests_;
    List(flow);
  }
}

void Peer::TakeAnswer(Flow& flow, std::string_view payload) {
  Require(settings_.answer.compare(flow.answered, payload.size(), payload) == 0 &&
              flow.answered + payload.size() <= settings_.answer.size(),
          "a wrong answer");
  flow.answered += payload.size();
}

void Peer::TakeDatagram(const Frame& frame) {
  Flow& flow = Find(frame);
  flow.answered = 0;
  TakeAnswer(flow, frame.payload);
  ++requests_;
  List(flow);
}

void Peer::Acknowledge(Flow& flow) {
  flow.unacknowledged = 0;
  acknowledgments_.push_back({static_cast<uint32_t>(&flow - flows_.data()), flow.next_in});
}

bool Peer::WindowHasRoom(const Flow& flow) const {
  return static_cast<int32_t>(flow.allowed - flow.next_out) >=
         static_cast<int32_t>(settings_.request.size());
}

bool Peer::PushOne() {
  if (!acknowledgments_.empty()) {
    const Acknowledgment acknowledgment = acknowledgments_.front();
    acknowledgments_.pop_front();
    Push(flows_[acknowledgment.flow], kAck, acknowledgment.number, {});
    return true;
  }
  if (ready_.empty()) return false;
  Flow& flow = flows_[ready_.front()];
  ready_.pop_front();
  flow.listed = false;
  if (settings_.load == Load::kDatagrams || settings_.load == Load::kOneWay) {
    Push(flow, 0, 0, settings_.request);
    if (settings_.load == Load::kOneWay) {
      ++requests_;
      List(flow);
    }
  } else {
    PushSegment(flow);
  }
  return true;
}

void Peer::PushSegment(Flow& flow) {
  switch (flow.step) {
    case Step::kClosed:
      flow.step = Step::kSynSent;
      Push(flow, kSyn, 0, {});
      break;
    case Step::kOpen:
      if (settings_.load == Load::kStreamIn) {  // only ends the handshake
        Push(flow, kAck, flow.next_in, {});
        break;
      }
      Push(flow, kPush | kAck, flow.next_in, settings_.request);
      if (settings_.load == Load::kStreamOut) {
        ++requests_;
        if (WindowHasRoom(flow)) List(flow);
      }
      break;
    case Step::kEnded:
      flow.step = Step::kLastAck;
      Push(flow, kFin | kAck, flow.next_in, {});
      break;
    case Step::kSynSent:
    case Step::kLastAck:
      Require(false, "nothing to send");
  }
}

void Peer::Push(Flow& flow, uint8_t flags, uint32_t acknowledgment, std::string_view payload) {
  Frame frame;
  frame.source = flow.address;
  frame.source_port = flow.port;
  frame.destination = kServer;
  frame.destination_port = kServerPort;
  frame.tcp = flags != 0;
  frame.flags = flags;
  frame.sequence = flow.next_out;
  frame.acknowledgment = acknowledgment;
  frame.window = kOursWindow;
  frame.time = now_ms_;
  frame.time_echo = flow.time_echo;
  frame.payload = payload;
  flow.next_out += static_cast<uint32_t>(payload.size()) + ((flags & (kSyn | kFin)) != 0 ? 1 : 0);
  std::array<uint8_t, kFrameBytesMax> bytes;
  const size_t count = Build(frame, bytes);
  Require(sluice_port_input(0, bytes.data(), count) == 0, "a full port");
  ++frames_in_;
}

}  // namespace sluice::perf
