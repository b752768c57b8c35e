#include "echo_frame.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <cstring>

namespace sluice::perf {
namespace {

constexpr size_t kOptionsBytes = 12;     // two of padding, timestamps
constexpr size_t kSynOptionsBytes = 20;  // MSS, SACK permitted, timestamps, one of padding, scale

// RFC 1071.
uint64_t Sum(const void* data, size_t count, uint64_t sum) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (; count >= 2; count -= 2, bytes += 2) sum += static_cast<uint64_t>(bytes[0] << 8 | bytes[1]);
  return count != 0 ? sum + (uint64_t{bytes[0]} << 8) : sum;
}
uint16_t Fold(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<uint16_t>(~sum));
}
uint64_t PseudoSum(const ip& header, size_t bytes) {
  return Sum(&header.ip_src, 8, header.ip_p + bytes);
}

void Put32(uint8_t* at, uint32_t value) {
  value = htonl(value);
  memcpy(at, &value, sizeof value);
}
uint32_t Get32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return ntohl(value);
}

void PutEthernet(uint32_t source, uint16_t type, uint8_t* out) {
  ether_header header;
  memcpy(header.ether_dhost, kServerMac.data(), kServerMac.size());
  memcpy(header.ether_shost, kOursMacBegin.data(), kOursMacBegin.size());
  Put32(header.ether_shost + kOursMacBegin.size(), source);
  header.ether_type = htons(type);
  memcpy(out, &header, sizeof header);
}

size_t PutTcp(const Frame& frame, uint8_t* out) {
  const bool syn = (frame.flags & kSyn) != 0;
  const size_t options_bytes = syn ? kSynOptionsBytes : kOptionsBytes;
  tcphdr header = {};
  header.th_sport = htons(frame.source_port);
  header.th_dport = htons(frame.destination_port);
  header.th_seq = htonl(frame.sequence);
  header.th_ack = htonl(frame.acknowledgment);
  header.th_off = (sizeof header + options_bytes) / 4 & 0xf;
  header.th_flags = frame.flags;
  header.th_win = htons(syn ? 65535 : frame.window);
  memcpy(out, &header, sizeof header);
  uint8_t* at = out + sizeof header;
  if (syn) {
    const uint8_t mss[] = {TCPOPT_MAXSEG, 4, 1460 >> 8, 1460 & 0xff, TCPOPT_SACK_PERMITTED, 2};
    memcpy(at, mss, sizeof mss);
    at += sizeof mss;
  } else {
    *at++ = TCPOPT_NOP;
    *at++ = TCPOPT_NOP;
  }
  *at++ = TCPOPT_TIMESTAMP;
  *at++ = TCPOLEN_TIMESTAMP;
  Put32(at, frame.time);
  Put32(at + 4, frame.time_echo);
  if (syn) {
    const uint8_t scale[] = {TCPOPT_NOP, TCPOPT_WINDOW, 3, kOursWindowShift};
    memcpy(at + 8, scale, sizeof scale);
  }
  return sizeof header + options_bytes;
}

size_t PutUdp(const Frame& frame, uint8_t* out) {
  udphdr header = {};
  header.uh_sport = htons(frame.source_port);
  header.uh_dport = htons(frame.destination_port);
  header.uh_ulen = htons(static_cast<uint16_t>(sizeof header + frame.payload.size()));
  memcpy(out, &header, sizeof header);
  return sizeof header;
}

bool ParseOptions(std::span<const uint8_t> options, Frame* frame) {
  while (!options.empty() && options[0] != TCPOPT_EOL) {
    if (options[0] == TCPOPT_NOP) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) return false;
    if (options[0] == TCPOPT_TIMESTAMP && options[1] == TCPOLEN_TIMESTAMP) {
      frame->time = Get32(&options[2]);
      frame->time_echo = Get32(&options[6]);
    } else if (options[0] == TCPOPT_WINDOW && options[1] == 3) {
      frame->window_shift = options[2];
    }
    options = options.subspan(options[1]);
  }
  return true;
}

bool ParseTcp(std::span<const uint8_t> bytes, Frame* frame) {
  tcphdr header;
  if (bytes.size() < sizeof header) return false;
  memcpy(&header, bytes.data(), sizeof header);
  const size_t header_bytes = 4u * header.th_off;
  if (header_bytes < sizeof header || header_bytes > bytes.size()) return false;
  frame->tcp = true;
  frame->source_port = ntohs(header.th_sport);
  frame->destination_port = ntohs(header.th_dport);
  frame->flags = header.th_flags;
  frame->sequence = ntohl(header.th_seq);
  frame->acknowledgment = ntohl(header.th_ack);
  frame->window = ntohs(header.th_win);
  frame->payload = {reinterpret_cast<const char*>(bytes.data()) + header_bytes,
                    bytes.size() - header_bytes};
  return ParseOptions(bytes.subspan(sizeof header, header_bytes - sizeof header), frame);
}

bool ParseUdp(std::span<const uint8_t> bytes, Frame* frame) {
  udphdr header;
  if (bytes.size() < sizeof header) return false;
  memcpy(&header, bytes.data(), sizeof header);
  if (ntohs(header.uh_ulen) != bytes.size()) return false;
  frame->source_port = ntohs(header.uh_sport);
  frame->destination_port = ntohs(header.uh_dport);
  frame->payload = {reinterpret_cast<const char*>(bytes.data()) + sizeof header,
                    bytes.size() - sizeof header};
  return true;
}

}  // namespace

size_t Build(const Frame& frame, std::span<uint8_t, kFrameBytesMax> room) {
  uint8_t* const network = room.data() + sizeof(ether_header);
  uint8_t* const transport = network + sizeof(ip);
  PutEthernet(frame.source, ETHERTYPE_IP, room.data());
  const size_t header_bytes = frame.tcp ? PutTcp(frame, transport) : PutUdp(frame, transport);
  memcpy(transport + header_bytes, frame.payload.data(), frame.payload.size());
  const size_t transport_bytes = header_bytes + frame.payload.size();

  ip header = {};
  header.ip_v = 4;
  header.ip_hl = sizeof header / 4;
  header.ip_len = htons(static_cast<uint16_t>(sizeof header + transport_bytes));
  header.ip_off = htons(IP_DF);
  header.ip_ttl = 64;
  header.ip_p = frame.tcp ? IPPROTO_TCP : IPPROTO_UDP;
  header.ip_src.s_addr = htonl(frame.source);
  header.ip_dst.s_addr = htonl(frame.destination);
  header.ip_sum = Fold(Sum(&header, sizeof header, 0));
  memcpy(network, &header, sizeof header);
  const uint16_t sum = Fold(Sum(transport, transport_bytes, PseudoSum(header, transport_bytes)));
  memcpy(transport + (frame.tcp ? offsetof(tcphdr, th_sum) : offsetof(udphdr, uh_sum)), &sum,
         sizeof sum);
  return sizeof(ether_header) + sizeof header + transport_bytes;
}

bool Parse(std::span<const uint8_t> bytes, Frame* frame) {
  ip header;
  if (bytes.size() < sizeof(ether_header) + sizeof header) return false;
  const auto network = bytes.subspan(sizeof(ether_header));
  memcpy(&header, network.data(), sizeof header);
  const size_t length = ntohs(header.ip_len);
  if (header.ip_v != 4 || header.ip_hl != sizeof header / 4 || length > network.size() ||
      length < sizeof header || Fold(Sum(&header, sizeof header, 0)) != 0) {
    return false;
  }
  frame->source = ntohl(header.ip_src.s_addr);
  frame->destination = ntohl(header.ip_dst.s_addr);
  const auto transport = network.subspan(sizeof header, length - sizeof header);
  if (Fold(Sum(transport.data(), transport.size(), PseudoSum(header, transport.size()))) != 0) {
    return false;
  }
  if (header.ip_p == IPPROTO_TCP) return ParseTcp(transport, frame);
  return header.ip_p == IPPROTO_UDP && ParseUdp(transport, frame);
}

bool IsArp(std::span<const uint8_t> bytes) {
  return bytes.size() >= sizeof(ether_header) + sizeof(ether_arp) &&
         (bytes[12] << 8 | bytes[13]) == ETHERTYPE_ARP;
}

size_t BuildArpAnswer(std::span<const uint8_t> request, std::span<uint8_t, kFrameBytesMax> room) {
  ether_arp arp;
  memcpy(&arp, request.data() + sizeof(ether_header), sizeof arp);
  const uint32_t target = Get32(arp.arp_tpa);
  // An announcement asks for its sender's own address.
  if (ntohs(arp.ea_hdr.ar_op) != ARPOP_REQUEST || target == Get32(arp.arp_spa)) return 0;
  PutEthernet(target, ETHERTYPE_ARP, room.data());
  arp.ea_hdr.ar_op = htons(ARPOP_REPLY);
  memcpy(arp.arp_tha, arp.arp_sha, sizeof arp.arp_sha);
  memcpy(arp.arp_tpa, arp.arp_spa, sizeof arp.arp_spa);
  memcpy(arp.arp_sha, room.data() + ETH_ALEN, sizeof arp.arp_sha);
  Put32(arp.arp_spa, target);
  memcpy(room.data() + sizeof(ether_header), &arp, sizeof arp);
  return sizeof(ether_header) + sizeof arp;
}

}  // namespace sluice::perf
