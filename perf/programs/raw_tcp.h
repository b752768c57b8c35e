// TCP over IPv4 made by hand: a client of many connections that leaves nearly the whole of its core
// idle, to find the server's limit. It does what a link without loss needs: handshake, requests
// that acknowledge the answers before them, one acknowledgment a burst for long answers, close. It
// asks for no timestamps and no SACK; what gets lost all the same is sent again after a pause, and
// counted.
//
//   RawTcp tcp(link, options);      // `link` is resolved
//   tcp.Open();
//   uint32_t answers = tcp.Poll();  // and every answer is followed by the next request
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "raw_link.h"

namespace sluice::perf {

struct RawTcpOptions {
  uint16_t port;
  uint32_t connections;
  uint16_t payload;  // of a request that is to be echoed
  std::string http;  // instead of it: an HTTP request, answered with a Content-Length
  bool per_request;  // the server closes behind its answer, and a new connection follows
};

class RawTcp {
 public:
  static constexpr uint32_t kConnectionsMax = 40000;

  // The link outlives it.
  RawTcp(RawLink& link, const RawTcpOptions& options);

  // Begins to connect.
  void Open();
  // Takes what has come and answers it; returns how many answers are complete.
  uint32_t Poll();
  // Sends again what nothing has answered.
  void Resend();

  uint32_t connected() const { return connected_; }
  uint64_t resent() const { return resent_; }
  uint64_t corrupt() const { return corrupt_; }
  uint64_t resets() const { return resets_; }

 private:
  enum class State : uint8_t { kSynSent, kEstablished, kLastAck };
  struct Connection {
    uint16_t port = 0;  // ours
    State state = State::kSynSent;
    bool acknowledge = false;
    uint32_t send_next = 0;
    uint32_t send_unacknowledged = 0;
    uint32_t receive_next = 0;
    uint32_t received = 0;  // of the answer
    uint32_t expected = 0;  // bytes of the answer; 0: its head has not come
  };

  void Connect(Connection& c);
  void Take(const rte_mbuf* frame);
  void TakeData(Connection& c, const char* bytes, uint32_t count);
  void TakeEnd(Connection& c);
  bool Check(Connection& c, const char* bytes, uint32_t count);
  void Request(Connection& c);
  void Emit(Connection& c, uint32_t sequence, uint8_t flags, const char* bytes, size_t count);
  void Flush();

  RawLink& link_;
  const RawTcpOptions options_;
  std::string request_;
  std::vector<Connection> connections_;
  std::vector<uint32_t> by_port_;      // index of the connection that has the port
  std::vector<uint32_t> acknowledge_;  // connections that owe an acknowledgment
  rte_mbuf* out_[kRawBurst];
  uint16_t out_count_ = 0;
  uint16_t next_port_;
  uint32_t next_sequence_ = 1;
  uint32_t answers_ = 0;
  uint32_t connected_ = 0;
  uint64_t resent_ = 0;
  uint64_t corrupt_ = 0;
  uint64_t resets_ = 0;
};

}  // namespace sluice::perf
