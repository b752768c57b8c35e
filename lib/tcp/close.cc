#include "tcp/close.h"

#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/output.h"
#include "tcp/recovery.h"

namespace sluice::tcp {
namespace {

void SetStatusOnce(const table::Socket& socket, table::Status status) {
  if (socket.status() != status) socket.SetStatus(status);
}

// What the socket is once its connection has gone.
void SettleSocket(Core& core, Connection& c, table::Result error) {
  table::Socket socket = core.SocketOf(c);
  if (c.has(kOrphan)) {
    --core.orphans;
    ReleaseBinding(core, c.binding, c.has(kOwnsBinding));
    core.table.Close(socket);
    return;
  }
  if (c.has(kKeepBinding)) {
    SetBlock(socket, BlockKind::kBinding, c.binding);
  } else {
    ReleaseBinding(core, c.binding, c.has(kOwnsBinding));
    SetBlock(socket, BlockKind::kNothing);
  }
  table::Entry& entry = socket.entry();
  entry.engine_flags.SetBits(table::kEndOfStream | table::kSendClosed);
  entry.close_reason.store(static_cast<uint8_t>(error));
  // The error stands before the status does: who sees the status may look for it.
  if (error != table::Result::kOk) entry.error.store(static_cast<uint32_t>(error));
  SetStatusOnce(socket, table::Status::kDisconnected);
  const uint32_t failed = error != table::Result::kOk ? uint32_t{table::kEventErr} : 0;
  socket.Notify(table::kEventIn | table::kEventOut | table::kEventRdHup | table::kEventHup |
                failed);
}

// RFC 9293 section 3.10.4: data that is queued goes first. From now on nothing is added to it.
void QueueFin(Core& core, Connection& c) {
  if (c.has(kFinQueued)) return;
  c.set(kFinQueued);
  c.send_end = c.snd_una + SendQueueLength(core, c) + (c.state == State::kSynReceived ? 1 : 0);
  if (c.state == State::kEstablished) {
    c.state = State::kFinWait1;
  } else if (c.state == State::kCloseWait) {
    c.state = State::kLastAck;
  }
  core.Touch(c);
}

// Linger with a time of zero, or data that nobody will read: the peer must learn of the loss.
bool MustReset(Core& core, const Connection& c, const table::Entry& entry) {
  if (table::ReceiveQueueBytes(entry) != 0) {
    ++core.counters.TcpExtTCPAbortOnClose;  // RFC 2525 section 2.17
    return true;
  }
  if (entry.options.is_set(table::kLinger) && entry.options.linger_s.load() == 0) {
    ++core.counters.TcpExtTCPAbortOnLinger;
    return true;
  }
  return c.state == State::kSynReceived;
}

// All but its place in the flow map, which nobody has any more, or a TIME-WAIT record.
void LeaveConnection(Core& core, Connection& c, table::Result error) {
  core.wheel.Cancel(c.timer);
  core.assembly.Clear(&c.assembly);
  ReleaseScoreboard(core, c);
  c.state = State::kClosed;
  SettleSocket(core, c, error);
  if (c.has(kTouched)) {
    c.set(kDead);
  } else {
    core.connections.Return(c.index);
  }
}

}  // namespace

void ReleaseBinding(Core& core, uint32_t binding, bool owns) {
  if (binding == kNone) return;
  if (owns) {
    core.bindings.Unbind(binding);
  } else {
    core.bindings.Unshare(binding);
  }
}

void ShutdownSend(Core& core, Connection& c) {
  table::Socket socket = core.SocketOf(c);
  QueueFin(core, c);
  if (c.has(kOrphan)) return;
  socket.entry().engine_flags.SetBits(table::kSendClosed);
  // In a simultaneous open (section 3.10.4: SYN-RECEIVED) the handshake comes first.
  if (socket.status() != table::Status::kConnecting) {
    SetStatusOnce(socket, table::Status::kShutdown);
  }
  socket.Notify(table::kEventOut | (c.has(kFinReceived) ? uint32_t{table::kEventHup} : 0));
}

void CloseConnection(Core& core, Connection& c) {
  table::Socket socket = core.SocketOf(c);
  const table::Entry& entry = socket.entry();
  c.set(kOrphan);
  c.clear(kKeepBinding);
  ++core.orphans;
  if (c.state == State::kSynSent) return EndConnection(core, c, table::Result::kOk);
  if (MustReset(core, c, entry)) return AbortConnection(core, c, table::Result::kOk);
  QueueFin(core, c);
  if (c.state == State::kFinWait2) StartFinWait2(core, c);
}

void StartFinWait2(Core& core, Connection& c) {
  c.deadlines[kRetransmit] = Instant::Never();
  core.Touch(c);
  if (!c.has(kOrphan)) return;
  // RFC 9293 section 3.6, last: one that nobody owns does not wait for ever.
  const uint32_t seconds = core.SocketOf(c).entry().options.fin_wait2_timeout_s.load();
  const Duration limit =
      seconds == 0 ? core.config.fin_wait_2 : std::min<Duration>(Seconds(seconds), Seconds(3600));
  c.deadlines[kIdle] = core.now + limit;
}

void ReceiveFin(Core& core, Connection& c) {
  c.rcv_nxt += 1;
  c.rcv_adv = Max(c.rcv_adv, c.rcv_nxt);
  c.set(kFinReceived | kAckNow);
  core.Touch(c);
  core.assembly.Clear(&c.assembly);
  switch (c.state) {
    case State::kSynReceived:
    case State::kEstablished:
      c.state = State::kCloseWait;
      break;
    case State::kFinWait1:
      c.state = State::kClosing;
      break;
    case State::kFinWait2:
      return FinishToTimeWait(core, c);
    default:
      return;
  }
  if (c.has(kOrphan)) return;
  table::Socket socket = core.SocketOf(c);
  socket.entry().engine_flags.SetBits(table::kEndOfStream);
  SetStatusOnce(socket, table::Status::kShutdown);
  socket.Notify(table::kEventIn | table::kEventRdHup |
                (c.has(kFinQueued) ? uint32_t{table::kEventHup} : 0));
}

void FinishToTimeWait(Core& core, Connection& c) {
  // The last acknowledgment leaves before the connection does.
  if (c.has(kAckNow | kAckDelayed)) EmitAcknowledgment(core, c);
  if (EnterTimeWait(core, c)) return LeaveConnection(core, c, table::Result::kOk);
  ++core.counters.TcpExtTCPTimeWaitOverflow;
  EndConnection(core, c, table::Result::kOk);
}

void EndConnection(Core& core, Connection& c, table::Result error) {
  if (c.state == State::kClosed) return;
  core.RemoveFlow(FlowNumber(FlowKind::kConnection, c.index));
  LeaveConnection(core, c, error);
}

void AbortConnection(Core& core, Connection& c, table::Result error) {
  if (c.state != State::kSynSent) EmitReset(core, c);
  EndConnection(core, c, error);
}

}  // namespace sluice::tcp
