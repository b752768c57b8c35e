// Words for the numbers of the socket table, as they stand in snapshots.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "table/entry.h"
#include "table/options.h"
#include "table/result.h"

namespace sluice::observe {

struct BitName {
  uint64_t bit;
  std::string_view name;
};

inline constexpr BitName kEventNames[] = {{table::kEventIn, "in"},   {table::kEventPri, "pri"},
                                          {table::kEventOut, "out"}, {table::kEventErr, "err"},
                                          {table::kEventHup, "hup"}, {table::kEventRdHup, "rdhup"}};

inline constexpr BitName kActivityNames[] = {{table::kReceiving, "receiving"},
                                             {table::kSending, "sending"}};

inline constexpr BitName kEngineFlagNames[] = {{table::kEndOfStream, "end_of_stream"},
                                               {table::kSendClosed, "send_closed"},
                                               {table::kUrgentPending, "urgent_pending"},
                                               {table::kAutobound, "autobound"},
                                               {table::kAcceptOverflow, "accept_overflow"}};

inline constexpr BitName kApplicationFlagNames[] = {{table::kNonBlocking, "non_blocking"},
                                                    {table::kShutdownReceive, "shutdown_receive"},
                                                    {table::kShutdownSend, "shutdown_send"},
                                                    {table::kSendBlocked, "send_blocked"},
                                                    {table::kMore, "more"},
                                                    {table::kClosed, "closed"}};

inline constexpr BitName kOptionNames[] = {
    {table::kReuseAddress, "reuse_address"},
    {table::kReusePort, "reuse_port"},
    {table::kBroadcast, "broadcast"},
    {table::kKeepAlive, "keep_alive"},
    {table::kOutOfBandInline, "out_of_band_inline"},
    {table::kNoDelay, "no_delay"},
    {table::kCork, "cork"},
    {table::kQuickAck, "quick_ack"},
    {table::kIpv6Only, "ipv6_only"},
    {table::kPacketInfoV4, "packet_info_v4"},
    {table::kPacketInfoV6, "packet_info_v6"},
    {table::kReceiveTtl, "receive_ttl"},
    {table::kReceiveTos, "receive_tos"},
    {table::kReceiveHopLimit, "receive_hop_limit"},
    {table::kReceiveTrafficClass, "receive_traffic_class"},
    {table::kReceiveErrorsV4, "receive_errors_v4"},
    {table::kReceiveErrorsV6, "receive_errors_v6"},
    {table::kMulticastLoopV4, "multicast_loop_v4"},
    {table::kMulticastLoopV6, "multicast_loop_v6"},
    {table::kFreeBind, "free_bind"},
    {table::kLinger, "linger"},
    {table::kTimestamp, "timestamp"},
    {table::kTimestampNs, "timestamp_ns"},
    {table::kDontRoute, "dont_route"},
    {table::kMulticastAllV4, "multicast_all_v4"},
    {table::kMulticastAllV6, "multicast_all_v6"},
    {table::kSendBufferLocked, "send_buffer_locked"},
    {table::kReceiveBufferLocked, "receive_buffer_locked"},
    {table::kNoChecksum, "no_checksum"},
    {table::kReceiveOriginalDestination, "receive_original_destination"},
    {table::kDontFragmentV6, "dont_fragment_v6"}};

constexpr std::string_view ToString(table::Type type) {
  switch (type) {
    case table::Type::kNone:
      return "none";
    case table::Type::kStream:
      return "stream";
    case table::Type::kDatagram:
      return "datagram";
    case table::Type::kRaw:
      return "raw";
  }
  return "unknown";
}

constexpr std::string_view ToString(table::Congestion congestion) {
  return congestion == table::Congestion::kNewReno ? "newreno" : "cubic";
}

constexpr std::string_view ToString(table::MtuDiscover discover) {
  constexpr std::string_view kNames[] = {"dont", "want", "do", "probe"};
  const auto i = static_cast<unsigned>(discover);
  return i < std::size(kNames) ? kNames[i] : "unknown";
}

// The names of errno's constants, without the E.
std::string_view ToString(table::Result result);

// TCP states by Linux's numbers, as ss(8) spells them out: "ESTABLISHED", "LISTEN", ...
std::string_view TcpStateName(uint8_t state);

}  // namespace sluice::observe
