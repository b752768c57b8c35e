// UDP of one engine (RFC 768, RFC 8085, RFC 1122 section 4.1), for IPv4 and IPv6: datagram sockets,
// and what lies between their queues and the internet layer.
//
// Deterministic: time is an argument, the next deadline an answer, chance comes from the key. One
// thread, the engine's. Control blocks are private memory; what the entries in the region say is
// taken for input from a stranger. The steady state allocates nothing.
//
//   Stack udp(config, table, ip, key);
//   Handle handle = table.Open(Type::kDatagram, 17, AF_INET, Status::kUnconnected);
//   udp.Open(table.Find(handle));
//   udp.Bind(now, socket, {IpAddress::AnyV4(), 53});
//   for (ip::Inbound& inbound : delivered) udp.Input(now, inbound);
//   udp.EndOfInput();
//   while (doorbells.Pop(index, mask)) if (Socket s = table.At(index)) udp.Doorbell(now, s);
//   udp.EndOfBurst(now);
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/siphash.h"
#include "base/time.h"
#include "ip/bind_table.h"
#include "ip/flow_map.h"
#include "ip/packet.h"
#include "ip/path.h"
#include "table/command.h"
#include "table/descriptor.h"
#include "table/result.h"
#include "table/socket_table.h"
#include "udp/config.h"
#include "udp/counters.h"
#include "udp/destinations.h"
#include "udp/memberships.h"
#include "wire/address.h"

namespace sluice::ip {
class Stack;
}

namespace sluice::udp {

class Burst;

class Stack {
 public:
  // `table` and `ip` outlive the stack. `key` must be unknown to peers.
  Stack(const Config& config, table::SocketTable& table, ip::Stack& ip, const SipKey& key);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // --- Packets in -------------------------------------------------------------------------------

  // Takes one datagram that the internet layer delivered, and its packet. Its socket may learn of
  // it at EndOfInput, with those that came before and behind it.
  void Input(Instant now, ip::Inbound& inbound);
  // After Input, before the turn goes on to other things.
  void EndOfInput() {
    if (run_.block != kNone) CloseRun();
  }
  // Somebody reports that a datagram of ours did not arrive. Takes the packet that quotes it.
  // `ours` false: another engine tells the socket; only the path MTU is learnt.
  void Error(Instant now, ip::Inbound& inbound, bool ours = true);

  // --- Commands ---------------------------------------------------------------------------------

  // Makes a datagram socket of a slot that was just opened. kNoSockets: the limit.
  table::Result Open(table::Socket socket);
  // Whether the slot is a datagram socket, by the engine's own notes.
  static bool Owns(table::Socket socket) {
    return socket.type() == table::Type::kDatagram &&
           socket.side().control_block != table::EngineSide::kNoControlBlock;
  }
  // A port of 0 is chosen (RFC 6056): with IP_BIND_ADDRESS_NO_PORT later, if not asked for at once.
  table::Result Bind(Instant now, table::Socket socket, const wire::Endpoint& local,
                     bool at_once = false);
  // Undoes Bind. kInvalid: it is not bound, or is connected.
  table::Result Unbind(Instant now, table::Socket socket);
  // A socket without a port gets `local_port`, or any if that is 0.
  table::Result Connect(Instant now, table::Socket socket, const wire::Endpoint& remote,
                        uint16_t local_port = 0);
  table::Result Disconnect(Instant now, table::Socket socket);
  // `how`: 0 receive, 1 send, 2 both.
  table::Result Shutdown(Instant now, table::Socket socket, uint32_t how);
  // Sends what is queued, as far as that is possible now, and gives the slot back.
  void Close(Instant now, table::Socket socket);
  void OptionsChanged(table::Socket socket);
  // Bytes of the largest IP packet on the way to the peer; 0: not connected.
  uint16_t PathMtu(Instant now, table::Socket socket);
  // interface 0: the route's to the group.
  table::Result JoinGroup(Instant now, table::Socket socket, uint16_t interface,
                          const wire::IpAddress& group);
  table::Result LeaveGroup(Instant now, table::Socket socket, uint16_t interface,
                           const wire::IpAddress& group);
  table::Result SourceFilter(Instant now, table::Socket socket, uint16_t interface,
                             const wire::IpAddress& group, const wire::IpAddress& source,
                             table::SourceOperation operation);

  // The application pushed to the send queue or took from the receive queue.
  void Doorbell(Instant now, table::Socket socket);

  // --- The turn ---------------------------------------------------------------------------------

  // Goes on with sockets that had more to send than their budget, or met a full transmit queue.
  void EndOfBurst(Instant now);
  // There is something to send and room for it: take another turn.
  bool HasWork() const { return work_left_; }
  // When to try again what could not be sent.
  Instant NextDeadline() const { return retry_at_; }
  // Received packets are scarce: copy their payload to the region at once.
  void SetCopyReceived(bool copy) { copy_received_ = copy; }

  const Counters& counters() const { return counters_; }
  uint32_t open_sockets() const { return open_; }

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kChunk = 64;  // control blocks that are allocated together
  static constexpr unsigned kPiecesMax = 64;
  static constexpr unsigned kSegmentsMax = 128;  // datagrams of one send (UDP_SEGMENT), as on Linux

  // What is kept of a socket beside its entry.
  struct Control {
    uint32_t slot = kNone;
    uint8_t family = 0;
    bool connected = false;
    bool automatic_port = false;
    bool in_flows = false;
    bool pending = false;  // stands in pending_
    uint32_t binding = kNone;
    uint32_t memberships = Memberships::kNone;
    uint32_t next_free = kNone;
    ip::FlowKey key;    // connected: both ends
    uint64_t hash = 0;  // of it
    // As bind said, before a connect narrowed it; with IP_BIND_ADDRESS_NO_PORT before there is a
    // binding, too.
    wire::IpAddress bound;
    bool shares_port = false;     // SO_REUSEPORT was set when it was bound, or has been since
    bool bound_to_group = false;  // a multicast or broadcast address: no source to send from
    // The last destination, so that datagrams to one peer look the route up once.
    ip::Path path;
    wire::IpAddress path_source;  // as asked for, maybe unspecified
  };

  enum class Sent : uint8_t { kDone, kBlocked };

  // The binding that took the last datagram, and what that was sent to.
  struct Recent {
    wire::IpAddress local;
    uint16_t port = 0;
    uint16_t interface = 0;
    uint32_t block = kNone;
  };

  // Datagrams for one socket that came one behind the other: stored, and not yet published. What
  // does not depend on the datagram is looked up when the run begins.
  struct Run {
    uint32_t block = kNone;      // kNone: no run
    uint32_t count = 0;          // datagrams stored
    uint32_t bytes = 0;          // of payload
    uint32_t left = 0;           // more datagrams that the socket may hold, and lend
    uint64_t queued_bytes = 0;   // with those of the run
    uint32_t receive_bytes = 0;  // SO_RCVBUF
    uint8_t minimum_ttl = 0;     // IP_MINTTL
    table::Socket socket;
  };

  // What a socket says of all that it sends, read once for many datagrams.
  struct Sender {
    wire::IpAddress source_v4, source_v6;  // unspecified: to be chosen
    uint32_t choices_v4 = 0, choices_v6 = 0;
    uint16_t interface = 0;  // 0: any
    uint16_t port = 0;
    bool is_bound = false;
    const Destination* last = nullptr;  // that a datagram was sent to
  };

  // One datagram on its way out.
  struct Sending {
    table::DatagramHeader header;
    std::array<std::span<const uint8_t>, kPiecesMax + 1> pieces;
    unsigned piece_count = 0;
    uint32_t length = 0;
    wire::Endpoint peer;
    ip::Outbound outbound;
  };

  Control& At(uint32_t block) { return chunks_[block / kChunk][block % kChunk]; }
  Control& ControlOf(table::Socket socket) { return At(socket.side().control_block); }
  uint32_t BlockOf(table::Socket socket) const { return socket.side().control_block; }
  uint32_t TakeBlock();

  // --- input.cc
  void Drop(ip::Inbound& inbound, uint64_t& counter);
  uint32_t FindUnicast(const ip::PacketInfo& info, uint16_t source_port, uint16_t local_port);
  void DeliverToAll(Instant now, ip::Inbound& inbound, uint16_t source_port, uint16_t local_port);
  bool Wants(const Control& control, const ip::PacketInfo& info, uint16_t source_port);
  // Gives the packet to a socket, or drops it. `shared`: others hold references to its bytes.
  void Deliver(Instant now, uint32_t block, ip::Inbound& inbound, uint16_t source_port,
               uint16_t local_port, bool shared);
  void OpenRun(uint32_t block);
  // False: this datagram must go by Deliver.
  bool AddToRun(Instant now, const ip::Inbound& inbound, uint16_t source_port, uint16_t local_port);
  void CloseRun();
  uint32_t FindBound(const ip::PacketInfo& info, uint16_t local_port, uint64_t spread);
  ip::FlowKey KeyOf(const wire::Endpoint& local, const wire::Endpoint& remote,
                    uint16_t interface) const;

  // --- error.cc
  bool QueueReport(table::Socket socket, const table::DatagramHeader& header, rte_mbuf* packet);
  void ReportTooBig(table::Socket socket, Control& control, const Sending& sending);

  // --- drain.cc
  enum class Quick : uint8_t { kSent, kBlocked, kNo };
  // Sends up to `budget` datagrams. Returns false if there may be more.
  bool Drain(Instant now, uint32_t block, uint32_t budget);
  Sender SenderOf(const Control& control, const table::Options& options) const;
  Quick SendQuickly(Sender& sender, const Control& control, table::SendQueue& queue, Burst& burst);
  Sent SendSlowly(Instant now, table::Socket socket, Control& control, table::SendQueue& queue,
                  bool* empty);
  // Spends of `budget`.
  bool SendReplies(Instant now, table::Socket socket, Control& control, Sender& sender,
                   uint32_t& budget, Burst& burst);
  static bool DestinationOf(const Sender& sender, const Control& control,
                            const table::DatagramHeader& header, ip::FlowKey& key,
                            uint32_t& choices);
  void Remember(table::Socket socket, const Control& control, const Sending& sending);
  const Destination* ReadyDestination(Sender& sender, const Control& control,
                                      const table::DatagramHeader& header, size_t bytes,
                                      Burst& burst);

  // --- output.cc
  struct Wanted {
    wire::IpAddress source;  // unspecified: to be chosen
    uint16_t interface;      // 0: any
  };
  static Wanted WantedOf(const table::Options& options, const Control& control,
                         const table::DatagramHeader& header, const wire::Endpoint& peer);
  Sent SendNext(Instant now, table::Socket socket, Control& control, Sending& sending);
  // Finds control.path for the datagram. kOk, or why it cannot be sent.
  table::Result Route(Instant now, table::Socket socket, Control& control, Sending& sending);
  void ChooseOutbound(const table::Options& options, const Control& control, Sending& sending);
  Sent SendPieces(Instant now, table::Socket socket, Control& control, Sending& sending);
  rte_mbuf* Build(Sending& sending, uint32_t from, uint32_t bytes, uint16_t source_port, bool sum);
  void MarkPending(uint32_t block);

  // --- stack.cc
  table::Result BindTo(Control& control, table::Socket socket, const wire::IpAddress& address,
                       uint16_t port, uint16_t interface, bool automatic);
  void LeavePort(Control& control, table::Socket socket);
  // To the address that was bound, if one was; a port of 0 is chosen.
  table::Result BindAutomatically(Control& control, table::Socket socket, uint16_t port = 0);
  bool MayBind(const Control& control, const table::Options& options,
               const wire::Endpoint& local) const;
  void Unconnect(uint32_t block);
  // `interface`: where the peer's datagrams will arrive.
  void EnterFlow(uint32_t block, const wire::Endpoint& local, const wire::Endpoint& remote,
                 uint16_t interface);
  uint8_t BindFlags(const Control& control, const table::Options& options) const;
  uint16_t GroupInterface(uint16_t interface, const wire::IpAddress& group) const;

  Config config_;
  table::SocketTable& table_;
  ip::Stack& ip_;
  ip::FlowMap flows_;
  ip::BindTable bindings_;
  Memberships memberships_;
  Destinations destinations_;
  Recent recent_;  // nothing after each change of bindings_
  Run run_;
  std::vector<std::unique_ptr<Control[]>> chunks_;
  uint32_t free_ = kNone;
  uint32_t open_ = 0;
  std::vector<uint32_t> pending_;  // blocks with datagrams left to send
  bool work_left_ = false;
  bool copy_received_ = false;
  Instant retry_at_ = Instant::Never();
  Counters counters_;
};

// What a path that was not found means to a program.
table::Result ResultOf(ip::PathStatus status);

}  // namespace sluice::udp
