// The stack fuzzer's network: frames that arrive, and time.
#include <algorithm>

#include "fuzz.h"
#include "repair.h"
#include "stack_script.h"

namespace sluice::fuzz {
namespace {

constexpr size_t kFrameBytesMax = 1600;

}  // namespace

// What stands in the input.
void Script::ArriveRaw() {
  spoiled_ = true;
  const uint8_t how = Byte();
  const wire::ConstBytes bytes = reader_.Bytes(reader_.Number16() % kFrameBytesMax);
  world_.DeliverFrame(bytes, (how & 1) != 0 ? 1 + (how >> 1) : 2048, false);
  world_.Rest();
}

// Likewise, with right checksums; or, as a packet, behind a link header.
void Script::ArriveRepaired() {
  spoiled_ = true;
  const uint8_t how = Byte();
  const wire::ConstBytes bytes = reader_.Bytes(reader_.Number16() % kFrameBytesMax);
  Packet packet(bytes.begin(), bytes.end());
  if ((how & 1) != 0) {
    RepairFrame(packet);
    world_.DeliverFrame(packet, 2048, false);
  } else {
    RepairPacket(packet);
    world_.DeliverPacket(packet, 2048, (how & 2) != 0);
  }
  world_.Rest();
}

// A packet of the peer's, in one frame, in fragments, or in many mbufs.
void Script::Deliver(const Packet& packet) {
  const uint8_t how = Byte();
  if ((how & 3) != 3) {
    world_.DeliverPacket(packet, (how & 4) != 0 ? 1 + how : 2048);
    if ((how & 8) == 0) world_.Rest();
    return;
  }
  std::vector<Packet> fragments = Peer::Fragments(packet, how * 8);
  if ((how & 0x40) != 0) std::reverse(fragments.begin(), fragments.end());
  constexpr size_t kFragmentsMax = 24;
  if (fragments.size() > kFragmentsMax) fragments.resize(kFragmentsMax);
  for (const Packet& fragment : fragments) world_.DeliverPacket(fragment);
  world_.Rest();
}

// The local end of one of the engine's sockets that has a port.
std::optional<wire::Endpoint> Script::LiveSocket(bool stream) {
  unsigned skip = Byte() % 8;
  const uint32_t slots = world_.region().limits().sockets;
  std::optional<wire::Endpoint> found;
  for (uint32_t i = 0; i < slots; ++i) {
    const table::Socket socket = world_.engine().sockets().At(i);
    if (!socket || (socket.type() == table::Type::kStream) != stream) continue;
    const wire::Endpoint local = socket.entry().local.Load();
    if (local.port == 0) continue;
    found = local;
    if (skip-- == 0) break;
  }
  return found;
}

void Script::ArriveDatagram() {
  const uint8_t how = Byte();
  wire::Endpoint to{AddressNamed(how), Port(), 0};
  if (const auto live = LiveSocket(false)) {
    to.port = live->port;
    if ((how & 0x80) != 0 && !live->address.is_unspecified()) to.address = live->address;
  }
  if (to.address.is_unspecified()) to.address = AddressNamed((how & 1) != 0 ? 0 : 1);
  const size_t most = std::min<size_t>(Size(), 20000);
  std::vector<uint8_t> payload(most, 0x5a);
  Deliver(Peer::Udp(PeerEndpoint(to.address.is_v4()), to, payload));
}

// The peer begins a connection.
void Script::ArriveSyn() {
  const uint8_t how = Byte();
  wire::Endpoint to{AddressNamed(how % 2), Port(), 0};
  if (const auto live = LiveSocket(true)) {
    to.port = live->port;
    if (!live->address.is_unspecified()) to.address = live->address;
  }
  Flow& flow = world_.peer().Open(to, PeerEndpoint(to.address.is_v4()));
  PeerSegment segment;
  segment.flags = wire::kTcpSyn;
  segment.sequence = flow.next;
  if ((how & 2) != 0) segment.flags |= wire::kTcpEce | wire::kTcpCwr;
  segment.options.has_mss = (how & 4) == 0;
  segment.options.mss = (how & 8) != 0 ? reader_.Number16() : 1400;
  segment.options.sack_permitted = (how & 16) == 0;
  segment.options.has_window_scale = (how & 32) == 0;
  segment.options.window_scale = (how & 64) != 0 ? Byte() % 16 : 3;
  segment.options.has_timestamps = (how & 128) == 0;
  segment.options.timestamps = {1, 0};
  flow.next += 1;
  Deliver(Peer::Tcp(flow, segment));
}

// One that the engine will look at closely: its numbers are near those of the connection.
Packet Script::Segment(const Flow& flow) {
  static constexpr uint8_t kFlags[] = {
      wire::kTcpAck,
      wire::kTcpAck | wire::kTcpPsh,
      wire::kTcpAck | wire::kTcpFin,
      wire::kTcpRst,
      wire::kTcpRst | wire::kTcpAck,
      wire::kTcpSyn,
      wire::kTcpSyn | wire::kTcpAck,
      wire::kTcpAck | wire::kTcpUrg,
      0,
      wire::kTcpAck | wire::kTcpEce,
      0xff,
  };
  static constexpr int32_t kDistances[] = {0,    0,    0,     0,        1,     -1,     10,      -10,
                                           1000, 1400, -1400, 4 * 1400, 65535, -65535, 1 << 24, 2};
  const auto distance = [&](uint8_t number) {
    return static_cast<uint32_t>(kDistances[number % std::size(kDistances)]);
  };
  const uint8_t numbers = Byte();
  PeerSegment segment;
  segment.flags = kFlags[Byte() % std::size(kFlags)];
  if ((segment.flags & (wire::kTcpSyn | wire::kTcpUrg)) != 0 || !flow.knows_start) spoiled_ = true;
  segment.sequence = flow.next + distance(numbers);
  const Sequence acknowledged = (numbers & 0x80) != 0 ? flow.start : flow.expected;
  segment.acknowledgment = acknowledged + distance(numbers >> 4 & 7);
  const uint8_t what = Byte();
  segment.window = (what & 1) != 0 ? reader_.Number16() : 0xffff;
  segment.payload_bytes = (what & 2) != 0 ? static_cast<uint16_t>(Size() % 1400) : uint16_t{0};
  segment.urgent_pointer = (what & 4) != 0 ? reader_.Number16() : uint16_t{1};
  if ((what & 8) == 0 && flow.has_timestamps) {
    segment.options.has_timestamps = true;
    segment.options.timestamps = {flow.timestamp + distance(what >> 4), flow.timestamp};
  }
  if ((what & 0x10) != 0) {
    segment.options.sack_count = static_cast<uint8_t>(1 + Byte() % 3);
    Sequence at = flow.expected;
    for (int i = 0; i < segment.options.sack_count; ++i) {
      // Backwards: the peer has what lies before, or forwards, with gaps.
      const uint8_t block = Byte();
      at += distance(block & 15);
      segment.options.sack[static_cast<size_t>(i)] = {at, at + 1400u * (block >> 4)};
    }
  }
  // With three blocks there is no room for more.
  if ((what & 0x20) != 0 && segment.options.sack_count < 3) {
    segment.options.has_mss = true;
    segment.options.mss = reader_.Number16();
  }
  return Peer::Tcp(flow, segment);
}

void Script::ArriveSegment() {
  const Flow& flow = world_.peer().flow(Byte());
  if (!flow.used) return;
  Deliver(Segment(flow));
}

// The peer says what it should.
void Script::ArriveAnswer() {
  Flow& flow = world_.peer().flow(Byte());
  if (!flow.used) return;
  spoiled_ = spoiled_ || !flow.knows_start;
  const uint8_t how = Byte();
  const uint16_t bytes = (how & 1) != 0 ? static_cast<uint16_t>(Size() % 1400) : uint16_t{0};
  uint8_t flags = (how & 2) != 0 ? wire::kTcpPsh : uint8_t{0};
  if ((how & 0xc) == 0xc) flags |= wire::kTcpFin;
  Deliver(Peer::Answer(flow, flags, bytes));
}

void Script::ArriveError() {
  const wire::ConstBytes quoted = world_.peer().sent(Byte());
  if (quoted.empty()) return;
  const bool v4 = (quoted[0] >> 4) == 4;
  static constexpr uint8_t kTypes4[] = {3, 11, 12, 4, 5};
  static constexpr uint8_t kTypes6[] = {1, 2, 3, 4, 137};
  const uint8_t what = Byte();
  const uint8_t type = v4 ? kTypes4[what % 5] : kTypes6[what % 5];
  const uint16_t rest = reader_.Number16();
  Deliver(Peer::Error(AddressNamed(v4 ? 4 : 5), quoted, type, what >> 4, rest));
}

void Script::ArriveEcho() {
  const bool v4 = Coin();
  Packet message{static_cast<uint8_t>(v4 ? 8 : 128), 0, 0, 0, 0, 1, 0, 1};
  message.resize(8 + std::min<size_t>(Size(), 4000), 0x33);
  Deliver(Peer::Ip(AddressNamed(v4 ? 4 : 5), AddressNamed(v4 ? 0 : 1), v4 ? 1 : 58, message));
}

void Script::ChangePeer() {
  const uint8_t what = Byte();
  world_.peer().answers = (what & 1) != 0;
  if ((what & 2) != 0) world_.peer().flow(what >> 2).window = reader_.Number16();
}

void Script::ChangeNetwork() {
  const uint8_t what = Byte();
  ip::Stack& ip = world_.engine().ip();
  constexpr uint16_t kInterface = 2;
  const wire::IpAddress address = AddressNamed(Byte());
  switch (what % 6) {
    case 0:
      world_.SetLinkUp((what & 0x80) != 0);
      return;
    case 1:
      world_.SetRoom((what & 0x80) != 0 ? SIZE_MAX : what >> 4);
      return;
    case 2:
      ip.RemoveAddress(world_.now(), kInterface, address);
      return;
    case 3:
      ip.AddAddress(world_.now(), kInterface, {address, address.is_v4() ? 24 : 64});
      return;
    case 4:
      ip.UpdatePathMtu(world_.now(), address, reader_.Number16());
      return;
    default:
      ip.RemoveRoute(world_.now(),
                     {{address.is_v4() ? wire::IpAddress::AnyV4() : wire::IpAddress(), 0},
                      AddressNamed(address.is_v4() ? 4 : 5)});
  }
}

void Script::Elapse() { world_.AdvanceTo(world_.now() + Microseconds(int64_t{1} << Byte() % 24)); }

void Script::ElapseLong() { world_.AdvanceTo(world_.now() + Seconds(int64_t{1} << Byte() % 14)); }

void Script::Settle() { world_.Rest(); }

}  // namespace sluice::fuzz
