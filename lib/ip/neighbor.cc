#include "ip/neighbor.h"

#include <algorithm>
#include <bit>

namespace sluice::ip {
namespace {

// Queues of this many neighbours may be full at once: a scan of an empty subnet must not take all
// packets of the pool.
constexpr uint32_t kFullQueuesMax = 8;

}  // namespace

NeighborTable::NeighborTable(uint32_t neighbors_max, uint16_t queue_packets_max, const SipKey& key)
    : key_(key),
      entries_(std::max<uint32_t>(neighbors_max, 1)),
      chains_(std::bit_ceil(entries_.size()), kNoNeighbor),
      waiting_(std::max<uint32_t>(queue_packets_max, 1) * kFullQueuesMax),
      queue_max_(std::max<uint16_t>(queue_packets_max, 1)) {
  for (uint32_t i = 0; i < waiting_.size(); ++i) {
    waiting_[i].next = waiting_free_;
    waiting_free_ = i;
  }
  for (uint32_t i = size(); i-- > 0;) {
    entries_[i].next = free_;
    free_ = i;
  }
}

NeighborTable::~NeighborTable() {
  for (uint32_t i = 0; i < size(); ++i) {
    while (rte_mbuf* packet = Dequeue(i)) rte_pktmbuf_free(packet);
  }
}

uint32_t* NeighborTable::Chain(uint16_t interface, const wire::IpAddress& address) {
  return &chains_[SipHashOf(key_, interface, address.bytes()) & (chains_.size() - 1)];
}

uint32_t NeighborTable::Find(uint16_t interface, const wire::IpAddress& address) const {
  uint32_t i = *const_cast<NeighborTable*>(this)->Chain(interface, address);
  while (i != kNoNeighbor &&
         (entries_[i].interface != interface || entries_[i].address != address)) {
    i = entries_[i].next;
  }
  return i;
}

uint32_t NeighborTable::FindOrCreate(uint16_t interface, const wire::IpAddress& address,
                                     Counters& counters) {
  uint32_t i = Find(interface, address);
  if (i != kNoNeighbor) return i;
  i = Claim(counters);
  if (i == kNoNeighbor) return i;
  Neighbor& n = entries_[i];
  const uint32_t generation = n.generation + 1;
  n = Neighbor{};
  n.generation = generation;
  n.state = NeighborState::kIncomplete;
  n.interface = interface;
  n.address = address;
  uint32_t* chain = Chain(interface, address);
  n.next = *chain;
  *chain = i;
  return i;
}

// An entry from the free list, or the one least worth keeping: stale before all else, and of those
// the one that changed first.
uint32_t NeighborTable::Claim(Counters& counters) {
  if (free_ == kNoNeighbor) {
    uint32_t victim = kNoNeighbor;
    const auto worth = [](const Neighbor& n) { return n.state == NeighborState::kStale ? 0 : 1; };
    for (uint32_t i = 0; i < size(); ++i) {
      const Neighbor& n = entries_[i];
      if (n.permanent) continue;
      if (victim == kNoNeighbor || worth(n) < worth(entries_[victim]) ||
          (worth(n) == worth(entries_[victim]) && n.changed < entries_[victim].changed)) {
        victim = i;
      }
    }
    if (victim == kNoNeighbor) {
      ++counters.NeighborTableFull;
      return kNoNeighbor;
    }
    ++counters.NeighborEvictions;
    Remove(victim);
  }
  const uint32_t i = free_;
  free_ = entries_[i].next;
  return i;
}

void NeighborTable::Remove(uint32_t index) {
  Neighbor& n = entries_[index];
  while (rte_mbuf* packet = Dequeue(index)) rte_pktmbuf_free(packet);
  uint32_t* link = Chain(n.interface, n.address);
  while (*link != index) link = &entries_[*link].next;
  *link = n.next;
  n.state = NeighborState::kFree;
  n.deadline = Instant::Never();
  ++n.generation;
  n.next = free_;
  free_ = index;
}

void NeighborTable::RemoveInterface(uint16_t interface) {
  for (uint32_t i = 0; i < size(); ++i) {
    const Neighbor& n = entries_[i];
    if (n.state != NeighborState::kFree && n.interface == interface && !n.permanent) Remove(i);
  }
}

void NeighborTable::Enter(Instant now, Neighbor& n, NeighborState state, Instant deadline) {
  n.state = state;
  n.probes = 0;
  n.changed = now;
  n.deadline = deadline;
  next_deadline_ = std::min(next_deadline_, deadline);
}

NeighborAction NeighborTable::Use(Instant now, uint32_t index, const NeighborTiming& timing) {
  Neighbor& n = entries_[index];
  if (n.state == NeighborState::kStale) {
    Enter(now, n, NeighborState::kDelay, now + timing.delay);
  } else if (n.state == NeighborState::kIncomplete && n.probes == 0) {
    Enter(now, n, NeighborState::kIncomplete, now + timing.retransmit);
    n.probes = 1;
    return NeighborAction::kSolicit;
  }
  return NeighborAction::kNone;
}

void NeighborTable::Enqueue(uint32_t index, rte_mbuf* packet, Counters& counters) {
  Neighbor& n = entries_[index];
  if (n.waiting_count == queue_max_ || waiting_free_ == kNoNeighbor) {
    ++counters.NeighborQueueFull;
    // RFC 4861 section 7.2.2: the newest packets are the ones to keep.
    rte_mbuf* oldest = Dequeue(index);
    rte_pktmbuf_free(oldest != nullptr ? oldest : packet);
    if (oldest == nullptr) return;
  }
  const uint32_t slot = waiting_free_;
  waiting_free_ = waiting_[slot].next;
  waiting_[slot] = {packet, kNoNeighbor};
  (n.waiting_count == 0 ? n.waiting_first : waiting_[n.waiting_last].next) = slot;
  n.waiting_last = slot;
  ++n.waiting_count;
}

rte_mbuf* NeighborTable::Dequeue(uint32_t index) {
  Neighbor& n = entries_[index];
  if (n.waiting_count == 0) return nullptr;
  const uint32_t slot = n.waiting_first;
  rte_mbuf* packet = waiting_[slot].packet;
  n.waiting_first = waiting_[slot].next;
  --n.waiting_count;
  waiting_[slot].next = waiting_free_;
  waiting_free_ = slot;
  return packet;
}

bool NeighborTable::SetMac(Neighbor& n, const wire::MacAddress& mac) {
  if (n.has_link_address() && n.mac == mac) return false;
  n.mac = mac;
  ++n.generation;
  return true;
}

bool NeighborTable::OnClaim(Instant now, uint32_t index, const NeighborClaim& claim,
                            const NeighborTiming& timing) {
  Neighbor& n = entries_[index];
  if (n.permanent) return false;
  if (n.state == NeighborState::kIncomplete) {
    if (!claim.has_mac) return false;
    SetMac(n, claim.mac);
    n.router = claim.router;
    if (claim.solicited) n.confirmed = now;
    Enter(now, n, claim.solicited ? NeighborState::kReachable : NeighborState::kStale,
          claim.solicited ? now + timing.reachable : Instant::Never());
    return true;
  }
  const bool differs = claim.has_mac && claim.mac != n.mac;
  if (differs && !claim.override_entry) {
    // Somebody else claims the address: doubt what we have, keep using it.
    if (n.state == NeighborState::kReachable) {
      Enter(now, n, NeighborState::kStale, Instant::Never());
    }
    return false;
  }
  const bool changed = differs && SetMac(n, claim.mac);
  if (claim.solicited) {
    n.confirmed = now;
    Enter(now, n, NeighborState::kReachable, now + timing.reachable);
  } else if (changed) {
    Enter(now, n, NeighborState::kStale, Instant::Never());
  }
  if (claim.sets_router) n.router = claim.router;
  return changed;
}

bool NeighborTable::OnHeard(Instant now, uint32_t index, const wire::MacAddress& mac) {
  Neighbor& n = entries_[index];
  if (n.permanent || !(n.state == NeighborState::kIncomplete || n.mac != mac)) return false;
  SetMac(n, mac);
  Enter(now, n, NeighborState::kStale, Instant::Never());
  return true;
}

void NeighborTable::SetPermanent(Instant now, uint32_t index, const wire::MacAddress& mac) {
  Neighbor& n = entries_[index];
  SetMac(n, mac);
  n.permanent = true;
  Enter(now, n, NeighborState::kReachable, Instant::Never());
}

void NeighborTable::Confirm(Instant now, uint32_t index, const NeighborTiming& timing) {
  Neighbor& n = entries_[index];
  if (!n.has_link_address()) return;
  n.confirmed = now;
  if (n.state != NeighborState::kReachable) {
    Enter(now, n, NeighborState::kReachable, now + timing.reachable);
  }
}

NeighborAction NeighborTable::Expire(Instant now, Neighbor& n, const NeighborTiming& timing) {
  switch (n.state) {
    case NeighborState::kReachable:
      // Confirmations only leave a note: the timer is moved here, not for every segment.
      if (n.confirmed + timing.reachable > now) {
        n.deadline = n.confirmed + timing.reachable;
      } else {
        Enter(now, n, NeighborState::kStale, Instant::Never());
      }
      return NeighborAction::kNone;
    case NeighborState::kDelay:
      Enter(now, n, NeighborState::kProbe, now + timing.retransmit);
      n.probes = 1;
      return NeighborAction::kSolicitUnicast;
    case NeighborState::kIncomplete:
    case NeighborState::kProbe:
      if (n.probes >= timing.probes) {
        n.deadline = Instant::Never();
        return NeighborAction::kFailed;
      }
      ++n.probes;
      n.deadline = now + timing.retransmit;
      return n.state == NeighborState::kProbe ? NeighborAction::kSolicitUnicast
                                              : NeighborAction::kSolicit;
    case NeighborState::kStale:
    case NeighborState::kFree:
      break;
  }
  n.deadline = Instant::Never();
  return NeighborAction::kNone;
}

NeighborAction NeighborTable::NextDue(Instant now, uint32_t* cursor, const NeighborTiming* timings,
                                      uint32_t* index) {
  if (*cursor == 0) {
    if (now < next_deadline_) return NeighborAction::kNone;
    next_deadline_ = Instant::Never();
  }
  while (*cursor < size()) {
    const uint32_t i = (*cursor)++;
    Neighbor& n = entries_[i];
    if (n.deadline.is_never()) continue;
    NeighborAction action = NeighborAction::kNone;
    if (n.deadline <= now) action = Expire(now, n, timings[n.interface]);
    next_deadline_ = std::min(next_deadline_, n.deadline);
    if (action != NeighborAction::kNone) {
      *index = i;
      return action;
    }
  }
  return NeighborAction::kNone;
}

}  // namespace sluice::ip
