#include "dpdk/kernel_interface.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice::dpdk {
namespace {

// A socket for interface ioctls, and the request with the name filled in. Any family will do, and
// the process may be forbidden to have inet sockets.
class InterfaceRequest {
 public:
  explicit InterfaceRequest(const std::string& name)
      : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::memcpy(request_.ifr_name, name.data(), std::min<size_t>(name.size(), IFNAMSIZ - 1));
  }
  ~InterfaceRequest() {
    if (socket_ >= 0) ::close(socket_);
  }
  InterfaceRequest(const InterfaceRequest&) = delete;
  InterfaceRequest& operator=(const InterfaceRequest&) = delete;

  bool Do(unsigned long code) { return socket_ >= 0 && ::ioctl(socket_, code, &request_) == 0; }
  bool DoEthtool(void* command) {
    request_.ifr_data = static_cast<char*>(command);
    return Do(SIOCETHTOOL);
  }
  ifreq& request() { return request_; }

 private:
  int socket_;
  ifreq request_{};
};

std::string InterfaceNames() {
  std::string names;
  struct if_nameindex* list = if_nameindex();
  if (list == nullptr) return names;
  for (struct if_nameindex* entry = list; entry->if_index != 0; ++entry) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", entry->if_name);
  }
  if_freenameindex(list);
  return names;
}

std::string DriverOf(const std::string& name) {
  ethtool_drvinfo information{};
  information.cmd = ETHTOOL_GDRVINFO;
  if (!InterfaceRequest(name).DoEthtool(&information)) return "";
  return std::string(information.driver, strnlen(information.driver, sizeof(information.driver)));
}

bool ReceiveChecksum(const std::string& name) {
  ethtool_value value{};
  value.cmd = ETHTOOL_GRXCSUM;
  return InterfaceRequest(name).DoEthtool(&value) && value.data != 0;
}

}  // namespace

absl::StatusOr<KernelInterface> FindKernelInterface(const std::string& name) {
  KernelInterface found;
  found.name = name;
  found.index = name.size() < IFNAMSIZ ? static_cast<int>(if_nametoindex(name.c_str())) : 0;
  if (found.index == 0) {
    return absl::NotFoundError(absl::StrCat(
        "no interface '", name, "' in this network namespace (there are: ", InterfaceNames(), ")"));
  }
  InterfaceRequest request(name);
  if (request.Do(SIOCGIFMTU)) {
    found.mtu = static_cast<uint16_t>(std::clamp(request.request().ifr_mtu, 0, 0xffff));
  }
  if (request.Do(SIOCGIFFLAGS)) found.is_up = (request.request().ifr_flags & IFF_UP) != 0;
  if (request.Do(SIOCGIFHWADDR)) {
    std::memcpy(found.mac.bytes.data(), request.request().ifr_hwaddr.sa_data, 6);
    found.is_ethernet = request.request().ifr_hwaddr.sa_family == ARPHRD_ETHER;
  }
  const std::string driver = DriverOf(name);
  found.is_veth = driver == "veth";
  found.is_tap = driver == "tun";
  found.rx_checksum = ReceiveChecksum(name);
  return found;
}

absl::Status SetInterfaceUp(const std::string& name) {
  InterfaceRequest request(name);
  if (request.Do(SIOCGIFFLAGS)) {
    if ((request.request().ifr_flags & IFF_UP) != 0) return absl::OkStatus();
    request.request().ifr_flags |= IFF_UP;
    if (request.Do(SIOCSIFFLAGS)) return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "interface '", name, "' is down (", strerror(errno), "); run: ip link set ", name, " up"));
}

absl::Status SetInterfaceMtu(const std::string& name, uint16_t mtu) {
  InterfaceRequest request(name);
  request.request().ifr_mtu = mtu;
  if (request.Do(SIOCSIFMTU)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("interface '", name, "' refuses an MTU of ", mtu, " (", strerror(errno), ")"));
}

bool InterfaceRunning(const std::string& name) {
  InterfaceRequest request(name);
  if (!request.Do(SIOCGIFFLAGS)) return false;
  constexpr int kBoth = IFF_UP | IFF_RUNNING;
  return (request.request().ifr_flags & kBoth) == kBoth;
}

void DisableReceiveMerging(const std::string& name) {
  ethtool_value value{};
  value.cmd = ETHTOOL_GGRO;
  if (InterfaceRequest(name).DoEthtool(&value) && value.data != 0) {
    value.cmd = ETHTOOL_SGRO;
    value.data = 0;
    InterfaceRequest(name).DoEthtool(&value);
  }
  value.cmd = ETHTOOL_GFLAGS;
  value.data = 0;
  if (InterfaceRequest(name).DoEthtool(&value) && (value.data & ETH_FLAG_LRO) != 0) {
    value.cmd = ETHTOOL_SFLAGS;
    value.data &= ~static_cast<uint32_t>(ETH_FLAG_LRO);
    InterfaceRequest(name).DoEthtool(&value);
  }
}

absl::StatusOr<int> HoldMembership(const KernelInterface& interface, bool promiscuous) {
  // Protocol 0: this socket itself receives nothing.
  const int descriptor = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    return absl::PermissionDeniedError(absl::StrCat("no permission for packet sockets (",
                                                    strerror(errno),
                                                    "); run as root or with CAP_NET_RAW"));
  }
  packet_mreq membership{};
  membership.mr_ifindex = interface.index;
  membership.mr_type = promiscuous ? PACKET_MR_PROMISC : PACKET_MR_ALLMULTI;
  if (::setsockopt(descriptor, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership,
                   sizeof(membership)) != 0) {
    const int error = errno;
    ::close(descriptor);
    return absl::FailedPreconditionError(absl::StrCat("interface '", interface.name,
                                                      "' refuses to receive all multicast (",
                                                      strerror(error), ")"));
  }
  return descriptor;
}

}  // namespace sluice::dpdk
