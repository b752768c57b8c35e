#include "stack_peer.h"

#include <algorithm>
#include <utility>

#include "fuzz.h"
#include "repair.h"
#include "wire/tcp.h"

namespace sluice::fuzz {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58;
constexpr uint32_t kPeerStart = 0xfffff000;  // sequence numbers wrap soon
constexpr uint16_t kMss = 1400;

bool TakesPart(uint8_t flags) { return (flags & wire::kTcpRst) == 0; }

}  // namespace

void Peer::Saw(wire::ConstBytes packet) {
  if (sent_.size() == kSentKept) sent_.pop_front();
  sent_.emplace_back(packet.begin(), packet.end());
  if (const auto v4 = wire::Ipv4Header::Parse(packet)) {
    if (v4->protocol != kTcp || v4->is_fragment()) return;
    SawTcp(v4->source, v4->destination, packet.subspan(v4->size()));
  } else if (const auto v6 = wire::Ipv6Header::Parse(packet)) {
    if (v6->next_header != kTcp) return;
    SawTcp(v6->source, v6->destination, packet.subspan(wire::kIpv6HeaderBytes));
  }
}

void Peer::SawTcp(const wire::IpAddress& from, const wire::IpAddress& to,
                  wire::ConstBytes segment) {
  const auto header = wire::TcpHeader::Parse(segment);
  Check(header.has_value(), "a TCP header");
  const auto options =
      wire::TcpOptions::Parse(segment.subspan(20, size_t{header->header_bytes} - 20));
  Check(!options.malformed, "well-formed TCP options");
  const wire::ConstBytes payload = segment.subspan(header->header_bytes);
  if (!TakesPart(header->flags)) return;
  Flow& flow = Find({from, header->source_port, 0}, {to, header->destination_port, 0});
  flow.has_timestamps = options.has_timestamps;
  if (options.has_timestamps) flow.timestamp = options.timestamps.value;
  uint32_t length = static_cast<uint32_t>(payload.size());
  length += header->syn() ? 1 : 0;
  length += header->fin() ? 1 : 0;
  Follow(flow, *header, length);
  CheckPattern(flow, *header, payload);
  if (answers && length > 0) answers_.push_back(Answer(flow, 0, 0));
}

// What the peer knows after a segment of the engine's.
void Peer::Follow(Flow& flow, const wire::TcpHeader& header, uint32_t length) {
  if (header.syn()) {
    if (!flow.used || !flow.knows_start || flow.start != header.sequence) {
      flow.start = header.sequence;
      flow.knows_start = true;
      flow.expected = header.sequence;
      if (!header.ack()) flow.next = flow.peer_start = Sequence(kPeerStart);
    }
  } else if (!flow.used) {
    flow.expected = header.sequence;
  }
  if (header.ack()) {
    if (!flow.used) flow.next = flow.peer_start = header.acknowledgment;
    flow.acknowledged = header.acknowledgment;
  }
  flow.used = true;
  flow.last_flags = header.flags;
  if (header.sequence <= flow.expected && header.sequence + length > flow.expected) {
    flow.expected = header.sequence + length;
  }
}

void Peer::CheckPattern(const Flow& flow, const wire::TcpHeader& header, wire::ConstBytes payload) {
  if (!flow.knows_start) return;
  const uint32_t syn = header.syn() ? 1 : 0;
  uint32_t position = static_cast<uint32_t>(header.sequence + syn - flow.start) - 1;
  // A keep-alive probe repeats the byte before, which is the SYN where there was no data yet.
  if (position == UINT32_MAX) return;
  for (uint8_t byte : payload) Check(byte == PatternByte(position++), "what was sent leaves");
}

Flow& Peer::Find(const wire::Endpoint& ours, const wire::Endpoint& theirs) {
  for (Flow& flow : flows_) {
    if (flow.used && flow.ours == ours && flow.theirs == theirs) return flow;
  }
  Flow& flow = flows_[next_flow_++ % kFlows];
  flow = Flow();
  flow.ours = ours;
  flow.theirs = theirs;
  return flow;
}

Flow& Peer::Open(const wire::Endpoint& ours, const wire::Endpoint& theirs) {
  Flow& flow = Find(ours, theirs);
  flow = Flow();
  flow.ours = ours;
  flow.theirs = theirs;
  flow.used = true;
  flow.next = flow.peer_start = Sequence(kPeerStart);
  return flow;
}

wire::ConstBytes Peer::sent(uint8_t number) const {
  if (sent_.empty()) return {};
  return sent_[sent_.size() - 1 - number % sent_.size()];
}

std::vector<Packet> Peer::TakeAnswers() { return std::exchange(answers_, {}); }

Packet Peer::Ip(const wire::IpAddress& from, const wire::IpAddress& to, uint8_t protocol,
                wire::ConstBytes payload) {
  Packet packet;
  if (to.is_v4()) {
    wire::Ipv4Header header;
    header.source = from;
    header.destination = to;
    header.ttl = 64;
    header.protocol = protocol;
    header.identification = static_cast<uint16_t>(payload.size() * 31 + protocol);
    header.total_bytes = static_cast<uint16_t>(20 + payload.size());
    packet.resize(header.size());
    header.Emit(packet);
  } else {
    wire::Ipv6Header header;
    header.source = from;
    header.destination = to;
    header.hop_limit = protocol == kIcmp6 ? 255 : 64;
    header.next_header = protocol;
    header.payload_bytes = static_cast<uint16_t>(payload.size());
    packet.resize(header.size());
    header.Emit(packet);
  }
  packet.insert(packet.end(), payload.begin(), payload.end());
  RepairPacket(packet);
  return packet;
}

Packet Peer::Tcp(const Flow& flow, const PeerSegment& segment) {
  wire::TcpHeader header;
  header.source_port = flow.theirs.port;
  header.destination_port = flow.ours.port;
  header.sequence = segment.sequence;
  header.acknowledgment = segment.acknowledgment;
  header.flags = segment.flags;
  header.window = segment.window;
  header.urgent_pointer = segment.urgent_pointer;
  header.header_bytes = static_cast<uint8_t>(20 + segment.options.size());
  Packet bytes(size_t{header.header_bytes} + segment.payload_bytes);
  header.Emit(bytes);
  segment.options.Emit(wire::Bytes(bytes).subspan(20));
  const uint32_t syn = header.syn() ? 1 : 0;
  uint32_t position = static_cast<uint32_t>(segment.sequence + syn - flow.peer_start) - 1;
  for (size_t i = header.header_bytes; i < bytes.size(); ++i) bytes[i] = PatternByte(position++);
  return Ip(flow.theirs.address, flow.ours.address, kTcp, bytes);
}

Packet Peer::Answer(Flow& flow, uint8_t flags, uint16_t bytes) {
  PeerSegment segment;
  segment.flags = static_cast<uint8_t>(flags | wire::kTcpAck);
  segment.sequence = flow.next;
  segment.acknowledgment = flow.expected;
  segment.window = flow.window;
  segment.payload_bytes = bytes;
  const bool answers_syn = (flow.last_flags & (wire::kTcpSyn | wire::kTcpAck)) == wire::kTcpSyn;
  if (answers_syn && flow.next == flow.peer_start) {
    segment.flags |= wire::kTcpSyn;
    segment.options.has_mss = true;
    segment.options.mss = kMss;
    segment.options.sack_permitted = true;
    segment.options.has_window_scale = true;
    segment.options.window_scale = 2;
  }
  if (flow.has_timestamps) {
    segment.options.has_timestamps = true;
    segment.options.timestamps = {flow.timestamp, flow.timestamp};
  }
  const Packet packet = Tcp(flow, segment);
  flow.next += bytes;
  if ((segment.flags & (wire::kTcpSyn | wire::kTcpFin)) != 0) flow.next += 1;
  return packet;
}

Packet Peer::Udp(const wire::Endpoint& from, const wire::Endpoint& to, wire::ConstBytes payload) {
  wire::UdpHeader header{from.port, to.port, static_cast<uint16_t>(8 + payload.size()), 0};
  Packet bytes(8);
  header.Emit(bytes);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return Ip(from.address, to.address, kUdp, bytes);
}

Packet Peer::Error(const wire::IpAddress& from, wire::ConstBytes quoted, uint8_t type, uint8_t code,
                   uint32_t rest) {
  Packet message{type, code, 0, 0};
  message.resize(8);
  wire::Store32(message.data() + 4, rest);
  message.insert(message.end(), quoted.begin(),
                 quoted.begin() + static_cast<long>(std::min<size_t>(quoted.size(), 600)));
  const bool v4 = (quoted[0] >> 4) == 4;
  const wire::IpAddress to =
      v4 ? wire::IpAddress::FromV4Bytes(&quoted[12]) : wire::IpAddress::FromV6Bytes(&quoted[8]);
  return Ip(from, to, v4 ? kIcmp : kIcmp6, message);
}

std::vector<Packet> Peer::Fragments(wire::ConstBytes packet, size_t bytes) {
  std::vector<Packet> fragments;
  const size_t piece = std::max<size_t>(8, bytes / 8 * 8);
  const bool v4 = (packet[0] >> 4) == 4;
  const wire::ConstBytes payload = packet.subspan(v4 ? 20 : wire::kIpv6HeaderBytes);
  for (size_t at = 0; at < payload.size(); at += piece) {
    const wire::ConstBytes part = payload.subspan(at, std::min(piece, payload.size() - at));
    const bool more = at + part.size() < payload.size();
    Packet fragment(packet.begin(), packet.end() - static_cast<long>(payload.size()));
    if (v4) {
      wire::Store16(&fragment[2], static_cast<uint16_t>(20 + part.size()));
      wire::Store16(&fragment[6], static_cast<uint16_t>((more ? 0x2000 : 0) | at / 8));
    } else {
      wire::Store16(&fragment[4], static_cast<uint16_t>(8 + part.size()));
      const size_t offset = at | (more ? 1 : 0);
      for (int byte : {int{packet[6]}, 0, static_cast<int>(offset >> 8),
                       static_cast<int>(offset & 0xff), 0, 0, 0, 7}) {
        fragment.push_back(static_cast<uint8_t>(byte));
      }
      fragment[6] = 44;
    }
    fragment.insert(fragment.end(), part.begin(), part.end());
    RepairPacket(fragment);
    fragments.push_back(std::move(fragment));
  }
  return fragments;
}

}  // namespace sluice::fuzz
