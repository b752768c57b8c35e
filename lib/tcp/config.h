// Settings of TCP. Every limit is here, and has a counter in counters.h.
#pragma once

#include <cstdint>

#include "base/time.h"

struct rte_mempool;

namespace sluice::wire {
class FlowOwners;
}

namespace sluice::tcp {

struct Config {
  // Where the packets of segments that we send come from.
  rte_mempool* pool = nullptr;

  // Which engine a flow's segments come to, and which one this is; nullptr: all come here.
  const wire::FlowOwners* owners = nullptr;
  uint8_t engine = 0;

  // Limits of what is kept.
  uint32_t connections_max = 65536;  // control blocks
  uint32_t listeners_max = 1024;
  uint32_t syn_received_max = 4096;           // half-open connections of all listeners
  uint32_t time_wait_max = 32768;             // records of closed connections
  uint32_t somaxconn = 4096;                  // the largest backlog
  uint32_t out_of_order_packets_max = 16384;  // held by all connections together
  uint32_t out_of_order_packets_per_connection = 4096;
  uint32_t disordered_connections_max = 4096;  // that hold packets out of order at a time
  uint32_t scoreboards_max = 4096;             // that have SACK blocks to remember
  uint16_t port_first = 32768;                 // ephemeral ports
  uint16_t port_last = 60999;

  // Buffers, in bytes of payload. Autotuning stays below the maximum; so do SO_SNDBUF, SO_RCVBUF.
  uint32_t receive_buffer_max_bytes = 6 * 1024 * 1024;
  uint32_t send_buffer_max_bytes = 4 * 1024 * 1024;
  uint32_t buffer_min_bytes = 2048;

  // Features (each can be refused by the peer).
  bool window_scaling = true;  // RFC 7323
  bool timestamps = true;      // RFC 7323
  bool sack = true;            // RFC 2018
  bool syn_cookies = true;     // when the queue of half-open connections is full

  uint32_t initial_window_segments = 10;  // RFC 6928
  uint16_t minimum_mss_bytes = 88;        // what peers and ICMP may not go below
  Duration rto_initial = Seconds(1);      // RFC 6298 section 2.1
  Duration rto_min = Milliseconds(200);
  Duration rto_max = Seconds(120);
  Duration delayed_ack = Milliseconds(40);  // RFC 1122 section 4.2.3.2
  // While acknowledgments are quick, at the beginning: how long that of a short segment may wait
  // for the answer.
  Duration quick_ack_delay;
  Duration cork_max = Milliseconds(200);  // how long TCP_CORK and MSG_MORE hold a part back
  Duration retry = Microseconds(100);     // after a full transmit queue or an empty pool
  Duration time_wait = Seconds(60);       // 2 MSL
  Duration fin_wait_2 = Seconds(60);      // for sockets that the application has closed
  uint8_t syn_retries = 6;
  uint8_t syn_ack_retries = 5;
  uint8_t retries = 15;        // R2 (RFC 1122 section 4.2.3.5), as a count of backoffs
  uint8_t orphan_retries = 8;  // the same once the application has closed
  uint32_t challenge_acks_per_second = 1000;  // RFC 5961 section 7
  uint32_t resets_per_second = 10000;         // for segments that belong to no connection
};

}  // namespace sluice::tcp
