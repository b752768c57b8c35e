// Who holds which local addresses and ports: one table for each transport protocol of an engine.
//
// A binding belongs to a socket, its owner. Connections that a listener accepted share the binding
// of their listener: the port stays taken until the last of them has gone, as on Linux.
//
// The conflict rules are Linux's, with SO_REUSEADDR, SO_REUSEPORT, SO_BINDTODEVICE and IPV6_V6ONLY;
// "::" without the latter overlaps every IPv4 address. For TCP, SO_REUSEADDR on both sides lets
// bindings coexist unless one of them listens; for UDP, always.
//
//   uint32_t binding;
//   if (table.Bind({.address = a, .port = 80, .owner = socket}, &binding) == BindResult::kOk &&
//       table.SetListening(binding, true)) ...
//   uint32_t socket = table.Find({.local = a, .port = 80, .interface = 2, .spread = hash});
//
// Bounded in bindings. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/siphash.h"
#include "wire/address.h"

namespace sluice::ip {

enum BindFlag : uint8_t {
  kBindReuseAddress = 1 << 0,
  kBindReusePort = 1 << 1,
  kBindIpv6Only = 1 << 2,
  kBindAutomatic = 1 << 3,  // a port that a connect chose: others that connect may share it
};

enum class BindRules : uint8_t { kTcp, kUdp };

enum class BindResult : uint8_t {
  kOk,
  kInUse,  // EADDRINUSE: the port is taken, or every ephemeral port is
  kFull,   // the table's limit
};

struct BindRequest {
  wire::IpAddress address;
  uint16_t port = 0;       // 0: an ephemeral one is chosen
  uint16_t interface = 0;  // SO_BINDTODEVICE, or the scope of a link-local address; 0: any
  uint8_t flags = 0;       // BindFlag
  bool ipv6 = false;       // an AF_INET6 socket (it yields to AF_INET ones of equal rank)
  uint32_t owner = 0;
};

// What a packet (or a segment) looks for.
struct BindQuery {
  wire::IpAddress local;
  uint16_t port = 0;
  uint16_t interface = 0;
  uint64_t spread = 0;  // a hash of the flow: chooses among sockets with SO_REUSEPORT
};

struct BindCounters {
  uint64_t conflicts = 0;
  uint64_t table_full = 0;
  uint64_t ports_exhausted = 0;  // searches that found no ephemeral port
};

class BindTable {
 public:
  static constexpr uint32_t kNone = 0xffffffff;

  BindTable(BindRules rules, uint32_t bindings_max, const SipKey& key);

  // Ephemeral ports, both included. The default is Linux's.
  void SetPortRange(uint16_t first, uint16_t last);

  BindResult Bind(const BindRequest& request, uint32_t* binding);
  // Gives up the owner's hold; the binding stays while others share it.
  void Unbind(uint32_t binding);
  // One more connection lives on this binding, and one less.
  void Share(uint32_t binding) { ++bindings_[binding].references; }
  void Unshare(uint32_t binding) { DropReference(binding); }

  // Whether Find sees the binding: a TCP listener, an unconnected UDP socket. False: another
  // listener is in the way (EADDRINUSE).
  bool SetListening(uint32_t binding, bool listening);
  void SetFlags(uint32_t binding, uint8_t flags) { bindings_[binding].flags = flags; }
  void SetInterface(uint32_t binding, uint16_t interface) {
    bindings_[binding].interface = interface;
  }
  // A UDP socket that connects narrows its wildcard address, and widens it when it disconnects.
  void SetAddress(uint32_t binding, const wire::IpAddress& address) {
    bindings_[binding].address = address;
  }

  wire::Endpoint Local(uint32_t binding) const {
    return {bindings_[binding].address, bindings_[binding].port, 0};
  }

  // Chooses an ephemeral port for a connection from `local` to `remote` (RFC 6056 section 3.3.4)
  // that no bind holds and that `accept(port)` agrees to: that the four-tuple is free. 0: none.
  template <typename Accept>
  uint16_t ChoosePort(const wire::IpAddress& local, const wire::Endpoint& remote, Accept&& accept) {
    uint32_t& counter = Counter(local, remote);
    const uint32_t offset = Offset(local, remote);
    for (uint32_t i = 0; i < range_; ++i) {
      const uint16_t port = PortAt(offset + counter++);
      if (OpenToConnect(local, port) && accept(port)) return port;
    }
    ++counters_.ports_exhausted;
    return 0;
  }

  // The owner of the listening binding that fits best: an exact address before a wildcard, then a
  // bound device, then the packet's own family. kNone: there is none.
  uint32_t Find(const BindQuery& query) const;

  // Calls visit(owner) for every binding, listening or not, that takes packets to this address and
  // port on this interface: for multicast and broadcast. `visit` must not bind or unbind.
  template <typename Visit>
  void ForEachMatch(const BindQuery& query, Visit&& visit) const {
    for (uint32_t i = heads_[query.port]; i != kNone; i = bindings_[i].next) {
      const Binding& b = bindings_[i];
      if (b.owner != kNone && Rank(b, query) >= 0) visit(b.owner);
    }
  }

  uint32_t size() const { return used_; }
  const BindCounters& counters() const { return counters_; }

 private:
  struct Binding {
    wire::IpAddress address;
    uint16_t port = 0;
    uint16_t interface = 0;
    uint8_t flags = 0;
    bool ipv6 = false;
    bool listening = false;
    uint32_t owner = kNone;  // kNone: only connections are left
    uint32_t references = 0;
    uint32_t next = kNone;  // in the chain of the port, or of the free list
    uint32_t previous = kNone;
  };
  static constexpr uint32_t kPorts = 65536;
  static constexpr uint32_t kCounters = 1024;  // of RFC 6056's table; a power of two

  static bool Overlap(const Binding& a, const Binding& b);
  bool Conflict(const Binding& a, const Binding& b, bool a_listens) const;
  bool ConflictOnPort(const Binding& wanted, uint16_t port, bool strict) const;
  // How well a binding fits, negative: not at all.
  static int Rank(const Binding& binding, const BindQuery& query);
  uint16_t ChooseBindPort(const Binding& wanted, bool strict);
  bool OpenToConnect(const wire::IpAddress& local, uint16_t port) const;
  void DropReference(uint32_t binding);

  uint32_t Offset(const wire::IpAddress& local, const wire::Endpoint& remote) const;
  uint32_t& Counter(const wire::IpAddress& local, const wire::Endpoint& remote);
  uint16_t PortAt(uint32_t n) const { return static_cast<uint16_t>(first_port_ + n % range_); }

  BindRules rules_;
  SipKey key_;
  uint16_t first_port_ = 32768;
  uint32_t range_ = 60999 - 32768 + 1;
  std::unique_ptr<uint32_t[]> heads_;  // by port
  std::vector<Binding> bindings_;
  uint32_t free_ = kNone;
  uint32_t fresh_ = 0;  // bindings never used yet
  uint32_t used_ = 0;
  std::vector<uint32_t> port_counters_;
  BindCounters counters_;
};

}  // namespace sluice::ip
