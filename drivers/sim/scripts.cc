#include "sim/scripts.h"

#include <memory>
#include <optional>
#include <utility>

namespace sluice::sim {
namespace {

constexpr uint8_t kProtocolTcp = 6;
constexpr size_t kTcpHeaderBytesMin = 20;

struct TcpPart {
  uint8_t flags;
  size_t payload_bytes;
};

uint16_t Read16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

// The bytes from the IP header on, if the frame carries IP.
std::span<const uint8_t> IpPart(std::span<const uint8_t> frame, engine::LinkType link) {
  if (link == engine::LinkType::kIp) return frame;
  if (frame.size() < 14) return {};
  const uint16_t type = Read16(frame, 12);
  return type == 0x0800 || type == 0x86dd ? frame.subspan(14) : std::span<const uint8_t>();
}

std::optional<TcpPart> FindTcp(std::span<const uint8_t> frame, engine::LinkType link) {
  const std::span<const uint8_t> ip = IpPart(frame, link);
  if (ip.size() < 20) return std::nullopt;
  size_t header_bytes = 0;
  size_t total_bytes = 0;
  if (ip[0] >> 4 == 4) {
    if (ip[9] != kProtocolTcp) return std::nullopt;
    header_bytes = size_t{4} * (ip[0] & 0xf);
    total_bytes = Read16(ip, 2);
  } else {
    if (ip.size() < 40 || ip[6] != kProtocolTcp) return std::nullopt;
    header_bytes = 40;
    total_bytes = 40u + Read16(ip, 4);
  }
  if (total_bytes > ip.size() || total_bytes < header_bytes + kTcpHeaderBytesMin) {
    return std::nullopt;
  }
  const size_t offset_bytes = size_t{4} * (ip[header_bytes + 12] >> 4);
  if (total_bytes < header_bytes + offset_bytes) return std::nullopt;
  return TcpPart{ip[header_bytes + 13], total_bytes - header_bytes - offset_bytes};
}

}  // namespace

FramePredicate DropNth(uint64_t n, FramePredicate counts) {
  return DropEach({n}, std::move(counts));
}

FramePredicate DropEach(std::set<uint64_t> ordinals, FramePredicate counts) {
  return [ordinals = std::move(ordinals), counts = std::move(counts), seen = uint64_t{0}](
             const SentFrame& frame) mutable { return counts(frame) && ordinals.contains(++seen); };
}

FramePredicate DropBetween(Instant begin, Instant end) {
  return [=](const SentFrame& frame) { return frame.at >= begin && frame.at < end; };
}

FramePredicate AnyFrame() {
  return [](const SentFrame&) { return true; };
}

FramePredicate IsTcpData(engine::LinkType link) {
  return [=](const SentFrame& frame) {
    const std::optional<TcpPart> tcp = FindTcp(frame.bytes, link);
    return tcp.has_value() && tcp->payload_bytes > 0;
  };
}

FramePredicate HasTcpFlags(engine::LinkType link, uint8_t set, uint8_t clear) {
  return [=](const SentFrame& frame) {
    const std::optional<TcpPart> tcp = FindTcp(frame.bytes, link);
    return tcp.has_value() && (tcp->flags & set) == set && (tcp->flags & clear) == 0;
  };
}

}  // namespace sluice::sim
