#include "api/datagram_batch.h"

#include <cstring>

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

std::span<const iovec> PiecesOf(const mmsghdr& message) {
  return {message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen};
}

// Receives a datagram that lies in one piece, fits into that of its message and brings nothing
// else along. False: it is none such. The engine is to be told of `taken` bytes.
bool ReceivePlain(int family, table::ReceiveReader& reader, mmsghdr& message, uint32_t& taken) {
  msghdr& to = message.msg_hdr;
  table::Descriptor descriptor;
  if (to.msg_iovlen != 1) return false;
  const DatagramHeader* const header = reader.FrontWhole(descriptor);
  if (header == nullptr) return false;
  const std::span<const uint8_t> payload = reader.PayloadOf(descriptor);
  const size_t room = to.msg_iov[0].iov_len;
  if (payload.size() > room || payload.size() != descriptor.total) return false;
  if (!payload.empty()) std::memcpy(to.msg_iov[0].iov_base, payload.data(), payload.size());
  to.msg_flags = 0;
  StoreAddress(header->peer, family, static_cast<sockaddr*>(to.msg_name), &to.msg_namelen);
  to.msg_controllen = 0;
  message.msg_len = descriptor.total;
  reader.TakeWhole();
  taken += static_cast<uint32_t>(payload.size());
  return true;
}

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
                      wire::Endpoint& peer) {
  if (message.msg_control != nullptr || message.msg_iovlen > kMostPieces) return false;
  if (message.msg_name == nullptr) return connected;
  if (ParseAddress(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen,
                   socket.entry->family.load(), true, peer) != 0) {
    return false;
  }
  const wire::IpAddress& to = peer.address;
  return peer.port != 0 && !to.is_unspecified() && !to.is_limited_broadcast() &&
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
    const bool plain = !AsksForControl(socket);
    const int family = socket.entry->family.load();
    ReceivedDatagram datagram;
    uint16_t marks;
    uint32_t taken = 0;
    for (mmsghdr& message : messages) {
      if (!plain || !ReceivePlain(family, reader, message, taken)) {
        const std::span<const iovec> pieces = PiecesOf(message);
        if (pieces.size() > kMostPieces) break;
        if (!reader.ReadDatagram(datagram.header, pieces, datagram.length, marks, false)) break;
        Finish(socket, datagram, pieces, flags, message);
      }
      ++done;
    }
    if (done == 0) return 0;
    reader.PublishTaken(taken);
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
    table::DatagramRun run(state.region, entry, messages.size());
    DatagramHeader header;
    header.segment_bytes = socket.side->segment_bytes;
    const wire::Endpoint remote = connected ? entry.remote.Load() : wire::Endpoint();
    for (mmsghdr& message : messages) {
      wire::Endpoint peer = remote;
      if (!PlainDestination(socket, message.msg_hdr, connected, peer)) break;
      const std::span<const iovec> pieces = PiecesOf(message);
      const ssize_t length =
          pieces.size() == 1 ? static_cast<ssize_t>(pieces[0].iov_len) : TotalBytes(pieces);
      if (length < 0 || length > kPlainBytesMax) break;
      const auto bytes = static_cast<uint32_t>(length);
      if (pieces.size() != 1 || !run.Write(header, peer, pieces[0], bytes)) {
        run.Publish();
        header.peer = peer;
        const bool written = writer.WriteDatagram(header, pieces, bytes);
        header.peer = {};
        if (!written) break;
        run.LookForRoom();
      }
      message.msg_len = bytes;
      ++done;
    }
  }
  if (done != 0) RingEngine(socket);
  return done;
}

}  // namespace sluice::api
