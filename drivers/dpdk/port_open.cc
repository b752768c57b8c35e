// Opening a DPDK device, step by step: attach, negotiate, pools and queues, start, wake.

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/lifo_pool_ops.h"
#include "dpdk/capability.h"
#include "dpdk/eal.h"
#include "dpdk/packet_socket.h"
#include "dpdk/port.h"
#include "dpdk/steering.h"
#include "dpdk/xdp_messages.h"

namespace sluice::dpdk {

class PortOpener {
 public:
  PortOpener(const PortConfig& config, Preparation preparation)
      : config_(config), preparation_(std::move(preparation)), port_(new DpdkPort()) {}

  absl::StatusOr<std::unique_ptr<DpdkPort>> Open();

 private:
  absl::Status Attach();
  absl::Status Configure();
  absl::Status TryConfigure(bool with_interrupts);
  absl::Status SetUpQueues();
  absl::Status Start();
  absl::Status SetAddress();
  absl::Status ReceiveMulticast();
  absl::Status ReceiveFragments();
  void FillCapabilities();
  void FindDriverDescriptors();
  void SetUpWake();

  bool Receives(uint64_t offload) const {
    return !preparation_.ignore_offloads && (info_.rx_offload_capa & offload) == offload;
  }
  bool Transmits(uint64_t offload) const {
    return !preparation_.ignore_offloads && (info_.tx_offload_capa & offload) == offload;
  }
  absl::Status Failure(const char* what, int error) const;

  const PortConfig& config_;
  Preparation preparation_;
  std::unique_ptr<DpdkPort> port_;
  rte_eth_dev_info info_{};
  rte_eth_conf configuration_{};
  std::vector<int> tap_descriptors_;
};

namespace {

constexpr uint64_t kRxChecksums =
    RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
constexpr uint16_t kSegmentsMax = 64;
constexpr uint32_t kTsoBytesMax = 65535 - 60 - 60;

// A pool of `count` mbufs for one engine, as rte_pktmbuf_pool_create_by_ops makes it but without
// gaps between the objects where the addresses allow it. On ordinary pages that halves the memory,
// and af_xdp takes for granted that the pool is one array.
rte_mempool* MakePool(const std::string& name, uint32_t count, uint16_t data_room_bytes,
                      int socket) {
  unsigned flags = RTE_MEMPOOL_F_NO_SPREAD;
  if (rte_eal_iova_mode() == RTE_IOVA_VA) flags |= RTE_MEMPOOL_F_NO_IOVA_CONTIG;
  rte_pktmbuf_pool_private sizes{};
  sizes.mbuf_data_room_size = static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + data_room_bytes);
  rte_mempool* pool =
      rte_mempool_create_empty(name.c_str(), count, sizeof(rte_mbuf) + sizes.mbuf_data_room_size, 0,
                               sizeof(sizes), socket, flags);
  if (pool == nullptr) return nullptr;
  if (rte_mempool_set_ops_byname(pool, LifoPoolOpsName(), nullptr) == 0) {
    rte_pktmbuf_pool_init(pool, &sizes);
    if (rte_mempool_populate_default(pool) >= 0) {
      rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
      return pool;
    }
  }
  rte_mempool_free(pool);
  return nullptr;
}

constexpr const char* DriverDirectory() {
#ifdef RTE_EAL_PMD_PATH
  return RTE_EAL_PMD_PATH;
#else
  return "the DPDK driver directory";
#endif
}

bool MayUseDevices() {
  return HasCapability(Capability::kNetRaw) && HasCapability(Capability::kNetAdmin) &&
         HasCapability(Capability::kIpcLock);
}

std::string ErrorText(int error) { return rte_strerror(error < 0 ? -error : error); }

}  // namespace

absl::Status PortOpener::Failure(const char* what, int error) const {
  std::string reason = Eal::Cause();
  if (reason.empty()) reason = ErrorText(error);
  const char* advice =
      MayUseDevices() ? "" : "; run as root or with CAP_NET_RAW, CAP_NET_ADMIN and CAP_IPC_LOCK";
  return absl::FailedPreconditionError(
      absl::StrCat("device '", preparation_.device.name, "': ", what, ": ", reason, advice));
}

absl::Status PortOpener::Attach() {
  const Device& device = preparation_.device;
  // Devices of the PCI allow-list are there since EAL started.
  if (rte_eth_dev_get_port_by_name(device.name.c_str(), &port_->port_id_) == 0) {
    if (!device.is_pci) {
      return absl::AlreadyExistsError(absl::StrCat(
          "device '", device.name, "' is in use already; give each device another number"));
    }
    port_->attached_ = true;
    return absl::OkStatus();
  }
  if (preparation_.wake == WakeKind::kXdpSocket) RedirectXdpMessages();
  const int result = rte_eal_hotplug_add(device.is_pci ? "pci" : "vdev", device.name.c_str(),
                                         device.ArgumentText().c_str());
  if (result != 0 && device.is_pci) {
    return absl::NotFoundError(absl::StrCat("no usable PCI device ", device.name,
                                            "; bind it with: dpdk-devbind.py -b vfio-pci ",
                                            device.name));
  }
  const std::string cause = Eal::Cause();
  if (result != 0 && absl::StrContains(cause, "failed to parse device")) {
    return absl::NotFoundError(absl::StrCat("device '", device.name, "': DPDK has no driver '",
                                            device.driver, "'; see: ls ", DriverDirectory()));
  }
  if (result != 0 && absl::StrContains(cause, "Driver cannot attach")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "device '", device.name, "': its driver does not accept '", device.ArgumentText(), "'"));
  }
  if (result != 0) return Failure("cannot be opened", result);
  if (rte_eth_dev_get_port_by_name(device.name.c_str(), &port_->port_id_) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("device '", device.name, "' is not a network device"));
  }
  port_->attached_ = true;
  return absl::OkStatus();
}

absl::Status PortOpener::ReceiveFragments() {
  if (preparation_.wake != WakeKind::kPacketSocket) return absl::OkStatus();
  return StopReassembly(preparation_.interface->index, preparation_.packet_ring);
}

absl::Status PortOpener::TryConfigure(bool with_interrupts) {
  rte_eth_conf& wanted = configuration_;
  wanted = {};
  if (preparation_.set_mtu && preparation_.wake != WakeKind::kTapDevice) {
    wanted.rxmode.mtu = preparation_.mtu;
  }
  for (uint64_t offload : {kRxChecksums, uint64_t{RTE_ETH_RX_OFFLOAD_VLAN_STRIP}}) {
    if (Receives(offload)) wanted.rxmode.offloads |= offload;
  }
  for (uint64_t offload :
       {uint64_t{RTE_ETH_TX_OFFLOAD_IPV4_CKSUM}, uint64_t{RTE_ETH_TX_OFFLOAD_TCP_CKSUM},
        uint64_t{RTE_ETH_TX_OFFLOAD_UDP_CKSUM}, uint64_t{RTE_ETH_TX_OFFLOAD_TCP_TSO},
        uint64_t{RTE_ETH_TX_OFFLOAD_VLAN_INSERT}}) {
    if (Transmits(offload)) wanted.txmode.offloads |= offload;
  }
  // What carries a chain is asked for even where the other offloads are the driver's own software.
  if (!preparation_.single_segment) {
    wanted.txmode.offloads |= info_.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  }
  if (config_.queues > 1) {
    AskForFlowHash(info_, &wanted);
    if (Receives(RTE_ETH_RX_OFFLOAD_RSS_HASH)) {
      wanted.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
    }
  }
  wanted.intr_conf.rxq = with_interrupts ? 1 : 0;
  int result = rte_eth_dev_configure(port_->port_id_, config_.queues, config_.queues, &wanted);
  if (result != 0 && ForgoFlowHashKey(&wanted)) {
    result = rte_eth_dev_configure(port_->port_id_, config_.queues, config_.queues, &wanted);
  }
  return result == 0 ? absl::OkStatus() : Failure("cannot be configured", result);
}

absl::Status PortOpener::Configure() {
  if (int result = rte_eth_dev_info_get(port_->port_id_, &info_); result != 0) {
    return Failure("tells nothing of itself", result);
  }
  const uint16_t queues_max = std::min(info_.max_rx_queues, info_.max_tx_queues);
  if (config_.queues == 0 || config_.queues > queues_max) {
    return absl::InvalidArgumentError(absl::StrCat("device '", preparation_.device.name, "' has ",
                                                   queues_max, " queues, not ", config_.queues,
                                                   "; lower 'queues'"));
  }
  if (preparation_.mtu > info_.max_mtu) {
    return absl::InvalidArgumentError(absl::StrCat("device '", preparation_.device.name,
                                                   "' allows an MTU of ", info_.max_mtu, ", not ",
                                                   preparation_.mtu, "; lower 'mtu'"));
  }
  if (preparation_.wake == WakeKind::kInterrupt && TryConfigure(true).ok()) return absl::OkStatus();
  if (preparation_.wake == WakeKind::kInterrupt) preparation_.wake = WakeKind::kNone;
  return TryConfigure(false);
}

absl::Status PortOpener::SetUpQueues() {
  const uint16_t pools = PoolsOf(config_);
  port_->queues_ = std::make_unique<DpdkPort::Queue[]>(pools);
  port_->pools_ = pools;
  port_->capabilities_.queues = config_.queues;
  uint16_t rx_descriptors = config_.rx_descriptors;
  uint16_t tx_descriptors = config_.tx_descriptors;
  if (int result =
          rte_eth_dev_adjust_nb_rx_tx_desc(port_->port_id_, &rx_descriptors, &tx_descriptors);
      result != 0) {
    return Failure("refuses the queue sizes", result);
  }
  const int reported_socket = rte_eth_dev_socket_id(port_->port_id_);
  const int socket = reported_socket < 0 ? SOCKET_ID_ANY : reported_socket;
  for (uint16_t queue = 0; queue < pools; ++queue) {
    const std::string name = absl::StrCat("sluice-", port_->port_id_, "-", queue);
    rte_mempool* pool =
        MakePool(name, config_.packets_per_queue, preparation_.data_room_bytes, socket);
    if (pool == nullptr) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "no memory for ", config_.packets_per_queue, " packet buffers of ",
          preparation_.data_room_bytes, " bytes; raise 'memory_mib' or lower 'mbufs'"));
    }
    port_->queues_[queue].pool = pool;
    if (queue >= config_.queues) continue;  // of an engine that others receive for
    int result =
        rte_eth_rx_queue_setup(port_->port_id_, queue, rx_descriptors, socket, nullptr, pool);
    if (result != 0) return Failure("refuses a receive queue", result);
    result = rte_eth_tx_queue_setup(port_->port_id_, queue, tx_descriptors, socket, nullptr);
    if (result != 0) return Failure("refuses a transmit queue", result);
  }
  return absl::OkStatus();
}

void PortOpener::FindDriverDescriptors() {
  if (preparation_.wake == WakeKind::kPacketSocket) {
    port_->packet_sockets_ = FindPacketSockets(preparation_.interface->index);
    for (int descriptor : port_->packet_sockets_) IgnoreOutgoing(descriptor);
  }
  if (preparation_.wake == WakeKind::kTapDevice) {
    const std::string* name = preparation_.device.Find("iface");
    tap_descriptors_ = FindTapDescriptors(name->c_str());
    for (int descriptor : tap_descriptors_) port_->tap_handler_ = TakeOverSignal(descriptor);
  }
}

absl::Status PortOpener::Start() {
  FindDriverDescriptors();
  if (preparation_.wake == WakeKind::kTapDevice && preparation_.set_mtu) {
    const std::string& name = *preparation_.device.Find("iface");
    if (absl::Status status = SetInterfaceMtu(name, preparation_.mtu); !status.ok()) return status;
  }
  if (preparation_.memif.has_value()) {
    absl::StatusOr<std::unique_ptr<MemifLink>> link =
        MemifLink::Open(*preparation_.memif, port_->port_id_, config_.queues);
    if (link.ok()) port_->memif_ = *std::move(link);
    return link.status();
  }
  if (int result = rte_eth_dev_start(port_->port_id_); result != 0) {
    return Failure("does not start", result);
  }
  if (config_.queues > 1) {
    DealFlows(port_->port_id_, info_, config_.queues, PoolsOf(config_));
  }
  return absl::OkStatus();
}

absl::Status PortOpener::SetAddress() {
  rte_ether_addr address{};
  if (int result = rte_eth_macaddr_get(port_->port_id_, &address); result != 0) {
    return Failure("has no link address", result);
  }
  wire::MacAddress& mac = port_->capabilities_.mac;
  std::memcpy(mac.bytes.data(), address.addr_bytes, mac.bytes.size());
  if (config_.mac.has_value() && *config_.mac != mac) {
    mac = *config_.mac;
    std::memcpy(address.addr_bytes, mac.bytes.data(), mac.bytes.size());
    // The others take every frame, or follow the promiscuous setting of their interface.
    const bool filters = preparation_.wake == WakeKind::kInterrupt;
    if (filters && rte_eth_dev_default_mac_addr_set(port_->port_id_, &address) != 0) {
      int result = rte_eth_promiscuous_enable(port_->port_id_);
      if (result != 0) return Failure("does not take another link address", result);
    }
  } else if (preparation_.invert_mac) {
    mac.bytes[5] ^= 1;
  }
  return absl::OkStatus();
}

absl::Status PortOpener::ReceiveMulticast() {
  if (preparation_.interface.has_value()) {
    const bool promiscuous = port_->capabilities_.mac != preparation_.interface->mac;
    absl::StatusOr<int> held = HoldMembership(*preparation_.interface, promiscuous);
    if (!held.ok()) return held.status();
    port_->membership_descriptor_ = *held;
    return absl::OkStatus();
  }
  // A device without either has no filter.
  if (rte_eth_allmulticast_enable(port_->port_id_) != 0) {
    rte_eth_promiscuous_enable(port_->port_id_);
  }
  return absl::OkStatus();
}

void PortOpener::FillCapabilities() {
  engine::PortCapabilities& able = port_->capabilities_;
  const uint64_t rx = configuration_.rxmode.offloads;
  const uint64_t tx = configuration_.txmode.offloads;
  able.mtu = preparation_.mtu;
  able.tx_ipv4_checksum = (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
  able.tx_tcp_checksum = (tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
  able.tx_udp_checksum = (tx & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
  able.tx_tcp_segmentation = (tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0 && able.tx_tcp_checksum;
  able.tso_bytes_max = able.tx_tcp_segmentation ? kTsoBytesMax : 0;
  able.tx_vlan_insert = (tx & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) != 0;
  able.rx_checksum = (rx & kRxChecksums) != 0;
  able.rx_vlan_strip = (rx & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0;
  able.rx_rss_hash = (rx & RTE_ETH_RX_OFFLOAD_RSS_HASH) != 0;
  if ((tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0) {
    const uint16_t stated = info_.tx_desc_lim.nb_seg_max;
    able.tx_segments_max = stated == 0 ? kSegmentsMax : std::min(stated, kSegmentsMax);
  }
  port_->prepare_transmit_ = able.tx_tcp_checksum || able.tx_udp_checksum;
  if (preparation_.omit_checksums) {
    able.tx_ipv4_checksum = able.tx_tcp_checksum = able.tx_udp_checksum = true;
  }
  port_->trust_checksums_ = preparation_.trust_checksums;
  able.rx_checksum = able.rx_checksum || preparation_.trust_checksums;
  if (preparation_.drop_oversized) port_->frame_bytes_max_ = uint32_t{able.mtu} + 18;
}

void PortOpener::SetUpWake() {
  for (uint16_t queue = 0; queue < config_.queues; ++queue) {
    std::unique_ptr<WakeSource>& wake = port_->queues_[queue].wake;
    // Which of a driver's sockets is which queue's cannot be known from outside; a queue that
    // watches them all wakes too often with several queues, but never too seldom.
    switch (preparation_.wake) {
      case WakeKind::kNone:
        break;
      case WakeKind::kInterrupt:
        wake = ReceiveInterrupt(port_->port_id_, queue);
        break;
      case WakeKind::kPacketSocket:
        wake = WatchDescriptors(port_->packet_sockets_);
        break;
      case WakeKind::kXdpSocket:
        wake = WatchDescriptors(FindXdpSockets());
        break;
      case WakeKind::kTapDevice:
        wake = WatchDescriptors(tap_descriptors_);
        break;
    }
  }
}

absl::StatusOr<std::unique_ptr<DpdkPort>> PortOpener::Open() {
  port_->name_ = preparation_.device.name;
  if (preparation_.interface) {
    port_->shared_interface_ = preparation_.interface->name;
    const bool guarded =
        preparation_.interface->is_veth && preparation_.wake == WakeKind::kPacketSocket;
    port_->veth_index_ = guarded ? preparation_.interface->index : 0;
  }
  using Step = absl::Status (PortOpener::*)();
  constexpr Step kSteps[] = {&PortOpener::Attach,          &PortOpener::ReceiveFragments,
                             &PortOpener::Configure,       &PortOpener::SetUpQueues,
                             &PortOpener::Start,           &PortOpener::SetAddress,
                             &PortOpener::ReceiveMulticast};
  for (Step step : kSteps) {
    Eal::ForgetMessages();
    if (absl::Status status = (this->*step)(); !status.ok()) return status;
  }
  FillCapabilities();
  SetUpWake();
  port_->driver_name_ = info_.driver_name;
  return std::move(port_);
}

absl::StatusOr<std::unique_ptr<DpdkPort>> DpdkPort::Open(const PortConfig& config) {
  if (!Eal::started()) {
    return absl::FailedPreconditionError("DPDK is not started; call Eal::Start first");
  }
  absl::StatusOr<Device> device = ParseDevice(config.device);
  if (!device.ok()) return device.status();
  absl::StatusOr<Preparation> preparation = Prepare(*std::move(device), config);
  if (!preparation.ok()) return preparation.status();
  return PortOpener(config, *std::move(preparation)).Open();
}

}  // namespace sluice::dpdk
