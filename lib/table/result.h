// Why an operation on a socket failed, as the core says it. lib/api alone turns it into errno.
#pragma once

#include <cstdint>

namespace sluice::table {

enum class Result : uint8_t {
  kOk,
  kInProgress,           // EINPROGRESS
  kAlready,              // EALREADY
  kInvalid,              // EINVAL
  kBadHandle,            // EBADF: the handle is stale
  kAddressInUse,         // EADDRINUSE
  kAddressNotAvailable,  // EADDRNOTAVAIL
  kAddressFamily,        // EAFNOSUPPORT
  kAccess,               // EACCES: broadcast without SO_BROADCAST, ...
  kIsConnected,          // EISCONN
  kNotConnected,         // ENOTCONN
  kDestinationRequired,  // EDESTADDRREQ
  kRefused,              // ECONNREFUSED
  kReset,                // ECONNRESET
  kAborted,              // ECONNABORTED
  kPipe,                 // EPIPE
  kTimedOut,             // ETIMEDOUT
  kNetworkUnreachable,   // ENETUNREACH
  kHostUnreachable,      // EHOSTUNREACH
  kMessageTooBig,        // EMSGSIZE
  kProtocol,             // EPROTO
  kNoProtocolOption,     // ENOPROTOOPT
  kNotSupported,         // EOPNOTSUPP
  kNoDevice,             // ENODEV
  kNoSockets,            // ENFILE: every slot of the table is taken
  kNoBuffers,            // ENOBUFS: a buffer, block or queue limit was hit
  kElsewhere,            // the flow is another engine's: the answer's value tells whose
};

}  // namespace sluice::table
