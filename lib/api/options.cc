// The socket level, and the way to the others.
#include "api/options.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/time.h>

#include <climits>

#include "api/address.h"
#include "api/ask.h"
#include "api/errors.h"
#include "api/interfaces.h"
#include "api/socket_calls.h"
#include "api/socket_error.h"
#include "api/time_out.h"
#include "api/twins.h"
#include "api/wait.h"

// Kernel numbers that older libc headers lack.
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#ifndef SO_INCOMING_CPU
#define SO_INCOMING_CPU 49
#endif
#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

namespace sluice::api {
namespace {

using table::Options;
using table::Status;

constexpr FlagOption kFlags[] = {
    {SO_REUSEADDR, table::kReuseAddress, false},    {SO_REUSEPORT, table::kReusePort, false},
    {SO_BROADCAST, table::kBroadcast, false},       {SO_KEEPALIVE, table::kKeepAlive, true},
    {SO_OOBINLINE, table::kOutOfBandInline, false}, {SO_DONTROUTE, table::kDontRoute, true},
    {SO_NO_CHECK, table::kNoChecksum, false},
};

// As Linux: half of what is accounted is overhead, so the value is doubled; and its lower limits.
constexpr int kMostBufferBytes = 32 << 20;
constexpr int kLeastSendBytes = 4608;
constexpr int kLeastReceiveBytes = 2304;

uint32_t BufferBytes(int value, int least) {
  const int asked = value < 0 ? kMostBufferBytes : std::min(value, kMostBufferBytes);
  return static_cast<uint32_t>(std::max(asked * 2, least));
}

int SetBuffer(const OpenSocket& socket, bool send, int value) {
  Options& o = socket.entry->options;
  if (send) {
    o.send_buffer_bytes.store(BufferBytes(value, kLeastSendBytes));
    o.Set(table::kSendBufferLocked, true);
    FireSocket(socket.handle.index, table::kEventOut);
  } else {
    o.receive_buffer_bytes.store(BufferBytes(value, kLeastReceiveBytes));
    o.Set(table::kReceiveBufferLocked, true);
  }
  TellOptions(socket);
  return 0;
}

int SetTimeOut(table::Cell<int64_t>& cell, OptionInput input) {
  timeval time;
  if (int error = input.Get(time)) return error;
  if (time.tv_usec < 0 || time.tv_usec >= 1'000'000) return EDOM;
  if (time.tv_sec < 0) {
    cell.store(1);  // Linux: a negative time means not to wait at all
    return 0;
  }
  const int64_t seconds = std::min<int64_t>(time.tv_sec, int64_t{1} << 32);
  cell.store(seconds * kNsPerSecond + time.tv_usec * 1000);
  return 0;
}

int GetTimeOut(const table::Cell<int64_t>& cell, OptionOutput output) {
  const int64_t ns = cell.load();
  return output.Put(timeval{.tv_sec = ns / kNsPerSecond, .tv_usec = ns % kNsPerSecond / 1000});
}

int SetLinger(Options& o, OptionInput input) {
  linger value;
  if (int error = input.Get(value)) return error;
  o.linger_s.store(static_cast<uint16_t>(std::clamp(value.l_linger, 0, UINT16_MAX)));
  o.Set(table::kLinger, value.l_onoff != 0);
  return 0;
}

int SetDevice(const OpenSocket& socket, OptionInput input) {
  if (input.value == nullptr && input.length != 0) return EFAULT;
  char name[IFNAMSIZ + 1] = {};
  if (input.length != 0) {
    std::memcpy(name, input.value, std::min<size_t>(input.length, IFNAMSIZ - 1));
  }
  uint16_t index = 0;
  if (name[0] != '\0') {
    index = InterfaceIndex(socket, name);
    if (index == 0) return ENODEV;
  }
  socket.entry->options.bound_interface.store(index);
  TellOptions(socket);
  return 0;
}

int GetDevice(const OpenSocket& socket, OptionOutput output) {
  const uint16_t index = socket.entry->options.bound_interface.load();
  char name[16] = {};
  if (index == 0 || !InterfaceName(socket, index, name)) {
    *output.length = 0;
    return 0;
  }
  if (*output.length < IFNAMSIZ) return EINVAL;
  return output.Put(name, std::strlen(name) + 1);
}

// SO_TIMESTAMP and SO_TIMESTAMPNS take turns: the later one counts.
int SetTimestamp(Options& o, table::Flag flag, bool on) {
  o.Set(table::kTimestamp, on && flag == table::kTimestamp);
  o.Set(table::kTimestampNs, on && flag == table::kTimestampNs);
  return 0;
}

int SetReceiveLowWater(const OpenSocket& socket, int value) {
  const uint32_t bytes = value <= 0 ? (value < 0 ? INT_MAX : 1) : static_cast<uint32_t>(value);
  socket.entry->options.receive_low_water_bytes.store(bytes);
  FireSocket(socket.handle.index, table::kEventIn);
  return 0;
}

// Options whose value is an int.
int SetIntOption(const OpenSocket& socket, int name, int value) {
  Options& o = socket.entry->options;
  switch (name) {
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      return SetBuffer(socket, true, value);
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
      return SetBuffer(socket, false, value);
    case SO_RCVLOWAT:
      return SetReceiveLowWater(socket, value);
    case SO_TIMESTAMP:
      return SetTimestamp(o, table::kTimestamp, value != 0);
    case SO_TIMESTAMPNS:
      return SetTimestamp(o, table::kTimestampNs, value != 0);
    case SO_PRIORITY:
      o.priority.store(static_cast<uint32_t>(value));
      return 0;
    case SO_MARK:
      o.mark.store(static_cast<uint32_t>(value));
      return 0;
    case SO_BINDTOIFINDEX: {
      char ignored[16];
      if (value < 0 || value > UINT16_MAX) return EINVAL;
      if (value != 0 && !InterfaceName(socket, static_cast<uint16_t>(value), ignored)) {
        return ENODEV;
      }
      o.bound_interface.store(static_cast<uint16_t>(value));
      TellOptions(socket);
      return 0;
    }
    case SO_DEBUG:
      return value == 0 ? 0 : EACCES;
    case SO_BUSY_POLL:     // how Sluice polls is the configuration's to say ...
    case SO_INCOMING_CPU:  // ... and so is which core
    case SO_SELECT_ERR_QUEUE:
      return 0;
    case SO_ZEROCOPY:
      return EOPNOTSUPP;  // sluice_zc_send is the way
    default:
      return ENOPROTOOPT;
  }
}

int PutPeerName(const OpenSocket& socket, OptionOutput output) {
  const Status status = socket.entry->status.Acquire();
  if (status != Status::kConnected && status != Status::kShutdown) return ENOTCONN;
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  StoreAddress(socket.entry->remote.Load(), socket.entry->family.load(),
               reinterpret_cast<sockaddr*>(&address), &length);
  if (*output.length < length) return EINVAL;
  return output.Put(&address, length);
}

// False: the value is not an int, or there is no such option.
bool GetIntOption(const OpenSocket& socket, int name, int& value) {
  const table::Entry& e = *socket.entry;
  const Options& o = e.options;
  switch (name) {
    case SO_ERROR:
      value = TakeError(socket);
      return true;
    case SO_TYPE:
      value = socket.is_stream() ? SOCK_STREAM : SOCK_DGRAM;
      return true;
    case SO_DOMAIN:
      value = e.family.load();
      return true;
    case SO_PROTOCOL:
      value = e.protocol.load();
      return true;
    case SO_ACCEPTCONN:
      value = e.status.load() == Status::kListening;
      return true;
    case SO_SNDBUF:
      value = static_cast<int>(o.send_buffer_bytes.load());
      return true;
    case SO_RCVBUF:
      value = static_cast<int>(o.receive_buffer_bytes.load());
      return true;
    case SO_RCVLOWAT:
      value = static_cast<int>(o.receive_low_water_bytes.load());
      return true;
    case SO_SNDLOWAT:
      value = 1;
      return true;
    case SO_PRIORITY:
      value = static_cast<int>(o.priority.load());
      return true;
    case SO_MARK:
      value = static_cast<int>(o.mark.load());
      return true;
    case SO_TIMESTAMP:
      value = o.is_set(table::kTimestamp);
      return true;
    case SO_TIMESTAMPNS:
      value = o.is_set(table::kTimestampNs);
      return true;
    case SO_BINDTOIFINDEX:
      value = o.bound_interface.load();
      return true;
    case SO_INCOMING_CPU:
      value = e.engine.load();
      return true;
    case SO_DEBUG:
    case SO_BUSY_POLL:
    case SO_ZEROCOPY:
    case SO_PASSCRED:
      value = 0;
      return true;
    default:
      return false;
  }
}

}  // namespace

void TellOptions(const OpenSocket& socket) {
  Tell(socket.entry->engine.load(),
       {.operation = table::Operation::kOptions, .handle = socket.handle});
}

int SetFlagOption(const OpenSocket& socket, const FlagOption& option, bool on) {
  socket.entry->options.Set(option.flag, on);
  if (option.engine_acts) TellOptions(socket);
  return 0;
}

int SetSocketOption(const OpenSocket& socket, int name, OptionInput input) {
  Options& o = socket.entry->options;
  switch (name) {
    case SO_LINGER:
      return SetLinger(o, input);
    case SO_RCVTIMEO:
      return SetTimeOut(o.receive_timeout_ns, input);
    case SO_SNDTIMEO:
      return SetTimeOut(o.send_timeout_ns, input);
    case SO_BINDTODEVICE:
      return SetDevice(socket, input);
    default:
      break;
  }
  int value;
  if (int error = input.Get(value)) return error;
  if (const FlagOption* flag = FindFlag(kFlags, name)) {
    return SetFlagOption(socket, *flag, value != 0);
  }
  return SetIntOption(socket, name, value);
}

int GetSocketOption(const OpenSocket& socket, int name, OptionOutput output) {
  const Options& o = socket.entry->options;
  if (const FlagOption* flag = FindFlag(kFlags, name)) {
    return output.Put(static_cast<int>(o.is_set(flag->flag)));
  }
  switch (name) {
    case SO_LINGER:
      return output.Put(linger{.l_onoff = o.is_set(table::kLinger),
                               .l_linger = static_cast<int>(o.linger_s.load())});
    case SO_RCVTIMEO:
      return GetTimeOut(o.receive_timeout_ns, output);
    case SO_SNDTIMEO:
      return GetTimeOut(o.send_timeout_ns, output);
    case SO_BINDTODEVICE:
      return GetDevice(socket, output);
    case SO_COOKIE:
      if (*output.length < sizeof(uint64_t)) return EINVAL;
      return output.Put(socket.entry->socket_id.load());
    case SO_PEERNAME:
      return PutPeerName(socket, output);
    case SO_PEERCRED:
      // Whoever is at the other end of a network has no identity here: as the kernel says it.
      return output.Put(
          ucred{.pid = 0, .uid = static_cast<uid_t>(-1), .gid = static_cast<gid_t>(-1)});
    default:
      break;
  }
  int value;
  return GetIntOption(socket, name, value) ? output.Put(value) : ENOPROTOOPT;
}

int SetUdpOption(const OpenSocket& socket, int name, OptionInput input) {
  constexpr int kSegment = 103;  // UDP_SEGMENT, from linux/udp.h
  int value;
  if (int error = input.Get(value)) return error;
  if (name != kSegment) return ENOPROTOOPT;
  if (value < 0 || value > UINT16_MAX) return EINVAL;
  LockHolder holder(socket.entry->send_lock);
  socket.side->segment_bytes = static_cast<uint16_t>(value);
  return 0;
}

int GetUdpOption(const OpenSocket& socket, int name, OptionOutput output) {
  constexpr int kSegment = 103;
  if (name != kSegment) return ENOPROTOOPT;
  LockHolder holder(socket.entry->send_lock);
  return output.Put(static_cast<int>(socket.side->segment_bytes));
}

int SetSockOpt(int fd, int level, int name, const void* value, socklen_t length) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  const OptionInput input{value, length};
  int error = ENOPROTOOPT;
  if (level == SOL_SOCKET) {
    error = SetSocketOption(socket, name, input);
  } else if (level == IPPROTO_TCP && socket.is_stream()) {
    error = SetTcpOption(socket, name, input);
  } else if (level == IPPROTO_UDP && !socket.is_stream()) {
    error = SetUdpOption(socket, name, input);
  } else if (level == IPPROTO_IP) {
    error = SetIpOption(socket, name, input);
  } else if (level == IPPROTO_IPV6 && socket.is_v6()) {
    error = SetIpv6Option(socket, name, input);
  }
  if (error == 0 && HasTwins(socket)) ShareOptions(socket);
  return error == 0 ? 0 : Fail(error);
}

int GetSockOpt(int fd, int level, int name, void* value, socklen_t* length) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  if (length == nullptr || (value == nullptr && *length != 0)) return Fail(EFAULT);
  if (static_cast<int>(*length) < 0) return Fail(EINVAL);
  const OptionOutput output{value, length};
  int error = level == SOL_SOCKET || level == IPPROTO_IP ? ENOPROTOOPT : EOPNOTSUPP;
  if (level == SOL_SOCKET) {
    error = GetSocketOption(socket, name, output);
  } else if (level == IPPROTO_TCP && socket.is_stream()) {
    error = GetTcpOption(socket, name, output);
  } else if (level == IPPROTO_UDP && !socket.is_stream()) {
    error = GetUdpOption(socket, name, output);
  } else if (level == IPPROTO_IP) {
    error = GetIpOption(socket, name, output);
  } else if (level == IPPROTO_IPV6 && socket.is_v6()) {
    error = GetIpv6Option(socket, name, output);
  }
  return error == 0 ? 0 : Fail(error);
}

}  // namespace sluice::api
