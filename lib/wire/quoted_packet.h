// The packet that an ICMP error quotes: as much of it as is needed to find the socket that sent it.
#pragma once

#include <cstdint>
#include <optional>

#include "base/sequence.h"
#include "wire/address.h"
#include "wire/bytes.h"

namespace sluice::wire {

struct QuotedPacket {
  IpAddress source;
  IpAddress destination;
  uint8_t protocol = 0;           // of the transport, behind IPv6 extension headers
  uint16_t transport_offset = 0;  // from the beginning of the quoted packet
  // Of TCP and UDP, where the quotation holds the first 8 bytes (RFC 792) of a first fragment.
  bool has_ports = false;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  Sequence tcp_sequence;  // of TCP, with has_ports

  // Either family, by the version. Lengths in the header count nothing: the packet is cut off.
  // nullopt if there is no whole IP header, or the IPv6 chain is cut off.
  static std::optional<QuotedPacket> Parse(ConstBytes bytes);
};

}  // namespace sluice::wire
