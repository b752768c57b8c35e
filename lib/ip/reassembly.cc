#include "ip/reassembly.h"

#include <algorithm>

namespace sluice::ip {
namespace {

constexpr uint8_t kEcnCongestionExperienced = 3;

}  // namespace

Reassembler::Reassembler(uint16_t datagrams_max, uint32_t fragments_max)
    : fragments_max_(fragments_max), table_(std::max<uint16_t>(datagrams_max, 1)) {}

Reassembler::~Reassembler() { Clear(0); }

Reassembler::Datagram* Reassembler::Find(const FragmentKey& key) {
  if (datagrams_ == 0) return nullptr;
  for (Datagram& d : table_) {
    if (d.taken && d.key.identification == key.identification && d.key == key) return &d;
  }
  return nullptr;
}

Reassembler::Datagram* Reassembler::Oldest(const Datagram* except) {
  Datagram* oldest = nullptr;
  for (Datagram& d : table_) {
    if (!d.taken || &d == except) continue;
    if (oldest == nullptr || d.deadline < oldest->deadline) oldest = &d;
  }
  return oldest;
}

Reassembler::Datagram* Reassembler::Claim(Instant now, Duration lifetime, const FragmentKey& key,
                                          Counters& counters) {
  if (datagrams_ == table_.size()) {
    ++counters.ReassemblyDatagramsFull;
    Release(*Oldest(nullptr));
  }
  auto it = std::find_if(table_.begin(), table_.end(), [](const Datagram& d) { return !d.taken; });
  Datagram& d = *it;
  d.taken = true;
  d.protocol = 0;
  d.ecn_seen = 0;
  d.header_bytes = 0;
  d.count = 0;
  d.total = 0;
  d.held = 0;
  d.deadline = now + lifetime;
  d.key = key;
  ++datagrams_;
  next_deadline_ = std::min(next_deadline_, d.deadline);
  return &d;
}

void Reassembler::Release(Datagram& d) {
  for (unsigned i = 0; i < d.count; ++i) rte_pktmbuf_free(d.pieces[i].packet);
  fragments_ -= d.count;
  d.count = 0;
  d.taken = false;
  --datagrams_;
}

// False: the fragment contradicts what is there. `duplicate`: it repeats a fragment exactly.
bool Reassembler::Insert(Datagram& d, const Fragment& f, bool* duplicate) {
  *duplicate = false;
  const uint32_t end = f.offset + rte_pktmbuf_pkt_len(f.packet);
  // The end must be what the last fragment says, and that must not change.
  if (d.total != 0 && (end > d.total || (!f.more && end != d.total))) return false;
  if (!f.more && d.count > 0 && d.pieces[d.count - 1].end > end) return false;

  unsigned at = d.count;
  while (at > 0 && d.pieces[at - 1].offset > f.offset) --at;
  if (at > 0 && d.pieces[at - 1].end > f.offset) {
    *duplicate = d.pieces[at - 1].offset == f.offset && d.pieces[at - 1].end == end;
    return *duplicate;
  }
  if (at < d.count && end > d.pieces[at].offset) return false;
  if (d.count == kFragmentsPerDatagramMax) return false;

  std::move_backward(d.pieces.begin() + at, d.pieces.begin() + d.count,
                     d.pieces.begin() + d.count + 1);
  d.pieces[at] = {f.packet, f.offset, end};
  ++d.count;
  ++fragments_;
  d.held += end - f.offset;
  d.ecn_seen |= static_cast<uint8_t>(1u << (f.ecn & 3));
  if (!f.more) d.total = end;
  if (f.offset == 0) {
    // RFC 8200 section 4.5: the headers of the whole are those of the first fragment.
    d.header_bytes = f.header_bytes;
    d.protocol = f.protocol;
  }
  return true;
}

void Reassembler::Assemble(Datagram& d, Reassembled* whole) {
  rte_mbuf* head = d.pieces[0].packet;
  rte_mbuf* tail = rte_pktmbuf_lastseg(head);
  for (unsigned i = 1; i < d.count; ++i) {
    rte_mbuf* piece = d.pieces[i].packet;
    tail->next = piece;
    tail = rte_pktmbuf_lastseg(piece);
    head->pkt_len += piece->pkt_len;
    head->nb_segs = static_cast<uint16_t>(head->nb_segs + piece->nb_segs);
    piece->pkt_len = piece->data_len;
  }
  // What the port said of one fragment's checksum says nothing of the whole's.
  head->ol_flags &= ~(RTE_MBUF_F_RX_L4_CKSUM_MASK);
  whole->packet = head;
  whole->key = d.key;
  whole->header_bytes = d.header_bytes;
  whole->protocol = d.protocol;
  whole->congestion_experienced = (d.ecn_seen & (1u << kEcnCongestionExperienced)) != 0;
  fragments_ -= d.count;
  d.count = 0;
  d.taken = false;
  --datagrams_;
}

Reassembler::Result Reassembler::Add(Instant now, Duration lifetime, const FragmentKey& key,
                                     const Fragment& fragment, Counters& counters,
                                     Reassembled* whole) {
  Datagram* d = Find(key);
  if (d == nullptr) d = Claim(now, lifetime, key, counters);
  while (fragments_ >= fragments_max_) {
    ++counters.ReassemblyFragmentsFull;
    Datagram* oldest = Oldest(d);
    if (oldest == nullptr) {
      Release(*d);
      rte_pktmbuf_free(fragment.packet);
      return Result::kDropped;
    }
    Release(*oldest);
  }
  bool duplicate;
  if (!Insert(*d, fragment, &duplicate)) {
    ++counters.ReassemblyOverlaps;
    rte_pktmbuf_free(fragment.packet);
    Release(*d);
    return Result::kDropped;
  }
  if (duplicate) {
    rte_pktmbuf_free(fragment.packet);
    return Result::kHeld;
  }
  if (d->total == 0 || d->held != d->total) return Result::kHeld;
  // RFC 3168 section 5.3: CE together with Not-ECT is a contradiction; the packet is dropped.
  constexpr uint8_t kContradiction = 1u << kEcnCongestionExperienced | 1u;
  if ((d->ecn_seen & kContradiction) == kContradiction) {
    Release(*d);
    return Result::kDropped;
  }
  Assemble(*d, whole);
  return Result::kComplete;
}

bool Reassembler::TakeExpired(Instant now, Reassembled* first) {
  if (now < next_deadline_) return false;
  for (Datagram& d : table_) {
    if (!d.taken || d.deadline > now) continue;
    first->packet = nullptr;
    first->key = d.key;
    first->header_bytes = d.header_bytes;
    first->protocol = d.protocol;
    if (d.count > 0 && d.pieces[0].offset == 0) {
      first->packet = d.pieces[0].packet;
      std::move(d.pieces.begin() + 1, d.pieces.begin() + d.count, d.pieces.begin());
      --d.count;
      --fragments_;
    }
    Release(d);
    return true;
  }
  FindDeadline();
  return false;
}

void Reassembler::FindDeadline() {
  next_deadline_ = Instant::Never();
  for (const Datagram& d : table_) {
    if (d.taken) next_deadline_ = std::min(next_deadline_, d.deadline);
  }
}

void Reassembler::Clear(uint16_t interface) {
  for (Datagram& d : table_) {
    if (d.taken && (interface == 0 || d.key.interface == interface)) Release(d);
  }
}

}  // namespace sluice::ip
