#include "api/stream.h"

#include <algorithm>
#include <climits>
#include <cstring>

#include "api/errors.h"
#include "api/socket_error.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

using table::Entry;
using table::Status;

bool DoesNotWait(const OpenSocket& socket, int flags) {
  return (flags & MSG_DONTWAIT) != 0 || socket.is_nonblocking();
}

// What one look at a queue has brought.
struct Attempt {
  size_t bytes = 0;
  int error = 0;       // EAGAIN: nothing (more) for now
  bool ended = false;  // nothing more will come, or not in this call
};

// Moves unread bytes into the pieces, as many as both have. The receive_lock is held.
size_t MoveIn(table::ReceiveReader& reader, PieceCursor& into, UrgentWindow window, bool discard) {
  if (window.skip != 0) reader.Discard(window.skip);
  size_t moved = 0;
  while (!into.at_end() && window.limit != 0) {
    const uint32_t wanted =
        static_cast<uint32_t>(std::min<size_t>({into.size(), window.limit, 1u << 30}));
    const uint32_t count =
        discard ? reader.Discard(wanted) : reader.Read({into.data(), wanted}, false);
    moved += count;
    window.limit -= count;
    into.Advance(count);
    if (count < wanted) break;
  }
  return moved;
}

// The same without taking anything.
size_t PeekIn(const OpenSocket& socket, PieceCursor& into, UrgentWindow window) {
  const Entry& entry = *socket.entry;
  table::Cursor cursor = entry.receive_cursor;
  size_t offset = size_t{entry.receive_offset} + window.skip;
  uint32_t left;
  size_t moved = 0;
  while (!into.at_end() && window.limit != 0 && table::RingHas(entry.receive_producer, cursor) &&
         table::RingSettle(state.region, entry.receive_producer, cursor, left)) {
    std::span<const uint8_t> payload = state.region.Payload(table::RingAt(state.region, cursor));
    if (offset >= payload.size()) {
      offset -= payload.size();
      table::RingStep(cursor);
      continue;
    }
    const size_t count = std::min<size_t>({payload.size() - offset, into.size(), window.limit});
    std::memcpy(into.data(), payload.data() + offset, count);
    offset += count;
    moved += count;
    window.limit -= static_cast<uint32_t>(count);
    into.Advance(count);
  }
  return moved;
}

Attempt TryReceive(const OpenSocket& socket, PieceCursor& into, int flags, bool take_error) {
  Entry& entry = *socket.entry;
  Attempt attempt;
  bool ring = false;
  {
    LockHolder holder(entry.receive_lock);
    if (!socket.IsOpen()) return {.error = EBADF};
    if (socket.side->lent != 0) return {.error = EBUSY};
    // Before the look at the queue: an end that is seen now has all its bytes in the queue.
    const uint32_t engine_flags = entry.engine_flags.Acquire();
    table::ReceiveReader reader(state.region, entry);
    if (reader.empty()) {
      attempt.error = NothingToReceive(socket, engine_flags, take_error);
      attempt.ended = attempt.error == 0;
      return attempt;
    }
    UrgentWindow window;
    if ((engine_flags & table::kUrgentPending) != 0) window = UrgentWindowOf(socket);
    if ((flags & MSG_PEEK) != 0) {
      attempt.bytes = PeekIn(socket, into, window);
    } else {
      const uint32_t before = entry.receive_consumer.bytes.load();
      attempt.bytes = MoveIn(reader, into, window, (flags & MSG_TRUNC) != 0);
      ring = ShouldRing(socket, before);
    }
    attempt.ended = attempt.bytes == window.limit;  // in front of the urgent byte
    if (attempt.bytes == 0) attempt.error = EAGAIN;
  }
  if (ring) RingEngine(socket);
  return attempt;
}

ssize_t ReceiveUrgent(const OpenSocket& socket, std::span<const iovec> pieces, int flags) {
  PieceCursor into(pieces);
  uint8_t byte = 0;
  {
    LockHolder holder(socket.entry->receive_lock);
    if (!socket.IsOpen()) return -EBADF;
    if (int error = TakeUrgentByte(socket, byte, (flags & MSG_PEEK) != 0)) return -error;
  }
  if (into.at_end()) return 0;
  if ((flags & MSG_TRUNC) == 0) *into.data() = byte;
  return 1;
}

}  // namespace

ssize_t TotalBytes(std::span<const iovec> pieces) {
  size_t total = 0;
  for (const iovec& piece : pieces) {
    if (piece.iov_len > SSIZE_MAX - total) return -EINVAL;
    total += piece.iov_len;
  }
  return static_cast<ssize_t>(total);
}

int NothingToReceive(const OpenSocket& socket, uint32_t flags, bool take_error) {
  Entry& entry = *socket.entry;
  if (entry.error.load() != 0) {
    if (!take_error) return EAGAIN;  // for the next call: this one has bytes to deliver
    if (int error = TakeError(socket)) return error;
  }
  const bool shut = (entry.application_flags.load() & table::kShutdownReceive) != 0;
  switch (entry.status.Acquire()) {  // pairs with the engine's SetStatus
    case Status::kConnecting:
      return shut ? 0 : EAGAIN;
    case Status::kConnected:
    case Status::kShutdown:
      return shut || (flags & table::kEndOfStream) != 0 ? 0 : EAGAIN;
    case Status::kDisconnected:
      // The engine's last bytes may have come after our look; its status came after them.
      if (entry.receive_producer.tail.Acquire() != entry.receive_consumer.head.load()) {
        return EAGAIN;
      }
      return socket.side->was_connected || (flags & table::kEndOfStream) != 0 ||
                     entry.receive_producer.bytes.load() != 0
                 ? 0
                 : ENOTCONN;
    default:
      return ENOTCONN;
  }
}

namespace {

// The common case: bytes wait, and whatever there is will do. 0: it is not that.
ssize_t ReceiveAtOnce(const OpenSocket& socket, const iovec& piece) {
  Entry& entry = *socket.entry;
  uint32_t count;
  bool ring;
  {
    LockHolder holder(entry.receive_lock);
    if (!socket.IsOpen() || socket.side->lent != 0 ||
        (entry.engine_flags.Acquire() & table::kUrgentPending) != 0 ||
        entry.options.receive_low_water_bytes.load() > 1) {
      return 0;
    }
    const uint32_t before = entry.receive_consumer.bytes.load();
    table::ReceiveReader reader(state.region, entry);
    count = reader.Read({static_cast<uint8_t*>(piece.iov_base), piece.iov_len}, false);
    if (count == 0) return 0;
    ring = ShouldRing(socket, before);
  }
  if (ring) RingEngine(socket);
  return count;
}

}  // namespace

ssize_t ReceiveStream(const OpenSocket& socket, std::span<const iovec> pieces, int flags) {
  if ((flags & ~MSG_DONTWAIT) == 0 && pieces.size() == 1) [[likely]] {
    if (const ssize_t received = ReceiveAtOnce(socket, pieces[0])) return received;
  }
  if ((flags & MSG_OOB) != 0) return ReceiveUrgent(socket, pieces, flags);
  if ((flags & MSG_ERRQUEUE) != 0) return -EAGAIN;  // streams report errors by themselves
  const ssize_t total = TotalBytes(pieces);
  if (total < 0) return total;
  Entry& entry = *socket.entry;
  const size_t low_water = entry.options.receive_low_water_bytes.load();
  const size_t target = (flags & MSG_WAITALL) != 0
                            ? static_cast<size_t>(total)
                            : std::min(std::max<size_t>(low_water, 1), static_cast<size_t>(total));
  PieceCursor into(pieces);
  BlockingWait wait(socket, table::kEventIn, entry.options.receive_timeout_ns.load());
  size_t done = 0;
  for (bool turned = false;;) {
    if ((flags & MSG_PEEK) != 0) {
      into.Rewind();
      done = 0;
    }
    const Attempt attempt = TryReceive(socket, into, flags, done == 0);
    done += attempt.bytes;
    if (done >= target && done != 0) return static_cast<ssize_t>(done);
    if (total == 0 && (attempt.error == 0 || attempt.error == EAGAIN)) return 0;
    if (attempt.ended) return static_cast<ssize_t>(done);
    if (attempt.error != 0 && attempt.error != EAGAIN) {
      return done != 0 ? static_cast<ssize_t>(done) : -attempt.error;
    }
    if (done != 0 && entry.error.load() != 0) return static_cast<ssize_t>(done);
    if (DoesNotWait(socket, flags)) {
      if (done != 0 || turned) return done != 0 ? static_cast<ssize_t>(done) : -EAGAIN;
      TurnSometimes();
      turned = true;
    } else if (int woken = wait.Sleep()) {
      return done != 0 ? static_cast<ssize_t>(done) : -woken;
    }
  }
}

int CanSend(const OpenSocket& socket, bool take_error) {
  const Entry& entry = *socket.entry;
  if (entry.error.load() != 0) {
    if (!take_error) return EAGAIN;
    if (int error = TakeError(socket)) return error;
  }
  if ((entry.application_flags.load() & table::kShutdownSend) != 0 ||
      (entry.engine_flags.Acquire() & table::kSendClosed) != 0) {
    return EPIPE;
  }
  switch (entry.status.Acquire()) {
    case Status::kConnected:
    case Status::kShutdown:
      return 0;
    case Status::kConnecting:
      return EAGAIN;
    default:
      return EPIPE;  // as Linux answers for streams that are not connected
  }
}

namespace {

// The last byte of an urgent send travels in a buffer of its own, marked.
bool WriteUrgentByte(table::SendWriter& writer, uint8_t byte) {
  const uint32_t buffer = state.region.TakeBuffer();
  if (buffer == table::kNone) return false;
  state.region.storage(buffer)[table::kHeadroom] = byte;
  if (writer.WriteBuffer(buffer, table::kHeadroom, 1, table::kUrgent)) return true;
  state.region.DropReference(buffer);
  return false;
}

void SetMore(Entry& entry, bool more) {
  const bool was = (entry.application_flags.load() & table::kMore) != 0;
  if (more && !was) entry.application_flags.SetBits(table::kMore);
  if (!more && was) entry.application_flags.ClearBits(table::kMore);
}

// Queues as much as there is room for. `left` is how many bytes the cursor still has.
Attempt TrySend(const OpenSocket& socket, PieceCursor& from, size_t left, int flags,
                bool take_error) {
  Entry& entry = *socket.entry;
  Attempt attempt;
  {
    LockHolder holder(entry.send_lock);
    if (!socket.IsOpen()) return {.error = EBADF};
    if (int error = CanSend(socket, take_error)) return {.error = error};
    SetMore(entry, (flags & MSG_MORE) != 0);
    table::SendWriter writer(state.region, entry);
    const size_t urgent = (flags & MSG_OOB) != 0 ? 1 : 0;
    while (attempt.bytes + urgent < left) {
      const size_t wanted = std::min({from.size(), left - attempt.bytes - urgent, size_t{1} << 30});
      const uint32_t taken = writer.Write({from.data(), wanted});
      attempt.bytes += taken;
      from.Advance(taken);
      if (taken < wanted) break;
    }
    if (urgent != 0 && attempt.bytes + 1 == left && WriteUrgentByte(writer, *from.data())) {
      ++attempt.bytes;
      from.Advance(1);
    }
    if (attempt.bytes < left) {
      // With nothing of ours under way nobody would tell us that there are buffers again.
      const bool starved = writer.Room() != 0 && table::SendQueueBytes(entry) == 0;
      attempt.error = starved ? ENOBUFS : EAGAIN;
      if (!starved) entry.application_flags.SetBits(table::kSendBlocked);
    }
  }
  if (attempt.bytes != 0) RingEngine(socket);
  return attempt;
}

}  // namespace

namespace {

// The common case: there is room for all. Returns how much was queued; 0: it is not that.
uint32_t SendAtOnce(const OpenSocket& socket, const iovec& piece) {
  Entry& entry = *socket.entry;
  uint32_t taken;
  {
    LockHolder holder(entry.send_lock);
    table::SendWriter writer(state.region, entry);
    if (!socket.IsOpen() || CanSend(socket, false) != 0 || writer.Room() < piece.iov_len) return 0;
    SetMore(entry, false);
    taken = writer.Write({static_cast<const uint8_t*>(piece.iov_base), piece.iov_len});
  }
  if (taken != 0) RingEngine(socket);
  return taken;
}

}  // namespace

ssize_t SendStream(const OpenSocket& socket, std::span<const iovec> pieces, int flags) {
  size_t done = 0;
  if ((flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) == 0 && pieces.size() == 1) [[likely]] {
    done = SendAtOnce(socket, pieces[0]);
    if (done != 0 && done == pieces[0].iov_len) [[likely]]
      return static_cast<ssize_t>(done);
  }
  const ssize_t total = TotalBytes(pieces);
  if (total < 0) return total;
  PieceCursor from(pieces);
  from.Advance(done);
  BlockingWait wait(socket, table::kEventOut, socket.entry->options.send_timeout_ns.load());
  const size_t wanted = static_cast<size_t>(total);
  for (bool turned = false;;) {
    const Attempt attempt = TrySend(socket, from, wanted - done, flags, done == 0);
    done += attempt.bytes;
    if (done == wanted && attempt.error == 0) return total;
    if (attempt.error != EAGAIN) {
      if (done != 0) return static_cast<ssize_t>(done);
      return attempt.error == EPIPE ? -BrokenPipe(flags) : -attempt.error;
    }
    if (done != 0 && socket.entry->error.load() != 0) return static_cast<ssize_t>(done);
    if (DoesNotWait(socket, flags)) {
      // The room that the engine makes between our look and this turn counts.
      if (turned) return done != 0 ? static_cast<ssize_t>(done) : -EAGAIN;
      TurnSometimes();
      turned = true;
    } else if (int woken = wait.Sleep()) {
      return done != 0 ? static_cast<ssize_t>(done) : -woken;
    }
  }
}

}  // namespace sluice::api
