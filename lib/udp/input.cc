// Datagrams in: checks, the search for the sockets, and their receive queues.
#include <algorithm>
#include <new>

#include "ip/mbuf_bytes.h"
#include "ip/stack.h"
#include "udp/stack.h"
#include "wire/checksum.h"
#include "wire/udp.h"

namespace sluice::udp {

using ip::DestinationKind;
using table::Result;
using wire::Endpoint;

namespace {

// What the application is told beside the payload.
inline table::DatagramHeader HeaderOf(Instant now, const ip::PacketInfo& info, uint16_t source_port,
                                      uint16_t local_port) {
  return {.peer = {info.source, source_port,
                   info.source.is_link_local() ? info.interface : uint16_t{0}},
          .local = {info.destination, local_port, info.interface},
          .timestamp_ns = now.nanoseconds(),
          .ttl = info.ttl,
          .traffic_class = info.traffic_class};
}

}  // namespace

void Stack::Drop(ip::Inbound& inbound, uint64_t& counter) {
  ++counter;
  rte_pktmbuf_free(inbound.packet);
  inbound.packet = nullptr;
}

void Stack::Input(Instant now, ip::Inbound& inbound) {
  rte_mbuf* packet = inbound.packet;
  const ip::PacketInfo& info = inbound.info;
  if (!ip::Gather(packet, wire::kUdpHeaderBytes)) return Drop(inbound, counters_.UdpInErrors);
  const auto header =
      wire::UdpHeader::Parse({ip::Data(packet), wire::kUdpHeaderBytes}, packet->pkt_len);
  if (!header.has_value()) return Drop(inbound, counters_.UdpInErrors);
  ip::TrimTo(packet, header->total_bytes);

  // RFC 768: zero says that the sender made no checksum. RFC 8200 section 8.1: not in IPv6.
  const bool unsummed = header->checksum == 0 && !info.looped;
  if (unsummed ? info.source.is_v6() : !ip::VerifyTransportChecksum(packet, info)) {
    ++counters_.UdpInCsumErrors;
    return Drop(inbound, counters_.UdpInErrors);
  }

  if (info.destination_kind != DestinationKind::kUnicast) {
    return DeliverToAll(now, inbound, header->source_port, header->destination_port);
  }
  const uint32_t block = FindUnicast(info, header->source_port, header->destination_port);
  if (block == kNone) {
    // RFC 1122 section 4.1.3.1: say that nobody listens.
    ip_.SendRefusal(now, inbound, ip::Refusal::kPort);
    return Drop(inbound, counters_.UdpNoPorts);
  }
  ip::DropFront(packet, wire::kUdpHeaderBytes);
  if (block != run_.block) OpenRun(block);
  if (AddToRun(now, inbound, header->source_port, header->destination_port)) [[likely]]
    return;
  CloseRun();
  Deliver(now, block, inbound, header->source_port, header->destination_port, false);
}

uint32_t Stack::FindUnicast(const ip::PacketInfo& info, uint16_t source_port, uint16_t local_port) {
  // Without a connected socket only SO_REUSEPORT asks who sent it.
  if (flows_.size() == 0 && recent_.block != kNone && recent_.port == local_port &&
      recent_.interface == info.interface && recent_.local == info.destination) {
    return recent_.block;
  }
  const ip::FlowKey key =
      KeyOf({info.destination, local_port, 0}, {info.source, source_port, 0}, info.interface);
  const uint64_t hash = flows_.Hash(key);
  const uint32_t connected =
      flows_.Find(hash, key, [this](uint32_t i) -> const ip::FlowKey& { return At(i).key; });
  if (connected != ip::FlowMap::kNone) return connected;
  return FindBound(info, local_port, hash);
}

uint32_t Stack::FindBound(const ip::PacketInfo& info, uint16_t local_port, uint64_t spread) {
  if (recent_.block != kNone && recent_.port == local_port && recent_.interface == info.interface &&
      recent_.local == info.destination) {
    return recent_.block;
  }
  const uint32_t block = bindings_.Find({.local = info.destination,
                                         .port = local_port,
                                         .interface = info.interface,
                                         .spread = spread});
  // Those that share a port are chosen among for each sender.
  if (block != kNone && !At(block).shares_port) {
    recent_ = {info.destination, local_port, info.interface, block};
  }
  return block;
}

bool Stack::Wants(const Control& control, const ip::PacketInfo& info, uint16_t source_port) {
  if (control.connected &&
      (control.key.remote != info.source || control.key.remote_port != source_port)) {
    return false;
  }
  if (info.destination_kind != DestinationKind::kMulticast) return true;
  const table::Socket socket = table_.At(control.slot);
  if (!socket) return false;
  if (memberships_.Joined(control.memberships, info.interface, info.destination)) {
    return ip_.MemberAccepts(info.interface, info.destination, info.source, socket.handle().bits());
  }
  // As on Linux, a socket that is in no group hears what others of this host have joined.
  return socket.entry().options.is_set(info.destination.is_v4() ? table::kMulticastAllV4
                                                                : table::kMulticastAllV6);
}

// RFC 1122 section 4.1.3.2: every socket that a broadcast or multicast datagram fits gets a copy.
void Stack::DeliverToAll(Instant now, ip::Inbound& inbound, uint16_t source_port,
                         uint16_t local_port) {
  EndOfInput();
  rte_mbuf* const packet = inbound.packet;
  ip::DropFront(packet, wire::kUdpHeaderBytes);
  uint32_t last = kNone;
  const auto deliver_copy = [&](uint32_t block) {
    // Deliver frees the packet; this keeps it.
    for (rte_mbuf* m = packet; m != nullptr; m = m->next) rte_mbuf_refcnt_update(m, 1);
    Deliver(now, block, inbound, source_port, local_port, true);
    inbound.packet = packet;
  };
  bindings_.ForEachMatch(
      {.local = inbound.info.destination, .port = local_port, .interface = inbound.info.interface},
      [&](uint32_t block) {
        if (!Wants(At(block), inbound.info, source_port)) return;
        if (last != kNone) deliver_copy(last);
        last = block;
      });
  if (last == kNone) return Drop(inbound, counters_.UdpIgnoredMulti);
  Deliver(now, last, inbound, source_port, local_port, false);
}

void Stack::OpenRun(uint32_t block) {
  EndOfInput();
  run_.block = block;
  run_.count = run_.bytes = 0;
  run_.socket = table_.At(At(block).slot);
  const table::Options& options = run_.socket.entry().options;
  run_.minimum_ttl = options.minimum_ttl.load();
  run_.receive_bytes = options.receive_buffer_bytes.load();
  table::ReceiveQueue queue = run_.socket.receive_queue();
  queue.Reclaim();
  run_.queued_bytes = queue.bytes();
  const auto left = [](uint32_t most, uint32_t used) { return most - std::min(most, used); };
  run_.left = copy_received_ ? 0
                             : std::min(left(config_.receive_datagrams_max, queue.held()),
                                        left(config_.receive_mbufs_max, queue.mbufs_held()));
}

bool Stack::AddToRun(Instant now, const ip::Inbound& inbound, uint16_t source_port,
                     uint16_t local_port) {
  const uint32_t bytes = inbound.packet->pkt_len;
  const uint64_t queued = run_.queued_bytes + bytes;
  if (run_.left == 0 || inbound.info.ttl < run_.minimum_ttl ||
      (queued > run_.receive_bytes && queued != bytes)) {
    return false;
  }
  table::DatagramHeader* const at = run_.socket.receive_queue().StoreDatagram(inbound.packet);
  if (at == nullptr) return false;
  new (at) table::DatagramHeader(HeaderOf(now, inbound.info, source_port, local_port));
  --run_.left;
  ++run_.count;
  run_.bytes += bytes;
  run_.queued_bytes = queued;
  return true;
}

void Stack::CloseRun() {
  run_.block = kNone;
  if (run_.count == 0) return;
  run_.socket.receive_queue().PublishStored(run_.bytes);
  counters_.UdpInDatagrams += run_.count;
  run_.socket.Notify(table::kEventIn);
}

void Stack::Deliver(Instant now, uint32_t block, ip::Inbound& inbound, uint16_t source_port,
                    uint16_t local_port, bool shared) {
  const ip::PacketInfo& info = inbound.info;
  rte_mbuf* packet = inbound.packet;
  const table::Socket socket = table_.At(At(block).slot);
  table::Entry& entry = socket.entry();
  // RFC 5082: whoever is farther away than he may be is not who he says.
  if (info.ttl < entry.options.minimum_ttl.load()) {
    return Drop(inbound, counters_.UdpMinimumTtlDrops);
  }
  table::ReceiveQueue queue = socket.receive_queue();
  const uint64_t queued = queue.bytes();
  if (queued != 0 && queued + packet->pkt_len > entry.options.receive_buffer_bytes.load()) {
    ++counters_.UdpInErrors;
    return Drop(inbound, counters_.UdpRcvbufErrors);
  }
  queue.Reclaim();
  if (queue.held() >= config_.receive_datagrams_max) {  // answers that wait count, too
    ++counters_.UdpInErrors;
    ++counters_.UdpReceiveDatagramsFull;
    return Drop(inbound, counters_.UdpRcvbufErrors);
  }
  const table::DatagramHeader header = HeaderOf(now, info, source_port, local_port);
  const bool copy = shared || copy_received_ || queue.mbufs_held() >= config_.receive_mbufs_max;
  if (!queue.PushDatagram(header, packet, copy)) {
    ++counters_.UdpInErrors;
    return Drop(inbound, counters_.UdpMemErrors);
  }
  inbound.packet = nullptr;
  ++counters_.UdpInDatagrams;
  socket.Notify(table::kEventIn);
}

}  // namespace sluice::udp
