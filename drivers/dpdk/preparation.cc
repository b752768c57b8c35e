#include "dpdk/preparation.h"

#include <fcntl.h>
#include <rte_eal.h>
#include <rte_mbuf_core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dpdk/memif_socket.h"

namespace sluice::dpdk {
namespace {

constexpr uint16_t kDefaultMtu = 1500;
constexpr uint16_t kLinkHeaderBytesMax = 18;  // Ethernet II and one 802.1Q tag
constexpr uint16_t kDataRoomBytesMax = 32768;
constexpr uint16_t kPageBytes = 4096;
constexpr uint16_t kMbufHeaderBytes = 64 + 128 + RTE_PKTMBUF_HEADROOM;  // mempool's, mbuf's

uint16_t FrameBytes(uint16_t mtu) { return static_cast<uint16_t>(mtu + kLinkHeaderBytesMax); }

uint16_t RoomFor(uint32_t bytes) {
  return static_cast<uint16_t>(std::max<uint32_t>(2048, (bytes + 63) / 64 * 64));
}

// Of af_packet's ring: a slot holds TPACKET2's header (up to 80 bytes with alignment) and a whole
// frame.
uint32_t SlotBytes(uint16_t mtu) { return std::bit_ceil(uint32_t{FrameBytes(mtu)} + 96); }

uint32_t Number(const std::string& text) {
  uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

absl::Status CheckMtu(uint16_t mtu) {
  // RFC 8200 section 5: IPv6 wants 1280; RFC 791 section 3.2: IPv4 can do with 68.
  if (mtu >= 68 && mtu <= kDataRoomBytesMax - 256) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("an MTU of ", mtu, " is out of range (68 to ", kDataRoomBytesMax - 256, ")"));
}

// af_packet and af_xdp: the interface stays the kernel's, and the driver takes what arrives there.
absl::Status PrepareShared(const PortConfig& config, Preparation* preparation) {
  const std::string* name = preparation->device.Find("iface");
  if (name == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("device '", preparation->device.name,
                                                   "' needs an interface; write ",
                                                   preparation->device.name, ",iface=NAME"));
  }
  absl::StatusOr<KernelInterface> interface = FindKernelInterface(*name);
  if (!interface.ok()) return interface.status();
  if (!interface->is_ethernet) {
    return absl::InvalidArgumentError(
        absl::StrCat("interface '", *name, "' is no Ethernet, which is all that Sluice speaks"));
  }
  if (config.mtu > interface->mtu) {
    return absl::FailedPreconditionError(
        absl::StrCat("interface '", *name, "' has an MTU of ", interface->mtu, ", not ", config.mtu,
                     "; run: ip link set ", *name, " mtu ", config.mtu));
  }
  if (absl::Status status = SetInterfaceUp(*name); !status.ok()) return status;
  DisableReceiveMerging(*name);
  preparation->mtu = config.mtu != 0 ? config.mtu : interface->mtu;
  // Frames cross a veth as the sender's kernel left them. If it leaves checksums to an offload
  // that never happens they are empty, and the interface says with rx-checksum that they count
  // as verified, for the kernel as for us (ethtool -K <interface> rx off makes both verify).
  preparation->trust_checksums = interface->is_veth && interface->rx_checksum;
  preparation->drop_oversized = true;
  preparation->interface = *std::move(interface);
  return absl::OkStatus();
}

absl::Status PrepareAfPacket(const PortConfig& config, Preparation* preparation) {
  if (absl::Status status = PrepareShared(config, preparation); !status.ok()) return status;
  preparation->wake = WakeKind::kPacketSocket;
  const uint32_t slot_bytes = SlotBytes(preparation->mtu);
  const uint32_t block_bytes = std::max<uint32_t>(slot_bytes, 64 * 1024);
  // Enough slots that a burst while the engine sleeps is kept: 4 MiB, at least 256 frames.
  const uint32_t slots = std::max<uint32_t>(256, 4 * 1024 * 1024 / slot_bytes);
  Device& device = preparation->device;
  device.SetDefault("framesz", absl::StrCat(slot_bytes));
  device.SetDefault("blocksz", absl::StrCat(block_bytes));
  device.SetDefault("framecnt", absl::StrCat(slots));
  device.SetDefault("qpairs", absl::StrCat(config.queues));
  // The driver copies as much as a slot holds, so an mbuf must have room for that.
  PacketRing& ring = preparation->packet_ring;
  ring.frame_bytes = Number(*device.Find("framesz"));
  ring.block_bytes = Number(*device.Find("blocksz"));
  ring.frames = Number(*device.Find("framecnt"));
  preparation->data_room_bytes = RoomFor(std::min<uint32_t>(ring.frame_bytes, kDataRoomBytesMax));
  return absl::OkStatus();
}

absl::Status PrepareAfXdp(const PortConfig& config, Preparation* preparation) {
  if (absl::Status status = PrepareShared(config, preparation); !status.ok()) return status;
  preparation->wake = WakeKind::kXdpSocket;
  preparation->single_segment = true;
  // An mbuf with all its headers fills one page, the unit in which the kernel pins memory.
  preparation->data_room_bytes = kPageBytes - kMbufHeaderBytes;
  Device& device = preparation->device;
  device.SetDefault("queue_count", absl::StrCat(config.queues));
  // Preferred busy polling makes every empty receive a system call.
  device.SetDefault("busy_budget", "0");
  return absl::OkStatus();
}

absl::Status PrepareTap(const PortConfig& config, Preparation* preparation) {
  if (config.mtu > kDefaultMtu) {
    return absl::InvalidArgumentError(absl::StrCat("device '", preparation->device.name,
                                                   "' allows an MTU of 1500, not ", config.mtu,
                                                   "; lower 'mtu'"));
  }
  const int descriptor = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (descriptor < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot open /dev/net/tun (", strerror(errno),
                     "); run as root or with CAP_NET_ADMIN, and: modprobe tun"));
  }
  ::close(descriptor);
  const std::string number = preparation->device.name.substr(preparation->device.driver.size());
  preparation->device.SetDefault("iface", "dtap" + (number.empty() ? "0" : number));
  const std::string& name = *preparation->device.Find("iface");
  if (absl::StatusOr<KernelInterface> there = FindKernelInterface(name);
      there.ok() && !there->is_tap) {
    return absl::AlreadyExistsError(
        absl::StrCat("interface '", name, "' exists and is no TAP; choose another name"));
  }
  preparation->wake = WakeKind::kTapDevice;
  preparation->ignore_offloads = true;
  preparation->invert_mac = true;
  preparation->mtu = config.mtu != 0 ? config.mtu : kDefaultMtu;
  preparation->set_mtu = preparation->mtu != kDefaultMtu;
  preparation->data_room_bytes = RoomFor(FrameBytes(preparation->mtu));
  return absl::OkStatus();
}

absl::Status PrepareMemif(const PortConfig& config, Preparation* preparation) {
  Device& device = preparation->device;
  device.SetDefault("role", "client");
  const std::string& role = *device.Find("role");
  const bool is_server = role == "server" || role == "master";
  if (!is_server && role != "client" && role != "slave") {
    return absl::InvalidArgumentError(
        absl::StrCat("memif role '", role, "' is neither 'server' nor 'client'"));
  }
  device.SetDefault("socket", "/run/memif.sock");
  MemifEnds ends;
  ends.is_server = is_server;
  ends.meeting.name = *device.Find("socket");
  // A path is meant as a file, which unlike an abstract name is seen from every network namespace.
  device.SetDefault("socket-abstract", ends.meeting.name.starts_with('/') ? "no" : "yes");
  ends.meeting.is_abstract = *device.Find("socket-abstract") != "no";
  if (absl::Status status = CheckAddress(ends.meeting); !status.ok()) return status;
  if (is_server && !ends.meeting.is_abstract) {
    if (absl::Status status = ClearServerSocket(ends.meeting.name); !status.ok()) return status;
  }
  // The driver's own end is where only this process comes. The directory is private to it, and a
  // later start of Sluice clears up there if this process is killed.
  const std::string directory = rte_eal_get_runtime_dir();
  if (::access(directory.c_str(), R_OK | W_OK) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("memif needs DPDK's runtime directory '",
                                                      directory, "' (", strerror(errno),
                                                      "); make the directory above it writable"));
  }
  static std::atomic<uint32_t> names{0};
  ends.driver.name = absl::StrCat(directory, "/memif-", getpid(), "-", names.fetch_add(1));
  if (absl::Status status = CheckAddress(ends.driver); !status.ok()) return status;
  device.Set("socket", ends.driver.name);
  device.Set("socket-abstract", "no");
  preparation->memif = std::move(ends);
  preparation->mtu = config.mtu != 0 ? config.mtu : kDefaultMtu;
  // One frame, one buffer, one mbuf: the driver does not clear the "continued" mark of a
  // descriptor that it uses again, so frames must never span two.
  preparation->data_room_bytes = RoomFor(FrameBytes(preparation->mtu));
  preparation->single_segment = true;
  preparation->drop_oversized = true;
  preparation->wake = WakeKind::kNone;
  device.SetDefault("bsize", absl::StrCat(preparation->data_room_bytes));
  if (const uint32_t given = Number(*device.Find("bsize")); given < FrameBytes(preparation->mtu)) {
    return absl::InvalidArgumentError(
        absl::StrCat("memif bsize=", given, " is too small for an MTU of ", preparation->mtu,
                     "; give at least bsize=", FrameBytes(preparation->mtu)));
  }
  device.SetDefault("rsize", "11");
  preparation->trust_checksums = config.trusted_link;
  preparation->omit_checksums = config.trusted_link;
  return absl::OkStatus();
}

absl::Status PreparePcap(const PortConfig& config, Preparation* preparation) {
  for (const char* key : {"rx_pcap", "iface", "rx_iface"}) {
    const std::string* value = preparation->device.Find(key);
    if (value == nullptr) continue;
    if (std::string_view(key) == "rx_pcap" && ::access(value->c_str(), R_OK) != 0) {
      return absl::NotFoundError(
          absl::StrCat("cannot read capture file '", *value, "' (", strerror(errno), ")"));
    }
    if (std::string_view(key) == "rx_pcap") continue;
    absl::StatusOr<KernelInterface> interface = FindKernelInterface(*value);
    if (!interface.ok()) return interface.status();
  }
  preparation->wake = WakeKind::kNone;
  preparation->mtu = config.mtu != 0 ? config.mtu : kDefaultMtu;
  preparation->data_room_bytes = RoomFor(FrameBytes(preparation->mtu));
  return absl::OkStatus();
}

absl::Status PrepareInMemory(const PortConfig& config, Preparation* preparation) {
  // Left alone, net_null receives empty frames without end.
  if (preparation->device.driver == "net_null") preparation->device.SetDefault("no-rx", "1");
  preparation->wake = WakeKind::kNone;
  preparation->mtu = config.mtu != 0 ? config.mtu : kDefaultMtu;
  preparation->data_room_bytes = RoomFor(FrameBytes(preparation->mtu));
  preparation->trust_checksums = config.trusted_link;
  preparation->omit_checksums = config.trusted_link;
  return absl::OkStatus();
}

absl::Status PrepareOther(const PortConfig& config, Preparation* preparation) {
  preparation->mtu = config.mtu != 0 ? config.mtu : kDefaultMtu;
  preparation->set_mtu = preparation->mtu != kDefaultMtu;
  preparation->data_room_bytes = RoomFor(FrameBytes(preparation->mtu));
  return absl::OkStatus();
}

struct Rule {
  const char* driver;
  absl::Status (*prepare)(const PortConfig&, Preparation*);
  bool may_be_trusted;
};
constexpr Rule kRules[] = {
    {"net_af_packet", PrepareAfPacket, false},
    {"eth_af_packet", PrepareAfPacket, false},
    {"net_af_xdp", PrepareAfXdp, false},
    {"net_tap", PrepareTap, false},
    {"eth_tap", PrepareTap, false},
    {"net_memif", PrepareMemif, true},
    {"net_pcap", PreparePcap, false},
    {"eth_pcap", PreparePcap, false},
    {"net_null", PrepareInMemory, false},
    {"eth_null", PrepareInMemory, false},
    {"net_ring", PrepareInMemory, true},
    {"eth_ring", PrepareInMemory, true},
};

}  // namespace

uint32_t MbufBytes(const PortConfig& config) {
  absl::StatusOr<Device> device = ParseDevice(config.device);
  if (!device.ok()) return kPageBytes;
  uint16_t mtu = config.mtu != 0 ? config.mtu : kDefaultMtu;
  const bool is_shared = device->driver.find("af_") != std::string::npos;
  const std::string* name = device->Find("iface");
  if (is_shared && name != nullptr && config.mtu == 0) {
    absl::StatusOr<KernelInterface> interface = FindKernelInterface(*name);
    if (interface.ok()) mtu = std::min<uint16_t>(interface->mtu, kDataRoomBytesMax - 256);
  }
  if (device->driver.find("af_xdp") != std::string::npos) return kPageBytes;
  return kMbufHeaderBytes + (is_shared ? RoomFor(SlotBytes(mtu)) : RoomFor(FrameBytes(mtu)));
}

absl::StatusOr<Preparation> Prepare(Device device, const PortConfig& config) {
  if (config.mtu != 0) {
    if (absl::Status status = CheckMtu(config.mtu); !status.ok()) return status;
  }
  Preparation preparation;
  preparation.device = std::move(device);
  Rule rule = {"", PrepareOther, false};
  for (const Rule& candidate : kRules) {
    if (preparation.device.driver == candidate.driver) rule = candidate;
  }
  if (config.trusted_link && !rule.may_be_trusted) {
    return absl::InvalidArgumentError(absl::StrCat("device '", preparation.device.name,
                                                   "' cannot be a trusted link; only net_memif "
                                                   "and net_ring can"));
  }
  if (absl::Status status = rule.prepare(config, &preparation); !status.ok()) return status;
  // An interface of the kernel's may have any MTU (a loopback's is 65,536).
  preparation.mtu = std::min<uint16_t>(preparation.mtu, kDataRoomBytesMax - 256);
  return preparation;
}

}  // namespace sluice::dpdk
