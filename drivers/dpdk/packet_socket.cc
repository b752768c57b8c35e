#include "dpdk/packet_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "dpdk/driver_descriptors.h"

namespace sluice::dpdk {
namespace {

// An address range of this process.
struct Mapping {
  void* address = nullptr;
  size_t bytes = 0;
};

bool Set(int descriptor, int option, int value) {
  return ::setsockopt(descriptor, SOL_PACKET, option, &value, sizeof(value)) == 0;
}

int Get(int descriptor, int option) {
  int value = 0;
  socklen_t size = sizeof(value);
  return ::getsockopt(descriptor, SOL_PACKET, option, &value, &size) == 0 ? value : 0;
}

// packet(7): the group's number in the lower half, its mode and flags in the upper.
uint32_t FanoutOf(int descriptor) { return static_cast<uint32_t>(Get(descriptor, PACKET_FANOUT)); }
constexpr uint32_t kReassembles = uint32_t{PACKET_FANOUT_FLAG_DEFRAG} << 16;
constexpr uint32_t kChoosesNumber = uint32_t{PACKET_FANOUT_FLAG_UNIQUEID} << 16;

// Where the socket's ring is mapped. proc(5) describes the lines of /proc/self/maps.
Mapping FindMapping(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return {};
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return {};
  absl::Cleanup close = [maps] { std::fclose(maps); };
  char line[512];
  while (std::fgets(line, sizeof(line), maps) != nullptr) {
    uintptr_t from = 0, to = 0;
    uint64_t inode = 0;
    const bool is_socket = std::strstr(line, "socket:[") != nullptr;
    if (is_socket &&
        std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64, &from, &to, &inode) ==
            3 &&
        inode == status.st_ino) {
      return {reinterpret_cast<void*>(from), to - from};
    }
  }
  return {};
}

absl::Status Failure(const char* what) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot receive IPv4 fragments as they are: ", what, ": ", strerror(errno)));
}

// Opens a socket like `driver_socket`, bound to the interface; its ring is mapped over the other's.
// `fanout` is the group to join, 0 for none. Returns the descriptor, or -1 and errno.
int OpenAlike(int driver_socket, int interface_index, const tpacket_req& shape,
              const Mapping& place, uint32_t fanout) {
  const int descriptor = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  absl::Cleanup close = [descriptor] {
    const int error = errno;
    ::close(descriptor);
    errno = error;
  };
  if (!Set(descriptor, PACKET_VERSION, TPACKET_V2) ||
      !Set(descriptor, PACKET_LOSS, Get(driver_socket, PACKET_LOSS)) ||
      !Set(descriptor, PACKET_QDISC_BYPASS, Get(driver_socket, PACKET_QDISC_BYPASS)) ||
      ::setsockopt(descriptor, SOL_PACKET, PACKET_RX_RING, &shape, sizeof(shape)) != 0 ||
      ::setsockopt(descriptor, SOL_PACKET, PACKET_TX_RING, &shape, sizeof(shape)) != 0 ||
      ::mmap(place.address, place.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor,
             0) == MAP_FAILED) {
    return -1;
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = interface_index;
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      (fanout != 0 && !Set(descriptor, PACKET_FANOUT, static_cast<int>(fanout)))) {
    return -1;
  }
  std::move(close).Cancel();
  return descriptor;
}

}  // namespace

absl::Status StopReassembly(int interface_index, const PacketRing& ring) {
  std::vector<int> sockets;
  for (int descriptor : FindPacketSockets(interface_index)) {
    if ((FanoutOf(descriptor) & kReassembles) != 0) sockets.push_back(descriptor);
  }
  if (sockets.empty()) return absl::OkStatus();
  errno = EINVAL;
  if (ring.frame_bytes == 0 || ring.block_bytes < ring.frame_bytes) {
    return Failure("'framesz' and 'blocksz' are not plain numbers");
  }
  tpacket_req shape{};
  shape.tp_block_size = ring.block_bytes;
  shape.tp_frame_size = ring.frame_bytes;
  shape.tp_frame_nr = ring.frames;
  shape.tp_block_nr = ring.frames / (ring.block_bytes / ring.frame_bytes);
  const size_t bytes = 2 * size_t{shape.tp_block_size} * shape.tp_block_nr;
  // One queue needs no group. The first of several has the kernel choose an unused number.
  uint32_t fanout = 0;
  for (int driver_socket : sockets) {
    if (sockets.size() > 1 && fanout == 0) {
      fanout = ((FanoutOf(driver_socket) & ~kReassembles) & 0xffff0000u) | kChoosesNumber;
    }
    const Mapping place = FindMapping(driver_socket);
    errno = EINVAL;
    if (place.bytes != bytes) return Failure("the driver's ring has another shape");
    const int ours = OpenAlike(driver_socket, interface_index, shape, place, fanout);
    if (ours < 0) return Failure("no packet socket in place of the driver's");
    absl::Cleanup close = [ours] { ::close(ours); };
    if (fanout != 0) fanout = FanoutOf(ours);
    // The driver's socket has no other name and no mapping any more: this ends it.
    if (::dup3(ours, driver_socket, O_CLOEXEC) < 0) return Failure("dup3");
  }
  return absl::OkStatus();
}

}  // namespace sluice::dpdk
