#include "tcp/syn_queue.h"

#include <algorithm>

#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/handshake.h"
#include "tcp/input.h"
#include "tcp/isn.h"
#include "tcp/segment.h"
#include "tcp/syn_cookies.h"
#include "tcp/window.h"

namespace sluice::tcp {
namespace {

constexpr Duration kCookieAge = Seconds(128);  // as long as one can be valid

const table::Options& OptionsOf(Core& core, const SynRequest& request) {
  return core.table.region().entry(core.listeners[request.listener].socket).options;
}

bool FindReturnPath(Core& core, const Segment& segment, ip::Path* path) {
  const ip::PacketInfo& info = *segment.info;
  const bool link_local = info.source.is_v6() && info.source.is_link_local();
  return core.ip.FindPath(core.now, info.source, info.destination, link_local ? info.interface : 0,
                          path) == ip::PathStatus::kOk;
}

uint16_t ScopeOf(const Segment& segment) {
  const ip::PacketInfo& info = *segment.info;
  return info.source.is_v6() && info.source.is_link_local() ? info.interface : 0;
}

// What the SYN says, and what we answer.
void TakeSyn(Core& core, const Segment& segment, SynRequest& request) {
  const wire::TcpOptions& options = segment.options;
  const table::Options& own = OptionsOf(core, request);
  request.local_port = segment.header.destination_port;
  request.remote_port = segment.header.source_port;
  request.scope = ScopeOf(segment);
  request.irs = segment.header.sequence;
  request.peer_mss = options.has_mss ? std::max(options.mss, core.config.minimum_mss_bytes)
                                     : DefaultMss(request.path);
  request.advertised_mss = MssToAdvertise(request.path, own);
  request.timestamps = options.has_timestamps && core.config.timestamps;
  request.sack = options.sack_permitted && core.config.sack;
  request.window_scaling = options.has_window_scale && core.config.window_scaling;
  request.snd_scale = request.window_scaling ? options.window_scale : 0;
  request.rcv_scale = request.window_scaling ? ScaleToOffer(core, own) : 0;
  request.window = InitialReceiveWindow(core, own);
  request.ts_recent = options.timestamps.value;
  request.ts_offset = TimestampOffset(core.key, request.key());
  request.started = core.now;
}

// Answers without remembering anything.
void SendCookie(Core& core, SynRequest& request) {
  request.cookie = true;
  request.iss = MakeCookie(core.key, request.key(), request.irs, request.peer_mss, core.now);
  // Without a timestamp there is no room for these.
  if (!request.timestamps) request.sack = request.window_scaling = false;
  SendSynAck(core, request);
  ++core.counters.TcpExtSyncookiesSent;
}

Duration SynAckTimeout(const Core& core, const SynRequest& request) {
  return std::min(core.config.rto_initial * (int64_t{1} << std::min<int>(request.retransmits, 16)),
                  core.config.rto_max);
}

void Acknowledge(Core& core, SynRequest& request) {
  if (!core.MayChallenge()) return;
  ++core.counters.TcpExtTCPChallengeACK;
  wire::TcpHeader header;
  header.source_port = request.local_port;
  header.destination_port = request.remote_port;
  header.sequence = request.iss + 1;
  header.acknowledgment = request.irs + 1;
  header.flags = wire::kTcpAck;
  header.window = static_cast<uint16_t>(request.window >> request.rcv_scale);
  wire::TcpOptions options;
  options.has_timestamps = request.timestamps;
  options.timestamps = {core.clock_ms() + request.ts_offset, request.ts_recent};
  EmitControl(core, request.path, header, options);
}

// The checks of section 3.10.7.4 up to the acknowledgment. True: the handshake is complete.
bool CheckRequest(Core& core, uint32_t index, const Segment& segment) {
  SynRequest& request = core.syn_requests[index];
  const wire::TcpHeader& header = segment.header;
  const Sequence expected = request.irs + 1;
  if (header.syn() && !header.ack() && header.sequence == request.irs) {
    SendSynAck(core, request);  // our answer was lost
    return false;
  }
  // First: sequence number, PAWS before it.
  const bool old = request.timestamps && segment.options.has_timestamps && !header.rst() &&
                   static_cast<int32_t>(segment.options.timestamps.value - request.ts_recent) < 0;
  if (old) ++core.counters.TcpExtPAWSEstab;
  const Sequence last = header.sequence + std::max(segment.length(), 1u) - 1;
  const bool inside = last >= expected && header.sequence < expected + request.window;
  if (old || !inside) {
    if (!header.rst()) Acknowledge(core, request);
    return false;
  }
  // Second: RST (RFC 5961 section 3.2).
  if (header.rst()) {
    if (header.sequence != expected) {
      Acknowledge(core, request);
      return false;
    }
    ++core.counters.TcpExtEmbryonicRsts;
    ++core.counters.TcpAttemptFails;
    RemoveSynRequest(core, index);
    return false;
  }
  // Fourth: SYN (RFC 5961 section 4.2).
  if (header.syn()) {
    ++core.counters.TcpExtTCPSYNChallenge;
    Acknowledge(core, request);
    return false;
  }
  // Fifth: ACK.
  if (!header.ack()) return false;
  if (header.acknowledgment != request.iss + 1) {
    EmitResetFor(core, segment);
    return false;
  }
  return true;
}

Instant DeferredUntil(Core& core, const SynRequest& request) {
  const uint32_t seconds = OptionsOf(core, request).defer_accept_s.load();
  return request.started + Seconds(std::min<uint32_t>(seconds, 3600));
}

}  // namespace

bool SendSynAck(Core& core, SynRequest& request) {
  wire::TcpHeader header;
  header.source_port = request.local_port;
  header.destination_port = request.remote_port;
  header.sequence = request.iss;
  header.acknowledgment = request.irs + 1;
  header.flags = wire::kTcpSyn | wire::kTcpAck;
  header.window = static_cast<uint16_t>(request.window);
  uint32_t clock = core.clock_ms();
  if (request.cookie) {
    clock = CookieTimestamp(clock + request.ts_offset, {.window_scaling = request.window_scaling,
                                                        .sack = request.sack,
                                                        .scale = request.snd_scale}) -
            request.ts_offset;
  }
  const SynOffer offer{.mss = request.advertised_mss,
                       .timestamps = request.timestamps,
                       .sack = request.sack,
                       .window_scaling = request.window_scaling,
                       .scale = request.rcv_scale,
                       .ts_value = clock + request.ts_offset,
                       .ts_echo = request.ts_recent};
  const table::Options& own = OptionsOf(core, request);
  const int ttl = request.path.v4 ? own.ttl.load() : own.hop_limit.load();
  const ControlStyle style{static_cast<uint8_t>(std::clamp(ttl, 0, 255)),
                           request.path.v4 ? own.tos.load() : own.traffic_class.load()};
  return EmitControl(core, request.path, header, SynOptions(offer), style) == Emitted::kSent;
}

void ReceiveSyn(Core& core, uint32_t listener_index, Segment& segment, const Sequence* isn_above) {
  Listener& listener = core.listeners[listener_index];
  if (ConnectionQueueFull(core, listener)) {
    ++core.counters.TcpExtListenOverflows;
    ++core.counters.TcpExtListenDrops;
    return;
  }
  const bool full = core.syn_requests.full() || listener.half_open > listener.backlog;
  if (full && !core.config.syn_cookies) {
    ++core.counters.SynReceivedFull;
    ++core.counters.TcpExtTCPReqQFullDrop;
    return;
  }
  if (full) {
    SynRequest request;
    request.listener = listener_index;
    if (!FindReturnPath(core, segment, &request.path)) return;
    ++core.counters.TcpExtTCPReqQFullDoCookies;
    listener.cookies_until = core.now + kCookieAge;
    TakeSyn(core, segment, request);
    return SendCookie(core, request);
  }
  const uint32_t index = core.syn_requests.Take();
  SynRequest& request = core.syn_requests[index];
  request.index = index;
  request.listener = listener_index;
  if (!FindReturnPath(core, segment, &request.path)) return core.syn_requests.Return(index);
  TakeSyn(core, segment, request);
  request.iss = InitialSequence(core.key, request.key(), core.now);
  if (isn_above != nullptr) request.iss = Max(request.iss, *isn_above);
  if (!core.AddFlow(FlowNumber(FlowKind::kSynRequest, index))) {
    return core.syn_requests.Return(index);
  }
  ++listener.half_open;
  SendSynAck(core, request);
  core.wheel.Schedule(request.timer, core.now + SynAckTimeout(core, request));
}

// The SYN was answered by a cookie while the queue was full, and its retransmission found room: the
// peer may acknowledge either answer.
static bool AnswersEarlierCookie(Core& core, const SynRequest& request, const Segment& segment) {
  const wire::TcpHeader& header = segment.header;
  return header.ack() && !header.syn() && !header.rst() &&
         header.acknowledgment != request.iss + 1 &&
         core.now <= core.listeners[request.listener].cookies_until &&
         CheckCookie(core.key, request.key(), header.sequence - 1, header.acknowledgment - 1,
                     core.now);
}

void SynRequestSegment(Core& core, uint32_t index, Segment& segment) {
  SynRequest& request = core.syn_requests[index];
  if (AnswersEarlierCookie(core, request, segment)) {
    const uint32_t listener = request.listener;
    RemoveSynRequest(core, index);
    CookieSegment(core, listener, segment);
    return;
  }
  if (!CheckRequest(core, index, segment)) return;
  if (request.timestamps && segment.options.has_timestamps) {
    request.ts_recent = segment.options.timestamps.value;
  }
  // TCP_DEFER_ACCEPT: the program wants to hear of it when there is something to read.
  if (segment.payload == 0 && !segment.fin && core.now < DeferredUntil(core, request)) {
    ++core.counters.TcpExtTCPDeferAcceptDrop;
    request.acknowledged = true;
    return;
  }
  if (ConnectionQueueFull(core, core.listeners[request.listener])) {
    // As on Linux: the SYN-ACK goes out again, and its answer finds room or not.
    ++core.counters.TcpExtListenOverflows;
    ++core.counters.TcpExtListenDrops;
    request.acknowledged = true;
    return;
  }
  Connection* c = PromoteRequest(core, request, index);
  if (c == nullptr) {
    ++core.counters.TcpExtListenDrops;
    return;
  }
  ConnectionSegment(core, *c, segment);
}

void SynRequestTimeout(Core& core, SynRequest& request) {
  if (request.acknowledged && core.now < DeferredUntil(core, request)) {
    // The peer knows that it is connected: no need to remind it before the time is up.
    core.wheel.Schedule(request.timer, DeferredUntil(core, request));
    return;
  }
  ++request.retransmits;
  if (request.retransmits > core.config.syn_ack_retries) {
    ++core.counters.TcpAttemptFails;
    return RemoveSynRequest(core, request.index);
  }
  ++core.counters.TcpExtTCPTimeouts;
  ++core.counters.TcpRetransSegs;
  SendSynAck(core, request);
  core.wheel.Schedule(request.timer, core.now + SynAckTimeout(core, request));
}

void RemoveSynRequest(Core& core, uint32_t index) {
  core.RemoveFlow(FlowNumber(FlowKind::kSynRequest, index));
  ReturnSynRequest(core, index);
}

void ReturnSynRequest(Core& core, uint32_t index) {
  SynRequest& request = core.syn_requests[index];
  core.wheel.Cancel(request.timer);
  --core.listeners[request.listener].half_open;
  core.syn_requests.Return(index);
}

bool CookieSegment(Core& core, uint32_t listener_index, Segment& segment) {
  Listener& listener = core.listeners[listener_index];
  const wire::TcpHeader& header = segment.header;
  if (core.now > listener.cookies_until || header.syn() || header.rst()) return false;
  SynRequest request;
  request.listener = listener_index;
  if (!FindReturnPath(core, segment, &request.path)) return false;
  TakeSyn(core, segment, request);
  request.irs = header.sequence - 1;
  const auto mss =
      CheckCookie(core.key, request.key(), request.irs, header.acknowledgment - 1, core.now);
  if (!mss) {
    ++core.counters.TcpExtSyncookiesFailed;
    return false;
  }
  ++core.counters.TcpExtSyncookiesRecv;
  request.cookie = true;
  request.iss = header.acknowledgment - 1;
  request.peer_mss = std::max(*mss, core.config.minimum_mss_bytes);
  CookieOptions options;
  if (request.timestamps) options = OptionsOfCookie(segment.options.timestamps.echo_reply);
  request.sack = options.sack && core.config.sack;
  request.window_scaling = options.window_scaling && core.config.window_scaling;
  request.snd_scale = options.scale;
  request.rcv_scale = request.window_scaling ? ScaleToOffer(core, OptionsOf(core, request)) : 0;
  if (ConnectionQueueFull(core, listener)) {
    ++core.counters.TcpExtListenOverflows;
    ++core.counters.TcpExtListenDrops;
    return true;
  }
  Connection* c = PromoteRequest(core, request, kNone);
  if (c != nullptr) ConnectionSegment(core, *c, segment);
  return true;
}

}  // namespace sluice::tcp
