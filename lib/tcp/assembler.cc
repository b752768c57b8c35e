#include "tcp/assembler.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "tcp/packet_bytes.h"

namespace sluice::tcp {

// The last packet that begins at or before `begin`, or kNone.
uint32_t AssemblerPool::Position(const Assembly& a, Sequence begin) const {
  if (a.last != kNone && held_[a.last].begin <= begin) return a.last;
  uint32_t previous = kNone;
  uint32_t at = a.first;
  if (a.hint != kNone && held_[a.hint].begin <= begin) {
    previous = a.hint;
    at = held_[a.hint].next;
  }
  while (at != kNone && held_[at].begin <= begin) {
    previous = at;
    at = held_[at].next;
  }
  return previous;
}

void AssemblerPool::LinkAfter(Assembly& a, uint32_t previous, uint32_t index) {
  uint32_t& link = previous == kNone ? a.first : held_[previous].next;
  held_[index].next = link;
  link = index;
  if (a.last == previous) a.last = index;
  ++a.count;
  a.hint = index;
}

AssemblerPool::Result AssemblerPool::Insert(uint32_t* assembly, Sequence begin, rte_mbuf* packet,
                                            bool fin) {
  const uint32_t bytes = packet == nullptr ? 0 : packet->pkt_len;
  uint32_t previous = kNone;
  if (*assembly != kNone) {
    Assembly& a = assemblies_[*assembly];
    previous = Position(a, begin);
    if (previous != kNone && held_[previous].end() >= begin + bytes &&
        (!fin || held_[previous].fin)) {
      rte_pktmbuf_free(packet);
      Report(a, previous);
      return Result::kDuplicate;
    }
    if (a.count >= per_assembly_) return Result::kPacketsFull;
  }
  const uint32_t index = held_.Take();
  if (index == kNone) return Result::kPacketsFull;
  if (*assembly == kNone) {
    *assembly = assemblies_.Take();
    if (*assembly == kNone) {
      held_.Return(index);
      return Result::kConnectionsFull;
    }
  }
  HeldPacket& held = held_[index];
  held.packet = packet;
  held.begin = begin;
  held.bytes = bytes;
  held.fin = fin;
  Assembly& a = assemblies_[*assembly];
  LinkAfter(a, previous, index);
  Absorb(a, index);
  Report(a, index);
  return Result::kHeld;
}

// Frees packets behind `index` that it covers whole.
void AssemblerPool::Absorb(Assembly& a, uint32_t index) {
  HeldPacket& held = held_[index];
  while (held.next != kNone && held_[held.next].end() <= held.end() &&
         (!held_[held.next].fin || held.fin)) {
    const uint32_t covered = held.next;
    held.next = held_[covered].next;
    if (a.last == covered) a.last = index;
    --a.count;
    Free(covered);
  }
}

// Puts the block that contains packet `index` in front of the reported ones (RFC 2018 section 4:
// the first block must contain the segment that triggered the acknowledgment).
void AssemblerPool::Report(Assembly& a, uint32_t index) {
  wire::SackBlock block{held_[index].begin, held_[index].end()};
  // Blocks reported before say how far the data reaches to either side.
  for (bool grown = true; grown;) {
    grown = false;
    for (uint32_t i = 0; i < a.recent_count; ++i) {
      const wire::SackBlock& r = a.recent[i];
      if (r.end < block.begin || block.end < r.begin) continue;
      const wire::SackBlock joined{Min(r.begin, block.begin), Max(r.end, block.end)};
      grown |= !(joined == block);
      block = joined;
    }
  }
  uint32_t kept = 1;
  wire::SackBlock next[Assembly::kRecentMax];
  next[0] = block;
  for (uint32_t i = 0; i < a.recent_count && kept < Assembly::kRecentMax; ++i) {
    const wire::SackBlock& r = a.recent[i];
    if (r.end < block.begin || block.end < r.begin) next[kept++] = r;
  }
  a.recent_count = block.begin == block.end ? kept - 1 : kept;  // a lone FIN is no data
  std::copy(next + (kept - a.recent_count), next + kept, a.recent);
}

bool AssemblerPool::Take(uint32_t* assembly, Sequence rcv_nxt, Piece* piece) {
  if (*assembly == kNone) return false;
  Assembly& a = assemblies_[*assembly];
  bool found = false;
  while (a.first != kNone && held_[a.first].begin <= rcv_nxt && !found) {
    const uint32_t index = a.first;
    HeldPacket& held = held_[index];
    if (held.end() > rcv_nxt || (held.fin && held.end() == rcv_nxt)) {
      const uint32_t old = static_cast<uint32_t>(rcv_nxt - held.begin);
      piece->bytes = held.bytes > old ? held.bytes - old : 0;
      piece->fin = held.fin;
      piece->packet = nullptr;
      if (piece->bytes != 0) {
        piece->packet = old == 0 ? held.packet : CutFront(held.packet, old);
        held.packet = nullptr;
      }
      found = true;
    }
    a.first = held.next;
    if (a.hint == index) a.hint = kNone;
    --a.count;
    Free(index);
  }
  if (a.first == kNone) {
    assemblies_.Return(*assembly);
    *assembly = kNone;
    return found;
  }
  const Sequence covered = found ? rcv_nxt + piece->bytes : rcv_nxt;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < a.recent_count; ++i) {
    if (a.recent[i].end > covered) a.recent[kept++] = a.recent[i];
  }
  a.recent_count = kept;
  return found;
}

void AssemblerPool::Free(uint32_t index) {
  rte_pktmbuf_free(held_[index].packet);
  held_.Return(index);
}

void AssemblerPool::Clear(uint32_t* assembly) {
  if (*assembly == kNone) return;
  for (uint32_t at = assemblies_[*assembly].first; at != kNone;) {
    const uint32_t next = held_[at].next;
    Free(at);
    at = next;
  }
  assemblies_.Return(*assembly);
  *assembly = kNone;
}

}  // namespace sluice::tcp
