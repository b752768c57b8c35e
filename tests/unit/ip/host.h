// A host for tests: a stack with one Ethernet interface in virtual time, frames as byte vectors.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <iterator>
#include <span>
#include <string_view>
#include <vector>

#include "base/plain_pool.h"
#include "ip/stack.h"
#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extension.h"
#include "wire/ndp.h"

namespace sluice::ip {

using Frame = std::vector<uint8_t>;

inline wire::IpAddress Ip(std::string_view text) {
  const auto address = wire::ParseIp(text);
  REQUIRE(address);
  return *address;
}
inline wire::Prefix Net(std::string_view text) {
  const auto prefix = wire::ParsePrefix(text);
  REQUIRE(prefix);
  return *prefix;
}

inline const wire::MacAddress kOurMac{{0x02, 0, 0, 0, 0, 0x01}};
inline const wire::MacAddress kPeerMac{{0x02, 0, 0, 0, 0, 0x02}};

template <typename Value>
void Append(Frame* frame, const Value& value) {
  const size_t at = frame->size();
  frame->resize(at + value.size());
  value.Emit({frame->data() + at, value.size()});
}
inline void Append(Frame* frame, const Frame& bytes) {
  // Not insert(): GCC 12 at -O3 sees it read behind what there is.
  std::copy(bytes.begin(), bytes.end(), std::back_inserter(*frame));
}

// What tests set of an IP packet; the rest follows.
struct TestPacket {
  wire::IpAddress source, destination;
  uint8_t protocol = kProtocolUdp;
  uint8_t ttl = 64;
  uint8_t traffic_class = 0;
  uint16_t identification = 0;
  uint16_t fragment_offset = 0;
  bool more_fragments = false;
  wire::MacAddress mac_destination = kOurMac;
  wire::MacAddress mac_source = kPeerMac;
  Frame payload;
};

inline Frame IpPacket(const TestPacket& p) {
  Frame frame;
  if (p.source.is_v4()) {
    wire::Ipv4Header header;
    header.source = p.source;
    header.destination = p.destination;
    header.total_bytes = static_cast<uint16_t>(20 + p.payload.size());
    header.identification = p.identification;
    header.fragment_offset = p.fragment_offset;
    header.more_fragments = p.more_fragments;
    header.traffic_class = p.traffic_class;
    header.ttl = p.ttl;
    header.protocol = p.protocol;
    Append(&frame, header);
    wire::StoreIpv4Checksum(frame);
  } else {
    const bool fragment = p.more_fragments || p.fragment_offset != 0;
    wire::Ipv6Header header;
    header.source = p.source;
    header.destination = p.destination;
    header.payload_bytes = static_cast<uint16_t>(p.payload.size() + (fragment ? 8 : 0));
    header.traffic_class = p.traffic_class;
    header.next_header = fragment ? wire::kIpv6Fragment : p.protocol;
    header.hop_limit = p.ttl;
    Append(&frame, header);
    if (fragment) {
      Append(&frame, wire::Ipv6FragmentHeader{p.protocol, p.more_fragments, p.fragment_offset,
                                              p.identification});
    }
  }
  Append(&frame, p.payload);
  return frame;
}

inline Frame EthernetFrame(const TestPacket& p) {
  Frame frame;
  wire::EthernetHeader header;
  header.destination = p.mac_destination;
  header.source = p.mac_source;
  header.type = p.source.is_v4() ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6;
  Append(&frame, header);
  Append(&frame, IpPacket(p));
  return frame;
}

// An ICMP message with its checksum.
inline Frame Icmp4(const wire::Icmpv4Header& header, const Frame& body = {}) {
  Frame message;
  Append(&message, header);
  Append(&message, body);
  wire::Store16(message.data() + 2, wire::Checksum(wire::Sum(message)));
  return message;
}
inline void SumIcmp6(const wire::IpAddress& source, const wire::IpAddress& destination,
                     Frame* message) {
  wire::Store16(message->data() + 2, 0);
  const uint64_t sum =
      wire::Sum(*message) + wire::PseudoHeaderSum(source, destination, kProtocolIcmpV6,
                                                  static_cast<uint32_t>(message->size()));
  wire::Store16(message->data() + 2, wire::Checksum(sum));
}
template <typename Message>
TestPacket Icmp6(const wire::IpAddress& source, const wire::IpAddress& destination,
                 const Message& header, const Frame& body = {}, uint8_t hop_limit = 255) {
  TestPacket p;
  p.source = source;
  p.destination = destination;
  p.protocol = kProtocolIcmpV6;
  p.ttl = hop_limit;
  Append(&p.payload, header);
  Append(&p.payload, body);
  SumIcmp6(source, destination, &p.payload);
  return p;
}

// A frame that came out, taken apart.
struct Seen {
  wire::EthernetHeader ethernet;
  wire::Ipv4Header v4;  // options point nowhere
  wire::Ipv6Header v6;
  Frame frame;
  Frame payload;  // behind the IP header

  uint16_t type() const { return ethernet.type; }
};

inline Seen Look(const Frame& frame) {
  Seen seen;
  seen.frame = frame;
  const auto ethernet = wire::EthernetHeader::Parse(frame);
  REQUIRE(ethernet);
  seen.ethernet = *ethernet;
  const auto rest = std::span(seen.frame).subspan(ethernet->size());
  if (ethernet->type == wire::kEtherTypeIpv4) {
    const auto v4 = wire::Ipv4Header::Parse(rest);
    REQUIRE(v4);
    CHECK(wire::Ipv4ChecksumValid(rest.first(v4->size())));
    seen.v4 = *v4;
    seen.payload.assign(rest.begin() + static_cast<long>(v4->size()), rest.end());
    seen.v4.options = {};
  } else if (ethernet->type == wire::kEtherTypeIpv6) {
    const auto v6 = wire::Ipv6Header::Parse(rest);
    REQUIRE(v6);
    seen.v6 = *v6;
    seen.payload.assign(rest.begin() + wire::kIpv6HeaderBytes, rest.end());
  } else {
    seen.payload.assign(rest.begin(), rest.end());
  }
  return seen;
}

class Host {
 public:
  explicit Host(const std::function<void(StackConfig*, InterfaceConfig*)>& adjust = {})
      : pool_(4096) {
    StackConfig stack_config;
    stack_config.key = {1, 2};
    InterfaceConfig interface_config;
    interface_config.name = "eth0";
    interface_config.mac = kOurMac;
    interface_config.pool = pool_.get();
    interface_config.announce = false;
    interface_config.tx_segments_max = 1;
    if (adjust) adjust(&stack_config, &interface_config);
    stack_ = std::make_unique<Stack>(stack_config);
    REQUIRE(stack_->AddInterface(now, interface_config, &eth) == ConfigResult::kOk);
  }
  ~Host() {
    stack_.reset();
    CHECK(pool_.available() == pool_.count());
  }

  Stack& operator*() { return *stack_; }
  Stack* operator->() { return stack_.get(); }
  const Counters& counters() const { return stack_->counters(); }
  rte_mempool* pool() { return pool_.get(); }
  unsigned packets_out() const { return pool_.count() - pool_.available(); }

  void AddAddress(std::string_view prefix) {
    REQUIRE(stack_->AddAddress(now, eth, Net(prefix)) == ConfigResult::kOk);
  }

  // A packet of these bytes, in mbufs of at most `split` bytes.
  rte_mbuf* Mbuf(const Frame& bytes, size_t split = 2048) {
    rte_mbuf* head = nullptr;
    for (size_t at = 0; at < bytes.size() || head == nullptr; at += split) {
      rte_mbuf* m = rte_pktmbuf_alloc(pool_.get());
      REQUIRE(m != nullptr);
      const size_t n = std::min(split, bytes.size() - at);
      char* to = rte_pktmbuf_append(m, static_cast<uint16_t>(n));
      std::copy_n(bytes.begin() + static_cast<long>(at), n, to);
      if (head == nullptr) {
        head = m;
      } else {
        REQUIRE(rte_pktmbuf_chain(head, m) == 0);
      }
    }
    return head;
  }

  // Frees what is delivered, after copying it.
  Verdict Receive(const Frame& frame, size_t split = 2048) {
    return Take(stack_->Input(now, eth, Mbuf(frame, split), &in));
  }
  Verdict Receive(const TestPacket& packet) { return Receive(EthernetFrame(packet)); }

  // Runs the loop until it is empty; returns the last verdict.
  Verdict ReceiveLooped() {
    Verdict last = Verdict::kConsumed;
    while (rte_mbuf* packet = stack_->TakeLooped()) {
      last = Take(stack_->Input(now, kLoopbackInterface, packet, &in));
    }
    return last;
  }

  bool TakeUnreachable() {
    if (!stack_->TakeUnreachable(&in)) return false;
    rte_pktmbuf_free(in.packet);
    return true;
  }

  std::vector<Frame> Sent() {
    std::vector<Frame> frames;
    for (;;) {
      auto queue = stack_->TransmitQueue(eth);
      if (queue.empty()) return frames;
      rte_mbuf* m = queue[0];
      last_flags = m->ol_flags;
      last_vlan = m->vlan_tci;
      Frame frame;
      for (const rte_mbuf* s = m; s != nullptr; s = s->next) {
        const auto* p = rte_pktmbuf_mtod(s, const uint8_t*);
        frame.insert(frame.end(), p, p + s->data_len);
      }
      frames.push_back(std::move(frame));
      stack_->Transmitted(eth, 1);
      rte_pktmbuf_free(m);
    }
  }
  Seen SentOne() {
    const auto frames = Sent();
    REQUIRE(frames.size() == 1);
    return Look(frames[0]);
  }

  // Lets time pass, deadline by deadline.
  void Advance(Duration d) {
    const Instant end = now + d;
    for (int i = 0; i < 100000 && stack_->NextDeadline() <= end; ++i) {
      now = std::max(now, stack_->NextDeadline());
      stack_->OnTimer(now);
    }
    REQUIRE(stack_->NextDeadline() > end);
    now = end;
  }

  Path PathTo(std::string_view destination) {
    Path path;
    REQUIRE(stack_->FindPath(now, Ip(destination), wire::IpAddress(), 0, &path) == PathStatus::kOk);
    return path;
  }
  SendResult SendUdp(Path& path, const Frame& datagram,
                     Fragmentation fragmentation = Fragmentation::kAllowed) {
    Outbound outbound;
    outbound.protocol = kProtocolUdp;
    outbound.checksum_offset = 6;
    outbound.transport_header_bytes = 8;
    outbound.fragmentation = fragmentation;
    return stack_->Send(now, Mbuf(datagram), outbound, path);
  }

  void LearnPeer(std::string_view address, const wire::MacAddress& mac = kPeerMac) {
    REQUIRE(stack_->AddNeighbor(now, eth, Ip(address), mac) == ConfigResult::kOk);
  }

  Instant now = Instant::FromNanoseconds(1000000000);
  uint16_t eth = 0;
  Inbound in;
  Frame delivered;
  uint64_t last_flags = 0;
  uint16_t last_vlan = 0;
  bool checksum_good = false;

 private:
  Verdict Take(Verdict verdict) {
    if (verdict == Verdict::kConsumed) return verdict;
    delivered.clear();
    for (const rte_mbuf* s = in.packet; s != nullptr; s = s->next) {
      const auto* p = rte_pktmbuf_mtod(s, const uint8_t*);
      delivered.insert(delivered.end(), p, p + s->data_len);
    }
    if (verdict == Verdict::kDeliver) {
      checksum_good = VerifyTransportChecksum(in.packet, in.info);
      if (refuse) stack_->SendRefusal(now, in, *refuse);
    }
    rte_pktmbuf_free(in.packet);
    return verdict;
  }

 public:
  std::optional<Refusal> refuse;  // what every delivered packet is answered with

 private:
  PlainPool pool_;
  std::unique_ptr<Stack> stack_;
};

inline Frame Pattern(size_t bytes) {
  Frame frame(bytes);
  for (size_t i = 0; i < bytes; ++i) frame[i] = static_cast<uint8_t>(i * 7 + i / 251);
  return frame;
}

// A UDP header and payload with no checksum.
inline Frame Datagram(uint16_t source_port, uint16_t destination_port, const Frame& payload) {
  Frame datagram(8);
  wire::Store16(datagram.data(), source_port);
  wire::Store16(datagram.data() + 2, destination_port);
  wire::Store16(datagram.data() + 4, static_cast<uint16_t>(8 + payload.size()));
  Append(&datagram, payload);
  return datagram;
}

}  // namespace sluice::ip
