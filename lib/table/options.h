// The options of a socket, as the application last set them. The application writes them, the
// engine reads them when it needs them; an Operation::kOptions command says that one has changed
// which the engine must act on at once. Units stand last in names.
#pragma once

#include <cstdint>

#include "table/cell.h"

namespace sluice::table {

// Options that are on or off.
enum Flag : uint64_t {
  kReuseAddress = 1ull << 0,
  kReusePort = 1ull << 1,
  kBroadcast = 1ull << 2,
  kKeepAlive = 1ull << 3,
  kOutOfBandInline = 1ull << 4,
  kNoDelay = 1ull << 5,
  kCork = 1ull << 6,
  kQuickAck = 1ull << 7,
  kIpv6Only = 1ull << 8,
  kPacketInfoV4 = 1ull << 9,
  kPacketInfoV6 = 1ull << 10,
  kReceiveTtl = 1ull << 11,
  kReceiveTos = 1ull << 12,
  kReceiveHopLimit = 1ull << 13,
  kReceiveTrafficClass = 1ull << 14,
  kReceiveErrorsV4 = 1ull << 15,
  kReceiveErrorsV6 = 1ull << 16,
  kMulticastLoopV4 = 1ull << 17,
  kMulticastLoopV6 = 1ull << 18,
  kFreeBind = 1ull << 19,
  kLinger = 1ull << 20,
  kTimestamp = 1ull << 21,
  kTimestampNs = 1ull << 22,
  kDontRoute = 1ull << 23,
  kMulticastAllV4 = 1ull << 24,
  kMulticastAllV6 = 1ull << 25,
  kSendBufferLocked = 1ull << 26,     // SO_SNDBUF was set: no autotuning
  kReceiveBufferLocked = 1ull << 27,  // SO_RCVBUF was set: no autotuning
  kNoChecksum = 1ull << 28,           // SO_NO_CHECK: UDP over IPv4 without checksum
  kReceiveOriginalDestination = 1ull << 29,
  kDontFragmentV6 = 1ull << 30,
  kBindAddressNoPort = 1ull << 31,  // the port is chosen when one is needed
};

enum class Congestion : uint8_t { kCubic, kNewReno };

// IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, with Linux's numbers.
enum class MtuDiscover : uint8_t { kDont = 0, kWant = 1, kDo = 2, kProbe = 3 };

struct Options {
  // What only the application reads; the rest is one cache line of an entry.
  Cell<int64_t> receive_timeout_ns;  // SO_RCVTIMEO; 0: none
  Cell<int64_t> send_timeout_ns;     // SO_SNDTIMEO; 0: none
  Cell<uint32_t> receive_low_water_bytes;
  Cell<uint32_t> priority;  // SO_PRIORITY

  Cell<uint64_t> flags;
  Cell<uint32_t> send_buffer_bytes;
  Cell<uint32_t> receive_buffer_bytes;      // the engine raises it where it is not locked
  Cell<uint32_t> not_sent_low_water_bytes;  // TCP_NOTSENT_LOWAT
  Cell<uint32_t> user_timeout_ms;           // RFC 5482; 0: the default
  Cell<uint32_t> window_clamp_bytes;        // TCP_WINDOW_CLAMP; 0: none
  Cell<uint32_t> mark;                      // SO_MARK
  Cell<uint16_t> keepalive_idle_s;
  Cell<uint16_t> keepalive_interval_s;
  Cell<uint16_t> linger_s;
  Cell<uint16_t> defer_accept_s;         // TCP_DEFER_ACCEPT
  Cell<uint16_t> fin_wait2_timeout_s;    // TCP_LINGER2
  Cell<uint16_t> maximum_segment_bytes;  // TCP_MAXSEG; 0: from the path
  Cell<uint16_t> bound_interface;        // SO_BINDTODEVICE: 1-based index; 0: any
  Cell<uint16_t> multicast_interface_v4;
  Cell<uint16_t> multicast_interface_v6;
  Cell<int16_t> ttl;        // IP_TTL; -1: the default
  Cell<int16_t> hop_limit;  // IPV6_UNICAST_HOPS; -1: the default
  Cell<uint8_t> keepalive_count;
  Cell<uint8_t> syn_retries;  // TCP_SYNCNT; 0: the default
  Cell<uint8_t> tos;
  Cell<uint8_t> traffic_class;
  Cell<uint8_t> multicast_ttl;
  Cell<uint8_t> multicast_hops;
  Cell<MtuDiscover> mtu_discover_v4;
  Cell<MtuDiscover> mtu_discover_v6;
  Cell<Congestion> congestion;
  Cell<uint8_t> minimum_ttl;  // IP_MINTTL (RFC 5082)

  bool is_set(Flag flag) const { return (flags.load() & flag) != 0; }
  void Set(Flag flag, bool on) { on ? flags.SetBits(flag) : flags.ClearBits(flag); }
};
static_assert(sizeof(Options) == 24 + 64);

// Word by word through the cells: a tool, or the engine, may be reading.
void CopyOptions(const Options& from, Options& to);

}  // namespace sluice::table
