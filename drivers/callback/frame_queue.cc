#include "callback/frame_queue.h"

#include <algorithm>
#include <cstring>

namespace sluice::callback {
namespace {

constexpr uint32_t kUsualFrameBytesMax = 2048;

using Length = uint32_t;  // stands before each frame

}  // namespace

FrameQueue::FrameQueue(uint32_t frames_max, uint32_t frame_bytes_max)
    : buffer_(size_t{frames_max} *
                  (sizeof(Length) + std::min(frame_bytes_max, kUsualFrameBytesMax)) +
              frame_bytes_max),
      frames_max_(frames_max) {}

bool FrameQueue::Push(std::span<const uint8_t> frame) {
  const auto length = static_cast<Length>(frame.size());
  if (frames_ == frames_max_) return false;
  if (buffer_.size() - used_bytes_ < sizeof(length) + frame.size()) return false;
  CopyIn(&length, sizeof(length));
  CopyIn(frame.data(), frame.size());
  ++frames_;
  return true;
}

uint32_t FrameQueue::FrontBytes() const {
  Length length = 0;
  if (frames_ != 0) CopyOut(head_, &length, sizeof(length));
  return length;
}

void FrameQueue::Pop(std::span<uint8_t> out) {
  if (frames_ == 0) return;
  const Length length = FrontBytes();
  CopyOut((head_ + sizeof(length)) % buffer_.size(), out.data(),
          std::min<size_t>(out.size(), length));
  head_ = (head_ + sizeof(length) + length) % buffer_.size();
  used_bytes_ -= sizeof(length) + length;
  --frames_;
}

void FrameQueue::CopyIn(const void* bytes, size_t size) {
  if (size == 0) return;
  const size_t at = (head_ + used_bytes_) % buffer_.size();
  const size_t first = std::min(size, buffer_.size() - at);
  std::memcpy(buffer_.data() + at, bytes, first);
  if (first < size) {
    std::memcpy(buffer_.data(), static_cast<const uint8_t*>(bytes) + first, size - first);
  }
  used_bytes_ += size;
}

void FrameQueue::CopyOut(size_t at, void* bytes, size_t size) const {
  if (size == 0) return;
  const size_t first = std::min(size, buffer_.size() - at);
  std::memcpy(bytes, buffer_.data() + at, first);
  if (first < size) {
    std::memcpy(static_cast<uint8_t*>(bytes) + first, buffer_.data(), size - first);
  }
}

}  // namespace sluice::callback
