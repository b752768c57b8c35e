#include "dpdk/driver_descriptors.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

#include "dpdk/memif_socket.h"

namespace sluice::dpdk {
namespace {

template <typename Predicate>
std::vector<int> FindDescriptors(Predicate matches) {
  std::vector<int> found;
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return found;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    const int descriptor = atoi(entry->d_name);
    if (descriptor != dirfd(directory) && matches(descriptor)) found.push_back(descriptor);
  }
  closedir(directory);
  return found;
}

int SocketOption(int descriptor, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(descriptor, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

}  // namespace

std::vector<int> FindPacketSockets(int interface_index) {
  return FindDescriptors([&](int descriptor) {
    if (SocketOption(descriptor, SO_DOMAIN) != AF_PACKET) return false;
    sockaddr_ll address{};
    socklen_t size = sizeof(address);
    return ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
           address.sll_ifindex == interface_index && address.sll_protocol != 0;
  });
}

std::vector<int> FindXdpSockets() {
  return FindDescriptors(
      [](int descriptor) { return SocketOption(descriptor, SO_DOMAIN) == AF_XDP; });
}

std::vector<int> FindTapDescriptors(const char* interface_name) {
  return FindDescriptors([&](int descriptor) {
    char target[32] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    if (::readlink(link.c_str(), target, sizeof(target) - 1) < 0) return false;
    if (std::strcmp(target, "/dev/net/tun") != 0) return false;
    ifreq request{};
    return ::ioctl(descriptor, TUNGETIFF, &request) == 0 &&
           std::strncmp(request.ifr_name, interface_name, IFNAMSIZ) == 0;
  });
}

int FindMemifSocket(const std::string& path, bool is_accepted) {
  const std::vector<int> found = FindDescriptors([&](int descriptor) {
    return is_accepted ? IsAcceptedAt(descriptor, path) : IsConnectedTo(descriptor, path);
  });
  return found.empty() ? -1 : found.front();
}

void IgnoreOutgoing(int packet_socket) {
  // The driver put the socket into a fanout group, where PACKET_IGNORE_OUTGOING comes too late.
  sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  const sock_fprog program = {std::size(instructions), instructions};
  ::setsockopt(packet_socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

SignalHandler TakeOverSignal(int tap_descriptor) {
  const int flags = ::fcntl(tap_descriptor, F_GETFL);
  if (flags >= 0) ::fcntl(tap_descriptor, F_SETFL, flags & ~O_ASYNC);
  const int signal_number = ::fcntl(tap_descriptor, F_GETSIG);
  struct sigaction action {};
  if (signal_number <= 0 || ::sigaction(signal_number, nullptr, &action) != 0) return nullptr;
  const bool is_plain = (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler != SIG_DFL &&
                        action.sa_handler != SIG_IGN;
  return is_plain ? action.sa_handler : nullptr;
}

uint64_t TakeDropCount(int packet_socket) {
  tpacket_stats statistics{};
  socklen_t size = sizeof(statistics);
  if (::getsockopt(packet_socket, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) != 0) return 0;
  return statistics.tp_drops;
}

}  // namespace sluice::dpdk
