// Moving the bytes of streams.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "api/descriptors.h"
#include "table/application_queues.h"

namespace sluice::api {

// Walks a caller's pieces byte by byte.
class PieceCursor {
 public:
  explicit PieceCursor(std::span<const iovec> pieces) : pieces_(pieces) { SkipEmpty(); }

  bool at_end() const { return index_ == pieces_.size(); }
  uint8_t* data() const { return static_cast<uint8_t*>(pieces_[index_].iov_base) + offset_; }
  size_t size() const { return pieces_[index_].iov_len - offset_; }  // of the piece at hand
  void Advance(size_t count) {
    offset_ += count;
    SkipEmpty();
  }
  void Rewind() {
    index_ = offset_ = 0;
    SkipEmpty();
  }

 private:
  void SkipEmpty() {
    while (index_ < pieces_.size() && offset_ == pieces_[index_].iov_len) {
      ++index_;
      offset_ = 0;
    }
  }

  std::span<const iovec> pieces_;
  size_t index_ = 0;
  size_t offset_ = 0;
};

// The sum of the pieces' lengths, or -EINVAL if it does not fit a ssize_t.
ssize_t TotalBytes(std::span<const iovec> pieces);

// Return the number of bytes moved, or minus an errno. `flags`: MSG_*. They wait as the socket's
// blocking mode, its time-outs and MSG_DONTWAIT say.
ssize_t ReceiveStream(const OpenSocket& socket, std::span<const iovec> pieces, int flags);
ssize_t SendStream(const OpenSocket& socket, std::span<const iovec> pieces, int flags);

// What a stream without unread bytes answers: 0 is the end, EAGAIN not yet, else an errno. `flags`
// are the entry's engine flags as they were before the queue was found empty. The caller holds the
// receive_lock. An error that waits is taken if `take_error`.
int NothingToReceive(const OpenSocket& socket, uint32_t flags, bool take_error);
// Whether a stream can be sent on: 0, EAGAIN (connecting), EPIPE, or the error that waits. The
// caller holds the send_lock.
int CanSend(const OpenSocket& socket, bool take_error);

// Tells the engine that bytes were queued, or taken. Call without the lock.
inline void RingEngine(const OpenSocket& socket) {
  if (table::RingDoorbell(state.region, socket.handle.index)) {
    state.home->WakeEngine(socket.entry->engine.load());
  }
}

// Whether taking bytes calls for a doorbell: the queue is drained, or the window has grown by a
// quarter of the buffer.
inline bool ShouldRing(const OpenSocket& socket, uint32_t bytes_before) {
  const table::Entry& entry = *socket.entry;
  if (entry.receive_producer.tail.load() == entry.receive_consumer.head.load()) return true;
  const uint32_t quarter = entry.options.receive_buffer_bytes.load() / 4 + 1;
  return entry.receive_consumer.bytes.load() / quarter != bytes_before / quarter;
}

// Urgent data (RFC 6093). The caller holds the receive_lock.
// Reading stops in front of the urgent byte, and the next read starts behind it, unless it is part
// of the stream (SO_OOBINLINE).
struct UrgentWindow {
  uint32_t skip = 0;            // bytes to leave out: the urgent one
  uint32_t limit = 0xffffffff;  // bytes to read at most after that
};
UrgentWindow UrgentWindowOf(const OpenSocket& socket);
// MSG_OOB: the urgent byte. 0 or an errno.
int TakeUrgentByte(const OpenSocket& socket, uint8_t& byte, bool peek);
bool IsAtUrgentMark(const OpenSocket& socket);

}  // namespace sluice::api
