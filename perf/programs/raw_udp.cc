#include "raw_udp.h"

#include <netinet/in.h>
#include <rte_udp.h>

#include <algorithm>
#include <cstring>

#include "pattern.h"

namespace sluice::perf {
namespace {

constexpr uint16_t kFirstPort = 20000;
constexpr size_t kPayloadAt = kRawTransportAt + sizeof(rte_udp_hdr);

}  // namespace

RawUdp::RawUdp(RawLink& link, const RawUdpOptions& options) : link_(link), options_(options) {
  MakeTemplates();
}

void RawUdp::MakeTemplates() {
  for (uint32_t flow = 0; flow < options_.flows; ++flow) {
    std::vector<char> frame(kPayloadAt + options_.payload);
    link_.WriteHeaders(frame.data(), IPPROTO_UDP, sizeof(rte_udp_hdr) + options_.payload);
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(frame.data() + sizeof(rte_ether_hdr));
    auto* udp = reinterpret_cast<rte_udp_hdr*>(ip + 1);
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
      frames[i] = link_.port().NewFrame(static_cast<uint16_t>(bytes.size()));
      memcpy(rte_pktmbuf_mtod(frames[i], void*), bytes.data(), bytes.size());
    }
    const uint16_t sent = link_.port().Send(frames, now);
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
  const uint16_t count = link_.port().Receive(frames, kRawBurst);
  uint32_t answers = 0;
  for (uint16_t i = 0; i < count; ++i) {
    if (link_.TakeArp(frames[i])) continue;
    const uint16_t type = rte_pktmbuf_mtod(frames[i], rte_ether_hdr*)->ether_type;
    if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
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
