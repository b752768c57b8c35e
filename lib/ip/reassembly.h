// Puts fragments together again (RFC 791 section 3.2, RFC 8200 section 4.5), for both families.
//
// Bounded in datagrams, in fragments of one datagram, in fragments in all and in time; the oldest
// datagram gives way. Fragments that overlap in any way other than as exact repetitions condemn
// their datagram (RFC 5722), in IPv4 too: no innocent sender overlaps.
//
// Fragments are mbufs (or chains) whose data is the fragment's payload. They belong to the
// reassembler once added. What comes out is one chain whose first mbuf still has the first
// fragment's headers before its data.
//
//   switch (reassembler.Add(now, key, fragment, &whole)) {
//     case Reassembler::Result::kComplete: Deliver(whole.packet); ...
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/time.h"
#include "ip/counters.h"
#include "wire/address.h"

namespace sluice::ip {

struct FragmentKey {
  wire::IpAddress source;
  wire::IpAddress destination;
  uint32_t identification = 0;
  uint16_t interface = 0;
  uint8_t protocol = 0;  // IPv4 only (RFC 791); for IPv6 0: it may differ between fragments

  friend bool operator==(const FragmentKey&, const FragmentKey&) = default;
};

struct Fragment {
  rte_mbuf* packet = nullptr;  // data: the payload
  uint32_t offset = 0;         // bytes
  uint16_t header_bytes = 0;   // before the data, up to the IP header's first byte
  uint8_t protocol = 0;        // of what the whole carries, as this fragment says
  uint8_t ecn = 0;             // of the IP header, RFC 3168
  bool more = false;
};

// A reassembled datagram, or the first fragment of one that was given up.
struct Reassembled {
  rte_mbuf* packet = nullptr;
  FragmentKey key;
  uint16_t header_bytes = 0;
  uint8_t protocol = 0;
  bool congestion_experienced = false;  // some fragment had CE: the whole has it
};

class Reassembler {
 public:
  static constexpr unsigned kFragmentsPerDatagramMax = 128;
  static constexpr uint32_t kPayloadBytesMax = 65535;

  enum class Result : uint8_t {
    kHeld,
    kComplete,  // `whole` is filled and its packet the caller's
    kDropped,   // the fragment, perhaps with its datagram; freed and counted
  };

  Reassembler(uint16_t datagrams_max, uint32_t fragments_max);
  ~Reassembler();

  // `lifetime` counts from the first fragment that arrives. Adds one to the Full and Overlaps
  // counters where it must; the family's Reasm counters are the caller's.
  Result Add(Instant now, Duration lifetime, const FragmentKey& key, const Fragment& fragment,
             Counters& counters, Reassembled* whole);

  // Gives up one datagram whose time is over: false if there is none. `first->packet` is its first
  // fragment, the caller's then, or nullptr if that never came.
  bool TakeExpired(Instant now, Reassembled* first);
  Instant next_deadline() const { return next_deadline_; }

  uint32_t fragments() const { return fragments_; }
  // Drops everything that arrived on an interface, or from anywhere (0).
  void Clear(uint16_t interface);

 private:
  struct Piece {
    rte_mbuf* packet;
    uint32_t offset;
    uint32_t end;
  };
  struct Datagram {
    bool taken = false;
    uint8_t protocol = 0;  // of the first fragment
    uint8_t ecn_seen = 0;  // bit n: a fragment with codepoint n
    uint16_t header_bytes = 0;
    uint16_t count = 0;
    uint32_t total = 0;  // bytes; 0 until the last fragment has come
    uint32_t held = 0;   // bytes
    Instant deadline;
    FragmentKey key;
    std::array<Piece, kFragmentsPerDatagramMax> pieces;  // sorted by offset
  };

  Datagram* Find(const FragmentKey& key);
  Datagram* Oldest(const Datagram* except);
  Datagram* Claim(Instant now, Duration lifetime, const FragmentKey& key, Counters& counters);
  void Release(Datagram& datagram);  // frees its fragments
  bool Insert(Datagram& datagram, const Fragment& fragment, bool* duplicate);
  void Assemble(Datagram& datagram, Reassembled* whole);
  void FindDeadline();

  uint32_t fragments_max_;
  uint32_t fragments_ = 0;
  uint16_t datagrams_ = 0;
  std::vector<Datagram> table_;
  Instant next_deadline_ = Instant::Never();
};

}  // namespace sluice::ip
