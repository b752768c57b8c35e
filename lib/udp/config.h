// Settings of UDP. Every limit is here, and has a counter in counters.h.
#pragma once

#include <cstdint>

#include "base/time.h"

struct rte_mempool;

namespace sluice::udp {

struct Config {
  // Where datagrams are built that leave.
  rte_mempool* pool = nullptr;

  uint32_t sockets_max = 65536;  // control blocks
  uint32_t memberships_max = 1024;
  // One socket's receive queue, beside SO_RCVBUF: datagrams it holds, and those among them that
  // keep a received mbuf instead of a copy.
  uint32_t receive_datagrams_max = 4096;
  uint32_t receive_mbufs_max = 1024;
  uint32_t error_reports_max = 64;  // one socket's error queue
  uint32_t send_budget = 64;        // datagrams that one doorbell sends before others have a turn
  uint32_t close_budget = 1024;     // datagrams still sent by a socket that closes
  uint16_t port_first = 32768;      // ephemeral ports
  uint16_t port_last = 60999;
  Duration retry = Microseconds(100);  // after a full transmit queue or an empty pool
};

}  // namespace sluice::udp
