// A host with UDP over one Ethernet interface, and its application's side, all in virtual time.
#pragma once

#include <netinet/in.h>
#include <rte_mbuf.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/plain_pool.h"
#include "ip/stack.h"
#include "table/application_queues.h"
#include "table/region.h"
#include "table/socket_table.h"
#include "udp/stack.h"

namespace sluice::udp {

struct Datagram {
  table::DatagramHeader header;
  std::string payload;
  uint16_t flags = 0;
};

struct HostOptions {
  unsigned packets = 4096;
  Config udp;
  uint16_t mtu = 1500;
  bool checksum_offload = false;
  uint16_t transmit_queue_packets = 1024;
};

class Host {
 public:
  Host(uint8_t number, const HostOptions& options = {})
      : pool_(options.packets),
        memory_(std::aligned_alloc(128, Bytes())),
        region_(Format(memory_.get())),
        table(region_, 0),
        ip(IpConfig(number)),
        udp(UdpConfig(options.udp), table, ip, {number, 99}) {
    region_.ShareMbufs(pool_.get());
    table.ShareMbufs(pool_.get());
    ip::InterfaceConfig interface;
    interface.name = "eth0";
    interface.mac = {{2, 0, 0, 0, 0, number}};
    interface.mtu = options.mtu;
    interface.tx_segments_max = 8;
    interface.tx_udp_checksum = options.checksum_offload;
    interface.pool = pool_.get();
    interface.announce = false;
    interface.transmit_queue_packets = options.transmit_queue_packets;
    REQUIRE(ip.AddInterface(Instant(), interface, &eth0) == ip::ConfigResult::kOk);
    address = wire::IpAddress::V4(192, 0, 2, number);
    REQUIRE(ip.AddAddress(Instant(), eth0, {address, 24}) == ip::ConfigResult::kOk);
    address6 = *wire::ParseIp("2001:db8::" + std::to_string(number));
    REQUIRE(ip.AddAddress(Instant(), eth0, {address6, 64}) == ip::ConfigResult::kOk);
  }

  // --- The engine's side
  void Input(Instant now, std::span<rte_mbuf* const> frames) {
    for (rte_mbuf* frame : frames) Dispatch(now, ip.Input(now, eth0, frame, &inbound_));
    udp.EndOfInput();
  }
  void Input(Instant now, rte_mbuf* frame) { Input(now, {&frame, 1}); }
  void Turn(Instant now) {
    for (size_t n = ip.looped_packets(); n > 0; --n) {
      Dispatch(now, ip.Input(now, ip::kLoopbackInterface, ip.TakeLooped(), &inbound_));
    }
    udp.EndOfInput();
    uint32_t index;
    while (region_.doorbells(0).Pop(index, region_.slot_queue_mask())) {
      region_.entry(index).doorbell_pending.Exchange(0);
      if (table::Socket socket = table.At(index)) udp.Doorbell(now, socket);
    }
    if (ip.NextDeadline() <= now) ip.OnTimer(now);
    while (ip.TakeUnreachable(&inbound_)) udp.Error(now, inbound_);
    udp.EndOfBurst(now);
  }
  std::vector<rte_mbuf*> TakeFrames(size_t most = SIZE_MAX) {
    std::vector<rte_mbuf*> frames;
    while (frames.size() < most) {
      std::span<rte_mbuf*> queued = ip.TransmitQueue(eth0);
      queued = queued.first(std::min(queued.size(), most - frames.size()));
      if (queued.empty()) break;
      frames.insert(frames.end(), queued.begin(), queued.end());
      ip.Transmitted(eth0, queued.size());
    }
    return frames;
  }

  // --- The application's side
  table::Socket Open(int family = AF_INET) {
    const table::Handle handle =
        table.Open(table::Type::kDatagram, IPPROTO_UDP, static_cast<uint8_t>(family),
                   table::Status::kUnconnected);
    REQUIRE_FALSE(handle.is_none());
    table::Socket socket = table.Find(handle);
    REQUIRE(udp.Open(socket) == table::Result::kOk);
    return socket;
  }
  table::Socket Bound(const wire::Endpoint& local, uint64_t flags = 0) {
    table::Socket socket = Open(local.address.is_v4() ? AF_INET : AF_INET6);
    socket.entry().options.flags.SetBits(flags);
    REQUIRE(udp.Bind(Instant(), socket, local) == table::Result::kOk);
    return socket;
  }
  bool Send(table::Socket socket, const wire::Endpoint& to, std::string_view payload,
            table::DatagramHeader header = {}) {
    header.peer = to;
    iovec piece{const_cast<char*>(payload.data()), payload.size()};
    const bool taken =
        table::SendWriter(region_, socket.entry())
            .WriteDatagram(header, {&piece, 1}, static_cast<uint32_t>(payload.size()));
    table::RingDoorbell(region_, socket.index());
    return taken;
  }
  std::optional<Datagram> Receive(table::Socket socket) {
    return Read(table::ReceiveReader(region_, socket.entry()), socket);
  }
  std::optional<Datagram> ReceiveError(table::Socket socket) {
    uint32_t offset = 0;
    return Read(table::ReceiveReader::ErrorQueue(region_, socket.entry(), offset), socket);
  }
  static table::Result TakeError(table::Socket socket) {
    return static_cast<table::Result>(socket.entry().error.Exchange(0));
  }

  void CloseAll(Instant now) {
    for (uint32_t i = 0; i < 64; ++i) {
      if (table::Socket socket = table.At(i)) udp.Close(now, socket);
    }
  }
  // Every packet and buffer has come back.
  void RequireNoLeak() {
    REQUIRE(pool_.available() + ip.looped_packets() == pool_.count());
    REQUIRE(table.region().buffers_used() == 0);
    REQUIRE(table.region().blocks_used() == 0);
  }
  const table::Region& region() const { return region_; }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  static table::RegionLimits Limits() { return {.sockets = 64, .buffers = 2048, .blocks = 4096}; }
  static size_t Bytes() { return (table::Region::BytesNeeded(Limits()) + 127) / 128 * 128; }
  static table::Region Format(void* memory) {
    std::memset(memory, 0, Bytes());
    return table::Region::Format(memory, Limits());
  }
  ip::StackConfig IpConfig(uint8_t number) {
    ip::StackConfig config;
    config.seed = number;
    config.key = {number, 7};
    config.pool = pool_.get();
    return config;
  }
  Config UdpConfig(Config config) {
    config.pool = pool_.get();
    return config;
  }
  void Dispatch(Instant now, ip::Verdict verdict) {
    if (verdict == ip::Verdict::kConsumed) return;
    if (verdict == ip::Verdict::kError) return udp.Error(now, inbound_);
    REQUIRE(inbound_.info.protocol == ip::kProtocolUdp);
    udp.Input(now, inbound_);
  }
  std::optional<Datagram> Read(table::ReceiveReader reader, table::Socket socket) {
    Datagram datagram;
    std::string buffer(70000, 0);
    iovec piece{buffer.data(), buffer.size()};
    uint32_t length = 0;
    if (!reader.ReadDatagram(datagram.header, {&piece, 1}, length, datagram.flags, false)) {
      return std::nullopt;
    }
    datagram.payload = buffer.substr(0, length);
    table::RingDoorbell(region_, socket.index());
    return datagram;
  }

  PlainPool pool_;
  std::unique_ptr<void, Free> memory_;
  table::Region region_;

 public:
  table::SocketTable table;
  ip::Stack ip;
  udp::Stack udp;
  uint16_t eth0 = 0;
  wire::IpAddress address, address6;

 private:
  ip::Inbound inbound_;
};

// Two hosts on one cable. Run() lets everything arrive that is on its way.
struct Pair {
  explicit Pair(const HostOptions& options = {}) : a(1, options), b(2, options) {}

  void Run() {
    for (int round = 0; round < 200; ++round) {
      a.Turn(now);
      b.Turn(now);
      std::vector<rte_mbuf*> from_a = a.TakeFrames(), from_b = b.TakeFrames();
      for (rte_mbuf*& frame : from_a) frame = Carry(frame);
      for (rte_mbuf*& frame : from_b) frame = Carry(frame);
      b.Input(now, from_a);
      a.Input(now, from_b);
      if (from_a.empty() && from_b.empty() && a.ip.looped_packets() == 0 &&
          b.ip.looped_packets() == 0 && !a.udp.HasWork() && !b.udp.HasWork() &&
          a.region().doorbells(0).empty(a.region().slot_queue_mask()) &&
          b.region().doorbells(0).empty(b.region().slot_queue_mask())) {
        return;
      }
      now += Microseconds(100);
    }
    FAIL("it does not come to rest");
  }
  // What ports do with a checksum left to them: a good one goes out, and is found good.
  static rte_mbuf* Carry(rte_mbuf* frame) {
    const bool made = (frame->ol_flags & RTE_MBUF_F_TX_L4_MASK) != 0;
    frame->ol_flags = made ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : 0;
    return frame;
  }
  void RequireNoLeak() {
    Run();
    now += Seconds(100);  // reassembly and neighbour queues give up
    Run();
    a.CloseAll(now);  // each may hold packets of the other's pool
    b.CloseAll(now);
    Run();
    a.RequireNoLeak();
    b.RequireNoLeak();
  }

  Instant now = Instant::FromNanoseconds(1'000'000'000);
  Host a, b;
};

}  // namespace sluice::udp
