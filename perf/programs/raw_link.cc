#include "raw_link.h"

#include <arpa/inet.h>
#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_debug.h>

#include <cstdlib>
#include <cstring>

namespace sluice::perf {
namespace {

constexpr int kArpTries = 100;

uint32_t Address(const std::string& text) {
  in_addr address;
  if (inet_pton(AF_INET, text.c_str(), &address) != 1) {
    rte_exit(EXIT_FAILURE, "%s is no IPv4 address\n", text.c_str());
  }
  return address.s_addr;
}

}  // namespace

RawLink::RawLink(RawPort& port, const std::string& source, const std::string& server)
    : port_(port), source_(Address(source)), server_(Address(server)) {}

void RawLink::SendArp(uint16_t operation, const rte_ether_addr& to, uint32_t to_ip) {
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

bool RawLink::TakeArp(const rte_mbuf* frame) {
  const auto* ether = rte_pktmbuf_mtod(frame, const rte_ether_hdr*);
  if (ether->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) return false;
  if (frame->pkt_len < sizeof(rte_ether_hdr) + sizeof(rte_arp_hdr)) return true;
  const auto* arp = reinterpret_cast<const rte_arp_hdr*>(ether + 1);
  if (arp->arp_data.arp_tip != source_ || arp->arp_data.arp_sip != server_) return true;
  if (arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST)) {
    SendArp(RTE_ARP_OP_REPLY, arp->arp_data.arp_sha, server_);
  } else if (!resolved_) {
    server_link_ = arp->arp_data.arp_sha;
    resolved_ = true;
  }
  return true;
}

bool RawLink::Resolve() {
  rte_ether_addr everybody;
  memset(&everybody, 0xff, sizeof everybody);
  for (int i = 0; i < kArpTries && !resolved_; ++i) {
    SendArp(RTE_ARP_OP_REQUEST, everybody, server_);
    for (int j = 0; j < 100 && !resolved_; ++j) {
      rte_mbuf* frames[kRawBurst];
      const uint16_t count = port_.Receive(frames, kRawBurst);
      for (uint16_t k = 0; k < count; ++k) TakeArp(frames[k]);
      if (count > 0) rte_pktmbuf_free_bulk(frames, count);
      rte_delay_us_sleep(500);
    }
  }
  return resolved_;
}

void RawLink::WriteHeaders(char* frame, uint8_t protocol, size_t bytes) const {
  auto* ether = reinterpret_cast<rte_ether_hdr*>(frame);
  auto* ip = reinterpret_cast<rte_ipv4_hdr*>(ether + 1);
  memset(frame, 0, kRawTransportAt);
  ether->dst_addr = server_link_;
  ether->src_addr = port_.address();
  ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
  ip->version_ihl = RTE_IPV4_VHL_DEF;
  ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(sizeof(rte_ipv4_hdr) + bytes));
  ip->fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
  ip->time_to_live = 64;
  ip->next_proto_id = protocol;
  ip->src_addr = source_;
  ip->dst_addr = server_;
  ip->hdr_checksum = rte_ipv4_cksum(ip);
}

}  // namespace sluice::perf
