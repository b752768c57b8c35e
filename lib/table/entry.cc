#include "table/entry.h"

namespace sluice::table {

wire::Endpoint SharedEndpoint::Load() const {
  std::array<uint8_t, 16> bytes;
  uint64_t words[2] = {address_[0].load(), address_[1].load()};
  std::memcpy(bytes.data(), words, sizeof(words));
  uint32_t rest = port_and_scope_.load();
  return {wire::IpAddress::V6(bytes), static_cast<uint16_t>(rest),
          static_cast<uint16_t>(rest >> 16)};
}

void SharedEndpoint::Store(const wire::Endpoint& endpoint) {
  uint64_t words[2];
  std::memcpy(words, endpoint.address.bytes().data(), sizeof(words));
  address_[0].store(words[0]);
  address_[1].store(words[1]);
  port_and_scope_.store(uint32_t{endpoint.scope} << 16 | endpoint.port);
}

namespace {

uint32_t StreamReadiness(const Entry& e, Status status, uint32_t engine, uint32_t application) {
  uint32_t events = 0;
  bool receive_closed = (engine & kEndOfStream) != 0 || (application & kShutdownReceive) != 0;
  bool send_closed = (engine & kSendClosed) != 0 || (application & kShutdownSend) != 0;
  switch (status) {
    case Status::kListening:
      return ConnectionQueueLength(e) != 0 ? uint32_t{kEventIn} : 0;
    case Status::kConnecting:
      return e.error.load() != 0 ? uint32_t{kEventErr} : 0;
    case Status::kUnconnected:
    case Status::kBound:
      return kEventOut | kEventHup;  // as Linux has it for a fresh stream socket
    default:
      break;
  }
  uint32_t low_water = e.options.receive_low_water_bytes.load();
  uint32_t queued = ReceiveQueueBytes(e);
  if (receive_closed) {
    events |= kEventIn | kEventRdHup;
  } else if (queued != 0 && queued >= low_water) {
    events |= kEventIn;
  }
  if (receive_closed && send_closed) events |= kEventHup;
  // Writable, too, when sending can only fail.
  if (send_closed || StreamWritable(e)) events |= kEventOut;
  if ((engine & kUrgentPending) != 0) events |= kEventPri;
  return events;
}

// Whether a stream is what it mostly is: connected, with nothing said of errors, ends and urgent
// data. Then bytes and room are all that matters.
bool IsPlainStream(const Entry& e, Status status, uint32_t engine, uint32_t application) {
  constexpr uint32_t kEnds = kEndOfStream | kSendClosed | kUrgentPending;
  constexpr uint32_t kShut = kShutdownReceive | kShutdownSend;
  return status == Status::kConnected && e.type.load() == Type::kStream &&
         ((engine & kEnds) | (application & kShut) | e.error.load()) == 0;
}

}  // namespace

uint32_t Readiness(const Entry& e) {
  Status status = e.status.Acquire();  // pairs with the engine's release of a status change
  uint32_t engine = e.engine_flags.Acquire();
  uint32_t application = e.application_flags.load();
  if (IsPlainStream(e, status, engine, application)) [[likely]] {
    const uint32_t queued = ReceiveQueueBytes(e);
    const bool enough = queued != 0 && queued >= e.options.receive_low_water_bytes.load();
    return (enough ? uint32_t{kEventIn} : 0) | (StreamWritable(e) ? uint32_t{kEventOut} : 0);
  }
  uint32_t events = e.error.load() != 0 ? uint32_t{kEventErr} : 0;
  if (e.type.load() == Type::kStream) {
    events |= StreamReadiness(e, status, engine, application);
    // A pending error makes every wait end: the next call reports it.
    if ((events & kEventErr) != 0) events |= kEventIn | kEventOut;
    if (status == Status::kDisconnected) events |= kEventIn | kEventOut | kEventHup | kEventRdHup;
    return events;
  }
  if (e.receive_producer.tail.Acquire() != e.receive_consumer.head.load()) events |= kEventIn;
  if ((application & kShutdownReceive) != 0) events |= kEventIn | kEventRdHup;
  if ((application & (kShutdownReceive | kShutdownSend)) == (kShutdownReceive | kShutdownSend)) {
    events |= kEventHup;
  }
  if (ConnectionQueueLength(e) != 0) events |= kEventErr;  // the error queue
  if (SendQueueBytes(e) * 2ull <= e.options.send_buffer_bytes.load()) events |= kEventOut;
  return events;
}

uint8_t ActivityOf(const Entry& e) {
  uint8_t activity = 0;
  if (ReceiveQueueBytes(e) != 0) activity |= kReceiving;
  if (SendQueueBytes(e) != 0) activity |= kSending;
  return activity;
}

}  // namespace sluice::table
