#include "stack_world.h"

#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "api/context.h"
#include "api/kernel.h"
#include "fuzz.h"
#include "wire/ethernet.h"

namespace sluice::fuzz {
namespace {

constexpr unsigned kTurnsMax = 2000;   // at one instant
constexpr unsigned kAdvancesMax = 64;  // instants of one step at which something is due
constexpr unsigned kWaitsMax = 48;     // of one step
constexpr unsigned kAnswersMax = 64;   // likewise
constexpr wire::MacAddress kOurMac{{0x02, 0, 0, 0, 0, 0x0b}};
constexpr wire::MacAddress kPeerMac{{0x02, 0, 0, 0, 0, 0x0a}};

table::RegionLimits Limits(const WorldConfig& config) {
  return {.sockets = config.tiny_tables ? 6u : 24u,
          .buffers = config.tiny_region ? 6u : 64u,
          .buffer_bytes = 2048,
          .blocks = config.tiny_region ? 8u : 128u,
          .lanes = 1};
}

// Memory and packets are the same for all inputs of a kind, which saves the kernel's work: the
// memory is zeroed, and of the packets each input leaves all behind that it found.
void* Zeroed(const table::RegionLimits& limits) {
  struct Block {
    std::unique_ptr<void, decltype(&std::free)> memory;
    size_t bytes;
  };
  static std::vector<Block> blocks;
  const size_t bytes = (table::Region::BytesNeeded(limits) + 127) / 128 * 128;
  auto block = std::find_if(blocks.begin(), blocks.end(),
                            [bytes](const Block& b) { return b.bytes == bytes; });
  if (block == blocks.end()) {
    block = blocks.insert(block, {{std::aligned_alloc(128, bytes), &std::free}, bytes});
  }
  return std::memset(block->memory.get(), 0, bytes);
}

PlainPool& Packets(const WorldConfig& config) {
  static PlainPool many(192), few(24);
  return config.tiny_pool ? few : many;
}

table::Region Shared(void* memory, const table::RegionLimits& limits, const void* anchor) {
  table::Region region = table::Region::Format(memory, limits);
  region.ShareMbufs(anchor);
  return region;
}

// A handler without SA_RESTART: what World::Wait interrupts fails with EINTR. Broken pipes are
// told by errno alone.
void LetCallsBeInterrupted() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    signal(SIGPIPE, SIG_IGN);
    return sigaction(SIGUSR2, &action, nullptr) == 0;
  }();
  Check(installed, "the signal handler");
}

}  // namespace

WorldConfig WorldConfig::From(uint16_t bits) {
  WorldConfig config;
  bool* const choices[] = {&config.peer_answers,
                           &config.checksum_offload,
                           &config.segmentation_offload,
                           &config.many_segments,
                           &config.bare_ip,
                           &config.small_mtu,
                           &config.plain_tcp,
                           &config.no_cookies,
                           &config.copies_received,
                           &config.detects_duplicates,
                           &config.tiny_region,
                           &config.tiny_pool,
                           &config.tiny_tables,
                           &config.router_advertisements};
  for (size_t i = 0; i < std::size(choices); ++i) *choices[i] = (bits >> i & 1) != 0;
  return config;
}

wire::IpAddress AddressNamed(uint8_t number) {
  static const wire::IpAddress kAddresses[] = {
      *wire::ParseIp("192.0.2.2"),       *wire::ParseIp("2001:db8::2"),
      *wire::ParseIp("127.0.0.1"),       *wire::ParseIp("::1"),
      *wire::ParseIp("192.0.2.1"),       *wire::ParseIp("2001:db8::1"),
      *wire::ParseIp("192.0.2.77"),      *wire::ParseIp("2001:db8::77"),
      *wire::ParseIp("198.51.100.9"),    *wire::ParseIp("2001:db9::9"),
      *wire::ParseIp("224.0.0.251"),     *wire::ParseIp("ff02::fb"),
      *wire::ParseIp("0.0.0.0"),         *wire::ParseIp("::"),
      *wire::ParseIp("255.255.255.255"), *wire::ParseIp("192.0.2.255"),
      *wire::ParseIp("fe80::1"),         *wire::ParseIp("fe80::ff:fe00:b"),
      *wire::ParseIp("127.9.9.9"),       *wire::ParseIp("239.1.2.3"),
  };
  return kAddresses[number % std::size(kAddresses)];
}

engine::EngineConfig World::MakeConfig(const WorldConfig& config, rte_mempool* pool) {
  engine::EngineConfig made;
  made.pool = pool;
  made.key = {1, 2};
  made.pool_low_water = config.copies_received ? UINT32_MAX : 32;
  ip::StackConfig& ip = made.ip;
  ip.interfaces_max = 2;
  ip.addresses_per_interface_max = 6;
  ip.routes_max = 16;
  ip.neighbors_max = 6;
  ip.neighbor_queue_packets_max = 2;
  ip.destinations_max = 4;
  ip.reassembly_datagrams_max = 4;
  ip.reassembly_fragments_max = 16;
  ip.groups_max = 6;
  ip.memberships_max = 6;
  ip.loop_queue_packets = 32;
  ip.unreachable_queue_packets = 4;
  tcp::Config& tcp = made.tcp;
  tcp.connections_max = config.tiny_tables ? 4 : 16;
  tcp.listeners_max = 3;
  tcp.syn_received_max = config.tiny_tables ? 1 : 4;
  tcp.time_wait_max = config.tiny_tables ? 1 : 4;
  tcp.somaxconn = 4;
  tcp.out_of_order_packets_max = 24;
  tcp.out_of_order_packets_per_connection = 16;
  tcp.disordered_connections_max = 2;
  tcp.scoreboards_max = 2;
  tcp.receive_buffer_max_bytes = 64 * 1024;
  tcp.send_buffer_max_bytes = 64 * 1024;
  tcp.syn_cookies = !config.no_cookies;
  tcp.timestamps = tcp.sack = tcp.window_scaling = !config.plain_tcp;
  made.udp.sockets_max = 8;
  made.udp.memberships_max = 6;
  made.udp.receive_datagrams_max = 8;
  made.udp.receive_mbufs_max = 4;
  made.udp.error_reports_max = 4;
  return made;
}

World::World(const WorldConfig& config)
    : limits_(Limits(config)),
      pool_(Packets(config)),
      region_(Shared(Zeroed(limits_), limits_, pool_.get())) {
  capabilities_.link = config.bare_ip ? engine::LinkType::kIp : engine::LinkType::kEthernet;
  capabilities_.mac = kOurMac;
  capabilities_.mtu = config.small_mtu ? 1280 : 1500;
  capabilities_.tx_segments_max = config.many_segments ? 20 : 1;
  capabilities_.tx_ipv4_checksum = config.checksum_offload;
  capabilities_.tx_tcp_checksum = config.checksum_offload;
  capabilities_.tx_udp_checksum = config.checksum_offload;
  capabilities_.tx_tcp_segmentation = config.segmentation_offload && config.checksum_offload;
  capabilities_.tso_bytes_max = 16 * 1024;
  capabilities_.rx_checksum = config.checksum_offload;
  peer_.answers = config.peer_answers;
  engine_ = std::make_unique<engine::Engine>(MakeConfig(config, pool_.get()), region_, 0);
  AddAddresses(config);
  LetCallsBeInterrupted();
  Check(api::Install({.region = region_, .home = this, .kernel_prefixes = {}}), "the API");
}

void World::AddAddresses(const WorldConfig& config) {
  ip::InterfaceConfig interface;
  interface.name = "eth0";
  interface.transmit_queue_packets = 64;
  interface.router_advertisements = config.router_advertisements;
  interface.detect_duplicates = config.detects_duplicates;
  Check(engine_->AddPort(now_, this, 0, interface, &interface_) == ip::ConfigResult::kOk, "port");
  ip::Stack& ip = engine_->ip();
  ip.AddAddress(now_, interface_, *wire::ParsePrefix("192.0.2.2/24"));
  ip.AddAddress(now_, interface_, *wire::ParsePrefix("2001:db8::2/64"));
  if (config.bare_ip) return;
  for (uint8_t gateway : {4, 5}) {
    ip.AddNeighbor(now_, interface_, AddressNamed(gateway), kPeerMac);
    const wire::IpAddress address = AddressNamed(gateway);
    ip.AddRoute(now_,
                {{address.is_v4() ? wire::IpAddress::AnyV4() : wire::IpAddress(), 0}, address});
  }
}

World::~World() {
  if (api::IsInstalled()) api::Uninstall();
  engine_.reset();
  for (rte_mbuf* packet : arrived_) rte_pktmbuf_free(packet);
}

void World::DeliverFrame(wire::ConstBytes frame, size_t piece, bool verified) {
  UniqueMbuf first;
  do {
    rte_mbuf* segment = rte_pktmbuf_alloc(pool_.get());
    if (segment == nullptr) return;
    const auto n = static_cast<uint16_t>(std::min({piece, frame.size(), size_t{2048}}));
    if (n > 0) std::memcpy(rte_pktmbuf_append(segment, n), frame.data(), n);
    frame = frame.subspan(n);
    if (first == nullptr) {
      first.reset(segment);
    } else if (rte_pktmbuf_chain(first.get(), segment) != 0) {
      rte_pktmbuf_free(segment);
      return;
    }
  } while (!frame.empty());
  if (verified) first->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  arrived_.push_back(first.release());
}

void World::DeliverPacket(wire::ConstBytes packet, size_t piece, bool verified) {
  if (capabilities_.link == engine::LinkType::kIp) return DeliverFrame(packet, piece, verified);
  wire::EthernetHeader header;
  header.source = kPeerMac;
  header.destination = kOurMac;
  const bool v4 = !packet.empty() && (packet[0] >> 4) == 4;
  header.type = v4 ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6;
  // To a group or to all, by the packet's destination.
  if (v4 && packet.size() >= 20 && (packet[16] & 0xf0) == 0xe0) {
    header.destination = {
        {0x01, 0, 0x5e, static_cast<uint8_t>(packet[17] & 0x7f), packet[18], packet[19]}};
  } else if (v4 && packet.size() >= 20 && packet[19] == 0xff) {
    header.destination = wire::MacAddress::Broadcast();
  } else if (!v4 && packet.size() >= 40 && packet[24] == 0xff) {
    header.destination = {{0x33, 0x33, packet[36], packet[37], packet[38], packet[39]}};
  }
  Packet frame(header.size());
  header.Emit(frame);
  frame.insert(frame.end(), packet.begin(), packet.end());
  DeliverFrame(frame, piece, verified);
}

uint16_t World::Receive(uint16_t, std::span<rte_mbuf*> packets) {
  uint16_t count = 0;
  while (count < packets.size() && !arrived_.empty()) {
    packets[count++] = arrived_.front();
    arrived_.pop_front();
  }
  return count;
}

uint16_t World::Transmit(uint16_t, std::span<rte_mbuf*> packets) {
  uint16_t count = 0;
  while (count < packets.size() && room_ > 0) {
    rte_mbuf* frame = packets[count++];
    if (room_ != SIZE_MAX) --room_;
    Sent(frame);
    rte_pktmbuf_free(frame);
  }
  return count;
}

void World::BeginStep() { waits_ = answers_ = 0; }

void World::Turn() {
  engine_->Poll(now_);
  TakeAnswers();
}

void World::TakeAnswers() {
  for (const Packet& answer : peer_.TakeAnswers()) {
    if (answers_++ < kAnswersMax) DeliverPacket(answer);
  }
}

void World::Rest() {
  for (unsigned turn = 0;; ++turn) {
    Check(turn < kTurnsMax, "it comes to rest");
    const unsigned work = engine_->Poll(now_);
    TakeAnswers();
    if (work == 0 && arrived_.empty() && engine_->NextDeadline() > now_) return;
  }
}

void World::AdvanceTo(Instant then) {
  Rest();
  for (unsigned i = 0; i < kAdvancesMax && engine_->NextDeadline() <= then; ++i) {
    now_ = std::max(now_, engine_->NextDeadline());
    Rest();
  }
  // An engine that is run late must do, too.
  now_ = std::max(now_, then);
  Rest();
}

api::WaitOutcome World::Wait(api::Waiter& waiter, const api::WaitRequest& request) {
  if (++waits_ > kWaitsMax) return api::WaitOutcome::kInterrupted;
  const auto has_news = [&] {
    return waiter.signaled.Acquire() != 0 ||
           region_.lane(0).notices.Acquire() != request.notices_seen;
  };
  Turn();
  if (has_news()) return api::WaitOutcome::kLook;
  if (request.kernel_descriptor >= 0) {
    const short events = request.kernel_events != 0 ? request.kernel_events : short{POLLIN};
    pollfd descriptor{request.kernel_descriptor, events, 0};
    const timespec none{};
    if (api::kernel::Poll(&descriptor, 1, &none) > 0) return api::WaitOutcome::kKernelReady;
  }
  if (!arrived_.empty()) return api::WaitOutcome::kLook;
  const Instant next = std::min(engine_->NextDeadline(), request.deadline);
  if (next.is_never()) return api::WaitOutcome::kInterrupted;
  now_ = std::max(now_, next);
  return now_ >= request.deadline ? api::WaitOutcome::kDeadline : api::WaitOutcome::kLook;
}

bool World::IsEmpty() {
  const tcp::Population population = engine_->tcp().population();
  return population.connections == 0 && population.time_wait == 0 && population.syn_received == 0 &&
         pool_.available() == pool_.count();
}

void World::Finish() {
  BeginStep();
  api::Uninstall();
  peer_.answers = false;
  room_ = SIZE_MAX;
  Rest();
  constexpr int kMinutes = 60;
  for (int minute = 0; minute < kMinutes && !IsEmpty(); ++minute) AdvanceTo(now_ + Seconds(60));
  CheckEmpty();
}

void World::CheckEmpty() {
  const tcp::Population population = engine_->tcp().population();
  Check(population.connections == 0, "no connection is left");
  Check(population.listeners == 0, "no listener is left");
  Check(population.syn_received == 0, "no half-open connection is left");
  Check(population.time_wait == 0, "no connection in TIME-WAIT is left");
  Check(population.orphans == 0, "no orphan is left");
  Check(engine_->udp().open_sockets() == 0, "no datagram socket is left");
  Check(engine_->sockets().open_sockets() == 0, "no socket is left");
  Check(engine_->sockets().counters().illegal_changes == 0, "every change of status is legal");
  const table::RegionHeader& header = region_.header();
  Check(engine_->sockets().region().blocks_used() == 0, "every ring block is back");
  Check(engine_->sockets().region().buffers_used() == 0, "every buffer is back");
  Check(header.blocks.corrupt.load() == 0 && header.buffers.corrupt.load() == 0, "pools hold");
  Check(pool_.available() == pool_.count(), "every packet is back");
}

}  // namespace sluice::fuzz
