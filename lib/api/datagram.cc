#include "api/datagram.h"

#include <algorithm>

#include "api/address.h"
#include "api/ask.h"
#include "api/errors.h"
#include "api/socket_error.h"
#include "api/stream.h"
#include "api/twins.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

using table::DatagramHeader;
using table::Entry;
using table::Status;

// UDP over IPv4 and IPv6: 65,535 less the headers (RFC 768, RFC 8200).
constexpr uint32_t kMostBytesV4 = 65507;
constexpr uint32_t kMostBytesV6 = 65527;

bool DoesNotWait(const OpenSocket& socket, int flags) {
  return (flags & MSG_DONTWAIT) != 0 || socket.is_nonblocking();
}

// From a socket's own queue, or a twin's, whose errors the caller has looked at.
template <bool kIsMember>
[[gnu::always_inline]] inline int TryReceiveFrom(const OpenSocket& socket,
                                                 std::span<const iovec> pieces, int flags,
                                                 ReceivedDatagram& datagram) {
  Entry& entry = *socket.entry;
  const bool peek = (flags & MSG_PEEK) != 0;
  uint16_t marks = 0;
  bool ring = true;
  {
    LockHolder holder(entry.receive_lock);
    if (!socket.IsOpen()) return EBADF;
    datagram.is_error = (flags & MSG_ERRQUEUE) != 0;
    if (datagram.is_error) {
      uint32_t offset = 0;
      auto errors = table::ReceiveReader::ErrorQueue(state.region, entry, offset);
      if (!errors.ReadDatagram(datagram.header, pieces, datagram.length, marks, peek)) {
        return EAGAIN;
      }
    } else {
      if (!kIsMember && entry.error.load() != 0) {
        if (int error = TakeError(socket)) return error;
      }
      if (socket.side->lent != 0) return EBUSY;
      table::ReceiveReader reader(state.region, entry);
      const uint32_t before = entry.receive_consumer.bytes.load();
      if (!reader.ReadDatagram(datagram.header, pieces, datagram.length, marks, peek)) {
        return (entry.application_flags.load() & table::kShutdownReceive) != 0 ? ESHUTDOWN : EAGAIN;
      }
      ring = ShouldRing(socket, before);
    }
  }
  if (ring && !peek) RingEngine(socket);
  return 0;
}

[[gnu::noinline]] int TryReceiveInTurn(const OpenSocket& socket, std::span<const iovec> pieces,
                                       int flags, ReceivedDatagram& datagram) {
  if ((flags & MSG_ERRQUEUE) == 0) {
    if (int error = TakeError(socket)) return error;
  }
  bool is_shut = false;
  int error = EAGAIN;
  VisitInTurn(socket, (flags & MSG_PEEK) != 0, [&](const OpenSocket& member) {
    error = TryReceiveFrom<true>(member, pieces, flags, datagram);
    is_shut = is_shut || error == ESHUTDOWN;  // the others may hold what came before
    return error != EAGAIN && error != ESHUTDOWN;
  });
  return error == EAGAIN && is_shut ? ESHUTDOWN : error;
}

int TryReceive(const OpenSocket& socket, std::span<const iovec> pieces, int flags,
               ReceivedDatagram& datagram) {
  if (HasTwins(socket)) return TryReceiveInTurn(socket, pieces, flags, datagram);
  return TryReceiveFrom<false>(socket, pieces, flags, datagram);
}

// What must be right before a datagram is queued. The send_lock is held. 0 or an errno.
int PrepareToSend(const OpenSocket& socket, DatagramHeader& header, bool has_destination,
                  uint32_t length) {
  Entry& entry = *socket.entry;
  if (int error = TakeError(socket)) return error;
  if ((entry.application_flags.load() & table::kShutdownSend) != 0) return EPIPE;
  const Status status = entry.status.Acquire();
  if (!has_destination) {
    if (status != Status::kConnected && status != Status::kShutdown) return EDESTADDRREQ;
    header.peer = entry.remote.Load();
  }
  header.peer.address = DestinationOf(header.peer.address);
  const wire::IpAddress& to = header.peer.address;
  if (header.peer.port == 0 && has_destination) return EINVAL;
  if (to.is_limited_broadcast() && !entry.options.is_set(table::kBroadcast)) return EACCES;
  if (socket.is_v6() && to.is_v4() && entry.options.is_set(table::kIpv6Only)) return ENETUNREACH;
  if (length > (to.is_v4() ? kMostBytesV4 : kMostBytesV6)) return EMSGSIZE;
  if (LacksPort(entry, status)) {
    // The first send chooses the port, as on every system: the program may ask for it next.
    return ErrnoOf(TakePortEverywhere(socket));
  }
  return 0;
}

int TrySend(const OpenSocket& socket, std::span<const iovec> pieces, DatagramHeader& header,
            bool has_destination, uint32_t length) {
  Entry& entry = *socket.entry;
  {
    LockHolder holder(entry.send_lock);
    if (!socket.IsOpen()) return EBADF;
    if (int error = PrepareToSend(socket, header, has_destination, length)) return error;
    if (header.segment_bytes == 0) header.segment_bytes = socket.side->segment_bytes;
    table::SendWriter writer(state.region, entry);
    bool written = writer.WriteDatagram(header, pieces, length);
    if (!written) {
      entry.application_flags.SetBits(table::kSendBlocked);
      table::FullFence();  // as in AwaitRoom (wait.h)
      written = writer.WriteDatagram(header, pieces, length);
    }
    if (!written) return table::SendQueueBytes(entry) == 0 ? ENOBUFS : EAGAIN;
  }
  RingEngine(socket);
  return 0;
}

}  // namespace

int ReceiveDatagram(const OpenSocket& socket, std::span<const iovec> pieces, int flags,
                    ReceivedDatagram& datagram) {
  if ((flags & MSG_OOB) != 0) return EOPNOTSUPP;
  BlockingWait wait(socket, table::kEventIn, socket.entry->options.receive_timeout_ns.load());
  for (bool turned = false;;) {
    const int error = TryReceive(socket, pieces, flags, datagram);
    if (error != EAGAIN) return error;
    if (DoesNotWait(socket, flags) || (flags & MSG_ERRQUEUE) != 0) {
      if (turned) return EAGAIN;
      TurnSometimes();
      turned = true;
    } else if (int woken = wait.Sleep()) {
      return woken;
    }
  }
}

ssize_t SendDatagram(const OpenSocket& socket, std::span<const iovec> pieces, int flags,
                     DatagramHeader header, bool has_destination) {
  if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
  const ssize_t total = TotalBytes(pieces);
  if (total < 0) return total;
  if (total > 0xffff) return -EMSGSIZE;
  BlockingWait wait(socket, table::kEventOut, socket.entry->options.send_timeout_ns.load());
  for (bool turned = false;;) {
    const int error =
        TrySend(socket, pieces, header, has_destination, static_cast<uint32_t>(total));
    if (error == 0) return total;
    if (error == EPIPE) return -BrokenPipe(flags);
    if (error != EAGAIN) return -error;
    if (DoesNotWait(socket, flags)) {
      if (turned) return -EAGAIN;
      TurnSometimes();
      turned = true;
    } else if (int woken = wait.Sleep()) {
      return -woken;
    }
  }
}

namespace {

int64_t FirstBytesOf(const OpenSocket& socket) {
  LockHolder holder(socket.entry->receive_lock);
  table::ReceiveReader reader(state.region, *socket.entry);
  ReceivedDatagram datagram;
  uint16_t marks;
  if (!socket.IsOpen() || !reader.ReadDatagram(datagram.header, {}, datagram.length, marks, true)) {
    return -1;
  }
  return datagram.length;
}

}  // namespace

int64_t FirstDatagramBytes(const OpenSocket& socket) {
  if (!HasTwins(socket)) return FirstBytesOf(socket);
  int64_t bytes = -1;
  VisitInTurn(socket, true, [&bytes](const OpenSocket& member) {
    bytes = FirstBytesOf(member);
    return bytes >= 0;
  });
  return bytes;
}

}  // namespace sluice::api
