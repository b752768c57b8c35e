// The one place where the core's results become errno.
#pragma once

#include <cerrno>
#include <cstdint>

#include "table/result.h"

namespace sluice::api {

constexpr int ErrnoOf(table::Result result) {
  using enum table::Result;
  switch (result) {
    case kOk:
      return 0;
    case kInProgress:
      return EINPROGRESS;
    case kAlready:
      return EALREADY;
    case kInvalid:
      return EINVAL;
    case kBadHandle:
      return EBADF;
    case kAddressInUse:
      return EADDRINUSE;
    case kAddressNotAvailable:
      return EADDRNOTAVAIL;
    case kAddressFamily:
      return EAFNOSUPPORT;
    case kAccess:
      return EACCES;
    case kIsConnected:
      return EISCONN;
    case kNotConnected:
      return ENOTCONN;
    case kDestinationRequired:
      return EDESTADDRREQ;
    case kRefused:
      return ECONNREFUSED;
    case kReset:
      return ECONNRESET;
    case kAborted:
      return ECONNABORTED;
    case kPipe:
      return EPIPE;
    case kTimedOut:
      return ETIMEDOUT;
    case kNetworkUnreachable:
      return ENETUNREACH;
    case kHostUnreachable:
      return EHOSTUNREACH;
    case kMessageTooBig:
      return EMSGSIZE;
    case kProtocol:
      return EPROTO;
    case kNoProtocolOption:
      return ENOPROTOOPT;
    case kNotSupported:
      return EOPNOTSUPP;
    case kNoDevice:
      return ENODEV;
    case kNoSockets:
      return ENFILE;
    case kNoBuffers:
      return ENOBUFS;
    case kElsewhere:
      return EADDRNOTAVAIL;
  }
  return EPROTO;  // the engine's word is a stranger's: a number outside the table
}

// -1 with errno set.
inline int Fail(int error) {
  errno = error;
  return -1;
}

}  // namespace sluice::api
