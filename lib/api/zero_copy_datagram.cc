// Datagrams that are lent where they lie, and sent back from there.
#include <netinet/in.h>
#include <sluice/sluice.h>

#include "api/address.h"
#include "api/errors.h"
#include "api/socket_error.h"
#include "api/stream.h"
#include "api/twins.h"
#include "api/wait.h"
#include "api/zero_copy.h"

namespace sluice::api {
namespace {

using table::Descriptor;
using table::Entry;

// Bytes from the payload's first one to the end of what it lies in.
size_t CapacityOf(const Descriptor& descriptor) {
  Descriptor all = descriptor;
  all.length = 0;
  if (state.region.Payload(all).data() == nullptr) return 0;
  return state.region.StorageBytes(descriptor) - descriptor.offset;
}

// Lends what lies behind the datagrams already on loan. The receive_lock is held. 0 or an errno.
int Lend(const OpenSocket& socket, std::span<sluice_zc_datagram> datagrams, int& used) {
  Entry& entry = *socket.entry;
  SocketSide& side = *socket.side;
  RareSide& rare = state.rare_sides[socket.handle.index];
  if (side.lent == 0) rare.lent_cursor = entry.receive_cursor;
  const int family = entry.family.load();
  uint32_t left;
  for (sluice_zc_datagram& datagram : datagrams) {
    if (!table::RingHas(entry.receive_producer, rare.lent_cursor)) break;
    if (!table::RingSettle(state.region, entry.receive_producer, rare.lent_cursor, left)) break;
    const Descriptor& descriptor = table::RingAt(state.region, rare.lent_cursor);
    constexpr uint16_t kWhole = table::kDatagramStart | table::kDatagramEnd;
    if ((descriptor.flags & kWhole) != kWhole) return used == 0 ? EMSGSIZE : 0;
    const auto& header =
        *reinterpret_cast<const table::DatagramHeader*>(state.region.Storage(descriptor));
    const std::span<uint8_t> payload = state.region.Payload(descriptor);
    datagram.data = payload.data();
    datagram.length = payload.size();
    datagram.capacity = CapacityOf(descriptor);
    datagram.send_back = 0;
    socklen_t length = sizeof(datagram.peer);
    StoreAddress(header.peer, family, reinterpret_cast<sockaddr*>(&datagram.peer), &length);
    table::RingStep(rare.lent_cursor);
    ++used;
  }
  side.lent += static_cast<uint32_t>(used);
  entry.held_heads = side.lent;
  return used != 0 ? 0 : EAGAIN;
}

// Of a socket and its twins, the one whose datagrams are on loan; else the socket itself.
OpenSocket LenderOf(const OpenSocket& socket) {
  OpenSocket lender = socket;
  if (HasTwins(socket)) {
    ForEachTwin(socket, [&lender](const OpenSocket& twin) {
      if (twin.entry->held_heads != 0) lender = twin;
    });
  }
  return lender;
}

int TryLendFrom(const OpenSocket& socket, std::span<sluice_zc_datagram> datagrams, int& used) {
  Entry& entry = *socket.entry;
  LockHolder holder(entry.receive_lock);
  if (!socket.IsOpen()) return EBADF;
  if (!IsTwin(socket)) {
    if (int error = TakeError(socket)) return error;
  }
  const int error = Lend(socket, datagrams, used);
  const bool shut = (entry.application_flags.load() & table::kShutdownReceive) != 0;
  return error == EAGAIN && shut ? ESHUTDOWN : error;
}

// One lends at a time: datagrams are settled in the order in which they were lent.
int TryLend(const OpenSocket& socket, std::span<sluice_zc_datagram> datagrams, int& used) {
  if (!HasTwins(socket)) return TryLendFrom(socket, datagrams, used);
  const OpenSocket lender = LenderOf(socket);
  if (lender.side->lent != 0) return TryLendFrom(lender, datagrams, used);
  bool is_shut = false;
  int error = EAGAIN;
  VisitInTurn(socket, false, [&](const OpenSocket& member) {
    error = TryLendFrom(member, datagrams, used);
    is_shut = is_shut || error == ESHUTDOWN;
    return error != EAGAIN && error != ESHUTDOWN;
  });
  return error == EAGAIN && is_shut ? ESHUTDOWN : error;
}

// What is wrong with the settlement, before any of it is done: 0 or an errno.
int Check(const OpenSocket& socket, const OpenSocket& lender,
          std::span<const sluice_zc_datagram> datagrams) {
  if (datagrams.size() > lender.side->lent) return EINVAL;
  bool sends = false;
  for (const sluice_zc_datagram& datagram : datagrams) {
    if (datagram.send_back == 0) continue;
    if (datagram.length > datagram.capacity) return EMSGSIZE;
    sends = true;
  }
  const uint32_t flags = socket.entry->application_flags.load();
  return sends && (flags & table::kShutdownSend) != 0 ? EPIPE : 0;
}

// Gives the oldest datagrams on loan to the engine. The receive_lock is held.
void Settle(const OpenSocket& socket, std::span<const sluice_zc_datagram> datagrams) {
  Entry& entry = *socket.entry;
  table::Cursor& cursor = entry.receive_cursor;
  uint32_t bytes = 0, left;
  for (const sluice_zc_datagram& datagram : datagrams) {
    if (!table::RingSettle(state.region, entry.receive_producer, cursor, left)) break;
    Descriptor& descriptor = table::RingAt(state.region, cursor);
    bytes += descriptor.length;
    if (datagram.send_back != 0 && datagram.length <= CapacityOf(descriptor)) {
      descriptor.length = static_cast<uint32_t>(datagram.length);
      descriptor.flags |= table::kSendBack;
    }
    table::RingStep(cursor);
  }
  socket.side->lent -= static_cast<uint32_t>(datagrams.size());
  entry.held_heads = socket.side->lent;
  entry.receive_consumer.bytes.store(entry.receive_consumer.bytes.load() + bytes);
  entry.receive_consumer.head.Release(cursor.position);  // pairs with Reclaim and ReadReply
}

}  // namespace

int ZeroCopyReceiveDatagrams(int fd, sluice_zc_datagram* datagrams, unsigned maximum, int flags) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (datagrams == nullptr) return Fail(EFAULT);
  if (maximum == 0 || maximum > INT32_MAX || (flags & ~MSG_DONTWAIT) != 0) return Fail(EINVAL);
  if (socket.is_stream()) return Fail(EOPNOTSUPP);
  const bool waits = (flags & MSG_DONTWAIT) == 0 && !socket.is_nonblocking();
  BlockingWait wait(socket, table::kEventIn, socket.entry->options.receive_timeout_ns.load());
  for (bool turned = false;;) {
    int used = 0;
    const int error = TryLend(socket, {datagrams, maximum}, used);
    if (error == 0 || error == ESHUTDOWN) return used;
    if (error != EAGAIN) return Fail(error);
    if (waits) {
      if (int woken = wait.Sleep()) return Fail(woken);
      continue;
    }
    if (turned) return Fail(EAGAIN);
    TurnSometimes();
    turned = true;
  }
}

int ZeroCopySettleDatagrams(int fd, const sluice_zc_datagram* datagrams, unsigned count,
                            int flags) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (datagrams == nullptr && count != 0) return Fail(EFAULT);
  if ((flags & ~MSG_NOSIGNAL) != 0) return Fail(EINVAL);
  if (socket.is_stream()) return Fail(EOPNOTSUPP);
  const OpenSocket lender = LenderOf(socket);
  int error;
  {
    LockHolder holder(lender.entry->receive_lock);
    if (!lender.IsOpen()) return Fail(EBADF);
    error = Check(socket, lender, {datagrams, count});
    if (error == 0) Settle(lender, {datagrams, count});
  }
  if (error != 0) return Fail(error == EPIPE ? BrokenPipe(flags) : error);
  if (count != 0) RingEngine(lender);
  return 0;
}

}  // namespace sluice::api
