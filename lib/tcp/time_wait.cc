#include "tcp/time_wait.h"

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/listener.h"
#include "tcp/segment.h"

namespace sluice::tcp {
namespace {

// A new incarnation starts beyond all that the old one may have in the network.
constexpr uint32_t kIsnGap = 65535 + 2;

void Acknowledge(Core& core, TimeWait& record) {
  ip::Path path;
  if (core.ip.FindPath(core.now, record.key.remote, record.key.local, record.bound_interface,
                       &path) != ip::PathStatus::kOk) {
    return;
  }
  wire::TcpHeader header;
  header.source_port = record.key.local_port;
  header.destination_port = record.key.remote_port;
  header.sequence = record.snd_nxt;
  header.acknowledgment = record.rcv_nxt;
  header.flags = wire::kTcpAck;
  header.window = static_cast<uint16_t>(record.window >> record.rcv_scale);
  wire::TcpOptions options;
  options.has_timestamps = record.timestamps;
  options.timestamps = {core.clock_ms() + record.ts_offset, record.ts_recent};
  EmitControl(core, path, header, options);
}

// RFC 6191 section 2, RFC 1122 section 4.2.2.13: a SYN that is surely newer than what was.
bool StartsAnew(const TimeWait& record, const Segment& segment) {
  if (!segment.header.syn() || segment.header.ack() || segment.header.rst()) return false;
  if (segment.header.sequence > record.rcv_nxt) return true;
  return record.timestamps && segment.options.has_timestamps &&
         static_cast<int32_t>(segment.options.timestamps.value - record.ts_recent) > 0;
}

}  // namespace

bool EnterTimeWait(Core& core, Connection& c) {
  const uint32_t index = core.time_waits.Take();
  if (index == kNone) {
    ++core.counters.TimeWaitFull;
    return false;
  }
  TimeWait& record = core.time_waits[index];
  record.index = index;
  record.key = c.key();
  record.snd_nxt = c.snd_nxt;
  record.rcv_nxt = c.rcv_nxt;
  record.window = c.receive_window();
  record.ts_recent = c.ts_recent;
  record.ts_recent_ms = c.ts_recent_ms;
  record.ts_offset = c.ts_offset;
  record.bound_interface = c.path.bound_interface;
  record.rcv_scale = c.rcv_scale;
  record.timestamps = c.has(kTimestamps);
  record.binding = c.binding;
  if (record.binding != kNone) core.bindings.Share(record.binding);
  core.ReplaceFlow(FlowNumber(FlowKind::kConnection, c.index),
                   FlowNumber(FlowKind::kTimeWait, index));
  core.wheel.Schedule(record.timer, core.now + core.config.time_wait);
  ++core.counters.TcpExtTW;
  return true;
}

// RFC 9293 section 3.10.7.4, for TIME-WAIT.
void TimeWaitSegment(Core& core, uint32_t index, Segment& segment) {
  TimeWait& record = core.time_waits[index];
  const wire::TcpHeader& header = segment.header;
  // RFC 1337 section 3, fix (F1): a reset must not end TIME-WAIT.
  if (header.rst()) return;
  if (StartsAnew(record, segment)) {
    const Sequence isn_above = record.snd_nxt + kIsnGap;
    ++core.counters.TcpExtTWRecycled;
    RemoveTimeWait(core, index);
    return ListenerSegment(core, segment, &isn_above);
  }
  const bool old = record.timestamps && segment.options.has_timestamps &&
                   static_cast<int32_t>(segment.options.timestamps.value - record.ts_recent) < 0;
  if (old) ++core.counters.TcpExtPAWSEstab;
  // Eighth: a FIN sent again starts the time anew.
  if (!old && segment.fin && segment.begin + segment.payload + 1 == record.rcv_nxt) {
    core.wheel.Schedule(record.timer, core.now + core.config.time_wait);
  }
  // Two records that answer each other's acknowledgments would never end.
  const bool nothing_new = segment.length() == 0 && header.sequence == record.rcv_nxt &&
                           header.acknowledgment == record.snd_nxt;
  if (!nothing_new && (segment.length() != 0 || core.MayChallenge())) Acknowledge(core, record);
}

void RemoveTimeWait(Core& core, uint32_t index) {
  TimeWait& record = core.time_waits[index];
  core.RemoveFlow(FlowNumber(FlowKind::kTimeWait, index));
  core.wheel.Cancel(record.timer);
  if (record.binding != kNone) core.bindings.Unshare(record.binding);
  core.time_waits.Return(index);
}

bool MayReplace(const Core& core, const TimeWait& record, Sequence* isn_above) {
  *isn_above = record.snd_nxt + kIsnGap;
  // RFC 6191: our timestamps must have moved on, so that the peer can tell the new from the old.
  return record.timestamps && core.clock_ms() - record.ts_recent_ms > 1000;
}

}  // namespace sluice::tcp
