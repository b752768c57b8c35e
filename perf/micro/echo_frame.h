// Ethernet frames with IPv4 and TCP, UDP or ARP, as the clients of the measured path build and
// read them. Nothing of Sluice's: the two ends share no code.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::perf {

constexpr size_t kFrameBytesMax = 14 + 1500;
constexpr uint8_t kFin = 0x01, kSyn = 0x02, kReset = 0x04, kPush = 0x08, kAck = 0x10;
constexpr uint8_t kOursWindowShift = 8;
constexpr uint16_t kOursWindow = 16384;  // 4 MiB

// A TCP segment or UDP datagram; addresses and ports in host order.
struct Frame {
  uint32_t source = 0;
  uint32_t destination = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  bool tcp = false;
  uint8_t flags = 0;
  uint32_t sequence = 0;
  uint32_t acknowledgment = 0;
  uint16_t window = 0;
  uint8_t window_shift = 0;  // of a SYN
  uint32_t time = 0;         // RFC 7323's TSval and TSecr
  uint32_t time_echo = 0;
  std::string_view payload;
};

// Every host but the server has this address, with the host's IPv4 address behind it.
constexpr std::array<uint8_t, 2> kOursMacBegin = {0x02, 0x01};
constexpr std::array<uint8_t, 6> kServerMac = {0x02, 0x73, 0x6c, 0x75, 0x69, 0x63};

// Fills `room` with the frame; returns its bytes. Segments with SYN carry MSS, SACK permitted,
// timestamps and window scale, the others timestamps, as Linux sends them.
size_t Build(const Frame& frame, std::span<uint8_t, kFrameBytesMax> room);
// Reads a frame that Sluice sent, with its checksums. False: it is wrong, or nothing for us.
bool Parse(std::span<const uint8_t> bytes, Frame* frame);

// If the bytes are an ARP request for one of our hosts, fills `room` with the answer and returns
// its bytes; else 0.
size_t BuildArpAnswer(std::span<const uint8_t> request, std::span<uint8_t, kFrameBytesMax> room);
bool IsArp(std::span<const uint8_t> bytes);

}  // namespace sluice::perf
