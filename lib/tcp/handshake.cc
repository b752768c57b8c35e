#include "tcp/handshake.h"

#include <algorithm>

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/input.h"
#include "tcp/isn.h"
#include "tcp/rtt.h"
#include "tcp/segment.h"
#include "tcp/timers.h"
#include "tcp/window.h"

namespace sluice::tcp {
namespace {

constexpr uint8_t kQuickAcks = 16;  // as many as an initial window may bring, and some

// RFC 9293 section 3.10.7.3 and RFC 7323 section 2.2: what both sides want is on.
void Negotiate(Core& core, Connection& c, const wire::TcpOptions& options) {
  c.peer_mss =
      options.has_mss ? std::max(options.mss, core.config.minimum_mss_bytes) : DefaultMss(c.path);
  if (!options.has_window_scale) c.clear(kWindowScaling);
  if (!options.has_timestamps) c.clear(kTimestamps);
  if (!options.sack_permitted) c.clear(kSack);
  if (c.has(kWindowScaling)) {
    c.snd_scale = options.window_scale;
  } else {
    c.rcv_scale = 0;
  }
  if (c.has(kTimestamps)) {
    c.ts_recent = options.timestamps.value;
    c.ts_recent_ms = core.clock_ms();
  }
  UpdateMss(core, c);
}

// The peer's SYN.
void TakeSyn(Core& core, Connection& c, Segment& segment) {
  c.irs = segment.header.sequence;
  c.rcv_nxt = c.irs + 1;
  c.rcv_acked = c.rcv_nxt;
  c.rcv_adv = c.rcv_nxt + InitialReceiveWindow(core, core.SocketOf(c).entry().options);
  segment.begin = c.rcv_nxt;
  segment.had_syn = true;
  Negotiate(core, c, segment.options);
}

// What a half-open connection knows.
void TakeRequest(Core& core, const SynRequest& request, Connection& c) {
  c.path = request.path;
  c.local_port = request.local_port;
  c.remote_port = request.remote_port;
  c.scope = request.scope;
  c.peer_mss = request.peer_mss;
  c.advertised_mss = request.advertised_mss;
  c.snd_scale = request.snd_scale;
  c.rcv_scale = request.rcv_scale;
  c.iss = c.snd_una = request.iss;
  c.snd_nxt = c.iss + 1;
  c.irs = request.irs;
  c.rcv_nxt = c.rcv_acked = c.irs + 1;
  c.rcv_adv = c.rcv_nxt + request.window;
  c.ts_recent = request.ts_recent;
  c.ts_recent_ms = core.clock_ms();
  c.ts_offset = request.ts_offset;
  c.state = State::kSynReceived;
  c.retransmits = request.retransmits;
  if (request.timestamps) c.set(kTimestamps);
  if (request.sack) c.set(kSack);
  if (request.window_scaling) c.set(kWindowScaling);
  if (request.retransmits == 0 && !request.cookie) {
    RttSample(core, c, core.now - request.started);
  }
  TakeOptions(core, c);
  UpdateMss(core, c);
}

}  // namespace

void TakeOptions(Core& core, Connection& c) {
  const table::Options& options = core.SocketOf(c).entry().options;
  const int ttl = c.path.v4 ? options.ttl.load() : options.hop_limit.load();
  c.ttl = ttl > 0 ? static_cast<uint8_t>(std::min(ttl, 255)) : 0;
  c.traffic_class = c.path.v4 ? options.tos.load() : options.traffic_class.load();
  c.minimum_ttl = options.minimum_ttl.load();
  const table::MtuDiscover discover =
      c.path.v4 ? options.mtu_discover_v4.load() : options.mtu_discover_v6.load();
  // RFC 1191: a segment is never to be fragmented, unless the program says so.
  ip::Fragmentation fragmentation = ip::Fragmentation::kForbidden;
  if (discover == table::MtuDiscover::kDont) fragmentation = ip::Fragmentation::kAllowed;
  c.fragmentation = static_cast<uint8_t>(fragmentation);
  c.congestion.algorithm = options.congestion.load() == table::Congestion::kNewReno
                               ? table::Congestion::kNewReno
                               : table::Congestion::kCubic;
}

uint16_t DefaultMss(const ip::Path& path) { return path.v4 ? 536 : 1220; }

uint16_t MssToAdvertise(const ip::Path& path, const table::Options& options) {
  const uint32_t room = path.payload_bytes_max() - uint32_t{wire::kTcpHeaderBytesMin};
  const uint16_t asked = options.maximum_segment_bytes.load();
  return static_cast<uint16_t>(asked == 0 ? room : std::min<uint32_t>(room, asked));
}

void UpdateMss(Core& core, Connection& c) {
  const table::Options& options = core.SocketOf(c).entry().options;
  const uint32_t most = std::min<uint32_t>(c.peer_mss, MssToAdvertise(c.path, options));
  const uint32_t mss = std::max<uint32_t>(most, core.config.minimum_mss_bytes);
  // RFC 6691: the MSS counts no options; those that are on every segment come off here.
  c.mss = static_cast<uint16_t>(mss - (c.has(kTimestamps) ? 12 : 0));
}

wire::TcpOptions SynOptions(const SynOffer& offer) {
  wire::TcpOptions options;
  options.has_mss = true;
  options.mss = offer.mss;
  options.sack_permitted = offer.sack;
  options.has_timestamps = offer.timestamps;
  options.timestamps = {offer.ts_value, offer.ts_echo};
  options.has_window_scale = offer.window_scaling;
  options.window_scale = offer.scale;
  return options;
}

void ResendSyn(Core& core, Connection& c) {
  const bool reply = c.state == State::kSynReceived;
  wire::TcpHeader header;
  header.source_port = c.local_port;
  header.destination_port = c.remote_port;
  header.sequence = c.iss;
  header.flags = wire::kTcpSyn;
  if (reply) {
    header.flags |= wire::kTcpAck;
    header.acknowledgment = c.rcv_nxt;
  }
  header.window =
      static_cast<uint16_t>(InitialReceiveWindow(core, core.SocketOf(c).entry().options));
  const SynOffer offer{.mss = c.advertised_mss,
                       .timestamps = c.has(kTimestamps),
                       .sack = c.has(kSack),
                       .window_scaling = c.has(kWindowScaling),
                       .scale = c.rcv_scale,
                       .ts_value = core.clock_ms() + c.ts_offset,
                       .ts_echo = reply ? c.ts_recent : 0};
  EmitControl(core, c.path, header, SynOptions(offer), {c.ttl, c.traffic_class});
  ++c.segments_out;
}

void SynSentSegment(Core& core, Connection& c, Segment& segment) {
  const wire::TcpHeader& header = segment.header;
  // First: ACK.
  const bool acceptable =
      header.ack() && c.iss < header.acknowledgment && header.acknowledgment <= c.snd_nxt;
  if (header.ack() && !acceptable) return EmitResetFor(core, segment);
  // Second: RST.
  if (header.rst()) {
    if (!acceptable) return;
    ++core.counters.TcpAttemptFails;
    return EndConnection(core, c, table::Result::kRefused);
  }
  // Fourth: SYN.
  if (!header.syn()) return;
  TakeSyn(core, c, segment);
  c.last_ack_ms = core.clock_ms();
  core.Touch(c);
  if (!header.ack()) {
    // Simultaneous open (section 3.5, figure 8).
    c.state = State::kSynReceived;
    c.retransmits = 0;
    c.deadlines[kRetransmit] = core.now + RetransmissionTimeout(core, c);
    return ResendSyn(core, c);
  }
  if (c.has(kTimingRtt)) {
    c.clear(kTimingRtt);
    RttSample(core, c, core.now - c.rtt_started);
  }
  Establish(core, c, segment);
  c.set(kAckNow);
  ReceiveText(core, c, segment);
}

void Establish(Core& core, Connection& c, const Segment& segment) {
  c.snd_una = segment.header.acknowledgment;
  c.state = c.has(kFinQueued) ? State::kFinWait1 : State::kEstablished;
  c.snd_wnd = uint32_t{segment.header.window} << (segment.had_syn ? 0 : c.snd_scale);
  c.snd_wnd_max = c.snd_wnd;
  c.snd_wl1 = segment.header.sequence;
  c.snd_wl2 = segment.header.acknowledgment;
  // RFC 6928 section 2: not after the handshake itself met with losses.
  c.congestion.cwnd =
      c.retransmits > 1 ? c.mss : InitialWindow(c.mss, core.config.initial_window_segments);
  c.retransmits = 0;
  c.soft_error = table::Result::kOk;
  c.deadlines[kRetransmit] = Instant::Never();
  c.recover = c.high_retransmit = c.snd_small = c.snd_una;
  c.quick_acks = kQuickAcks;
  c.tuned_ms = c.progress_ms = c.last_ack_ms = core.clock_ms();
  ArmKeepAlive(core, c);
  core.Touch(c);
  table::Socket socket = core.SocketOf(c);
  if (c.has(kOrphan) || socket.status() != table::Status::kConnecting) return;
  socket.SetStatus(table::Status::kConnected);
  if (c.has(kFinQueued)) socket.SetStatus(table::Status::kShutdown);
  socket.Notify(table::kEventOut);
}

Connection* PromoteRequest(Core& core, SynRequest& request, uint32_t request_index) {
  Listener& listener = core.listeners[request.listener];
  table::Socket parent(&core.table, listener.socket);
  const uint32_t index = core.connections.Take();
  if (index == kNone) {
    ++core.counters.ConnectionsFull;
    return nullptr;
  }
  const table::Entry& parent_entry = parent.entry();
  const table::Handle handle =
      core.table.Open(table::Type::kStream, ip::kProtocolTcp, parent_entry.family.load(),
                      table::Status::kConnected);
  if (handle.is_none()) {
    ++core.counters.SocketsFull;
    core.connections.Return(index);
    return nullptr;
  }
  table::Socket socket = core.table.Find(handle);
  core.table.Inherit(parent, socket);
  Connection& c = core.connections[index];
  c.index = index;
  c.socket = handle.index;
  TakeRequest(core, request, c);
  table::Entry& entry = socket.entry();
  entry.local.Store(c.local());
  entry.remote.Store(c.remote());
  entry.interface.store(c.path.interface);
  SetBlock(socket, BlockKind::kConnection, index);
  // From here on the application may have it.
  if (!parent.connection_queue().Push(handle)) {
    ++core.counters.ConnectionQueueFull;
    core.connections.Return(index);
    core.table.Close(socket);
    return nullptr;
  }
  c.binding = listener.binding;
  core.bindings.Share(c.binding);
  const FlowNumber number(FlowKind::kConnection, index);
  if (request_index == kNone) {
    core.AddFlow(number);
  } else {
    core.ReplaceFlow(FlowNumber(FlowKind::kSynRequest, request_index), number);
    ReturnSynRequest(core, request_index);
  }
  ++core.counters.TcpPassiveOpens;
  parent.Notify(table::kEventIn);
  return &c;
}

}  // namespace sluice::tcp
