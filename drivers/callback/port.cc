#include "callback/port.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice::callback {
namespace {

constexpr uint32_t kEthernetHeaderBytes = 14;
constexpr uint32_t kLinkHeaderBytesMax = 18;  // with one 802.1Q tag
constexpr uint32_t kMtuMin = 576;
constexpr uint32_t kMtuMax = 65000;
constexpr uint32_t kBuffersMin = 64;
constexpr uint32_t kBuffersMax = 1 << 20;
constexpr uint32_t kFramesMax = 1 << 20;
constexpr uint16_t kSegmentsMax = 64;

// The fields of the first version: an older program's structure can be no shorter.
constexpr size_t kStructBytesMin =
    offsetof(sluice_callback_config, user) + sizeof(sluice_callback_config::user);

template <typename T>
void Default(T* field, T value) {
  if (*field == 0) *field = value;
}

void FillDefaults(sluice_callback_config* config) {
  constexpr uint8_t kMac[6] = {0x02, 0x73, 0x6c, 0x75, 0x69, 0x63};
  constexpr uint8_t kNone[6] = {};
  Default(&config->link_type, uint32_t{SLUICE_LINK_IP});
  Default(&config->mtu, 1500u);
  Default(&config->buffers, 4096u);
  Default(&config->input_frames_max, 1024u);
  Default(&config->output_frames_max, 1024u);
  if (std::memcmp(config->mac, kNone, sizeof(kNone)) == 0) {
    std::memcpy(config->mac, kMac, sizeof(kMac));
  }
}

absl::Status CheckRange(const char* field, uint32_t value, uint32_t low, uint32_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("callback port: ", field, " is ", value, ", not between ", low, " and ", high));
}

absl::Status Check(const sluice_callback_config& config) {
  if (config.link_type != SLUICE_LINK_ETHERNET && config.link_type != SLUICE_LINK_IP) {
    return absl::InvalidArgumentError("callback port: link_type is unknown");
  }
  if ((config.mac[0] & 1) != 0) {
    return absl::InvalidArgumentError("callback port: mac is a multicast address");
  }
  if ((config.flags & ~uint32_t{SLUICE_CALLBACK_INPUT_VERIFIED}) != 0 || config.reserved != 0) {
    return absl::InvalidArgumentError("callback port: flags are unknown or reserved is not 0");
  }
  for (const absl::Status& status :
       {CheckRange("mtu", config.mtu, kMtuMin, kMtuMax),
        CheckRange("buffers", config.buffers, kBuffersMin, kBuffersMax),
        CheckRange("input_frames_max", config.input_frames_max, 1, kFramesMax),
        CheckRange("output_frames_max", config.output_frames_max, 1, kFramesMax)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

uint16_t DataRoom(uint32_t frame_bytes_max) {
  return static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + std::max(2048u, frame_bytes_max));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CallbackPort>> CallbackPort::Create(
    const sluice_callback_config& config) {
  if (config.struct_size < kStructBytesMin) {
    return absl::InvalidArgumentError("callback port: struct_size is too small");
  }
  sluice_callback_config complete{};
  std::memcpy(&complete, &config, std::min(config.struct_size, sizeof(complete)));
  FillDefaults(&complete);
  if (absl::Status status = Check(complete); !status.ok()) return status;
  const bool has_link_header = complete.link_type == SLUICE_LINK_ETHERNET;
  const uint32_t frame_bytes_max = complete.mtu + (has_link_header ? kLinkHeaderBytesMax : 0);
  return std::unique_ptr<CallbackPort>(new CallbackPort(complete, frame_bytes_max));
}

CallbackPort::CallbackPort(const sluice_callback_config& config, uint32_t frame_bytes_max)
    : config_(config),
      frame_bytes_max_(frame_bytes_max),
      pool_(config.buffers, DataRoom(frame_bytes_max)),
      wake_descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      scratch_(frame_bytes_max),
      input_(config.input_frames_max, frame_bytes_max),
      output_(config.output == nullptr ? config.output_frames_max : 0, frame_bytes_max) {
  capabilities_.link = config.link_type == SLUICE_LINK_ETHERNET ? engine::LinkType::kEthernet
                                                                : engine::LinkType::kIp;
  std::memcpy(capabilities_.mac.bytes.data(), config.mac, sizeof(config.mac));
  capabilities_.mtu = static_cast<uint16_t>(config.mtu);
  capabilities_.tx_segments_max = kSegmentsMax;
  capabilities_.rx_checksum = (config.flags & SLUICE_CALLBACK_INPUT_VERIFIED) != 0;
}

CallbackPort::~CallbackPort() {
  if (wake_descriptor_ >= 0) ::close(wake_descriptor_);
}

PushResult CallbackPort::Push(std::span<const uint8_t> frame) {
  const bool has_link_header = capabilities_.link == engine::LinkType::kEthernet;
  if (frame.size() > frame_bytes_max_) return PushResult::kTooLong;
  if (frame.size() < (has_link_header ? kEthernetHeaderBytes : 1)) return PushResult::kTooShort;
  bool ring = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!input_.Push(frame)) {
      ++statistics_.rx_missed;
      return PushResult::kFull;
    }
    ring = armed_;
    armed_ = false;  // one ring is enough
  }
  if (ring) ::eventfd_write(wake_descriptor_, 1);
  return PushResult::kTaken;
}

size_t CallbackPort::Pop(std::span<uint8_t> out) {
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t bytes = output_.FrontBytes();
  output_.Pop(out);
  return bytes;
}

uint16_t CallbackPort::Receive(uint16_t /*queue*/, std::span<rte_mbuf*> packets) {
  uint16_t count = 0;
  std::lock_guard<std::mutex> lock(mutex_);
  while (count < packets.size() && input_.frames() != 0) {
    rte_mbuf* packet = rte_pktmbuf_alloc(pool_.get());
    if (packet == nullptr) {
      ++statistics_.rx_no_mbuf;
      break;  // the frames wait until buffers come back
    }
    const uint32_t bytes = input_.FrontBytes();
    char* data = rte_pktmbuf_append(packet, static_cast<uint16_t>(bytes));
    input_.Pop({reinterpret_cast<uint8_t*>(data), bytes});
    if (capabilities_.rx_checksum) {
      packet->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    }
    ++statistics_.rx_packets;
    statistics_.rx_bytes += bytes;
    packets[count++] = packet;
  }
  return count;
}

uint16_t CallbackPort::Transmit(uint16_t /*queue*/, std::span<rte_mbuf*> packets) {
  uint16_t count = 0;
  for (; count < packets.size(); ++count) {
    rte_mbuf* packet = packets[count];
    const uint32_t bytes = packet->pkt_len;
    const bool fits = bytes <= frame_bytes_max_;
    if (fits && !Output(packet)) break;
    rte_pktmbuf_free(packet);
    std::lock_guard<std::mutex> lock(mutex_);
    if (fits) {
      ++statistics_.tx_packets;
      statistics_.tx_bytes += bytes;
    } else {
      ++statistics_.tx_errors;
    }
  }
  return count;
}

// The program's function is called without the lock, so that it may push.
bool CallbackPort::Output(const rte_mbuf* packet) {
  const auto* bytes =
      static_cast<const uint8_t*>(rte_pktmbuf_read(packet, 0, packet->pkt_len, scratch_.data()));
  if (config_.output != nullptr) {
    return config_.output(config_.user, bytes, packet->pkt_len) == 0;
  }
  std::lock_guard<std::mutex> lock(mutex_);
  return output_.Push({bytes, packet->pkt_len});
}

bool CallbackPort::ArmWake(uint16_t /*queue*/) {
  std::lock_guard<std::mutex> lock(mutex_);
  armed_ = input_.frames() == 0;
  return armed_;
}

void CallbackPort::DisarmWake(uint16_t /*queue*/) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    armed_ = false;
  }
  eventfd_t ignored;
  ::eventfd_read(wake_descriptor_, &ignored);
}

engine::PortStatistics CallbackPort::statistics() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return statistics_;
}

}  // namespace sluice::callback
