// An engine::Port whose frames the embedding program carries; see <sluice/callback.h>.
//
//   absl::StatusOr<std::unique_ptr<CallbackPort>> port = CallbackPort::Create(config);
//   (*port)->Push(frame);   // from any thread: a frame arrived
//   ...                     // the engine runs
//   std::vector<uint8_t> out(2048);
//   out.resize((*port)->Pop(out));  // from any thread, if no output function was given
//
// Push, Pop and set_link_up may be called by any thread; the rest belongs to the engine. The pool
// is plain memory that only the engine's thread touches: frames are copied in and out of it there.
#pragma once

#include <sluice/callback.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/plain_pool.h"
#include "callback/frame_queue.h"
#include "engine/port.h"

namespace sluice::callback {

enum class PushResult : uint8_t {
  kTaken,
  kFull,      // input_frames_max are waiting: let Sluice make progress, then try again
  kTooLong,   // longer than the MTU and the link header
  kTooShort,  // no link header's worth of bytes, or nothing at all
};

class CallbackPort final : public engine::Port {
 public:
  static absl::StatusOr<std::unique_ptr<CallbackPort>> Create(const sluice_callback_config& config);
  ~CallbackPort() override;
  CallbackPort(const CallbackPort&) = delete;
  CallbackPort& operator=(const CallbackPort&) = delete;

  // Hands a received frame in; the bytes are copied.
  PushResult Push(std::span<const uint8_t> frame);
  // Takes the oldest transmitted frame. Returns its length, of which at most out.size() bytes were
  // copied; 0 if there is none.
  size_t Pop(std::span<uint8_t> out);
  void set_link_up(bool up) { link_up_.store(up, std::memory_order_relaxed); }
  // With every default filled in.
  const sluice_callback_config& config() const { return config_; }

  std::string_view name() const override { return "callback"; }
  const engine::PortCapabilities& capabilities() const override { return capabilities_; }
  rte_mempool* pool(uint16_t) override { return pool_.get(); }
  uint16_t Receive(uint16_t queue, std::span<rte_mbuf*> packets) override;
  uint16_t Transmit(uint16_t queue, std::span<rte_mbuf*> packets) override;
  int wake_descriptor(uint16_t) override { return wake_descriptor_; }
  bool ArmWake(uint16_t queue) override;
  void DisarmWake(uint16_t queue) override;
  bool link_up() const override { return link_up_.load(std::memory_order_relaxed); }
  engine::PortStatistics statistics() const override;

 private:
  CallbackPort(const sluice_callback_config& config, uint32_t frame_bytes_max);
  bool Output(const rte_mbuf* packet);

  const sluice_callback_config config_;
  const uint32_t frame_bytes_max_;
  engine::PortCapabilities capabilities_;
  PlainPool pool_;
  const int wake_descriptor_;
  std::vector<uint8_t> scratch_;  // where the engine joins the segments of a frame
  std::atomic<bool> link_up_{true};

  mutable std::mutex mutex_;  // guards what follows, for the time of one copy
  FrameQueue input_;
  FrameQueue output_;
  bool armed_ = false;
  engine::PortStatistics statistics_;
};

}  // namespace sluice::callback
