// The stack fuzzer's calls that ask and set: options, fcntl and ioctl.
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <iterator>

#include "api/socket_calls.h"
#include "fuzz.h"
#include "stack_script.h"

namespace sluice::fuzz {
namespace {

// How the value of an option looks.
enum Kind : uint8_t {
  kInt,
  kLinger,
  kTime,
  kGroup4,
  kSource4,
  kGroup6,
  kAnyGroup,
  kAnySource,
  kText,
  kBytes,
  kKinds
};

struct Option {
  int level, name;
  Kind kind;
};

constexpr Option kOptions[] = {
    {SOL_SOCKET, SO_REUSEADDR, kInt},
    {SOL_SOCKET, SO_REUSEPORT, kInt},
    {SOL_SOCKET, SO_KEEPALIVE, kInt},
    {SOL_SOCKET, SO_BROADCAST, kInt},
    {SOL_SOCKET, SO_OOBINLINE, kInt},
    {SOL_SOCKET, SO_LINGER, kLinger},
    {SOL_SOCKET, SO_RCVTIMEO, kTime},
    {SOL_SOCKET, SO_SNDTIMEO, kTime},
    {SOL_SOCKET, SO_SNDBUF, kInt},
    {SOL_SOCKET, SO_RCVBUF, kInt},
    {SOL_SOCKET, SO_RCVLOWAT, kInt},
    {SOL_SOCKET, SO_TIMESTAMP, kInt},
    {SOL_SOCKET, SO_TIMESTAMPNS, kInt},
    {SOL_SOCKET, SO_PRIORITY, kInt},
    {SOL_SOCKET, SO_BINDTOIFINDEX, kInt},
    {SOL_SOCKET, SO_BINDTODEVICE, kText},
    {SOL_SOCKET, SO_ERROR, kInt},
    {SOL_SOCKET, SO_PEERNAME, kBytes},
    {SOL_SOCKET, SO_ATTACH_FILTER, kBytes},
    {IPPROTO_TCP, TCP_NODELAY, kInt},
    {IPPROTO_TCP, TCP_CORK, kInt},
    {IPPROTO_TCP, TCP_QUICKACK, kInt},
    {IPPROTO_TCP, TCP_KEEPIDLE, kInt},
    {IPPROTO_TCP, TCP_KEEPINTVL, kInt},
    {IPPROTO_TCP, TCP_KEEPCNT, kInt},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, kInt},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, kInt},
    {IPPROTO_TCP, TCP_LINGER2, kInt},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, kInt},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, kInt},
    {IPPROTO_TCP, TCP_SYNCNT, kInt},
    {IPPROTO_TCP, TCP_MAXSEG, kInt},
    {IPPROTO_TCP, TCP_CONGESTION, kText},
    {IPPROTO_TCP, TCP_INFO, kBytes},
    {IPPROTO_TCP, TCP_FASTOPEN, kInt},
    {IPPROTO_UDP, UDP_SEGMENT, kInt},
    {IPPROTO_UDP, UDP_GRO, kInt},
    {IPPROTO_IP, IP_TOS, kInt},
    {IPPROTO_IP, IP_TTL, kInt},
    {IPPROTO_IP, IP_MTU_DISCOVER, kInt},
    {IPPROTO_IP, IP_MTU, kInt},
    {IPPROTO_IP, IP_PKTINFO, kInt},
    {IPPROTO_IP, IP_RECVTTL, kInt},
    {IPPROTO_IP, IP_RECVTOS, kInt},
    {IPPROTO_IP, IP_RECVERR, kInt},
    {IPPROTO_IP, IP_FREEBIND, kInt},
    {IPPROTO_IP, IP_MINTTL, kInt},
    {IPPROTO_IP, IP_MULTICAST_IF, kGroup4},
    {IPPROTO_IP, IP_MULTICAST_LOOP, kInt},
    {IPPROTO_IP, IP_MULTICAST_TTL, kInt},
    {IPPROTO_IP, IP_ADD_MEMBERSHIP, kGroup4},
    {IPPROTO_IP, IP_DROP_MEMBERSHIP, kGroup4},
    {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, kSource4},
    {IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, kSource4},
    {IPPROTO_IP, IP_BLOCK_SOURCE, kSource4},
    {IPPROTO_IP, IP_UNBLOCK_SOURCE, kSource4},
    {IPPROTO_IP, MCAST_JOIN_GROUP, kAnyGroup},
    {IPPROTO_IP, MCAST_LEAVE_GROUP, kAnyGroup},
    {IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, kAnySource},
    {IPPROTO_IPV6, IPV6_V6ONLY, kInt},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, kInt},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kInt},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, kInt},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, kInt},
    {IPPROTO_IPV6, IPV6_TCLASS, kInt},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, kInt},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, kInt},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, kInt},
    {IPPROTO_IPV6, IPV6_RECVERR, kInt},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, kInt},
    {IPPROTO_IPV6, IPV6_MTU, kInt},
    {IPPROTO_IPV6, IPV6_DONTFRAG, kInt},
    {IPPROTO_IPV6, IPV6_JOIN_GROUP, kGroup6},
    {IPPROTO_IPV6, IPV6_LEAVE_GROUP, kGroup6},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP, kAnyGroup},
    {IPPROTO_IPV6, MCAST_LEAVE_GROUP, kAnyGroup},
    {IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, kAnySource},
    {IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP, kAnySource},
    {IPPROTO_IPV6, MCAST_BLOCK_SOURCE, kAnySource},
    {IPPROTO_IPV6, MCAST_UNBLOCK_SOURCE, kAnySource},
};

template <typename T>
std::vector<uint8_t> BytesOf(const T& value) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(&value);
  return {bytes, bytes + sizeof(value)};
}

in_addr V4(const wire::IpAddress& address) {
  in_addr v4;
  std::memcpy(&v4, address.v4_bytes(), sizeof(v4));
  return v4;
}

}  // namespace

std::vector<uint8_t> Script::OptionValue(uint8_t kind) {
  switch (kind) {
    case kInt:
      return BytesOf(Interesting());
    case kLinger:
      return BytesOf(linger{Byte() % 2, Interesting()});
    case kTime:
      return BytesOf(timeval{Byte() % 4, Interesting()});
    case kGroup4:
      return BytesOf(ip_mreqn{V4(AddressNamed(Byte())), V4(AddressNamed(Byte())), Byte() % 4});
    case kSource4:
      return BytesOf(ip_mreq_source{V4(AddressNamed(Byte())), V4(AddressNamed(Byte())),
                                    V4(AddressNamed(Byte()))});
    case kGroup6: {
      ipv6_mreq group{};
      std::memcpy(&group.ipv6mr_multiaddr, AddressNamed(Byte()).bytes().data(), 16);
      group.ipv6mr_interface = Byte() % 4;
      return BytesOf(group);
    }
    case kAnyGroup:
      return BytesOf(group_req{Byte() % 4u, Address().storage});
    case kAnySource: {
      const Name group = Address(), source = Address();
      return BytesOf(group_source_req{Byte() % 4u, group.storage, source.storage});
    }
    case kText: {
      static constexpr const char* kTexts[] = {
          "eth0", "lo", "cubic",  "reno",
          "bbr",  "",   "eth0:1", "a name that is far too long for anything"};
      const char* const text = kTexts[Byte() % std::size(kTexts)];
      return {text, text + std::strlen(text)};
    }
    default: {
      const wire::ConstBytes bytes = reader_.Bytes(Byte() % 140u);
      return {bytes.begin(), bytes.end()};
    }
  }
}

void Script::SetOption() {
  const int fd = Descriptor();
  const uint8_t which = Byte();
  Option option = kOptions[which % std::size(kOptions)];
  if (which >= 0xfc) option = {Byte() % 64, Byte() % 80, static_cast<Kind>(Byte() % kKinds)};
  std::vector<uint8_t> value = OptionValue(option.kind);
  // Now and then too short.
  if (which >= 0xf0) value.resize(std::min<size_t>(value.size(), Byte() % 16));
  value.shrink_to_fit();
  CheckResult(api::SetSockOpt(fd, option.level, option.name, value.data(),
                              static_cast<socklen_t>(value.size())),
              0);
}

void Script::GetOption() {
  const int fd = Descriptor();
  const uint8_t which = Byte();
  Option option = kOptions[which % std::size(kOptions)];
  if (which >= 0xfc) option = {Byte() % 64, Byte() % 80, kBytes};
  const uint8_t size = Byte();
  std::vector<uint8_t> value(size < 128 ? 4 : size - 128u);
  auto length = static_cast<socklen_t>(value.size());
  CheckResult(api::GetSockOpt(fd, option.level, option.name, value.data(), &length), 0);
}

void Script::ControlFile() {
  static constexpr int kCommands[] = {F_GETFL, F_SETFL,  F_GETFD,  F_SETFD,
                                      F_DUPFD, F_SETOWN, F_GETOWN, F_DUPFD_CLOEXEC};
  const int fd = Descriptor();
  const uint8_t what = Byte();
  const int command = kCommands[what % std::size(kCommands)];
  if (!api::IsOurs(fd)) return;
  if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
    return Keep(api::Fcntl(fd, command, what >> 3));
  }
  const long argument = (what & 8) != 0 ? O_NONBLOCK : what >> 4;
  CheckResult(api::Fcntl(fd, command, argument), INT32_MAX);
}

void Script::ControlDevice() {
  static constexpr unsigned long kRequests[] = {
      FIONREAD,       FIONBIO,        FIOASYNC,      SIOCATMARK,    SIOCOUTQ,       SIOCGIFCONF,
      SIOCGIFADDR,    SIOCGIFNETMASK, SIOCGIFFLAGS,  SIOCGIFMTU,    SIOCGIFINDEX,   SIOCGIFNAME,
      SIOCGIFBRDADDR, SIOCGIFHWADDR,  SIOCGIFMETRIC, SIOCGIFTXQLEN, SIOCGIFDSTADDR, 0x894b};
  const int fd = Descriptor();
  const uint8_t what = Byte();
  const unsigned long request = kRequests[what % std::size(kRequests)];
  if (!api::IsOurs(fd)) return;
  if (request == SIOCGIFCONF) {
    std::vector<uint8_t> table((what >> 5) * 20);
    ifconf all{};
    all.ifc_len = static_cast<int>(table.size());
    all.ifc_buf = (what & 16) != 0 ? nullptr : reinterpret_cast<char*>(table.data());
    CheckResult(api::Ioctl(fd, request, &all), 0);
    return;
  }
  ifreq one{};
  const bool is_interface = request >= SIOCGIFNAME && request <= SIOCGIFTXQLEN;
  if (is_interface) std::memcpy(one.ifr_name, (what & 32) != 0 ? "eth0" : "lo", 3);
  if (is_interface && (what & 32) != 0) std::memcpy(one.ifr_name, "eth0", 5);
  if (!is_interface || request == SIOCGIFNAME) one.ifr_ifindex = what >> 6;
  CheckResult(api::Ioctl(fd, request, &one), 0);
}

}  // namespace sluice::fuzz
