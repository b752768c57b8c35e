// The status of a socket and the changes that are legal. This file is the only place that says so.
//
//   unconnected --bind--> bound --listen--> listening
//        |                  |
//        +----connect-------+--> connecting --> connected --> shutdown --> disconnected
//                                     |             |             |             |
//                                     +-------------+-------------+-------------+--> terminated
//
// `shutdown`: this side or the peer has closed one direction. `disconnected`: both directions are
// closed, or the connection failed. `terminated`: the slot is on its way back to the free list.
// Receiving and sending are the activity of a connected socket, computed from its queues.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::table {

enum class Status : uint8_t {
  kTerminated,  // zero: a slot that was never used is terminated
  kUnconnected,
  kBound,
  kConnecting,
  kListening,
  kConnected,
  kShutdown,
  kDisconnected,
};
inline constexpr int kStatusCount = 8;

enum Activity : uint8_t { kReceiving = 1, kSending = 2 };

// Any value has a name, also one that somebody scribbled into a region.
constexpr std::string_view ToString(Status status) {
  constexpr std::string_view kNames[kStatusCount] = {"terminated", "unconnected", "bound",
                                                     "connecting", "listening",   "connected",
                                                     "shutdown",   "disconnected"};
  return static_cast<int>(status) < kStatusCount ? kNames[static_cast<int>(status)] : "invalid";
}

constexpr bool CanChange(Status from, Status to) {
  constexpr auto bit = [](Status s) { return 1u << static_cast<int>(s); };
  using enum Status;
  constexpr unsigned kNext[kStatusCount] = {
      /* terminated   */ bit(kUnconnected) | bit(kConnected),  // accepted sockets start connected
      /* unconnected  */ bit(kBound) | bit(kConnecting) | bit(kConnected) | bit(kListening) |
          bit(kTerminated),
      // A datagram socket that disconnects (connect to AF_UNSPEC) may lose its local address too.
      /* bound        */ bit(kUnconnected) | bit(kConnecting) | bit(kConnected) | bit(kListening) |
          bit(kTerminated),
      /* connecting   */ bit(kConnected) | bit(kDisconnected) | bit(kTerminated),
      // shutdown() on a listening socket stops it, as on Linux; it may listen again.
      /* listening    */ bit(kBound) | bit(kUnconnected) | bit(kTerminated),
      /* connected    */ bit(kConnected) | bit(kShutdown) | bit(kDisconnected) | bit(kBound) |
          bit(kUnconnected) | bit(kTerminated),
      /* shutdown     */ bit(kDisconnected) | bit(kBound) | bit(kUnconnected) | bit(kTerminated),
      // A failed connect may be tried again on the same socket.
      /* disconnected */ bit(kConnecting) | bit(kBound) | bit(kUnconnected) | bit(kTerminated),
  };
  return (kNext[static_cast<int>(from)] & bit(to)) != 0;
}

}  // namespace sluice::table
