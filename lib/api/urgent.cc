// Urgent data on streams: one byte at a position that the engine tells (RFC 6093).
#include "api/stream.h"

namespace sluice::api {
namespace {

bool IsInline(const OpenSocket& socket) {
  return socket.entry->options.is_set(table::kOutOfBandInline);
}

// Bytes between what was read and the urgent byte; negative: it was passed, or there is none.
int32_t DistanceToMark(const OpenSocket& socket) {
  const table::Entry& entry = *socket.entry;
  if ((entry.engine_flags.Acquire() & table::kUrgentPending) == 0) return -1;
  return static_cast<int32_t>(entry.urgent_position.load() - entry.receive_consumer.bytes.load());
}

// The unread byte with that many bytes in front of it; false if it is not there yet.
bool ByteAt(const OpenSocket& socket, uint32_t distance, uint8_t& byte) {
  const table::Entry& entry = *socket.entry;
  table::Cursor cursor = entry.receive_cursor;
  uint64_t skip = uint64_t{distance} + entry.receive_offset;
  uint32_t left;
  while (table::RingHas(entry.receive_producer, cursor) &&
         table::RingSettle(state.region, entry.receive_producer, cursor, left)) {
    std::span<const uint8_t> payload = state.region.Payload(table::RingAt(state.region, cursor));
    if (skip < payload.size()) {
      byte = payload[skip];
      return true;
    }
    skip -= payload.size();
    table::RingStep(cursor);
  }
  return false;
}

}  // namespace

UrgentWindow UrgentWindowOf(const OpenSocket& socket) {
  const int32_t distance = DistanceToMark(socket);
  if (distance < 0) return {};
  if (distance > 0) return {.limit = static_cast<uint32_t>(distance)};
  return {.skip = IsInline(socket) ? 0u : 1u};
}

int TakeUrgentByte(const OpenSocket& socket, uint8_t& byte, bool peek) {
  const int32_t distance = DistanceToMark(socket);
  const uint32_t position = socket.entry->urgent_position.load();
  if (IsInline(socket) || distance < 0 || position + 1 == socket.side->urgent_taken.load()) {
    return EINVAL;
  }
  if (!ByteAt(socket, static_cast<uint32_t>(distance), byte)) return EAGAIN;
  if (!peek) socket.side->urgent_taken.store(position + 1);
  return 0;
}

bool IsAtUrgentMark(const OpenSocket& socket) { return DistanceToMark(socket) == 0; }

}  // namespace sluice::api
