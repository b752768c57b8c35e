// One arrived segment on its way through the steps. Steps may cut it: `begin`, `payload` and `fin`
// say what is left, the header says what arrived.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "base/sequence.h"
#include "ip/packet.h"
#include "wire/tcp.h"
#include "wire/tcp_options.h"

namespace sluice::tcp {

struct Segment {
  rte_mbuf* packet = nullptr;  // the payload; nullptr once it was taken
  const ip::PacketInfo* info = nullptr;
  wire::TcpHeader header;
  wire::TcpOptions options;
  Sequence begin;
  uint32_t payload = 0;  // bytes
  bool fin = false;
  bool had_syn = false;  // its window is not scaled (RFC 7323 section 2.2)

  // SEG.LEN of what is left.
  uint32_t length() const { return payload + (header.syn() ? 1 : 0) + (fin ? 1 : 0); }
};

}  // namespace sluice::tcp
