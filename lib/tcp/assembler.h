// Packets that arrived ahead of a gap wait here in order (RFC 9293 section 3.10.7.4), and the SACK
// blocks that tell the peer of them are made (RFC 2018 section 4).
//
// A connection names its assembly by index and has none while nothing waits. Bounded by packets in
// all, packets for one connection, and connections; the receive window bounds the bytes.
//
//   pool.Insert(&c.assembly, begin, packet, fin);      // takes the packet, unless the answer is
//   kFull while (pool.Take(&c.assembly, c.rcv_nxt, &piece)) deliver(piece);
#pragma once

#include <cstdint>
#include <span>

#include "base/sequence.h"
#include "tcp/slab.h"
#include "wire/tcp_options.h"

struct rte_mbuf;

namespace sluice::tcp {

struct HeldPacket {
  rte_mbuf* packet = nullptr;  // payload only; nullptr for a lone FIN
  Sequence begin;
  uint32_t bytes = 0;
  uint32_t next = kNone;
  bool fin = false;

  Sequence end() const { return begin + bytes; }
};

struct Assembly {
  static constexpr int kRecentMax = 4;

  uint32_t first = kNone;
  uint32_t last = kNone;
  uint32_t hint = kNone;  // where the last packet went in
  uint32_t count = 0;
  uint32_t recent_count = 0;
  wire::SackBlock recent[kRecentMax];  // latest first
};

// What the next bytes in order are; the packet is the receiver's.
struct Piece {
  rte_mbuf* packet = nullptr;
  uint32_t bytes = 0;
  bool fin = false;
};

class AssemblerPool {
 public:
  enum class Result : uint8_t {
    kHeld,
    kDuplicate,    // all of it was there already; the packet was freed
    kPacketsFull,  // a limit: the caller still has the packet
    kConnectionsFull,
  };

  AssemblerPool(uint32_t assemblies_max, uint32_t packets_max, uint32_t packets_per_assembly)
      : assemblies_(assemblies_max), held_(packets_max), per_assembly_(packets_per_assembly) {}

  // `packet` holds the payload from `begin` on, which is beyond rcv_nxt; nullptr for a lone FIN.
  Result Insert(uint32_t* assembly, Sequence begin, rte_mbuf* packet, bool fin);
  // Takes what continues at `rcv_nxt`, if anything does, cut to begin there. Frees what lies
  // before. The assembly ends with its last packet.
  bool Take(uint32_t* assembly, Sequence rcv_nxt, Piece* piece);
  // The blocks to report, latest first.
  std::span<const wire::SackBlock> Blocks(uint32_t assembly) const {
    if (assembly == kNone) return {};
    const Assembly& a = assemblies_[assembly];
    return {a.recent, a.recent_count};
  }
  void Clear(uint32_t* assembly);

  uint32_t packets() const { return held_.used(); }

 private:
  void LinkAfter(Assembly& a, uint32_t previous, uint32_t index);
  uint32_t Position(const Assembly& a, Sequence begin) const;
  void Absorb(Assembly& a, uint32_t index);
  void Report(Assembly& a, uint32_t index);
  void Free(uint32_t index);

  Slab<Assembly> assemblies_;
  Slab<HeldPacket> held_;
  uint32_t per_assembly_;
};

}  // namespace sluice::tcp
