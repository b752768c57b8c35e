#include "raw_udp.h"

#include <arpa/inet.h>
#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_debug.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "pattern.h"

namespace sluice::perf {
namespace {

constexpr uint16_t kFirstPort = 20000;
constexpr size_t kPayloadAt = sizeof(rte_ether_hdr) + sizeof(rte_ipv4_hdr) + sizeof(rte_udp_hdr);
constexpr int kArpTries = 100;

uint32_t Address(const std::string& text) {
  in_addr address;
  if (inet_pton(AF_INET, text.c_str(), &address) != 1) {
    rte_exit(EXIT_FAILURE, "%s is no IPv4 address\n", text.c_str());
  }
  return address.s_addr;
}

}  // namespace

RawUdp::RawUdp(RawPort& port, const RawUdpOptions& options)
    : port_(port),
      options_(options),
      source_(Address(options.source)),
      server_(Address(options.server)) {}

void RawUdp::SendArp(uint16_t operation, const rte_ether_addr& to, uint32_t to_ip) {
  constexpr size_t kBytes = sizeof(rte_ether_hdr) + sizeof(rte_arp_hdr);
  rte_mbuf* frame = port_.NewFrame(kBytes);
  auto* ether = rte_pktmbuf_mtod(frame, rte_ether_hdr*);
  auto* arp = reinterpret_cast<rte_arp_hdr*>(ether + 1);
  ether->dst_addr = to;
  ether->src_addr = port_.address();
  ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
  arp->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
  arp->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
  arp->arp_hlen = RTE_ETHER_ADDR_LEN;
  arp->arp_plen = sizeof(uint32_t);
  arp->arp_opcode = rte_cpu_to_be_16(operation);
  arp->arp_data.arp_sha = port_.address();
  arp->arp_data.arp_sip = source_;
  arp->arp_data.arp_tha = to;
  arp->arp_data.arp_tip = to_ip;
  port_.Send(&frame, 1);
}

void RawUdp::TakeArp(rte_mbuf* frame) {
  if (frame->pkt_len < sizeof(rte_ether_hdr) + sizeof(rte_arp_hdr)) return;
  const auto* arp = rte_pktmbuf_mtod_offset(frame, const rte_arp_hdr*, sizeof(rte_ether_hdr));
  if (arp->arp_data.arp_tip != source_ || arp->arp_data.arp_sip != server_) return;
  if (arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST)) {
    SendArp(RTE_ARP_OP_REPLY, arp->arp_data.arp_sha, server_);
  } else if (!resolved_) {
    server_link_ = arp->arp_data.arp_sha;
    resolved_ = true;
    MakeTemplates();
  }
}

bool RawUdp::Resolve() {
  rte_ether_addr everybody;
  memset(&everybody, 0xff, sizeof everybody);
  for (int i = 0; i < kArpTries && !resolved_; ++i) {
    SendArp(RTE_ARP_OP_REQUEST, everybody, server_);
    for (int j = 0; j < 100 && !resolved_; ++j) {
      Receive();
      rte_delay_us_sleep(500);
    }
  }
  return resolved_;
}

void RawUdp::MakeTemplates() {
  for (uint32_t flow = 0; flow < options_.flows; ++flow) {
    std::vector<char> frame(kPayloadAt + options_.payload);
    auto* ether = reinterpret_cast<rte_ether_hdr*>(frame.data());
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(ether + 1);
    auto* udp = reinterpret_cast<rte_udp_hdr*>(ip + 1);
    ether->dst_addr = server_link_;
    ether->src_addr = port_.address();
    ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    ip->version_ihl = RTE_IPV4_VHL_DEF;
    ip->total_length =
        rte_cpu_to_be_16(static_cast<uint16_t>(frame.size() - sizeof(rte_ether_hdr)));
    ip->fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
    ip->time_to_live = 64;
    ip->next_proto_id = IPPROTO_UDP;
    ip->src_addr = source_;
    ip->dst_addr = server_;
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    udp->src_port = rte_cpu_to_be_16(static_cast<uint16_t>(kFirstPort + flow));
    udp->dst_port = rte_cpu_to_be_16(options_.port);
    udp->dgram_len =
        rte_cpu_to_be_16(static_cast<uint16_t>(sizeof(rte_udp_hdr) + options_.payload));
    memcpy(frame.data() + kPayloadAt, ThePattern().At(flow, 0), options_.payload);
    udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
    templates_.push_back(std::move(frame));
  }
}

void RawUdp::Send(uint32_t count) {
  rte_mbuf* frames[kRawBurst];
  while (count > 0) {
    const auto now = static_cast<uint16_t>(std::min<uint32_t>(count, kRawBurst));
    for (uint16_t i = 0; i < now; ++i) {
      const std::vector<char>& bytes = templates_[turn_];
      turn_ = turn_ + 1 == templates_.size() ? 0 : turn_ + 1;
      frames[i] = port_.NewFrame(static_cast<uint16_t>(bytes.size()));
      memcpy(rte_pktmbuf_mtod(frames[i], void*), bytes.data(), bytes.size());
    }
    const uint16_t sent = port_.Send(frames, now);
    in_flight_ += sent;
    if (sent < now) return;  // the ring is full
    count -= now;
  }
}

// An answer has the flow's ports the other way round, and its payload.
bool RawUdp::IsAnswer(rte_mbuf* frame) const {
  const auto* ip = rte_pktmbuf_mtod_offset(frame, const rte_ipv4_hdr*, sizeof(rte_ether_hdr));
  const auto* udp = reinterpret_cast<const rte_udp_hdr*>(ip + 1);
  if (frame->pkt_len < kPayloadAt + options_.payload || ip->next_proto_id != IPPROTO_UDP ||
      udp->src_port != rte_cpu_to_be_16(options_.port)) {
    return false;
  }
  const uint32_t flow = uint32_t{rte_be_to_cpu_16(udp->dst_port)} - kFirstPort;
  return flow < options_.flows && memcmp(rte_pktmbuf_mtod_offset(frame, const char*, kPayloadAt),
                                         ThePattern().At(flow, 0), options_.payload) == 0;
}

uint32_t RawUdp::Receive() {
  rte_mbuf* frames[kRawBurst];
  const uint16_t count = port_.Receive(frames, kRawBurst);
  uint32_t answers = 0;
  for (uint16_t i = 0; i < count; ++i) {
    const uint16_t type = rte_pktmbuf_mtod(frames[i], rte_ether_hdr*)->ether_type;
    if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) {
      TakeArp(frames[i]);
    } else if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
      const bool good = IsAnswer(frames[i]);
      answers += good;
      corrupt_ += !good;
    }  // the rest is neighbour discovery and the like
  }
  if (count > 0) rte_pktmbuf_free_bulk(frames, count);
  in_flight_ -= std::min(in_flight_, answers);
  return answers;
}

void RawUdp::GiveUp() {
  lost_ += in_flight_;
  in_flight_ = 0;
}

}  // namespace sluice::perf
