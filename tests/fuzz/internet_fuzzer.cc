// The internet layer as a whole: the input is a script of frames that arrive, packets that are
// sent, times that pass and settings that change. Whatever it says, each frame that comes out is
// well formed, and every packet comes back to its pool, which aborts otherwise.
#include <cstring>

#include "base/plain_pool.h"
#include "fuzz.h"
#include "ip/stack.h"
#include "reader.h"
#include "repair.h"

using namespace sluice;

namespace {

const wire::MacAddress kOurMac{{0x02, 0, 0, 0, 0, 0x0b}};
const wire::MacAddress kPeerMac{{0x02, 0, 0, 0, 0, 0x0a}};

// What scripts name by number.
const wire::IpAddress kAddresses[] = {*wire::ParseIp("192.0.2.1"),
                                      *wire::ParseIp("192.0.2.2"),
                                      *wire::ParseIp("198.51.100.1"),
                                      *wire::ParseIp("192.0.2.255"),
                                      *wire::ParseIp("255.255.255.255"),
                                      *wire::ParseIp("224.0.0.251"),
                                      *wire::ParseIp("127.0.0.1"),
                                      *wire::ParseIp("2001:db8::1"),
                                      *wire::ParseIp("2001:db8::2"),
                                      *wire::ParseIp("2001:db9::9"),
                                      *wire::ParseIp("fe80::1"),
                                      *wire::ParseIp("ff02::fb"),
                                      *wire::ParseIp("::1"),
                                      *wire::ParseIp("0.0.0.0"),
                                      *wire::ParseIp("::"),
                                      *wire::ParseIp("ff02::1")};

ip::StackConfig SmallConfig() {
  ip::StackConfig config;
  config.interfaces_max = 2;
  config.addresses_per_interface_max = 4;
  config.routes_max = 16;
  config.neighbors_max = 8;
  config.neighbor_queue_packets_max = 2;
  config.destinations_max = 8;
  config.reassembly_datagrams_max = 4;
  config.reassembly_fragments_max = 16;
  config.groups_max = 8;
  config.memberships_max = 8;
  config.loop_queue_packets = 16;
  config.unreachable_queue_packets = 4;
  return config;
}

class Script {
 public:
  Script(wire::ConstBytes input) : reader_(input), stack_(SmallConfig()) {
    const uint8_t flags = reader_.Number8();
    ip::InterfaceConfig config;
    config.name = "eth0";
    config.mac = kOurMac;
    config.pool = pool_.get();
    config.transmit_queue_packets = 16;
    config.router_advertisements = (flags & 1) != 0;
    config.detect_duplicates = (flags & 2) != 0;
    config.tx_segments_max = (flags & 4) != 0 ? 8 : 1;
    fuzz::Check(stack_.AddInterface(now_, config, &interface_) == ip::ConfigResult::kOk,
                "interface");
    stack_.AddAddress(now_, interface_, *wire::ParsePrefix("192.0.2.2/24"));
    stack_.AddAddress(now_, interface_, *wire::ParsePrefix("2001:db8::2/64"));
    stack_.AddRoute(now_, {*wire::ParsePrefix("0.0.0.0/0"), kAddresses[0]});
    stack_.AddNeighbor(now_, interface_, kAddresses[0], kPeerMac);
  }

  void Run() {
    constexpr int kStepsMax = 200;
    for (int i = 0; i < kStepsMax && !reader_.empty(); ++i) {
      Step(reader_.Number8());
      Loop();
      DrainTransmit();
    }
    AdvanceTo(now_ + Seconds(300));
  }

 private:
  void Step(uint8_t operation) {
    switch (operation % 8) {
      case 0:
      case 1:
      case 2:
        return Arrive((operation & 8) != 0, (operation & 16) != 0);
      case 3:
        return AdvanceTo(now_ + Microseconds(int64_t{1} << reader_.Number8() % 30));
      case 4:
      case 5:
        return Send();
      case 6:
        return Group();
      default:
        return Configure(reader_.Number8());
    }
  }

  const wire::IpAddress& Address() { return kAddresses[reader_.Number8() % std::size(kAddresses)]; }

  // `good`: the port says that the checksums are right. Otherwise they are made so. `split`: the
  // frame comes in several mbufs.
  void Arrive(bool good, bool split) {
    const wire::ConstBytes bytes = reader_.Bytes(reader_.Number16() % 1600);
    std::vector<uint8_t> frame(bytes.begin(), bytes.end());
    if (!good) fuzz::RepairFrame(frame);
    rte_mbuf* packet = MakePacket(frame, split ? 1 + reader_.Number8() : 2048);
    if (packet == nullptr) return;
    if (good) packet->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    Take(stack_.Input(now_, interface_, packet, &inbound_));
  }

  rte_mbuf* MakePacket(wire::ConstBytes bytes, size_t piece) {
    UniqueMbuf first;
    do {
      rte_mbuf* segment = rte_pktmbuf_alloc(pool_.get());
      if (segment == nullptr) return nullptr;
      const auto n = static_cast<uint16_t>(std::min(piece, bytes.size()));
      if (n > 0) std::memcpy(rte_pktmbuf_append(segment, n), bytes.data(), n);
      bytes = bytes.subspan(n);
      if (first == nullptr) {
        first.reset(segment);
      } else if (rte_pktmbuf_chain(first.get(), segment) != 0) {
        rte_pktmbuf_free(segment);
        return nullptr;
      }
    } while (!bytes.empty());
    return first.release();
  }

  // What the engine and the transports would do.
  void Take(ip::Verdict verdict) {
    if (verdict == ip::Verdict::kConsumed) return;
    const UniqueMbuf packet(inbound_.packet);
    fuzz::Check(packet != nullptr, "a packet comes with the verdict");
    if (verdict != ip::Verdict::kDeliver) return;
    const ip::PacketInfo& info = inbound_.info;
    fuzz::Check(info.source.is_v4() == info.destination.is_v4(), "one family");
    fuzz::Check(rte_pktmbuf_headroom(packet.get()) >= info.network_header_bytes,
                "the headers lie before the packet");
    static_cast<void>(ip::VerifyTransportChecksum(packet.get(), info));
    stack_.SendRefusal(now_, inbound_, static_cast<ip::Refusal>(info.protocol % 3));
  }

  void Send() {
    ip::Path path;
    const wire::IpAddress destination = Address();
    if (stack_.FindPath(now_, destination,
                        destination.is_v4() ? wire::IpAddress::AnyV4() : wire::IpAddress::AnyV6(),
                        reader_.Number8() % 3, &path) != ip::PathStatus::kOk) {
      return;
    }
    const std::vector<uint8_t> bytes(8 + reader_.Number16() % 5000, 0x55);
    rte_mbuf* packet = MakePacket(bytes, 1400);
    if (packet == nullptr) return;
    ip::Outbound outbound;
    outbound.protocol = ip::kProtocolUdp;
    outbound.checksum_offset = 6;
    outbound.transport_header_bytes = 8;
    outbound.fragmentation = static_cast<ip::Fragmentation>(reader_.Number8() % 4);
    outbound.router_alert = reader_.Number8() % 8 == 0;
    stack_.Send(now_, packet, outbound, path);
  }

  void Group() {
    const uint8_t what = reader_.Number8();
    const wire::IpAddress& group = Address();
    const wire::IpAddress sources[] = {Address(), Address()};
    switch (what % 4) {
      case 0:
        stack_.JoinGroup(now_, interface_, group, what >> 6);
        return;
      case 1:
        stack_.LeaveGroup(now_, interface_, group, what >> 6);
        return;
      case 2:
        stack_.SetSourceFilter(
            now_, interface_, group, what >> 6,
            (what & 4) != 0 ? ip::FilterMode::kInclude : ip::FilterMode::kExclude,
            std::span(sources).first(what >> 3 & 1));
        return;
      default:
        stack_.LeaveAllGroups(now_, what >> 6);
    }
  }

  void Configure(uint8_t what) {
    const wire::IpAddress& address = Address();
    const wire::Prefix prefix{address, address.is_v4() ? what % 33 : what % 129};
    switch (what % 6) {
      case 0:
        stack_.SetLinkUp(now_, interface_, (what & 64) != 0);
        return;
      case 1:
        stack_.AddAddress(now_, interface_, prefix);
        return;
      case 2:
        stack_.RemoveAddress(now_, interface_, address);
        return;
      case 3:
        stack_.AddRoute(now_, {prefix, Address()});
        return;
      case 4:
        stack_.RemoveRoute(now_, {prefix, Address()});
        return;
      default:
        stack_.UpdatePathMtu(now_, address, reader_.Number16());
    }
  }

  void Loop() {
    for (size_t left = stack_.looped_packets(); left > 0; --left) {
      rte_mbuf* packet = stack_.TakeLooped();
      if (packet == nullptr) return;
      Take(stack_.Input(now_, ip::kLoopbackInterface, packet, &inbound_));
    }
    while (stack_.TakeUnreachable(&inbound_)) Take(ip::Verdict::kError);
  }

  // Runs the timers one after another, each at its time.
  void AdvanceTo(Instant then) {
    constexpr int kTimersMax = 5000;
    for (int i = 0; i < kTimersMax && stack_.NextDeadline() <= then; ++i) {
      now_ = std::max(now_, stack_.NextDeadline());
      // What one timer does may make another due at once, but not for ever.
      for (int rounds = 0; stack_.NextDeadline() <= now_; ++rounds) {
        fuzz::Check(rounds < 16, "what was due is done");
        stack_.OnTimer(now_);
      }
      Loop();
      DrainTransmit();
    }
    now_ = std::max(now_, then);
  }

  void DrainTransmit() {
    for (;;) {
      const std::span<rte_mbuf*> frames = stack_.TransmitQueue(interface_);
      if (frames.empty()) return;
      for (rte_mbuf* frame : frames) {
        CheckFrame(frame);
        rte_pktmbuf_free(frame);
      }
      stack_.Transmitted(interface_, frames.size());
    }
  }

  void CheckFrame(const rte_mbuf* frame) {
    std::vector<uint8_t> bytes(rte_pktmbuf_pkt_len(frame));
    const void* at = rte_pktmbuf_read(frame, 0, static_cast<uint32_t>(bytes.size()), bytes.data());
    fuzz::Check(at != nullptr, "the segments add up");
    if (at != bytes.data()) std::memcpy(bytes.data(), at, bytes.size());
    const auto header = wire::EthernetHeader::Parse(bytes);
    fuzz::Check(header && header->source == kOurMac, "an Ethernet frame of ours");
    fuzz::Check(bytes.size() <= header->size() + 1500, "within the MTU");
    const wire::Bytes packet = wire::Bytes(bytes).subspan(header->size());
    if (header->type == wire::kEtherTypeIpv4) {
      const auto v4 = wire::Ipv4Header::Parse(packet);
      fuzz::Check(v4 && v4->total_bytes == packet.size(), "an IPv4 packet");
      fuzz::Check(wire::Ipv4ChecksumValid(packet.first(v4->size())), "with its checksum");
    } else if (header->type == wire::kEtherTypeIpv6) {
      const auto v6 = wire::Ipv6Header::Parse(packet);
      fuzz::Check(v6 && 40u + v6->payload_bytes == packet.size(), "an IPv6 packet");
    } else {
      fuzz::Check(header->type == wire::kEtherTypeArp, "or ARP");
    }
    fuzz::Check(fuzz::TransportChecksumValid(packet), "the transport's checksum is right");
  }

  fuzz::Reader reader_;
  PlainPool pool_{128};
  Instant now_ = Instant::FromNanoseconds(0);
  uint16_t interface_ = 0;
  ip::Inbound inbound_;
  ip::Stack stack_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Script(wire::ConstBytes(data, size)).Run();
  return 0;
}
