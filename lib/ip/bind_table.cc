#include "ip/bind_table.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace sluice::ip {

BindTable::BindTable(BindRules rules, uint32_t bindings_max, const SipKey& key)
    : rules_(rules),
      key_(key),
      heads_(std::make_unique_for_overwrite<uint32_t[]>(kPorts)),
      bindings_(bindings_max),
      port_counters_(kCounters) {
  static_assert(kNone == 0xffffffff);
  std::memset(heads_.get(), 0xff, kPorts * sizeof(uint32_t));
  // The counters start at random, so that they tell nothing of how long we have run.
  for (uint32_t i = 0; i < kCounters; i += 2) {
    const uint64_t hash = SipHashOf(key_, i);
    port_counters_[i] = static_cast<uint32_t>(hash);
    port_counters_[i + 1] = static_cast<uint32_t>(hash >> 32);
  }
}

void BindTable::SetPortRange(uint16_t first, uint16_t last) {
  first_port_ = std::max<uint16_t>(first, 1);
  range_ = last >= first_port_ ? last - first_port_ + 1u : 1u;
}

// Whether some packet could be meant for both.
bool BindTable::Overlap(const Binding& a, const Binding& b) {
  if (a.interface != 0 && b.interface != 0 && a.interface != b.interface) return false;
  const bool a_any = a.address.is_unspecified();
  const bool b_any = b.address.is_unspecified();
  if (!a_any && !b_any) return a.address == b.address;
  const bool a_v4 = a.address.is_v4();
  const bool b_v4 = b.address.is_v4();
  if (a_v4 == b_v4) return true;
  // One is IPv6, the other IPv4: they meet only where the IPv6 one is "::" and takes both.
  const Binding& v6 = a_v4 ? b : a;
  return v6.address.is_unspecified() && (v6.flags & kBindIpv6Only) == 0;
}

bool BindTable::Conflict(const Binding& a, const Binding& b, bool a_listens) const {
  if (!Overlap(a, b)) return false;
  const uint8_t both = a.flags & b.flags;
  if ((both & kBindReusePort) != 0) return false;
  if ((both & kBindReuseAddress) == 0) return true;
  if (rules_ == BindRules::kUdp) return false;
  return b.listening || a_listens;
}

bool BindTable::ConflictOnPort(const Binding& wanted, uint16_t port, bool strict) const {
  for (uint32_t i = heads_[port]; i != kNone; i = bindings_[i].next) {
    const Binding& other = bindings_[i];
    if (strict ? Overlap(wanted, other) : Conflict(wanted, other, false)) return true;
  }
  return false;
}

// A port of its own for a bind to port 0. `strict`: one that nobody shares, whatever the flags say.
uint16_t BindTable::ChooseBindPort(const Binding& wanted, bool strict) {
  uint32_t& counter = Counter(wanted.address, {});
  const uint32_t offset = Offset(wanted.address, {});
  for (uint32_t i = 0; i < range_; ++i) {
    const uint16_t port = PortAt(offset + counter++);
    if (!ConflictOnPort(wanted, port, strict)) return port;
  }
  return 0;
}

BindResult BindTable::Bind(const BindRequest& request, uint32_t* binding) {
  if (free_ == kNone && fresh_ == bindings_.size()) {
    ++counters_.table_full;
    return BindResult::kFull;
  }
  Binding wanted;
  wanted.address = request.address;
  wanted.port = request.port;
  wanted.interface = request.interface;
  wanted.flags = request.flags;
  wanted.ipv6 = request.ipv6;
  wanted.owner = request.owner;
  wanted.references = 1;
  if (wanted.port == 0) {
    wanted.port = ChooseBindPort(wanted, true);
    if (wanted.port == 0) wanted.port = ChooseBindPort(wanted, false);
    if (wanted.port == 0) {
      ++counters_.ports_exhausted;
      return BindResult::kInUse;
    }
  } else if ((wanted.flags & kBindAutomatic) == 0 && ConflictOnPort(wanted, wanted.port, false)) {
    ++counters_.conflicts;
    return BindResult::kInUse;
  }
  uint32_t index = free_;
  if (index != kNone) {
    free_ = bindings_[index].next;
  } else {
    index = fresh_++;
  }
  uint32_t& head = heads_[wanted.port];
  wanted.next = head;
  if (head != kNone) bindings_[head].previous = index;
  head = index;
  bindings_[index] = wanted;
  ++used_;
  *binding = index;
  return BindResult::kOk;
}

void BindTable::Unbind(uint32_t binding) {
  bindings_[binding].owner = kNone;
  bindings_[binding].listening = false;
  DropReference(binding);
}

void BindTable::DropReference(uint32_t binding) {
  Binding& b = bindings_[binding];
  assert(b.references > 0);
  if (--b.references > 0) return;
  if (b.next != kNone) bindings_[b.next].previous = b.previous;
  if (b.previous != kNone) {
    bindings_[b.previous].next = b.next;
  } else {
    heads_[b.port] = b.next;
  }
  b = Binding();
  b.next = free_;
  free_ = binding;
  --used_;
}

bool BindTable::SetListening(uint32_t binding, bool listening) {
  Binding& b = bindings_[binding];
  if (listening && rules_ == BindRules::kTcp) {
    for (uint32_t i = heads_[b.port]; i != kNone; i = bindings_[i].next) {
      if (i == binding || !bindings_[i].listening) continue;
      if (Conflict(b, bindings_[i], true)) {
        ++counters_.conflicts;
        return false;
      }
    }
  }
  b.listening = listening;
  return true;
}

int BindTable::Rank(const Binding& b, const BindQuery& query) {
  if (b.interface != 0 && b.interface != query.interface) return -1;
  int rank = 0;
  if (!b.address.is_unspecified()) {
    if (b.address != query.local) return -1;
    rank += 4;
  } else if (b.address.is_v4() != query.local.is_v4()) {
    if (b.address.is_v4() || (b.flags & kBindIpv6Only) != 0) return -1;
  }
  if (b.interface != 0) rank += 2;
  if (b.ipv6 == query.local.is_v6()) rank += 1;
  return rank;
}

uint32_t BindTable::Find(const BindQuery& query) const {
  int best = -1;
  uint32_t found = kNone;
  uint32_t equals = 0;  // sockets of the best rank that share by SO_REUSEPORT
  for (uint32_t i = heads_[query.port]; i != kNone; i = bindings_[i].next) {
    const Binding& b = bindings_[i];
    if (!b.listening) continue;
    const int rank = Rank(b, query);
    if (rank > best) {
      best = rank;
      found = b.owner;
      equals = (b.flags & kBindReusePort) != 0 ? 1 : 0;
    } else if (rank == best && rank >= 0 && equals > 0 && (b.flags & kBindReusePort) != 0) {
      ++equals;
    }
  }
  if (equals < 2) return found;
  // The multiplication spreads the upper half of the hash evenly over 0 .. equals - 1.
  uint32_t chosen = static_cast<uint32_t>(((query.spread >> 32) * equals) >> 32);
  for (uint32_t i = heads_[query.port]; i != kNone; i = bindings_[i].next) {
    const Binding& b = bindings_[i];
    if (!b.listening || (b.flags & kBindReusePort) == 0 || Rank(b, query) != best) continue;
    if (chosen-- == 0) return b.owner;
  }
  return found;
}

// Ports that other connections were given may be shared, as long as the four-tuple differs; ports
// that somebody asked for by bind may not.
bool BindTable::OpenToConnect(const wire::IpAddress& local, uint16_t port) const {
  Binding wanted;
  wanted.address = local;
  for (uint32_t i = heads_[port]; i != kNone; i = bindings_[i].next) {
    if ((bindings_[i].flags & kBindAutomatic) == 0 && Overlap(wanted, bindings_[i])) return false;
  }
  return true;
}

// RFC 6056 section 3.3.4: F, which makes every destination begin elsewhere, ...
uint32_t BindTable::Offset(const wire::IpAddress& local, const wire::Endpoint& remote) const {
  return static_cast<uint32_t>(SipHashOf(key_, local, remote.address, remote.port));
}

// ... and G, which chooses the counter that tells how many have been handed out.
uint32_t& BindTable::Counter(const wire::IpAddress& local, const wire::Endpoint& remote) {
  const uint64_t hash = SipHashOf(key_, local, remote.address, remote.port);
  return port_counters_[(hash >> 32) & (kCounters - 1)];
}

}  // namespace sluice::ip
