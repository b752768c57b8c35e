// The network's side of the stack fuzzer: what the engine has sent, and packets in answer to it.
// Whatever is sent either way is PatternByte of its position, so that both ends can check it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/sequence.h"
#include "wire/address.h"
#include "wire/bytes.h"
#include "wire/tcp.h"
#include "wire/tcp_options.h"

namespace sluice::fuzz {

using Packet = std::vector<uint8_t>;

// What stands at a position of any stream, counted from its first byte.
constexpr uint8_t PatternByte(uint32_t position) { return static_cast<uint8_t>(position % 251); }

// A connection as the peer sees it.
struct Flow {
  bool used = false;
  wire::Endpoint ours, theirs;  // the engine's end, the peer's end
  bool knows_start = false;     // `start` holds
  Sequence start;               // the engine's SYN
  Sequence peer_start;          // the peer's SYN
  Sequence next;                // what the peer sends next
  Sequence expected;            // what the peer expects next
  Sequence acknowledged;        // what the engine has acknowledged
  uint32_t timestamp = 0;       // that the engine sent last
  bool has_timestamps = false;
  uint8_t last_flags = 0;
  uint16_t window = 0xffff;  // that the peer offers
};

struct PeerSegment {
  uint8_t flags = wire::kTcpAck;
  Sequence sequence;
  Sequence acknowledgment;
  uint16_t window = 0xffff;
  uint16_t urgent_pointer = 0;
  uint16_t payload_bytes = 0;
  wire::TcpOptions options;
};

class Peer {
 public:
  static constexpr unsigned kFlows = 8;
  static constexpr unsigned kSentKept = 16;

  // An IP packet of the engine's, already found to be well formed.
  void Saw(wire::ConstBytes packet);

  Flow& flow(uint8_t number) { return flows_[number % kFlows]; }
  // A connection that the peer begins. The SYN is still to be sent.
  Flow& Open(const wire::Endpoint& ours, const wire::Endpoint& theirs);
  // One of the last packets that the engine sent; empty: none yet.
  wire::ConstBytes sent(uint8_t number) const;
  // What the answering peer has to say to what was seen since.
  std::vector<Packet> TakeAnswers();
  // Whether the peer answers by itself.
  bool answers = false;

  // --- Packets of the peer, with their checksums ---
  static Packet Ip(const wire::IpAddress& from, const wire::IpAddress& to, uint8_t protocol,
                   wire::ConstBytes payload);
  static Packet Tcp(const Flow& flow, const PeerSegment& segment);
  // All that was expected is acknowledged, and `bytes` follow.
  static Packet Answer(Flow& flow, uint8_t flags, uint16_t bytes);
  static Packet Udp(const wire::Endpoint& from, const wire::Endpoint& to, wire::ConstBytes payload);
  // An ICMP error about a packet that the engine sent.
  static Packet Error(const wire::IpAddress& from, wire::ConstBytes quoted, uint8_t type,
                      uint8_t code, uint32_t rest);
  // The same packet in fragments of about `bytes` each.
  static std::vector<Packet> Fragments(wire::ConstBytes packet, size_t bytes);

 private:
  void SawTcp(const wire::IpAddress& from, const wire::IpAddress& to, wire::ConstBytes segment);
  void Follow(Flow& flow, const wire::TcpHeader& header, uint32_t length);
  static void CheckPattern(const Flow& flow, const wire::TcpHeader& header,
                           wire::ConstBytes payload);
  Flow& Find(const wire::Endpoint& ours, const wire::Endpoint& theirs);

  std::array<Flow, kFlows> flows_;
  unsigned next_flow_ = 0;
  std::deque<Packet> sent_;
  std::vector<Packet> answers_;
};

}  // namespace sluice::fuzz
