// Writes the frames that pass an engine to a file, in the pcapng format (draft-ietf-opsawg-pcapng),
// which tcpdump and Wireshark read.
//
//   absl::StatusOr<std::unique_ptr<Capture>> capture = Capture::Create("out.pcapng", 64 << 20);
//   (*capture)->AddInterface(1, "eth0", engine::LinkType::kEthernet);
//   engine.SetTap(capture->get());
//
// Bounded: once the file has reached its size, frames are counted and no longer written. Frames are
// written as the engine sees them: checksums that a port makes are not yet there. One thread, the
// engine's, which waits for the file: for looking into things, not for measuring.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace sluice::observe {

class Capture : public engine::FrameTap {
 public:
  // `clock_offset_ns`: what to add to the engine's time for the time of day.
  static absl::StatusOr<std::unique_ptr<Capture>> Create(const std::string& path,
                                                         uint64_t bytes_max,
                                                         int64_t clock_offset_ns = 0,
                                                         uint32_t frame_bytes_max = 65535);
  ~Capture() override;
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // Call for each interface before its first frame; frames of others are not written.
  void AddInterface(uint16_t interface, std::string_view name, engine::LinkType link);

  void Received(Instant now, uint16_t interface, std::span<rte_mbuf* const> frames) override;
  void Transmitted(Instant now, uint16_t interface, std::span<rte_mbuf* const> frames) override;

  uint64_t frames() const { return frames_; }
  uint64_t frames_left_out() const { return left_out_; }

 private:
  Capture(int fd, uint64_t bytes_max, int64_t clock_offset_ns, uint32_t frame_bytes_max)
      : fd_(fd),
        bytes_max_(bytes_max),
        clock_offset_ns_(clock_offset_ns),
        frame_bytes_max_(frame_bytes_max) {}

  void Write(Instant now, uint16_t interface, std::span<rte_mbuf* const> frames,
             uint32_t direction);
  void WriteFrame(uint64_t time_ns, uint32_t number, const rte_mbuf* frame, uint32_t direction);
  void WriteBlock(uint32_t type, std::span<const uint8_t> body);
  // Hands what is buffered to the kernel.
  void Flush();

  int fd_;
  uint64_t bytes_max_;
  int64_t clock_offset_ns_;
  uint32_t frame_bytes_max_;
  uint64_t bytes_ = 0;
  uint64_t frames_ = 0;
  uint64_t left_out_ = 0;
  std::vector<int> numbers_;  // in the file, by interface; -1: not in it
  uint32_t interfaces_ = 0;
  std::vector<uint8_t> buffer_;  // of one burst, not yet written
  std::vector<uint8_t> body_;    // of the block being made
};

}  // namespace sluice::observe
