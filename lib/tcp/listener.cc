#include "tcp/listener.h"

#include <algorithm>

#include "tcp/close.h"
#include "tcp/core.h"
#include "tcp/emit.h"
#include "tcp/segment.h"

namespace sluice::tcp {
namespace {

// The listener that a segment is for, or kNone.
uint32_t FindListener(Core& core, const Segment& segment) {
  const ip::PacketInfo& info = *segment.info;
  ip::FlowKey flow;
  flow.local = info.destination;
  flow.remote = info.source;
  flow.local_port = segment.header.destination_port;
  flow.remote_port = segment.header.source_port;
  ip::BindQuery query;
  query.local = info.destination;
  query.port = segment.header.destination_port;
  query.interface = info.interface;
  query.spread = core.flows.Hash(flow);
  const uint32_t owner = core.bindings.Find(query);
  if (owner == ip::BindTable::kNone) return kNone;
  const table::Socket socket = core.table.At(owner);
  if (!socket || KindOf(socket) != BlockKind::kListener) return kNone;
  return BlockOf(socket);
}

}  // namespace

bool ConnectionQueueFull(Core& core, const Listener& listener) {
  table::Socket socket(&core.table, listener.socket);
  if (socket.connection_queue().length() <= listener.backlog) return false;
  socket.entry().engine_flags.SetBits(table::kAcceptOverflow);
  return true;
}

table::Result StartListening(Core& core, table::Socket socket, uint32_t backlog) {
  backlog = std::min(backlog, core.config.somaxconn);
  socket.entry().backlog.store(backlog);
  if (KindOf(socket) == BlockKind::kListener) {
    core.listeners[BlockOf(socket)].backlog = backlog;
    return table::Result::kOk;
  }
  if (KindOf(socket) != BlockKind::kBinding) return table::Result::kInvalid;
  const uint32_t binding = BlockOf(socket);
  const uint32_t index = socket.OpenThirdQueue() ? core.listeners.Take() : kNone;
  if (index == kNone) {
    ++core.counters.ListenersFull;
    return table::Result::kNoBuffers;
  }
  if (!core.bindings.SetListening(binding, true)) {
    core.listeners.Return(index);
    return table::Result::kAddressInUse;
  }
  Listener& listener = core.listeners[index];
  listener.socket = socket.index();
  listener.binding = binding;
  listener.backlog = backlog;
  SetBlock(socket, BlockKind::kListener, index);
  socket.SetStatus(table::Status::kListening);
  return table::Result::kOk;
}

uint32_t StopListening(Core& core, table::Socket socket) {
  const uint32_t index = BlockOf(socket);
  Listener& listener = core.listeners[index];
  const uint32_t binding = listener.binding;
  core.bindings.SetListening(binding, false);
  core.syn_requests.ForEach([&](uint32_t i, SynRequest& request) {
    if (request.listener == index) RemoveSynRequest(core, i);
  });
  // The queue itself lives on: the socket may listen again.
  socket.connection_queue().ForEachWaiting([&](table::Handle handle) {
    const table::Socket waiting = core.table.Find(handle);
    if (!waiting) return;
    if (KindOf(waiting) == BlockKind::kConnection) {
      Connection& c = core.connections[BlockOf(waiting)];
      c.set(kOrphan);
      ++core.orphans;
      AbortConnection(core, c, table::Result::kAborted);
    } else {
      core.table.Close(waiting);
    }
  });
  core.listeners.Return(index);
  return binding;
}

void ListenerSegment(Core& core, Segment& segment, const Sequence* isn_above) {
  const wire::TcpHeader& header = segment.header;
  const uint32_t index = FindListener(core, segment);
  // RFC 9293 section 3.10.7.1: CLOSED.
  if (index == kNone) return EmitResetFor(core, segment);
  // Section 3.10.7.2: LISTEN. First: RST.
  if (header.rst()) return;
  // Second: ACK.
  if (header.ack()) {
    if (CookieSegment(core, index, segment)) return;
    // While cookies are out, a segment that overtook the one that completes the handshake must not
    // cost the peer its connection: it is dropped, and comes again.
    if (core.now <= core.listeners[index].cookies_until) return;
    return EmitResetFor(core, segment);
  }
  // Third: SYN. What it carries beside is sent again by the peer.
  if (header.syn()) ReceiveSyn(core, index, segment, isn_above);
}

}  // namespace sluice::tcp
