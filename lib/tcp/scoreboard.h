// What the peer has said by SACK that it holds beyond SND.UNA (RFC 2018, RFC 6675 section 3):
// ranges in order that neither touch nor overlap. Bounded: what finds no room counts as not held,
// and is retransmitted at worst.
//
//   scoreboard.Mark(block.begin, block.end);
//   scoreboard.Forget(snd_una);
#pragma once

#include <cstdint>

#include "base/sequence.h"
#include "wire/tcp_options.h"

namespace sluice::tcp {

struct Scoreboard {
  static constexpr uint32_t kRangesMax = 62;

  // Adds a range; returns how many bytes of it are news. Sets `full` where it did not fit.
  uint32_t Mark(Sequence begin, Sequence end, bool* full);
  // Drops what lies below `una`.
  void Forget(Sequence una);

  bool empty() const { return count == 0; }
  Sequence highest() const { return ranges[count - 1].end; }  // if not empty

  uint32_t count = 0;
  uint32_t bytes = 0;  // in all ranges
  wire::SackBlock ranges[kRangesMax];
};

}  // namespace sluice::tcp
