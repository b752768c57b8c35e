#include "ip/packet.h"

#include "ip/mbuf_bytes.h"
#include "wire/checksum.h"

namespace sluice::ip {

bool VerifyTransportChecksum(const rte_mbuf* packet, const PacketInfo& info) {
  if (info.transport_checksum == ChecksumState::kGood) [[likely]]
    return true;
  if (info.transport_checksum == ChecksumState::kBad) return false;
  const uint64_t pseudo = wire::PseudoHeaderSum(info.source, info.destination, info.protocol,
                                                rte_pktmbuf_pkt_len(packet));
  // Without a look at the second cache line of what is whole.
  const uint64_t sum =
      packet->nb_segs == 1 ? wire::Sum({Data(packet), packet->data_len}) : SumPacket(packet);
  return wire::ChecksumValid(pseudo + sum);
}

}  // namespace sluice::ip
