// Finds the kernel descriptors that a DPDK driver opened, which DPDK has no call for. Set-up only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::dpdk {

// AF_PACKET sockets of this process that are bound to the interface, and its AF_XDP sockets.
std::vector<int> FindPacketSockets(int interface_index);
std::vector<int> FindXdpSockets();
// Descriptors of /dev/net/tun that are queues of the interface.
std::vector<int> FindTapDescriptors(const char* interface_name);

// The driver's end of a memif's private connection: accepted at `path`, or connected to it. -1 if
// there is none. This one is no set-up.
int FindMemifSocket(const std::string& path, bool is_accepted);

// Makes a packet socket leave out what this machine itself sends on the interface, as a frame that
// left through a card would not come back.
void IgnoreOutgoing(int packet_socket);

// net_tap has the kernel send the process a signal for each frame, and reads the device only once
// its handler ran. That would interrupt the system calls of a program that knows nothing of it. So
// this stops the signals of one descriptor, and returns the handler for the port to call itself
// before it receives; null if there is none.
using SignalHandler = void (*)(int);
SignalHandler TakeOverSignal(int tap_descriptor);

// Frames that the kernel dropped since the last call because the socket's ring was full.
uint64_t TakeDropCount(int packet_socket);

}  // namespace sluice::dpdk
