// UDP over IPv4 made by hand: requests on many flows from frames that are ready, and the check of
// the answers. A client that leaves nearly the whole of its core idle, to find the server's limit.
//
//   RawUdp udp(port, options);
//   if (!udp.Resolve()) ...
//   udp.Send(64);
//   uint32_t answers = udp.Receive();
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "raw_port.h"

namespace sluice::perf {

struct RawUdpOptions {
  std::string source;  // IPv4 addresses
  std::string server;
  uint16_t port;
  uint32_t flows;    // each has a source port of its own
  uint16_t payload;  // bytes
};

class RawUdp {
 public:
  // The port outlives it. Exits with a message if the addresses are none.
  RawUdp(RawPort& port, const RawUdpOptions& options);

  // Asks for the server's link address for some seconds; false: no answer.
  bool Resolve();
  // Sends `count` requests, the flows taking turns.
  void Send(uint32_t count);
  // Takes what has come: counts answers, answers ARP.
  uint32_t Receive();
  // Counts what is in flight as lost.
  void GiveUp();

  uint32_t in_flight() const { return in_flight_; }
  uint64_t lost() const { return lost_; }
  uint64_t corrupt() const { return corrupt_; }

 private:
  void SendArp(uint16_t operation, const rte_ether_addr& to, uint32_t to_ip);
  void TakeArp(rte_mbuf* frame);
  bool IsAnswer(rte_mbuf* frame) const;
  void MakeTemplates();

  RawPort& port_;
  const RawUdpOptions options_;
  uint32_t source_;  // network order, as the server's
  uint32_t server_;
  rte_ether_addr server_link_ = {};
  bool resolved_ = false;
  std::vector<std::vector<char>> templates_;  // a whole frame for each flow
  uint32_t turn_ = 0;
  uint32_t in_flight_ = 0;
  uint64_t lost_ = 0;
  uint64_t corrupt_ = 0;
};

}  // namespace sluice::perf
