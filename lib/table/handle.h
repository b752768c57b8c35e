// A handle names a socket table slot for one lifetime: a stale handle is an error, never somebody
// else's socket. The generation is even while the slot is free and odd while it is in use.
#pragma once

#include <cstdint>

namespace sluice::table {

struct Handle {
  uint32_t index = kNoIndex;
  uint32_t generation = 0;

  static constexpr uint32_t kNoIndex = 0xffffffff;
  constexpr bool is_none() const { return index == kNoIndex; }
  constexpr uint64_t bits() const { return uint64_t{generation} << 32 | index; }
  static constexpr Handle FromBits(uint64_t bits) {
    return {static_cast<uint32_t>(bits), static_cast<uint32_t>(bits >> 32)};
  }
  friend constexpr bool operator==(Handle, Handle) = default;
};

}  // namespace sluice::table
