// The other end of the measured path: hosts on an Ethernet that speak just enough TCP and UDP to
// load a server, deterministically. They check all that they are sent: checksums, order, and the
// bytes of the answers.
//
//   Peer peer({.load = Load::kExchange, .flows = 64, .request = "ping", .answer = "ping"});
//   ... sluice_init_settings with peer.port_config(), then in each round:
//   peer.Take(now_ns);                                   // what Sluice sent since
//   for (int i = 0; i < 32 && peer.PushOne(); ++i) {}    // one burst
//
// A flow with something to send stands in a first-in first-out list, so bursts rotate through the
// flows. The link loses nothing; anything that should not be on such a link ends the program.
#pragma once

#include <sluice/callback.h>

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "echo_frame.h"

namespace sluice::perf {

// What the clients do.
enum class Load : uint8_t {
  kExchange,   // a request, then its answer, again and again on every connection
  kConnect,    // a connection for each request; the server closes it
  kStreamOut,  // segments to the server, as its window allows
  kStreamIn,   // segments from the server; every second one is acknowledged
  kDatagrams,  // a datagram, then its answer
  kOneWay,     // datagrams that nobody answers
};

class Peer {
 public:
  struct Settings {
    Load load = Load::kExchange;
    uint32_t flows = 64;
    std::string request;  // the payload of every segment or datagram of ours
    std::string answer;   // what the server says to it
  };

  static constexpr uint16_t kServerPort = 7;

  explicit Peer(const Settings& settings);

  // Describes the port whose other end this is.
  sluice_callback_config port_config();
  // Takes what Sluice sent.
  void Take(int64_t now_ns);
  // Hands Sluice one frame; false if no flow has anything to send.
  bool PushOne();

  // Connections that were ever open.
  size_t connected() const { return connected_; }
  // Answers that came whole (kConnect: and whose connection has ended); with kStreamOut and
  // kOneWay frames with payload that went to the server, with kStreamIn that came from it.
  uint64_t requests() const { return requests_; }
  uint64_t frames_in() const { return frames_in_; }    // to the server
  uint64_t frames_out() const { return frames_out_; }  // from it

 private:
  enum class Step : uint8_t { kClosed, kSynSent, kOpen, kEnded, kLastAck };

  struct Flow {
    uint32_t address = 0;
    uint16_t port = 0;
    Step step = Step::kClosed;
    bool listed = false;          // stands in ready_
    uint8_t window_shift = 0;     // of theirs
    uint32_t next_out = 0;        // the next sequence number of ours
    uint32_t next_in = 0;         // and of theirs
    uint32_t allowed = 0;         // the right edge of their window
    uint32_t time_echo = 0;       // their last timestamp
    uint32_t unacknowledged = 0;  // segments
    size_t answered = 0;          // bytes of the answer that is coming
  };

  struct Acknowledgment {
    uint32_t flow;
    uint32_t number;
  };

  static constexpr size_t kStoreFrames = 2048;
  static constexpr size_t kStoreFrameBytes = 2048;

  static int Output(void* user, const void* frame, size_t frame_bytes);

  void NameFlow(Flow& flow);
  Flow& Find(const Frame& frame);
  void List(Flow& flow);

  void AnswerArp(std::span<const uint8_t> request);
  void TakeSegment(const Frame& frame);
  void TakeStream(Flow& flow, const Frame& frame);
  void TakeAnswer(Flow& flow, std::string_view payload);
  void TakeDatagram(const Frame& frame);

  void Acknowledge(Flow& flow);
  bool WindowHasRoom(const Flow& flow) const;
  void PushSegment(Flow& flow);
  void Push(Flow& flow, uint8_t flags, uint32_t acknowledgment, std::string_view payload);

  const Settings settings_;
  std::vector<Flow> flows_;
  std::vector<uint32_t> flow_of_;               // by a connection's serial number
  std::deque<uint32_t> ready_;                  // flows
  std::deque<Acknowledgment> acknowledgments_;  // kStreamIn
  uint32_t serial_ = 0;                         // connections named so far
  uint32_t now_ms_ = 0;
  size_t connected_ = 0;
  uint64_t requests_ = 0;
  uint64_t frames_in_ = 0;
  uint64_t frames_out_ = 0;

  std::vector<uint8_t> store_;  // frames that wait for Take
  std::array<uint32_t, kStoreFrames> stored_bytes_;
  size_t stored_ = 0;
};

}  // namespace sluice::perf
