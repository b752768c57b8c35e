// What the tests of DPDK ports share: EAL started once without hugepages, a network namespace of
// the test's own, frames, and raw sockets as the other end.
#pragma once

#include <poll.h>
#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dpdk/port.h"

namespace sluice::dpdk::test {

// Starts EAL with ordinary pages. Fails the test if it does not start.
void StartEal();

// Moves the test's process into a fresh network namespace, without IPv6 noise; false, with the
// reason printed, where that is not permitted. The namespace ends with the process.
bool EnterNamespace();

// Runs a command line of `ip` or `ethtool`; fails the test if it fails.
void Run(const std::string& command);

// Ethernet II, the experimental type 0x88b5, and a payload of `payload_bytes` counting from `seed`.
std::vector<uint8_t> MakeFrame(size_t payload_bytes, uint8_t seed);

std::vector<uint8_t> Bytes(const rte_mbuf* packet);

// Puts the frame into an mbuf and hands it to the port.
bool Send(engine::Port& port, const std::vector<uint8_t>& frame);

// Polls until a frame came, at most `polls_max` times; empty if none did.
std::vector<uint8_t> Receive(engine::Port& port, int polls_max);

// Waits until the descriptor is readable; the limit is only reached by a failure.
bool Readable(int descriptor, int limit_ms = 5000);

// A packet socket on a kernel interface for frames of type 0x88b5.
class RawSocket {
 public:
  explicit RawSocket(const std::string& interface);
  ~RawSocket();
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;
  void Send(const std::vector<uint8_t>& frame);
  std::vector<uint8_t> Receive();  // empty if nothing came

 private:
  int descriptor_;
};

}  // namespace sluice::dpdk::test
