#include "observe/capture.h"

#include <fcntl.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "observe/raw_socket.h"

namespace sluice::observe {
namespace {

// Block and option numbers of the pcapng draft, sections 4.1 to 4.3.
constexpr uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr uint32_t kInterfaceDescription = 1;
constexpr uint32_t kEnhancedPacket = 6;
constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr uint16_t kLinkEthernet = 1;
constexpr uint16_t kLinkRawIp = 101;
constexpr uint16_t kOptionEnd = 0;
constexpr uint16_t kOptionInterfaceName = 2;
constexpr uint16_t kOptionTimeResolution = 9;
constexpr uint16_t kOptionFlags = 2;
constexpr uint32_t kInbound = 1;
constexpr uint32_t kOutbound = 2;

void AppendBytes(std::vector<uint8_t>& to, const void* bytes, size_t count) {
  if (count == 0) return;
  const size_t end = to.size();
  to.resize(end + count);
  std::memcpy(to.data() + end, bytes, count);
}

template <typename T>
void Append(std::vector<uint8_t>& to, T value) {
  AppendBytes(to, &value, sizeof(T));
}

void Pad(std::vector<uint8_t>& to) { to.resize((to.size() + 3) / 4 * 4); }

void AppendOption(std::vector<uint8_t>& to, uint16_t code, const void* value, size_t length) {
  Append(to, code);
  Append(to, static_cast<uint16_t>(length));
  AppendBytes(to, value, length);
  Pad(to);
}

void EndOptions(std::vector<uint8_t>& to) { AppendOption(to, kOptionEnd, nullptr, 0); }

}  // namespace

absl::StatusOr<std::unique_ptr<Capture>> Capture::Create(const std::string& path,
                                                         uint64_t bytes_max,
                                                         int64_t clock_offset_ns,
                                                         uint32_t frame_bytes_max) {
  const int fd = raw::MoveUp(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
                             kDescriptorLeast);
  if (fd < 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot write the capture file ", path, ": ", strerror(errno)));
  }
  std::unique_ptr<Capture> capture(new Capture(fd, bytes_max, clock_offset_ns, frame_bytes_max));
  std::vector<uint8_t> body;
  Append(body, kByteOrderMagic);
  Append(body, uint16_t{1});  // version 1.0
  Append(body, uint16_t{0});
  Append(body, int64_t{-1});  // the section's length: until the end
  capture->WriteBlock(kSectionHeader, body);
  return capture;
}

Capture::~Capture() {
  Flush();
  raw::Close(fd_);
}

void Capture::AddInterface(uint16_t interface, std::string_view name, engine::LinkType link) {
  if (interface >= numbers_.size()) numbers_.resize(interface + size_t{1}, -1);
  numbers_[interface] = static_cast<int>(interfaces_++);
  std::vector<uint8_t> body;
  Append(body, link == engine::LinkType::kEthernet ? kLinkEthernet : kLinkRawIp);
  Append(body, uint16_t{0});
  Append(body, frame_bytes_max_);
  AppendOption(body, kOptionInterfaceName, name.data(), name.size());
  const uint8_t nanoseconds = 9;
  AppendOption(body, kOptionTimeResolution, &nanoseconds, 1);
  EndOptions(body);
  WriteBlock(kInterfaceDescription, body);
  Flush();
}

void Capture::Received(Instant now, uint16_t interface, std::span<rte_mbuf* const> frames) {
  Write(now, interface, frames, kInbound);
}

void Capture::Transmitted(Instant now, uint16_t interface, std::span<rte_mbuf* const> frames) {
  Write(now, interface, frames, kOutbound);
}

void Capture::Write(Instant now, uint16_t interface, std::span<rte_mbuf* const> frames,
                    uint32_t direction) {
  if (interface >= numbers_.size() || numbers_[interface] < 0) return;
  const auto time_ns = static_cast<uint64_t>(now.nanoseconds() + clock_offset_ns_);
  for (const rte_mbuf* frame : frames) {
    WriteFrame(time_ns, static_cast<uint32_t>(numbers_[interface]), frame, direction);
  }
  Flush();  // a program that is killed leaves a file that ends with its last frame
}

void Capture::WriteFrame(uint64_t time_ns, uint32_t number, const rte_mbuf* frame,
                         uint32_t direction) {
  const uint32_t length = std::min(frame->pkt_len, frame_bytes_max_);
  if (bytes_ + length + 64 > bytes_max_) {
    ++left_out_;
    return;
  }
  body_.clear();
  Append(body_, number);
  Append(body_, static_cast<uint32_t>(time_ns >> 32));
  Append(body_, static_cast<uint32_t>(time_ns));
  Append(body_, length);
  Append(body_, frame->pkt_len);
  uint32_t left = length;
  for (const rte_mbuf* m = frame; m != nullptr && left > 0; m = m->next) {
    const uint32_t count = std::min<uint32_t>(left, m->data_len);
    AppendBytes(body_, rte_pktmbuf_mtod(m, const void*), count);
    left -= count;
  }
  Pad(body_);
  AppendOption(body_, kOptionFlags, &direction, sizeof(direction));
  EndOptions(body_);
  WriteBlock(kEnhancedPacket, body_);
  ++frames_;
}

void Capture::WriteBlock(uint32_t type, std::span<const uint8_t> body) {
  const uint32_t total = static_cast<uint32_t>(body.size()) + 12;
  Append(buffer_, type);
  Append(buffer_, total);
  AppendBytes(buffer_, body.data(), body.size());
  Append(buffer_, total);
  bytes_ += total;
}

void Capture::Flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t count = raw::Write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      bytes_max_ = 0;  // the disk is full: no more
      break;
    }
    done += static_cast<size_t>(count);
  }
  buffer_.clear();
}

}  // namespace sluice::observe
