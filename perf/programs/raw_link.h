// The way from a raw port to one IPv4 neighbour: its link address, and the headers that lead there.
//
//   RawLink link(port, "10.99.0.2", "10.99.0.1");
//   if (!link.Resolve()) ...
//   link.WriteHeaders(frame, IPPROTO_UDP, bytes_behind_ipv4);
#pragma once

#include <rte_ip.h>

#include <cstdint>
#include <string>

#include "raw_port.h"

namespace sluice::perf {

// Behind the Ethernet and the IPv4 header.
constexpr size_t kRawTransportAt = sizeof(rte_ether_hdr) + sizeof(rte_ipv4_hdr);

class RawLink {
 public:
  // The port outlives it. Exits with a message if the addresses are no IPv4 addresses.
  RawLink(RawPort& port, const std::string& source, const std::string& server);

  // Asks for the server's link address for some seconds; false: no answer.
  bool Resolve();
  // Answers ARP. False: the frame is none.
  bool TakeArp(const rte_mbuf* frame);
  // Writes both headers to a frame that carries `bytes` behind them.
  void WriteHeaders(char* frame, uint8_t protocol, size_t bytes) const;

  RawPort& port() const { return port_; }
  uint32_t source() const { return source_; }  // network order
  uint32_t server() const { return server_; }

 private:
  void SendArp(uint16_t operation, const rte_ether_addr& to, uint32_t to_ip);

  RawPort& port_;
  uint32_t source_;
  uint32_t server_;
  rte_ether_addr server_link_ = {};
  bool resolved_ = false;
};

}  // namespace sluice::perf
