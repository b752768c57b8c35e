// What an application asks of an engine beside moving data, and the answer.
#pragma once

#include <cstdint>

#include "table/cell.h"
#include "table/handle.h"
#include "table/result.h"
#include "wire/address.h"

namespace sluice::table {

enum class Operation : uint8_t {
  kNone,
  kOpen,          // argument: Type | protocol << 8 | family << 16; answer: handle bits
  kBind,          // local; argument: 1 takes a port now, also with IP_BIND_ADDRESS_NO_PORT
  kUnbind,        // undoes kBind, before anything else was asked of the socket
  kListen,        // argument: backlog
  kConnect,       // remote; answered with kInProgress for streams, then status and events tell.
                  // local.port: of a datagram socket without one, the port it is to have; 0: any
  kDisconnect,    // connect to AF_UNSPEC
  kShutdown,      // argument: 0 receive, 1 send, 2 both
  kClose,         // no answer wanted; the handle is dead from now on
  kOptions,       // an option changed that the engine acts on
  kJoinGroup,     // remote.address: group; local.scope: interface; argument: 0
  kLeaveGroup,    // likewise
  kSourceFilter,  // remote.address: group; local.address: source; argument: SourceOperation
  kInformation,   // answer payload: TcpInformation
  kInterfaces,    // answer payload: InterfaceRecord[]; argument: first index
  kPathMtu,       // answer value: path MTU of a connected socket, bytes
};

enum class SourceOperation : uint8_t { kJoin, kLeave, kBlock, kUnblock };

struct Command {
  Operation operation = Operation::kNone;
  uint8_t unused = 0;
  uint16_t reply = 0xffff;  // reply slot, 0xffff: no answer wanted
  uint32_t argument = 0;
  Handle handle;
  wire::Endpoint local;
  wire::Endpoint remote;
};

inline constexpr uint16_t kNoReply = 0xffff;

struct alignas(64) Reply {
  static constexpr uint32_t kFree = 0, kWaiting = 1, kDone = 2;
  Cell<uint32_t> state;
  Cell<Result> result;
  Cell<uint32_t> length;  // bytes of payload
  Cell<uint64_t> value;
  alignas(8) uint8_t payload[488];
};
static_assert(sizeof(Reply) == 512);

// TCP_INFO without the kernel's header: what the engine knows of a connection. Bytes, microseconds.
struct TcpInformation {
  uint8_t state = 0;             // as Linux numbers them: 1 ESTABLISHED ... 10 LISTEN, 11 CLOSING
  uint8_t congestion_state = 0;  // 0 open, 1 disorder, 3 recovery, 4 loss
  uint8_t retransmits = 0;       // unanswered retransmissions in a row
  uint8_t probes = 0;
  uint8_t backoff = 0;
  uint8_t send_scale = 0, receive_scale = 0;
  uint8_t timestamps : 1 = 0, sack : 1 = 0, window_scaling : 1 = 0, ecn : 1 = 0;
  uint32_t rto_us = 0, ato_us = 0, srtt_us = 0, rttvar_us = 0, min_rtt_us = 0;
  uint32_t send_mss = 0, receive_mss = 0, advertised_mss = 0, path_mtu = 0;
  uint32_t unacked_segments = 0, sacked_segments = 0, lost_segments = 0, retransmitted_segments = 0;
  uint32_t send_ssthresh_segments = 0, send_cwnd_segments = 0, reordering_segments = 3;
  uint32_t receive_ssthresh_bytes = 0, receive_space_bytes = 0, send_window_bytes = 0;
  uint32_t not_sent_bytes = 0;
  uint32_t last_data_sent_ms = 0, last_data_received_ms = 0, last_ack_received_ms = 0;
  uint32_t total_retransmits = 0;
  uint64_t bytes_acked = 0, bytes_received = 0, bytes_sent = 0, bytes_retransmitted = 0;
  uint32_t segments_out = 0, segments_in = 0, data_segments_out = 0, data_segments_in = 0;
  uint64_t busy_time_us = 0, pacing_rate_bytes = 0, delivery_rate_bytes = 0;
};

// One address of one interface (SIOCGIF*, IP_PKTINFO by name).
struct InterfaceRecord {
  char name[16] = {};
  uint16_t index = 0;
  uint16_t mtu = 0;
  uint16_t prefix_length = 0;
  uint16_t flags = 0;  // IFF_*
  wire::MacAddress mac;
  uint16_t remaining = 0;  // records after this one
  wire::IpAddress address;
};

}  // namespace sluice::table
