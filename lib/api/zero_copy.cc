#include "api/zero_copy.h"

#include <sluice/sluice.h>

#include <algorithm>

#include "api/errors.h"
#include "api/socket_calls.h"
#include "api/socket_error.h"
#include "api/stream.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

using table::Entry;

bool DoesNotWait(const OpenSocket& socket, int flags) {
  return (flags & MSG_DONTWAIT) != 0 || socket.is_nonblocking();
}

// A token is the buffer's index + 1: zero is no buffer.
bool BufferOf(const sluice_zc_buffer* buffer, uint32_t& index) {
  if (buffer == nullptr || buffer->token == 0 || buffer->token > state.region.limits().buffers) {
    return false;
  }
  index = static_cast<uint32_t>(buffer->token - 1);
  return true;
}

// What a buffer's send finds. 0, EAGAIN, or another errno.
int TrySend(const OpenSocket& socket, uint32_t buffer, uint16_t offset, uint32_t length) {
  Entry& entry = *socket.entry;
  {
    LockHolder holder(entry.send_lock);
    if (!socket.IsOpen()) return EBADF;
    if (int error = CanSend(socket, true)) return error;
    table::SendWriter writer(state.region, entry);
    bool written = writer.WriteBuffer(buffer, offset, length);
    if (!written) {
      entry.application_flags.SetBits(table::kSendBlocked);
      table::FullFence();  // as in AwaitRoom (wait.h)
      written = writer.WriteBuffer(buffer, offset, length);
    }
    if (!written) {
      return writer.Room() != 0 && table::SendQueueBytes(entry) == 0 ? ENOBUFS : EAGAIN;
    }
  }
  RingEngine(socket);
  return 0;
}

// Lends what lies behind the bytes already on loan. The receive_lock is held. Returns bytes.
size_t Lend(const OpenSocket& socket, iovec* pieces, int maximum, int& used) {
  Entry& entry = *socket.entry;
  SocketSide& side = *socket.side;
  RareSide& rare = state.rare_sides[socket.handle.index];
  if (side.lent == 0) {
    rare.lent_cursor = entry.receive_cursor;
    rare.lent_offset = entry.receive_offset;
  }
  size_t total = 0;
  uint32_t left;
  while (used < maximum && table::RingHas(entry.receive_producer, rare.lent_cursor) &&
         table::RingSettle(state.region, entry.receive_producer, rare.lent_cursor, left)) {
    std::span<uint8_t> payload =
        state.region.Payload(table::RingAt(state.region, rare.lent_cursor));
    if (rare.lent_offset < payload.size()) {
      payload = payload.subspan(rare.lent_offset);
      pieces[used++] = {.iov_base = payload.data(), .iov_len = payload.size()};
      total += payload.size();
      ++entry.held_heads;
    }
    table::RingStep(rare.lent_cursor);
    rare.lent_offset = 0;
  }
  side.lent += static_cast<uint32_t>(total);
  return total;
}

// 0 bytes and error 0: the end of the stream.
int TryLend(const OpenSocket& socket, iovec* pieces, int maximum, int& used, size_t& bytes) {
  Entry& entry = *socket.entry;
  LockHolder holder(entry.receive_lock);
  if (!socket.IsOpen()) return EBADF;
  const uint32_t flags = entry.engine_flags.Acquire();  // before the queue, as in TryReceive
  bytes = Lend(socket, pieces, maximum, used);
  return bytes != 0 ? 0 : NothingToReceive(socket, flags, true);
}

}  // namespace

int ZeroCopyAllocate(sluice_zc_buffer* buffer) {
  if (buffer == nullptr) return Fail(EFAULT);
  if (!IsInstalled()) return Fail(ENOTSUP);
  const uint32_t index = state.region.TakeBuffer();
  if (index == table::kNone) return Fail(ENOBUFS);
  *buffer = {.data = state.region.storage(index) + table::kHeadroom,
             .capacity = state.region.limits().buffer_bytes,
             .token = uint64_t{index} + 1};
  return 0;
}

void ZeroCopyFree(sluice_zc_buffer* buffer) {
  uint32_t index;
  if (!IsInstalled() || !BufferOf(buffer, index)) return;
  state.region.DropReference(index);
  *buffer = {};
}

ssize_t ZeroCopySend(int fd, sluice_zc_buffer* buffer, size_t offset, size_t length, int flags) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  uint32_t index;
  if (!BufferOf(buffer, index)) return Fail(EINVAL);
  if (!socket.is_stream()) return Fail(EOPNOTSUPP);
  if (length == 0 || offset > buffer->capacity || length > buffer->capacity - offset) {
    return Fail(EMSGSIZE);
  }
  BlockingWait wait(socket, table::kEventOut, socket.entry->options.send_timeout_ns.load());
  for (bool turned = false;;) {
    const int error = TrySend(socket, index, static_cast<uint16_t>(table::kHeadroom + offset),
                              static_cast<uint32_t>(length));
    if (error == 0) {
      *buffer = {};
      return static_cast<ssize_t>(length);
    }
    if (error != EAGAIN) return Fail(error == EPIPE ? BrokenPipe(flags) : error);
    if (!DoesNotWait(socket, flags)) {
      if (int woken = wait.Sleep()) return Fail(woken);
      continue;
    }
    if (turned) return Fail(EAGAIN);
    TurnSometimes();
    turned = true;
  }
}

ssize_t ZeroCopyReceive(int fd, iovec* pieces, int maximum, int* used, int flags) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (pieces == nullptr || used == nullptr) return Fail(EFAULT);
  if (maximum <= 0 || (flags & ~MSG_DONTWAIT) != 0) return Fail(EINVAL);
  if (!socket.is_stream()) return Fail(EOPNOTSUPP);
  BlockingWait wait(socket, table::kEventIn, socket.entry->options.receive_timeout_ns.load());
  for (bool turned = false;;) {
    *used = 0;
    size_t bytes = 0;
    const int error = TryLend(socket, pieces, maximum, *used, bytes);
    if (error == 0) return static_cast<ssize_t>(bytes);
    if (error != EAGAIN) return Fail(error);
    if (!DoesNotWait(socket, flags)) {
      if (int woken = wait.Sleep()) return Fail(woken);
      continue;
    }
    if (turned) return Fail(EAGAIN);
    TurnSometimes();
    turned = true;
  }
}

int ZeroCopyRelease(int fd, size_t count) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (!socket.is_stream()) return Fail(EOPNOTSUPP);
  Entry& entry = *socket.entry;
  bool ring;
  {
    LockHolder holder(entry.receive_lock);
    if (!socket.IsOpen()) return Fail(EBADF);
    SocketSide& side = *socket.side;
    if (count > side.lent) return Fail(EINVAL);
    const uint32_t before = entry.receive_consumer.bytes.load();
    const uint32_t first = entry.receive_cursor.position;
    table::ReceiveReader(state.region, entry).Discard(static_cast<uint32_t>(count));
    side.lent -= static_cast<uint32_t>(count);
    const uint32_t passed = entry.receive_cursor.position - first;
    entry.held_heads = side.lent == 0 ? 0 : entry.held_heads - std::min(passed, entry.held_heads);
    ring = ShouldRing(socket, before);
  }
  if (ring) RingEngine(socket);
  return 0;
}

}  // namespace sluice::api
