// What an engine does for others that share its ports, and they for it (hand_over.h). Where an
// engine is alone, none of this runs.
#include <rte_mbuf.h>

#include "engine/engine.h"
#include "engine/hand_over.h"
#include "ip/aim.h"

namespace sluice::engine {
namespace {

constexpr unsigned kTakenPerTurn = 64;  // of each giver

}  // namespace

bool Engine::Give(uint8_t to, const Handed& handed) {
  if (!hand_over_->Give(lane_, to, handed)) {
    ++counters_.HandOversRefused;
    return false;
  }
  ++counters_.HandOversGiven;
  takers_ |= uint64_t{1} << to;
  return true;
}

// Everybody reads the same copy: the original is about to be taken apart here.
void Engine::GiveToAll(rte_mempool* pool, const Handed& handed) {
  Handed shared = handed;
  shared.packet = CopyInto(pool, handed.packet);
  if (shared.packet == nullptr) {
    ++counters_.HandOverCopiesFailed;
    return;
  }
  for (uint8_t to = 0; to < hand_over_->engines(); ++to) {
    if (to == lane_) continue;
    for (rte_mbuf* m = shared.packet; m != nullptr; m = m->next) rte_mbuf_refcnt_update(m, 1);
    if (!Give(to, shared)) rte_pktmbuf_free(shared.packet);
  }
  rte_pktmbuf_free(shared.packet);
}

// Whether the packet is to be taken in here. If not, it is gone.
bool Engine::Keep(rte_mempool* pool, bool ethernet, const Handed& handed) {
  const ip::Aim aim = ip::AimOf(hand_over_->owners(), handed.packet, ethernet);
  if (aim.Has(lane_)) [[likely]] {
    if (aim.is_for_all()) GiveToAll(pool, handed);
    return true;
  }
  if (!Give(aim.engine(), handed)) rte_pktmbuf_free(handed.packet);
  return false;
}

// Passes on what is others'. Returns how many frames are left.
uint16_t Engine::KeepOwn(const Attachment& a, std::span<rte_mbuf*> frames) {
  uint16_t kept = 0;
  for (rte_mbuf* frame : frames) {
    if (Keep(a.pool, a.ethernet, {frame, a.interface, Handed::Kind::kReceived})) {
      frames[kept++] = frame;
    }
  }
  return kept;
}

bool Engine::KeepLooped(rte_mbuf* packet) {
  return Keep(config_.pool, false, {packet, ip::kLoopbackInterface, Handed::Kind::kLooped});
}

// Frames for a port of which this engine has no queue.
uint16_t Engine::GiveFrames(const Attachment& a, std::span<rte_mbuf*> frames) {
  uint16_t given = 0;
  while (given < frames.size() &&
         Give(a.sender, {frames[given], a.interface, Handed::Kind::kTransmit})) {
    ++given;
  }
  return given;
}

unsigned Engine::TakeHandedOver(Instant now) {
  hand_over_->Reclaim(lane_);
  const unsigned taken = hand_over_->Take(lane_, kTakenPerTurn, [&](const Handed& handed) {
    const Attachment* const a = AttachmentOf(handed.interface);
    if (handed.kind == Handed::Kind::kTransmit &&
        (a == nullptr || ip_.TransmitRoom(handed.interface) == 0)) {
      return a == nullptr;  // it waits until there is room
    }
    rte_mbuf* const copy = CopyInto(a != nullptr ? a->pool : config_.pool, handed.packet);
    if (copy == nullptr) {
      ++counters_.HandOverCopiesFailed;
      return true;
    }
    switch (handed.kind) {
      case Handed::Kind::kReceived:
      case Handed::Kind::kLooped:
        TakeFrame(now, handed.interface, copy);
        break;
      case Handed::Kind::kTransmit:
        ip_.QueueFrame(handed.interface, copy);
        break;
    }
    return true;
  });
  counters_.HandOversTaken += taken;
  return taken;
}

void Engine::WakeTakers() {
  // Either a taker that is about to sleep sees what it was given, or this sees that it sleeps.
  // Pairs with the fence in PrepareToSleep.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (uint8_t to = 0; to < hand_over_->engines(); ++to) {
    if ((takers_ >> to & 1) == 0) continue;
    if (region_.lane(to).engine_sleeps.load() != 0) hand_over_->Wake(to);
  }
  takers_ = 0;
}

const Engine::Attachment* Engine::AttachmentOf(uint16_t interface) const {
  for (const Attachment& a : ports_) {
    if (a.interface == interface) return &a;
  }
  return nullptr;
}

// Of a datagram that every engine has put together.
bool Engine::OwnsDatagram(const ip::Inbound& inbound) const {
  const ip::PacketInfo& info = inbound.info;
  const wire::FlowOwners& owners = hand_over_->owners();
  const bool has_ports = (info.protocol == ip::kProtocolTcp || info.protocol == ip::kProtocolUdp) &&
                         inbound.packet->data_len >= 4;
  if (!has_ports) return owners.Of(info.source, info.destination) == lane_;
  const uint8_t* ports = rte_pktmbuf_mtod(inbound.packet, const uint8_t*);
  const uint16_t folded =
      wire::FoldAddresses(info.source, info.destination) ^ wire::FoldWords(ports, 4);
  return owners.Of(wire::FlowHash(folded)) == lane_;
}

// Of an error report: our own findings concern who sent the packet.
bool Engine::OwnsError(const ip::IcmpError& error) const {
  return error.local ||
         hand_over_->owners().Of(error.source.address, error.source.port, error.destination.address,
                                 error.destination.port) == lane_;
}

}  // namespace sluice::engine
