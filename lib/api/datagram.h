// Moving datagrams, and what comes with them.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "api/descriptors.h"
#include "table/descriptor.h"
#include "table/entry.h"

namespace sluice::api {

struct ReceivedDatagram {
  table::DatagramHeader header;
  uint32_t length = 0;    // its true size
  bool is_error = false;  // from the error queue
};

// Receives the first datagram into the pieces: 0 or an errno. ESHUTDOWN stands for "nothing will
// come any more" (shutdown): the caller returns 0. Waits as the blocking mode, the time-outs and
// `flags` say. MSG_ERRQUEUE takes a report from the error queue and never waits.
int ReceiveDatagram(const OpenSocket& socket, std::span<const iovec> pieces, int flags,
                    ReceivedDatagram& datagram);

// Sends one datagram; the header says where to and what ancillary data ask for. Returns its length
// or minus an errno.
ssize_t SendDatagram(const OpenSocket& socket, std::span<const iovec> pieces, int flags,
                     table::DatagramHeader header, bool has_destination);

// Whether the first send has to choose a port; with IP_BIND_ADDRESS_NO_PORT bind left it open.
inline bool LacksPort(const table::Entry& entry, table::Status status) {
  if (status == table::Status::kUnconnected) return true;
  return status == table::Status::kBound && entry.options.is_set(table::kBindAddressNoPort) &&
         entry.local.Load().port == 0;
}

// The size of the datagram that stands first; -1: none.
int64_t FirstDatagramBytes(const OpenSocket& socket);

// Whether an option of the socket adds something to what is received.
inline bool AsksForControl(const OpenSocket& socket) {
  constexpr uint64_t kOptions = table::kPacketInfoV4 | table::kPacketInfoV6 | table::kReceiveTtl |
                                table::kReceiveTos | table::kReceiveHopLimit |
                                table::kReceiveTrafficClass | table::kReceiveOriginalDestination |
                                table::kTimestamp | table::kTimestampNs;
  return (socket.entry->options.flags.load() & kOptions) != 0;
}

// Ancillary data (control.cc). Writes what the socket's options ask for to message.msg_control
// and sets msg_controllen and MSG_CTRUNC.
void StoreControl(const OpenSocket& socket, const ReceivedDatagram& datagram, msghdr& message);
// Reads what a sender asks for. 0 or EINVAL.
int ParseControl(const OpenSocket& socket, const msghdr& message, table::DatagramHeader& header);

}  // namespace sluice::api
