// A socket table entry: where the application and the protocols meet, and the only place.
//
// It lies in a region: plain words, indices and offsets, no pointers. Each field has one writer,
// and fields with different writers stand in different cache lines. Line by line: who and where
// (engine, rarely), the engine's ends of the rings, the application's ends, what only the
// application reads, and the options (application, rarely).
#pragma once

#include <algorithm>
#include <cstdint>

#include "table/cell.h"
#include "table/descriptor.h"
#include "table/options.h"
#include "table/result.h"
#include "table/status.h"
#include "wire/address.h"

namespace sluice::table {

enum class Type : uint8_t { kNone, kStream, kDatagram, kRaw };

// An Endpoint that may be read while it is written: each word is whole; the pair is settled by the
// status that is published after it.
class SharedEndpoint {
 public:
  wire::Endpoint Load() const;
  void Store(const wire::Endpoint& endpoint);

 private:
  Cell<uint64_t> address_[2];
  Cell<uint32_t> port_and_scope_;
};

// The producer's end of a ring. `tail` publishes everything before it.
struct RingProducer {
  Cell<uint32_t> tail;            // descriptors ever pushed
  Cell<uint32_t> first_position;  // the descriptor with this number ...
  Cell<uint32_t> first_block;     // ... is the first of this block (see ring.h)
  Cell<uint32_t> bytes;           // payload bytes ever pushed
};

// The consumer's end.
struct RingConsumer {
  Cell<uint32_t> head;   // descriptors ever taken
  Cell<uint32_t> bytes;  // payload bytes ever taken
};

// Where one side stands in a ring; its own business, kept in its own memory. The place is counted
// in descriptors from the start of all blocks, so that block and slot are one word.
struct Cursor {
  static constexpr uint32_t kNowhere = 0xffffffff;

  uint32_t position = 0;
  uint32_t place = kNowhere;

  bool in_block() const { return place != kNowhere; }
  uint32_t block() const { return place / RingBlock::kStride; }  // if it is in one
  // Behind the last slot of its block, or in none.
  bool at_end() const { return place % RingBlock::kStride == RingBlock::kSlots; }
  bool stands_at_start(uint32_t block) const { return place == block * RingBlock::kStride; }
  void Enter(uint32_t block) { place = block * RingBlock::kStride; }
  void Leave() { place = kNowhere; }
};

// Events, with the numbers of POSIX poll and Linux epoll.
enum Event : uint32_t {
  kEventIn = 0x001,
  kEventPri = 0x002,
  kEventOut = 0x004,
  kEventErr = 0x008,
  kEventHup = 0x010,
  kEventRdHup = 0x2000,
};

// What the engine says of a socket beside its status.
enum EngineFlag : uint32_t {
  kEndOfStream = 1 << 0,     // no byte will follow those in the receive queue
  kSendClosed = 1 << 1,      // nothing more can be sent: reset, or shutdown is done
  kUrgentPending = 1 << 2,   // urgent_position is valid
  kAutobound = 1 << 3,       // the port was chosen by the engine
  kAcceptOverflow = 1 << 4,  // the connection queue was full at least once
};

// What the application says.
enum ApplicationFlag : uint32_t {
  kNonBlocking = 1 << 0,
  kShutdownReceive = 1 << 1,
  kShutdownSend = 1 << 2,
  kSendBlocked = 1 << 3,  // wants kEventOut once there is room again
  kMore = 1 << 4,         // the last send said MSG_MORE
  kClosed = 1 << 5,
};

struct alignas(64) Entry {
  // Line 0, engine: who this is.
  Cell<uint64_t> socket_id;  // unique for the life of the table; 0: never used
  Cell<uint32_t> generation;
  Cell<Status> status;
  Cell<Type> type;
  Cell<uint8_t> protocol;  // IPPROTO_*
  Cell<uint8_t> family;    // AF_INET or AF_INET6, as given to socket()
  SharedEndpoint local;
  SharedEndpoint remote;  // the remote socket: empty while listening

  // Line 1, engine: its ends of the queues.
  alignas(64) RingProducer receive_producer;
  RingProducer connection_producer;  // listeners: accepted handles; others: the error queue
  RingConsumer send_consumer;
  Cell<uint32_t> engine_flags;
  Cell<uint32_t> urgent_position;  // receive bytes (as receive_producer.bytes counts) before it
  Cell<uint32_t> error;            // Result of an asynchronous failure; the application clears it
  Cell<uint32_t> event_pending;    // 1 while the slot stands in the lane's event queue
  Cell<uint16_t> interface;        // 1-based index of the device the connection runs over
  Cell<uint8_t> engine;            // lane that owns the socket
  Cell<uint8_t> close_reason;      // Result
  Cell<uint32_t> bytes_sent;       // streams: of the send queue's bytes, how many have left once

  // Line 2, application: its ends of the queues.
  alignas(64) RingProducer send_producer;
  RingConsumer receive_consumer;
  RingConsumer connection_consumer;
  Cell<uint32_t> doorbell_pending;  // 1 while the slot stands in the lane's doorbell queue
  Cell<uint32_t> event_mask;        // Event bits somebody waits for; 0: engine says nothing
  Cell<uint32_t> application_flags;
  Cell<uint32_t> backlog;
  Cell<uint32_t> descriptor;  // the number the program knows it by, for tools; kNone: none
  Cell<uint32_t> process_id;
  Cursor connection_cursor;  // the application's own

  // Line 3, application only: notes and locks of its threads. The engine leaves them alone, but for
  // SendQueue::GiveBackIdleBlock.
  alignas(64) Cell<uint32_t> send_lock;
  Cell<uint32_t> receive_lock;
  Cursor send_cursor;
  Cursor receive_cursor;
  uint32_t receive_offset;  // bytes already taken of the descriptor at receive_cursor
  uint32_t open_buffer;     // send buffer with room left that this side holds a reference on
  uint32_t open_used;       // bytes of it in use
  uint32_t held_heads;      // zero-copy: descriptors lent out and not yet given back

  // The end of line 3, and line 4: application.
  Options options;
};
static_assert(sizeof(Entry) == 320);

// Level-triggered readiness, computed from the entry's queues and flags alone, so both sides and
// tools get the same answer.
uint32_t Readiness(const Entry& entry);
// kReceiving / kSending bits: unread data, unacknowledged or unsent data.
uint8_t ActivityOf(const Entry& entry);

// Bytes that wait: for the application, and for the peer's acknowledgement.
inline uint32_t ReceiveQueueBytes(const Entry& e) {
  return e.receive_producer.bytes.load() - e.receive_consumer.bytes.load();
}
inline uint32_t SendQueueBytes(const Entry& e) {
  return e.send_producer.bytes.load() - e.send_consumer.bytes.load();
}
inline uint32_t ConnectionQueueLength(const Entry& e) {
  return e.connection_producer.tail.load() - e.connection_consumer.head.load();
}
// Bytes that a send may add now; 0 when the send buffer is full.
inline uint32_t SendSpaceBytes(const Entry& e) {
  uint32_t limit = e.options.send_buffer_bytes.load();
  uint32_t queued = SendQueueBytes(e);
  return queued < limit ? limit - queued : 0;
}

// How many bytes of a stream may wait for their first transmission. The window and the network
// bound what is in flight; more than this in front of it is sent no sooner, but by then it has left
// the processor's caches. Who sets SO_SNDBUF gets all of it; TCP_NOTSENT_LOWAT sets it otherwise.
inline constexpr uint32_t kNotSentBytes = 128 * 1024;
inline constexpr uint32_t kNotSentStepBytes = 16 * 1024;  // that a send may add below the limit
inline uint32_t NotSentLimit(const Options& options) {
  if (const uint32_t set = options.not_sent_low_water_bytes.load(); set != 0) return set;
  return options.is_set(kSendBufferLocked) ? UINT32_MAX : kNotSentBytes;
}
inline uint32_t NotSentBytes(const Entry& e) {
  const uint32_t bytes = e.send_producer.bytes.load() - e.bytes_sent.load();
  return std::min(bytes, SendQueueBytes(e));  // what was acknowledged was sent
}

// SendSpaceBytes of a stream.
inline uint32_t StreamSpaceBytes(const Entry& e) {
  const uint32_t space = SendSpaceBytes(e);
  const uint32_t limit = NotSentLimit(e.options);
  const uint32_t waiting = NotSentBytes(e);
  if (waiting >= limit) return 0;
  return std::min(space, std::max(limit - waiting, kNotSentStepBytes));
}
// Whether a stream counts as writable: once a third of the room is free, so that a program that
// fills it is not woken for every acknowledgement.
inline bool StreamWritable(const Entry& e) {
  if (SendQueueBytes(e) == 0) return true;
  return SendSpaceBytes(e) * 3ull >= e.options.send_buffer_bytes.load() &&
         NotSentBytes(e) * 3ull <= NotSentLimit(e.options) * 2ull;
}

}  // namespace sluice::table
