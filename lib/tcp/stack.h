// TCP of one engine (RFC 9293): connections, listeners, and what lies between a socket's queues and
// the internet layer, for IPv4 and IPv6.
//
// Deterministic: time is an argument, the next deadline an answer, chance comes from the key. One
// thread, the engine's. Control blocks are private memory; what the entries in the region say is
// taken for input from a stranger. The steady state allocates nothing.
//
// In a turn the engine hands in what arrived (Input, Error, Doorbell, commands, OnTimer) and then
// calls EndOfBurst: acknowledgments, window updates and data of all connections touched leave
// there, so that one segment does for a whole burst and acknowledgments ride on answers.
//
//   Stack tcp(config, table, ip, key);
//   tcp.Bind(now, socket, {IpAddress::AnyV4(), 80});
//   tcp.Listen(now, socket, 128);
//   for (ip::Inbound& inbound : delivered) tcp.Input(now, inbound);
//   while (doorbells.Pop(index, mask)) if (Socket s = table.At(index)) tcp.Doorbell(now, s);
//   if (tcp.TimersMayBeDue(now)) tcp.OnTimer(now, 64);
//   tcp.EndOfBurst(now);
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/siphash.h"
#include "base/time.h"
#include "ip/packet.h"
#include "table/command.h"
#include "table/result.h"
#include "table/socket_table.h"
#include "tcp/config.h"
#include "tcp/counters.h"
#include "wire/address.h"

namespace sluice::ip {
class Stack;
}

namespace sluice::tcp {

struct Core;

// How many records of each kind there are.
struct Population {
  uint32_t connections = 0;
  uint32_t listeners = 0;
  uint32_t syn_received = 0;
  uint32_t time_wait = 0;
  uint32_t orphans = 0;  // connections that their application has closed
};

class Stack {
 public:
  // `table` and `ip` outlive the stack. `key` must be unknown to peers.
  Stack(const Config& config, table::SocketTable& table, ip::Stack& ip, const SipKey& key);
  ~Stack();  // frees every packet it still holds; says nothing to peers
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // --- Packets in -------------------------------------------------------------------------------

  // Before Input is called for packets of a burst: brings into the cache what they will need.
  void Foresee(std::span<ip::Inbound> inbounds) const;
  // Takes one TCP segment that the internet layer delivered, and its packet.
  void Input(Instant now, ip::Inbound& inbound);
  // Somebody reports that a segment of ours did not arrive. Does not take the packet.
  void Error(Instant now, const ip::IcmpError& error);

  // --- Commands ---------------------------------------------------------------------------------

  // A port of 0 is chosen (RFC 6056): with IP_BIND_ADDRESS_NO_PORT later, if not asked for at once.
  table::Result Bind(Instant now, table::Socket socket, const wire::Endpoint& local,
                     bool at_once = false);
  // Undoes Bind. kInvalid: it is not bound, or more was done to it since.
  table::Result Unbind(Instant now, table::Socket socket);
  // Also changes the backlog of a socket that listens already.
  table::Result Listen(Instant now, table::Socket socket, uint32_t backlog);
  // kInProgress: the status, SO_ERROR and kEventOut tell how it ended. kElsewhere: with the port
  // that the socket is bound to the flow would be the engine `owner`'s.
  table::Result Connect(Instant now, table::Socket socket, const wire::Endpoint& remote,
                        uint8_t* owner = nullptr);
  // Aborts what there is of a connection, and stops listening. A port that was bound stays.
  table::Result Disconnect(Instant now, table::Socket socket);
  // `how`: 0 receive, 1 send, 2 both.
  table::Result Shutdown(Instant now, table::Socket socket, uint32_t how);
  // The application will not use the socket again. Its slot goes back to the table now or, where
  // data or a FIN have yet to reach the peer, later.
  void Close(Instant now, table::Socket socket);
  // An option changed that cannot wait until it is next read.
  void OptionsChanged(Instant now, table::Socket socket);
  // What TCP_INFO tells. False: the socket has no connection and never listened.
  bool Information(Instant now, table::Socket socket, table::TcpInformation* information) const;
  // Bytes of the largest IP packet on the way to the peer; 0: not connected.
  uint16_t PathMtu(table::Socket socket) const;

  // The application pushed to the send queue, took from the receive queue, or accepted.
  void Doorbell(Instant now, table::Socket socket);

  // --- The turn ---------------------------------------------------------------------------------

  // Sends what this turn has made due, but no more than so many segments of new data. Returns
  // whether there is more: who calls again after the port has taken the first ones writes the next
  // into packets that are still in the cache. Where the port does not take them, twice as many wait
  // for it at most. Connections that could not send are tried again by timer.
  bool EndOfBurst(Instant now, uint32_t segments = UINT32_MAX);
  // Received packets are scarce: from now on payload is copied to the region at once instead of
  // being lent to the application in its packet.
  void SetCopyReceived(bool copy);

  // --- Time -------------------------------------------------------------------------------------

  Instant NextDeadline();
  // False: OnTimer has nothing to do. Cheaper than NextDeadline, for every turn.
  bool TimersMayBeDue(Instant now) const;
  // Fires at most `budget` timers; where more are due, NextDeadline() <= now still holds.
  void OnTimer(Instant now, unsigned budget);

  // --- Questions --------------------------------------------------------------------------------

  const Counters& counters() const;
  Population population() const;

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace sluice::tcp
