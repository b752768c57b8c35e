// Ancillary data of datagrams: what sendmsg and recvmsg carry beside the payload.
#include <time.h>
// After time.h: it uses timespec without saying so.
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>

#include "api/address.h"
#include "api/datagram.h"
#include "api/errors.h"
#include "api/time_out.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace sluice::api {
namespace {

using table::DatagramHeader;

// Fills a control buffer as Linux does: what does not fit is cut off and MSG_CTRUNC says so.
class ControlWriter {
 public:
  explicit ControlWriter(msghdr& message)
      : message_(message),
        at_(static_cast<uint8_t*>(message.msg_control)),
        left_(message.msg_control == nullptr ? 0 : message.msg_controllen) {}

  template <typename T>
  void Put(int level, int type, const T& value) {
    Put(level, type, &value, sizeof(value));
  }
  void Put(int level, int type, const void* value, size_t bytes) {
    if (left_ < sizeof(cmsghdr)) {
      message_.msg_flags |= MSG_CTRUNC;
      return;
    }
    size_t length = CMSG_LEN(bytes);
    if (length > left_) {
      message_.msg_flags |= MSG_CTRUNC;
      length = left_;
    }
    const cmsghdr header{.cmsg_len = length, .cmsg_level = level, .cmsg_type = type};
    std::memcpy(at_, &header, sizeof(header));
    std::memcpy(at_ + sizeof(cmsghdr), value, length - sizeof(cmsghdr));
    const size_t step = std::min(CMSG_SPACE(bytes), left_);
    at_ += step;
    left_ -= step;
    used_ += step;
  }
  void Finish() { message_.msg_controllen = used_; }

 private:
  msghdr& message_;
  uint8_t* at_;
  size_t left_;
  size_t used_ = 0;
};

// The engine counts from an epoch of its own: by how long ago it was, to the wall clock.
timespec WallTime(int64_t timestamp_ns) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t age_ns = std::max<int64_t>(0, state.home->Now().nanoseconds() - timestamp_ns);
  const int64_t wall_ns = int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec - age_ns;
  return {.tv_sec = wall_ns / kNsPerSecond, .tv_nsec = wall_ns % kNsPerSecond};
}

void PutTimestamp(const table::Options& options, int64_t timestamp_ns, ControlWriter& writer) {
  if (options.is_set(table::kTimestampNs)) {
    writer.Put(SOL_SOCKET, SCM_TIMESTAMPNS, WallTime(timestamp_ns));
  } else if (options.is_set(table::kTimestamp)) {
    const timespec wall = WallTime(timestamp_ns);
    writer.Put(SOL_SOCKET, SCM_TIMESTAMP,
               timeval{.tv_sec = wall.tv_sec, .tv_usec = wall.tv_nsec / 1000});
  }
}

void PutPacketInfo(const OpenSocket& socket, const DatagramHeader& header, ControlWriter& writer) {
  const table::Options& options = socket.entry->options;
  if (socket.is_v6() && options.is_set(table::kPacketInfoV6)) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, header.local.address.bytes().data(), 16);
    info.ipi6_ifindex = header.local.scope;
    writer.Put(IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
  if (options.is_set(table::kPacketInfoV4) && header.local.address.is_v4()) {
    in_pktinfo info{};
    info.ipi_ifindex = header.local.scope;
    std::memcpy(&info.ipi_addr, header.local.address.v4_bytes(), 4);
    // Where answers come from: the address itself unless it names a group or everybody.
    const wire::IpAddress bound = socket.entry->local.Load().address;
    const bool is_own =
        !header.local.address.is_multicast() && !header.local.address.is_limited_broadcast();
    const wire::IpAddress& specific = is_own ? header.local.address : bound;
    if (specific.is_v4()) std::memcpy(&info.ipi_spec_dst, specific.v4_bytes(), 4);
    writer.Put(IPPROTO_IP, IP_PKTINFO, info);
  }
}

void PutHeaderFields(const OpenSocket& socket, const DatagramHeader& header,
                     ControlWriter& writer) {
  const table::Options& options = socket.entry->options;
  if (header.peer.address.is_v4()) {
    if (options.is_set(table::kReceiveTtl)) {
      writer.Put(IPPROTO_IP, IP_TTL, static_cast<int>(header.ttl));
    }
    if (options.is_set(table::kReceiveTos)) {
      writer.Put(IPPROTO_IP, IP_TOS, static_cast<uint8_t>(header.traffic_class));
    }
    if (options.is_set(table::kReceiveOriginalDestination)) {
      sockaddr_in to{};
      socklen_t length = sizeof(to);
      StoreAddress(header.local, AF_INET, reinterpret_cast<sockaddr*>(&to), &length);
      to.sin_port = htons(socket.entry->local.Load().port);
      writer.Put(IPPROTO_IP, IP_ORIGDSTADDR, to);
    }
  }
  if (!socket.is_v6()) return;
  if (options.is_set(table::kReceiveHopLimit)) {
    writer.Put(IPPROTO_IPV6, IPV6_HOPLIMIT, static_cast<int>(header.ttl));
  }
  if (options.is_set(table::kReceiveTrafficClass)) {
    writer.Put(IPPROTO_IPV6, IPV6_TCLASS, static_cast<int>(header.traffic_class));
  }
}

// An error report: the ICMP message and who sent it (ip(7), IP_RECVERR).
void PutError(const OpenSocket& socket, const DatagramHeader& header, ControlWriter& writer) {
  sock_extended_err error{};
  error.ee_errno = static_cast<uint32_t>(ErrnoOf(static_cast<table::Result>(header.error)));
  error.ee_origin = header.error_origin;
  error.ee_type = header.error_type;
  error.ee_code = header.error_code;
  error.ee_info = header.error_info;
  const wire::Endpoint offender{header.offender, 0, 0};
  uint8_t value[sizeof(error) + sizeof(sockaddr_in6)] = {};
  std::memcpy(value, &error, sizeof(error));
  socklen_t length = sizeof(sockaddr_in6);
  StoreAddress(offender, socket.entry->family.load(),
               reinterpret_cast<sockaddr*>(value + sizeof(error)), &length);
  writer.Put(socket.is_v6() ? IPPROTO_IPV6 : IPPROTO_IP, socket.is_v6() ? IPV6_RECVERR : IP_RECVERR,
             value, sizeof(error) + length);
}

// An int, or the byte that programs give for some options.
int IntOf(const cmsghdr& header, const uint8_t* value, int& result) {
  const size_t bytes = header.cmsg_len - CMSG_LEN(0);
  if (bytes == sizeof(int)) {
    std::memcpy(&result, value, sizeof(result));
    return 0;
  }
  if (bytes != 1) return EINVAL;
  result = *value;
  return 0;
}

int ParseIp(const cmsghdr& cmsg, const uint8_t* value, DatagramHeader& header) {
  int number = 0;
  switch (cmsg.cmsg_type) {
    case IP_PKTINFO: {
      in_pktinfo info;
      if (cmsg.cmsg_len != CMSG_LEN(sizeof(info))) return EINVAL;
      std::memcpy(&info, value, sizeof(info));
      header.local.address = wire::IpAddress::FromV4Bytes(&info.ipi_spec_dst);
      header.local.scope = static_cast<uint16_t>(info.ipi_ifindex);
      return 0;
    }
    case IP_TTL:
      if (IntOf(cmsg, value, number) != 0 || number < 1 || number > 255) return EINVAL;
      header.ttl = static_cast<int16_t>(number);
      return 0;
    case IP_TOS:
      if (IntOf(cmsg, value, number) != 0 || number < 0 || number > 255) return EINVAL;
      header.traffic_class = static_cast<int16_t>(number);
      return 0;
    default:
      return EINVAL;
  }
}

int ParseIpv6(const cmsghdr& cmsg, const uint8_t* value, DatagramHeader& header) {
  int number = 0;
  switch (cmsg.cmsg_type) {
    case IPV6_PKTINFO: {
      in6_pktinfo info;
      if (cmsg.cmsg_len < CMSG_LEN(sizeof(info))) return EINVAL;
      std::memcpy(&info, value, sizeof(info));
      header.local.address = wire::IpAddress::FromV6Bytes(&info.ipi6_addr);
      header.local.scope = static_cast<uint16_t>(info.ipi6_ifindex);
      return 0;
    }
    case IPV6_HOPLIMIT:
      if (IntOf(cmsg, value, number) != 0 || number < -1 || number > 255) return EINVAL;
      header.ttl = static_cast<int16_t>(number);
      return 0;
    case IPV6_TCLASS:
      if (IntOf(cmsg, value, number) != 0 || number < -1 || number > 255) return EINVAL;
      header.traffic_class = static_cast<int16_t>(number);
      return 0;
    case IPV6_DONTFRAG:
      return IntOf(cmsg, value, number);
    default:
      return EINVAL;
  }
}

}  // namespace

void StoreControl(const OpenSocket& socket, const ReceivedDatagram& datagram, msghdr& message) {
  if (!datagram.is_error && !AsksForControl(socket)) {
    message.msg_controllen = 0;
    return;
  }
  ControlWriter writer(message);
  PutTimestamp(socket.entry->options, datagram.header.timestamp_ns, writer);
  if (datagram.is_error) {
    PutError(socket, datagram.header, writer);
  } else {
    PutPacketInfo(socket, datagram.header, writer);
    PutHeaderFields(socket, datagram.header, writer);
  }
  writer.Finish();
}

int ParseControl(const OpenSocket& socket, const msghdr& message, DatagramHeader& header) {
  const uint8_t* control = static_cast<const uint8_t*>(message.msg_control);
  if (control == nullptr) return 0;
  size_t at = 0;
  while (message.msg_controllen - at >= sizeof(cmsghdr)) {
    cmsghdr cmsg;
    std::memcpy(&cmsg, control + at, sizeof(cmsg));
    if (cmsg.cmsg_len < sizeof(cmsg) || cmsg.cmsg_len > message.msg_controllen - at) return EINVAL;
    const uint8_t* value = control + at + CMSG_LEN(0);
    int error = EINVAL;
    if (cmsg.cmsg_level == IPPROTO_IP) {
      error = ParseIp(cmsg, value, header);
    } else if (cmsg.cmsg_level == IPPROTO_IPV6 && socket.is_v6()) {
      error = ParseIpv6(cmsg, value, header);
    } else if (cmsg.cmsg_level == IPPROTO_UDP && cmsg.cmsg_type == UDP_SEGMENT &&
               cmsg.cmsg_len == CMSG_LEN(sizeof(uint16_t))) {
      std::memcpy(&header.segment_bytes, value, sizeof(uint16_t));
      error = 0;
    }
    if (error != 0) return error;
    const size_t step = CMSG_ALIGN(cmsg.cmsg_len);
    if (step >= message.msg_controllen - at) break;
    at += step;
  }
  return 0;
}

}  // namespace sluice::api
