// A host under test in virtual time: TCP over a genuine socket table and a genuine internet layer
// with one interface of bare IP packets. The test plays the peer, segment by segment, and the
// application, call by call.
#pragma once

#include <netinet/in.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/plain_pool.h"
#include "ip/stack.h"
#include "segment.h"
#include "table/application_queues.h"
#include "table/socket_table.h"
#include "tcp/stack.h"
#include "wire/address.h"

namespace sluice::tcp {

struct ScriptConfig {
  Config tcp;
  bool v6 = false;
  bool segmentation = false;  // the interface makes checksums and cuts segments
  uint32_t packets = 2048;
  uint16_t mtu = 1500;
  table::RegionLimits region{.sockets = 256, .buffers = 2048, .blocks = 4096};
};

// The bytes that a stream holds from `offset` on, in tests that do not care which.
std::string Pattern(size_t count, size_t offset = 0);

class Script {
 public:
  explicit Script(const ScriptConfig& config = {});
  ~Script();

  // --- Time ---
  Instant now = Instant() + Seconds(1000);
  // Runs the timers that come due on the way.
  void Advance(Duration duration);
  // From now to the next deadline.
  Duration UntilDeadline() { return tcp->NextDeadline() - now; }

  // --- The peer: one at a time, chosen by its port ---
  uint16_t peer_port = 40000;
  uint16_t local_port = 80;
  void Push(const Seg& segment) { PushInBurst(segment), EndOfBurst(); }
  void PushInBurst(const Seg& segment);
  void EndOfBurst();
  // The next segment that was sent to whomever. Fails the test if there is none.
  Seg Next();
  void Expect(const Seg& wanted);
  void ExpectNothing();
  size_t pending() {
    Collect();
    return sent_.size();
  }
  void DropSent() {
    Collect();
    sent_.clear();
  }
  // Numbers of the segment that Next or Expect took last, as they stood on the wire.
  uint32_t last_ts = 0;
  uint16_t last_segment_bytes = 0;  // that the port was asked to cut the segment into
  uint16_t last_remote_port = 0;
  uint16_t last_local_port = 0;
  uint32_t our_isn = 0;   // of the flow last seen to open
  uint32_t sent_end = 0;  // behind the last byte that was ever sent
  uint32_t peer_isn = 5000;
  void Icmp(ip::IcmpErrorKind kind, uint32_t sequence, uint32_t mtu = 0);

  // --- The application ---
  table::Socket Open();
  table::Socket Listen(uint16_t port = 80, uint32_t backlog = 16);
  table::Result Connect(table::Socket socket, uint16_t port = 80);
  // False: nothing to accept.
  bool Accept(table::Socket listener, table::Socket* socket);
  uint32_t Write(table::Socket socket, const std::string& bytes) {
    const uint32_t count = WriteInBurst(socket, bytes);
    EndOfBurst();
    return count;
  }
  uint32_t WriteInBurst(table::Socket socket, const std::string& bytes);
  std::string Read(table::Socket socket, size_t most = 1 << 24);
  void Shutdown(table::Socket socket, uint32_t how = 1);
  void Close(table::Socket socket);
  void Set(table::Socket socket, table::Flag flag, bool on = true);
  table::Result Error(table::Socket socket) {
    return static_cast<table::Result>(socket.entry().error.load());
  }
  // Events told since the last call.
  bool TakeEvent();

  // --- Usual openings ---
  // A listener, a connection to it, accepted. Without options but MSS 1460 unless `offer` says so.
  table::Socket Serve(Seg offer = Syn().Mss(1460), uint32_t window = 65535);
  // A connection that we open, answered likewise.
  table::Socket Dial(Seg answer = SynAck().Mss(1460), uint32_t window = 65535);
  table::TcpInformation Info(table::Socket socket);
  const Counters& counters() const { return tcp->counters(); }

  table::Socket listener;
  wire::IpAddress local_address, peer_address;

 private:
  struct FreeMemory {
    void operator()(void* memory) const { std::free(memory); }
  };
  void Collect();
  void CheckChecksum(std::span<const uint8_t> segment);
  void Deliver(rte_mbuf* packet);
  Seg Parse(const rte_mbuf* packet);

  ScriptConfig config_;
  PlainPool pool_;
  std::unique_ptr<void, FreeMemory> memory_;
  table::Region region_;
  struct Sent {
    Seg segment;
    uint32_t ts;
    uint16_t remote_port, local_port, segment_bytes;
  };
  std::deque<Sent> sent_;
  std::map<uint32_t, uint32_t> isns_;  // by both ports
  uint16_t interface_ = 0;

 public:
  std::unique_ptr<table::SocketTable> table;
  std::unique_ptr<ip::Stack> ip;
  std::unique_ptr<Stack> tcp;
  rte_mempool* pool() { return pool_.get(); }
  unsigned free_packets() const { return pool_.available(); }
  // Hands packets that this host sent to itself to TCP until none is left.
  void Loop();
};

}  // namespace sluice::tcp
