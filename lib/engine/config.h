// Settings of one engine. Every limit is here or in the settings of its protocols, and has a
// counter.
#pragma once

#include <cstdint>

#include "base/siphash.h"
#include "base/time.h"
#include "ip/config.h"
#include "tcp/config.h"
#include "udp/config.h"

struct rte_mempool;

namespace sluice::engine {

class HandOver;

struct EngineConfig {
  ip::StackConfig ip;
  tcp::Config tcp;
  udp::Config udp;
  // 128 random bits that nobody else knows. The protocols' keys and seeds are made of it; a test
  // that gives the same key sees the same packets.
  SipKey key;
  // Where packets are built that this host sends to itself, and those of transports. Ports bring
  // their own for what arrives.
  rte_mempool* pool = nullptr;
  // Where several engines share the ports: what joins them. The engine's number is its lane.
  HandOver* hand_over = nullptr;
  // Fewer free packets than this in `pool`: what arrives is copied to the region at once.
  uint32_t pool_low_water = 256;

  // The most that one turn does of each.
  uint16_t receive_burst = 32;  // frames of one port; at most Engine::kBurstMax
  uint16_t looped_per_turn = 256;
  uint16_t commands_per_turn = 64;
  uint16_t doorbells_per_turn = 256;
  uint16_t timers_per_turn = 256;
  uint16_t data_bursts_per_turn = 8;  // of `data_burst` TCP segments; the rest is the next turn's

  // TCP segments that are built before the port gets them: as many as the first caches hold.
  uint16_t data_burst = 32;

  Duration transmit_retry = Microseconds(50);  // after a port that took less than it was given
  Duration link_check = Milliseconds(100);     // how often a running engine asks ports for the link
};

}  // namespace sluice::engine
