// The IPv4 and IPv6 levels, but for groups (options_group.cc).
#include <netinet/in.h>

#include "api/ask.h"
#include "api/errors.h"
#include "api/interfaces.h"
#include "api/options.h"

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif
#ifndef IPV6_ADDR_PREFERENCES
#define IPV6_ADDR_PREFERENCES 72
#endif
#ifndef IPV6_AUTOFLOWLABEL
#define IPV6_AUTOFLOWLABEL 70
#endif

namespace sluice::api {
namespace {

using table::MtuDiscover;
using table::Options;
using table::Status;

constexpr FlagOption kIpFlags[] = {
    {IP_PKTINFO, table::kPacketInfoV4, false},
    {IP_RECVTTL, table::kReceiveTtl, false},
    {IP_RECVTOS, table::kReceiveTos, false},
    {IP_RECVERR, table::kReceiveErrorsV4, false},
    {IP_RECVORIGDSTADDR, table::kReceiveOriginalDestination, false},
    {IP_FREEBIND, table::kFreeBind, false},
    {IP_MULTICAST_LOOP, table::kMulticastLoopV4, false},
    {IP_MULTICAST_ALL, table::kMulticastAllV4, false},
    {IP_BIND_ADDRESS_NO_PORT, table::kBindAddressNoPort, false},
};

constexpr FlagOption kIpv6Flags[] = {
    {IPV6_RECVPKTINFO, table::kPacketInfoV6, false},
    {IPV6_RECVHOPLIMIT, table::kReceiveHopLimit, false},
    {IPV6_RECVTCLASS, table::kReceiveTrafficClass, false},
    {IPV6_RECVERR, table::kReceiveErrorsV6, false},
    {IPV6_DONTFRAG, table::kDontFragmentV6, false},
    {IPV6_FREEBIND, table::kFreeBind, false},
    {IPV6_MULTICAST_LOOP, table::kMulticastLoopV6, false},
    {IPV6_MULTICAST_ALL, table::kMulticastAllV6, false},
};

constexpr int kDefaultHops = 64;

// The interface that datagrams to groups leave by: by address, or by index (ip(7)).
int SetMulticastInterfaceV4(const OpenSocket& socket, OptionInput input) {
  if (input.value == nullptr) return EFAULT;
  ip_mreqn request{};
  if (input.length >= sizeof(request)) {
    std::memcpy(&request, input.value, sizeof(request));
  } else if (input.length >= sizeof(ip_mreq)) {
    std::memcpy(&request, input.value, sizeof(ip_mreq));
  } else if (input.length >= sizeof(in_addr)) {
    std::memcpy(&request.imr_address, input.value, sizeof(in_addr));
  } else {
    return EINVAL;
  }
  uint16_t index = static_cast<uint16_t>(request.imr_ifindex);
  if (index == 0 && request.imr_address.s_addr != 0) {
    index = InterfaceWithAddress(socket, wire::IpAddress::FromV4Bytes(&request.imr_address));
    if (index == 0) return EADDRNOTAVAIL;
  }
  socket.entry->options.multicast_interface_v4.store(index);
  return 0;
}

int SetMulticastInterfaceV6(const OpenSocket& socket, int index) {
  char name[16];
  if (index < 0 || index > UINT16_MAX) return ENODEV;
  if (index != 0 && !InterfaceName(socket, static_cast<uint16_t>(index), name)) return ENODEV;
  socket.entry->options.multicast_interface_v6.store(static_cast<uint16_t>(index));
  return 0;
}

int SetMtuDiscover(table::Cell<MtuDiscover>& cell, int value) {
  // Linux has two more than we tell apart: "interface" and "omit" do as "don't" does.
  if (value < 0 || value > 5) return EINVAL;
  cell.store(value > 3 ? MtuDiscover::kDont : static_cast<MtuDiscover>(value));
  return 0;
}

template <typename T>
int SetNumber(table::Cell<T>& cell, int value, int least, int most) {
  if (value < least || value > most) return EINVAL;
  cell.store(static_cast<T>(value));
  return 0;
}

int SetIpv6Only(const OpenSocket& socket, int value) {
  if (socket.entry->status.load() != Status::kUnconnected) return EINVAL;
  socket.entry->options.Set(table::kIpv6Only, value != 0);
  return 0;
}

// IPV6_PKTINFO as an option: the address and interface of all that is sent. Only its absence can
// be had: programs name both with each message.
int SetStickyPacketInfo(OptionInput input) {
  in6_pktinfo info{};
  if (input.length != 0) {
    if (int error = input.Get(info)) return error;
  }
  const bool is_empty = info.ipi6_ifindex == 0 && IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr);
  return is_empty ? 0 : EOPNOTSUPP;
}

}  // namespace

int GetPathMtu(const OpenSocket& socket, OptionOutput output) {
  const Status status = socket.entry->status.load();
  if (status != Status::kConnected && status != Status::kShutdown) return ENOTCONN;
  Answer answer;
  const table::Result result = Ask(socket, {.operation = table::Operation::kPathMtu}, &answer);
  if (result != table::Result::kOk) return ErrnoOf(result);
  return output.Put(static_cast<int>(answer.value));
}

int SetIpOption(const OpenSocket& socket, int name, OptionInput input) {
  const int member = SetIpMembership(socket, name, input);
  if (member != ENOPROTOOPT) return member;
  if (name == IP_MULTICAST_IF) return SetMulticastInterfaceV4(socket, input);
  if (name == IP_OPTIONS) return input.length == 0 ? 0 : EOPNOTSUPP;
  int value;
  if (int error = input.GetIntOrByte(value)) return error;
  if (const FlagOption* flag = FindFlag(kIpFlags, name)) {
    return SetFlagOption(socket, *flag, value != 0);
  }
  Options& o = socket.entry->options;
  switch (name) {
    case IP_TOS:
      o.tos.store(static_cast<uint8_t>(value));
      return 0;
    case IP_TTL:
      return value == 0 ? EINVAL : SetNumber(o.ttl, value, -1, 255);
    case IP_MINTTL:
      return SetNumber(o.minimum_ttl, value, 0, 255);
    case IP_MULTICAST_TTL:
      return SetNumber(o.multicast_ttl, value == -1 ? 1 : value, 0, 255);
    case IP_MTU_DISCOVER:
      return SetMtuDiscover(o.mtu_discover_v4, value);
    case IP_TRANSPARENT:
      return value == 0 ? 0 : EPERM;
    default:
      return ENOPROTOOPT;
  }
}

int GetIpOption(const OpenSocket& socket, int name, OptionOutput output) {
  const Options& o = socket.entry->options;
  if (const FlagOption* flag = FindFlag(kIpFlags, name)) {
    return output.PutIntOrByte(o.is_set(flag->flag));
  }
  switch (name) {
    case IP_TOS:
      return output.PutIntOrByte(o.tos.load());
    case IP_TTL:
      return output.PutIntOrByte(o.ttl.load() < 0 ? kDefaultHops : o.ttl.load());
    case IP_MINTTL:
      return output.PutIntOrByte(o.minimum_ttl.load());
    case IP_MULTICAST_TTL:
      return output.PutIntOrByte(o.multicast_ttl.load());
    case IP_MTU_DISCOVER:
      return output.PutIntOrByte(static_cast<int>(o.mtu_discover_v4.load()));
    case IP_MTU:
      return GetPathMtu(socket, output);
    case IP_MULTICAST_IF:
      return output.Put(in_addr{});
    case IP_OPTIONS:
      *output.length = 0;
      return 0;
    case IP_TRANSPARENT:
      return output.PutIntOrByte(0);
    default:
      return ENOPROTOOPT;
  }
}

int SetIpv6Option(const OpenSocket& socket, int name, OptionInput input) {
  const int member = SetIpv6Membership(socket, name, input);
  if (member != ENOPROTOOPT) return member;
  if (name == IPV6_PKTINFO) return SetStickyPacketInfo(input);
  int value;
  if (int error = input.Get(value)) return error;
  if (const FlagOption* flag = FindFlag(kIpv6Flags, name)) {
    return SetFlagOption(socket, *flag, value != 0);
  }
  Options& o = socket.entry->options;
  switch (name) {
    case IPV6_V6ONLY:
      return SetIpv6Only(socket, value);
    case IPV6_UNICAST_HOPS:
      return SetNumber(o.hop_limit, value, -1, 255);
    case IPV6_MULTICAST_HOPS:
      return SetNumber(o.multicast_hops, value == -1 ? 1 : value, 0, 255);
    case IPV6_TCLASS:
      return SetNumber(o.traffic_class, value == -1 ? 0 : value, 0, 255);
    case IPV6_MTU_DISCOVER:
      return SetMtuDiscover(o.mtu_discover_v6, value);
    case IPV6_MULTICAST_IF:
      return SetMulticastInterfaceV6(socket, value);
    case IPV6_TRANSPARENT:
      return value == 0 ? 0 : EPERM;
    case IPV6_ADDR_PREFERENCES:
    case IPV6_AUTOFLOWLABEL:
      return 0;  // hints
    default:
      return ENOPROTOOPT;
  }
}

int GetIpv6Option(const OpenSocket& socket, int name, OptionOutput output) {
  const Options& o = socket.entry->options;
  if (const FlagOption* flag = FindFlag(kIpv6Flags, name)) {
    return output.Put(static_cast<int>(o.is_set(flag->flag)));
  }
  const auto put = [&output](auto number) { return output.Put(static_cast<int>(number)); };
  switch (name) {
    case IPV6_V6ONLY:
      return put(o.is_set(table::kIpv6Only));
    case IPV6_UNICAST_HOPS:
      return put(o.hop_limit.load() < 0 ? kDefaultHops : o.hop_limit.load());
    case IPV6_MULTICAST_HOPS:
      return put(o.multicast_hops.load());
    case IPV6_TCLASS:
      return put(o.traffic_class.load());
    case IPV6_MTU_DISCOVER:
      return put(static_cast<int>(o.mtu_discover_v6.load()));
    case IPV6_MULTICAST_IF:
      return put(o.multicast_interface_v6.load());
    case IPV6_MTU:
      return GetPathMtu(socket, output);
    case IPV6_TRANSPARENT:
    case IPV6_ADDR_PREFERENCES:
      return put(0);
    case IPV6_AUTOFLOWLABEL:
      return put(1);
    default:
      return ENOPROTOOPT;
  }
}

}  // namespace sluice::api
