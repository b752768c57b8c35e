// What an engine tells of itself when it is asked: copies, made by its own thread in small steps
// between its turns. What the region shows (the entries) is not in it; anybody may read that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "engine/counters.h"
#include "engine/port.h"
#include "ip/config.h"
#include "ip/counters.h"
#include "table/command.h"
#include "table/handle.h"
#include "table/socket_table.h"
#include "tcp/counters.h"
#include "tcp/stack.h"
#include "udp/counters.h"

namespace sluice::engine {

struct PortReport {
  std::string name;
  uint16_t queue = 0;
  uint16_t interface = 0;
  bool link_up = false;
  PortCapabilities capabilities;
  PortStatistics statistics;
};

struct ConnectionReport {
  table::Handle handle;
  table::TcpInformation information;
};

struct Report {
  Instant taken_at;
  Counters engine;
  ip::Counters ip;
  tcp::Counters tcp;
  udp::Counters udp;
  table::TableCounters table;
  tcp::Population population;
  uint32_t open_sockets = 0;
  uint32_t open_datagram_sockets = 0;
  std::vector<PortReport> ports;
  std::vector<ip::InterfaceView> interfaces;
  std::vector<ip::NeighborView> neighbors;
  std::vector<ip::Route> routes;
  std::vector<ConnectionReport> connections;
};

}  // namespace sluice::engine
