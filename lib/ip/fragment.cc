// Sending what is larger than the path takes (RFC 791 section 3.2, RFC 8200 section 4.5).
#include <algorithm>

#include "ip/link.h"
#include "ip/mbuf_bytes.h"
#include "ip/output.h"
#include "wire/ipv6_extension.h"

namespace sluice::ip {
namespace {

// A new packet with a piece of the old one's bytes; nullptr if there is no buffer.
rte_mbuf* CopyPiece(Core& core, const Interface& interface, const rte_mbuf* packet, uint32_t offset,
                    uint32_t bytes) {
  rte_mbuf* piece = NewPacket(core, interface);
  if (piece == nullptr) return nullptr;
  CopyBytes(packet, offset, Data(piece), bytes);
  piece->data_len = static_cast<uint16_t>(bytes);
  piece->pkt_len = bytes;
  return piece;
}

bool PrependFragmentHeader(rte_mbuf* piece, const wire::Ipv6FragmentHeader& header) {
  char* at = rte_pktmbuf_prepend(piece, wire::kIpv6FragmentHeaderBytes);
  if (at == nullptr) return false;
  header.Emit({reinterpret_cast<uint8_t*>(at), wire::kIpv6FragmentHeaderBytes});
  return true;
}

// Payload bytes of each fragment but the last: what MTU and buffers hold, in units of eight.
uint32_t PieceBytes(const Interface& interface, const Outbound& outbound, const Path& path,
                    uint16_t mtu) {
  const uint32_t headers = path.v4 ? 20u + (outbound.router_alert ? 4 : 0)
                                   : 40u + wire::kIpv6FragmentHeaderBytes +
                                         (outbound.router_alert ? wire::kIpv6RouterAlertBytes : 0);
  if (interface.config.pool == nullptr || mtu <= headers) return 0;
  const uint32_t room = rte_pktmbuf_data_room_size(interface.config.pool) - RTE_PKTMBUF_HEADROOM;
  return std::min<uint32_t>(mtu - headers, room) & ~7u;
}

}  // namespace

SendResult SendFragments(Core& core, Instant now, Interface& interface, rte_mbuf* packet,
                         const Outbound& outbound, Path& path, uint8_t ttl, uint16_t mtu) {
  uint64_t& failures = path.v4 ? core.counters.IpFragFails : core.counters.Ip6FragFails;
  const uint32_t total = packet->pkt_len;
  const uint32_t largest = path.v4 ? 65535 - 20 : 65535;
  const uint32_t step = PieceBytes(interface, outbound, path, mtu);
  if (step == 0 || total > largest) {
    ++failures;
    rte_pktmbuf_free(packet);
    return SendResult::kTooBig;
  }
  StoreTransportChecksum(packet, outbound, path);
  const uint16_t id_v4 = path.v4 ? NextIdentification(core, path) : 0;
  const uint32_t id_v6 = path.v4 ? 0 : core.random.Next32();
  SendResult result = SendResult::kSent;
  for (uint32_t offset = 0; offset < total; offset += step) {
    const uint32_t bytes = std::min(step, total - offset);
    const bool more = offset + bytes < total;
    rte_mbuf* piece = CopyPiece(core, interface, packet, offset, bytes);
    bool written = piece != nullptr;
    if (written && path.v4) {
      written = PrependIpv4(interface, piece, outbound, path, ttl,
                            {id_v4, static_cast<uint16_t>(offset), more, false});
    } else if (written) {
      written = PrependFragmentHeader(
                    piece, {outbound.protocol, more, static_cast<uint16_t>(offset), id_v6}) &&
                PrependIpv6(piece, outbound, path, ttl, wire::kIpv6Fragment);
    }
    if (!written) {
      rte_pktmbuf_free(piece);
      result = SendResult::kNoBuffer;
      break;
    }
    ++(path.v4 ? core.counters.IpFragCreates : core.counters.Ip6FragCreates);
    result = SendWithCopy(core, now, interface, piece, outbound, path);
    // Without this piece the others are of no use.
    if (result != SendResult::kSent && result != SendResult::kQueued) break;
  }
  rte_pktmbuf_free(packet);
  if (result == SendResult::kSent || result == SendResult::kQueued) {
    ++(path.v4 ? core.counters.IpFragOKs : core.counters.Ip6FragOKs);
  } else {
    ++failures;
  }
  return result;
}

}  // namespace sluice::ip
