// A bounded first-in, first-out queue of frames, kept back to back in one circular buffer that is
// allocated once. One thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sluice::callback {

class FrameQueue {
 public:
  // Holds up to `frames_max` frames of up to `frame_bytes_max` bytes; of frames that are larger
  // than 2 KiB on average, proportionally fewer, but always one.
  FrameQueue(uint32_t frames_max, uint32_t frame_bytes_max);

  // False if it is full.
  bool Push(std::span<const uint8_t> frame);
  uint32_t frames() const { return frames_; }
  // Bytes of the oldest frame; 0 if there is none.
  uint32_t FrontBytes() const;
  // Copies the first out.size() bytes of the oldest frame, and removes it whole.
  void Pop(std::span<uint8_t> out);

 private:
  void CopyIn(const void* bytes, size_t size);
  void CopyOut(size_t at, void* bytes, size_t size) const;

  std::vector<uint8_t> buffer_;
  size_t head_ = 0;  // where the oldest frame's length stands
  size_t used_bytes_ = 0;
  uint32_t frames_ = 0;
  const uint32_t frames_max_;
};

}  // namespace sluice::callback
