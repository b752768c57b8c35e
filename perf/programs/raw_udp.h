// UDP over IPv4 made by hand: requests on many flows from frames that are ready, and the check of
// the answers. A client that leaves nearly the whole of its core idle, to find the server's limit.
//
//   RawUdp udp(link, options);   // `link` is resolved
//   udp.Send(64);
//   uint32_t answers = udp.Receive();
#pragma once

#include <cstdint>
#include <vector>

#include "raw_link.h"

namespace sluice::perf {

struct RawUdpOptions {
  uint16_t port;
  uint32_t flows;    // each has a source port of its own
  uint16_t payload;  // bytes
};

class RawUdp {
 public:
  // The link outlives it.
  RawUdp(RawLink& link, const RawUdpOptions& options);

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
  bool IsAnswer(rte_mbuf* frame) const;
  void MakeTemplates();

  RawLink& link_;
  const RawUdpOptions options_;
  std::vector<std::vector<char>> templates_;  // a whole frame for each flow
  uint32_t turn_ = 0;
  uint32_t in_flight_ = 0;
  uint64_t lost_ = 0;
  uint64_t corrupt_ = 0;
};

}  // namespace sluice::perf
