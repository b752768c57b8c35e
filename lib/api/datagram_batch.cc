#include "api/datagram_batch.h"

#include "api/address.h"
#include "api/datagram.h"
#include "api/socket_error.h"
#include "api/stream.h"
#include "api/twins.h"
#include "table/application_queues.h"

namespace sluice::api {
namespace {

using table::DatagramHeader;
using table::Entry;
using table::Status;

constexpr int kReceiveFlags = MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_WAITFORONE;
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM;
constexpr size_t kMostPieces = 1024;       // UIO_MAXIOV
constexpr ssize_t kPlainBytesMax = 65507;  // fits whatever the family (RFC 768)

void Finish(const OpenSocket& socket, const ReceivedDatagram& datagram,
            std::span<const iovec> pieces, int flags, mmsghdr& message) {
  msghdr& header = message.msg_hdr;
  header.msg_flags = 0;
  StoreAddress(datagram.header.peer, socket.entry->family.load(),
               static_cast<sockaddr*>(header.msg_name), &header.msg_namelen);
  StoreControl(socket, datagram, header);
  const ssize_t room = TotalBytes(pieces);
  if (datagram.length > room) header.msg_flags |= MSG_TRUNC;
  message.msg_len = (flags & MSG_TRUNC) != 0 || datagram.length <= room
                        ? datagram.length
                        : static_cast<unsigned>(room);
}

// Where a plain datagram is to go. False: SendDatagram must say.
bool PlainDestination(const OpenSocket& socket, const msghdr& message, bool connected,
                      DatagramHeader& header) {
  if (message.msg_control != nullptr || message.msg_iovlen > kMostPieces) return false;
  if (message.msg_name == nullptr) return connected;
  if (ParseAddress(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen,
                   socket.entry->family.load(), true, header.peer) != 0) {
    return false;
  }
  const wire::IpAddress& to = header.peer.address;
  return header.peer.port != 0 && !to.is_unspecified() && !to.is_limited_broadcast() &&
         !(to.is_v4() && socket.is_v6() && socket.entry->options.is_set(table::kIpv6Only));
}

// From a queue of the socket's own or of a twin.
unsigned ReceiveBatchFrom(const OpenSocket& member, const OpenSocket& socket,
                          std::span<mmsghdr> messages, int flags) {
  Entry& entry = *member.entry;
  unsigned done = 0;
  bool ring;
  {
    LockHolder holder(entry.receive_lock);
    if (!member.IsOpen() || member.side->lent != 0) return 0;
    table::ReceiveReader reader(state.region, entry);
    const uint32_t before = entry.receive_consumer.bytes.load();
    ReceivedDatagram datagram;
    uint16_t marks;
    for (mmsghdr& message : messages) {
      const std::span<const iovec> pieces{message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen};
      if (pieces.size() > kMostPieces) break;
      if (!reader.ReadDatagram(datagram.header, pieces, datagram.length, marks, false)) break;
      Finish(socket, datagram, pieces, flags, message);
      ++done;
    }
    if (done == 0) return 0;
    ring = ShouldRing(member, before);
  }
  if (ring) RingEngine(member);
  return done;
}

}  // namespace

unsigned ReceiveBatch(const OpenSocket& socket, std::span<mmsghdr> messages, int flags) {
  if ((flags & ~kReceiveFlags) != 0 || HasError(socket)) return 0;
  if (!HasTwins(socket)) return ReceiveBatchFrom(socket, socket, messages, flags);
  unsigned done = 0;
  VisitInTurn(socket, false, [&](const OpenSocket& member) {
    done = ReceiveBatchFrom(member, socket, messages, flags);
    return done != 0;
  });
  return done;
}

unsigned SendBatch(const OpenSocket& socket, std::span<mmsghdr> messages, int flags) {
  if ((flags & ~kSendFlags) != 0) return 0;
  Entry& entry = *socket.entry;
  unsigned done = 0;
  {
    LockHolder holder(entry.send_lock);
    if (!socket.IsOpen() || HasError(socket) ||
        (entry.application_flags.load() & table::kShutdownSend) != 0) {
      return 0;
    }
    const Status status = entry.status.Acquire();
    if (LacksPort(entry, status)) return 0;
    const bool connected = status == Status::kConnected;
    table::SendWriter writer(state.region, entry);
    DatagramHeader header;
    header.segment_bytes = socket.side->segment_bytes;
    const wire::Endpoint peer = connected ? entry.remote.Load() : wire::Endpoint();
    for (mmsghdr& message : messages) {
      header.peer = peer;
      if (!PlainDestination(socket, message.msg_hdr, connected, header)) break;
      const std::span<const iovec> pieces{message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen};
      const ssize_t length = TotalBytes(pieces);
      if (length < 0 || length > kPlainBytesMax) break;
      if (!writer.WriteDatagram(header, pieces, static_cast<uint32_t>(length))) break;
      message.msg_len = static_cast<unsigned>(length);
      ++done;
    }
  }
  if (done != 0) RingEngine(socket);
  return done;
}

}  // namespace sluice::api
