#include "raw_tcp.h"

#include <netinet/in.h>
#include <rte_tcp.h>
#include <strings.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "pattern.h"

namespace sluice::perf {
namespace {

constexpr uint16_t kFirstPort = 10000;
constexpr uint16_t kPorts = 50000;
constexpr uint32_t kNobody = UINT32_MAX;
// The numbers of a port's next connection lie above those of its last, also after all ports have
// had their turn (RFC 6191): half of the number space is not used up by then.
constexpr uint32_t kSequenceStep = 1 << 15;
constexpr uint16_t kWindow = 65535;
// Maximum segment size 1,460 and a window scale of 7.
constexpr uint8_t kSynOptions[] = {2, 4, 1460 >> 8, 1460 & 0xff, 1, 3, 3, 7};

// Bytes of the whole answer by its head; 0: the head is not complete or not understood.
uint32_t AnswerBytes(std::string_view bytes) {
  const size_t end = bytes.find("\r\n\r\n");
  if (end == bytes.npos || !bytes.starts_with("HTTP/1.1 200")) return 0;
  constexpr std::string_view kName = "\r\ncontent-length:";
  for (size_t at = 0; at + kName.size() < end; ++at) {
    if (strncasecmp(bytes.data() + at, kName.data(), kName.size()) != 0) continue;
    return static_cast<uint32_t>(end + 4 + strtoul(bytes.data() + at + kName.size(), nullptr, 10));
  }
  return 0;
}

}  // namespace

RawTcp::RawTcp(RawLink& link, const RawTcpOptions& options)
    : link_(link),
      options_(options),
      request_(options.http),
      connections_(std::min(options.connections, kConnectionsMax)),
      by_port_(size_t{UINT16_MAX} + 1, kNobody),
      next_port_(kFirstPort) {
  if (request_.empty()) request_.assign(ThePattern().At(0, 0), options.payload);
  acknowledge_.reserve(connections_.size());
}

void RawTcp::Open() {
  for (Connection& c : connections_) Connect(c);
  Flush();
}

void RawTcp::Connect(Connection& c) {
  while (by_port_[next_port_] != kNobody) {
    next_port_ = next_port_ + 1 == kFirstPort + kPorts ? kFirstPort : next_port_ + 1;
  }
  c = Connection{
      .port = next_port_, .send_next = next_sequence_ + 1, .send_unacknowledged = next_sequence_};
  by_port_[c.port] = static_cast<uint32_t>(&c - connections_.data());
  next_port_ = next_port_ + 1 == kFirstPort + kPorts ? kFirstPort : next_port_ + 1;
  next_sequence_ += kSequenceStep;
  Emit(c, c.send_unacknowledged, RTE_TCP_SYN_FLAG, nullptr, 0);
}

void RawTcp::Emit(Connection& c, uint32_t sequence, uint8_t flags, const char* bytes,
                  size_t count) {
  const bool syn = (flags & RTE_TCP_SYN_FLAG) != 0;
  const size_t header = sizeof(rte_tcp_hdr) + (syn ? sizeof kSynOptions : 0);
  const size_t total = kRawTransportAt + header + count;
  rte_mbuf* frame = link_.port().NewFrame(static_cast<uint16_t>(total));
  char* at = rte_pktmbuf_mtod(frame, char*);
  link_.WriteHeaders(at, IPPROTO_TCP, header + count);
  auto* tcp = reinterpret_cast<rte_tcp_hdr*>(at + kRawTransportAt);
  tcp->src_port = rte_cpu_to_be_16(c.port);
  tcp->dst_port = rte_cpu_to_be_16(options_.port);
  tcp->sent_seq = rte_cpu_to_be_32(sequence);
  tcp->recv_ack = rte_cpu_to_be_32(syn ? 0 : c.receive_next);
  tcp->data_off = static_cast<uint8_t>(header / 4 << 4);
  tcp->tcp_flags = flags;
  tcp->rx_win = rte_cpu_to_be_16(kWindow);
  tcp->cksum = 0;
  tcp->tcp_urp = 0;
  if (syn) memcpy(tcp + 1, kSynOptions, sizeof kSynOptions);
  if (count > 0) memcpy(at + kRawTransportAt + header, bytes, count);
  const auto* ip = reinterpret_cast<const rte_ipv4_hdr*>(at + sizeof(rte_ether_hdr));
  tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
  c.acknowledge = false;
  out_[out_count_++] = frame;
  if (out_count_ == kRawBurst) Flush();
}

void RawTcp::Flush() {
  if (out_count_ > 0) link_.port().Send(out_, out_count_);
  out_count_ = 0;
}

void RawTcp::Request(Connection& c) {
  c.received = 0;
  const uint32_t sequence = c.send_next;
  c.send_next += static_cast<uint32_t>(request_.size());
  Emit(c, sequence, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, request_.data(), request_.size());
}

// An answer is the request once more, or begins as HTTP answers do.
bool RawTcp::Check(Connection& c, const char* bytes, uint32_t count) {
  if (options_.http.empty()) {
    c.expected = static_cast<uint32_t>(request_.size());
    return c.received + count <= c.expected &&
           memcmp(bytes, request_.data() + c.received, count) == 0;
  }
  if (c.expected == 0) c.expected = AnswerBytes({bytes, count});
  return c.expected != 0 && c.received + count <= c.expected &&
         (c.received != 0 || count < 12 || memcmp(bytes, "HTTP/1.1 200", 12) == 0);
}

void RawTcp::TakeData(Connection& c, const char* bytes, uint32_t count) {
  c.receive_next += count;
  if (!Check(c, bytes, count)) ++corrupt_;
  c.received += count;
  const bool complete = c.expected != 0 && c.received >= c.expected;
  answers_ += complete;
  if (complete && !options_.per_request) {
    Request(c);
  } else if (!c.acknowledge) {
    c.acknowledge = true;
    acknowledge_.push_back(static_cast<uint32_t>(&c - connections_.data()));
  }
}

void RawTcp::TakeEnd(Connection& c) {
  ++c.receive_next;
  c.state = State::kLastAck;
  --connected_;
  Emit(c, c.send_next++, RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG, nullptr, 0);
}

void RawTcp::Take(const rte_mbuf* frame) {
  const auto* ip = rte_pktmbuf_mtod_offset(frame, const rte_ipv4_hdr*, sizeof(rte_ether_hdr));
  const auto* tcp = reinterpret_cast<const rte_tcp_hdr*>(ip + 1);
  if (frame->pkt_len < kRawTransportAt + sizeof *tcp || ip->next_proto_id != IPPROTO_TCP ||
      ip->src_addr != link_.server() || tcp->src_port != rte_cpu_to_be_16(options_.port)) {
    return;
  }
  const uint32_t index = by_port_[rte_be_to_cpu_16(tcp->dst_port)];
  const uint32_t header = tcp->data_off >> 4 << 2;
  const uint32_t ip_bytes = rte_be_to_cpu_16(ip->total_length);
  if (index == kNobody || ip_bytes < sizeof *ip + header) return;
  Connection& c = connections_[index];
  if ((tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0) {
    ++resets_;
    connected_ -= c.state == State::kEstablished;
    by_port_[c.port] = kNobody;
    return Connect(c);
  }
  const uint32_t acknowledged = rte_be_to_cpu_32(tcp->recv_ack);
  const uint32_t sequence = rte_be_to_cpu_32(tcp->sent_seq);
  if (c.send_next - acknowledged <= c.send_next - c.send_unacknowledged) {
    c.send_unacknowledged = acknowledged;
  }
  if (c.state == State::kSynSent) {
    constexpr uint8_t kBoth = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
    if ((tcp->tcp_flags & kBoth) != kBoth || acknowledged != c.send_next) return;
    c.receive_next = sequence + 1;
    c.state = State::kEstablished;
    ++connected_;
    return Request(c);
  }
  if (c.state == State::kLastAck) {
    if (c.send_unacknowledged != c.send_next) return;
    by_port_[c.port] = kNobody;
    return Connect(c);
  }
  const uint32_t count = ip_bytes - static_cast<uint32_t>(sizeof *ip) - header;
  const bool end = (tcp->tcp_flags & RTE_TCP_FIN_FLAG) != 0;
  if (sequence != c.receive_next) {
    // Came twice, or after a gap: the server is told what is missing.
    if (count != 0 || end) Emit(c, c.send_next, RTE_TCP_ACK_FLAG, nullptr, 0);
    return;
  }
  if (count > 0) TakeData(c, reinterpret_cast<const char*>(tcp) + header, count);
  if (end) TakeEnd(c);
}

uint32_t RawTcp::Poll() {
  answers_ = 0;
  rte_mbuf* frames[kRawBurst];
  const uint16_t count = link_.port().Receive(frames, kRawBurst);
  for (uint16_t i = 0; i < count; ++i) {
    if (!link_.TakeArp(frames[i])) Take(frames[i]);
  }
  if (count > 0) rte_pktmbuf_free_bulk(frames, count);
  for (const uint32_t index : acknowledge_) {
    Connection& c = connections_[index];
    if (c.acknowledge) Emit(c, c.send_next, RTE_TCP_ACK_FLAG, nullptr, 0);
  }
  acknowledge_.clear();
  Flush();
  return answers_;
}

void RawTcp::Resend() {
  for (Connection& c : connections_) {
    if (c.send_unacknowledged == c.send_next) continue;
    ++resent_;
    if (c.state == State::kSynSent) {
      Emit(c, c.send_unacknowledged, RTE_TCP_SYN_FLAG, nullptr, 0);
    } else if (c.state == State::kLastAck) {
      Emit(c, c.send_next - 1, RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG, nullptr, 0);
    } else {
      Emit(c, c.send_unacknowledged, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, request_.data(),
           request_.size());
    }
  }
  Flush();
}

}  // namespace sluice::perf
