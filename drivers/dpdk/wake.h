// Wake descriptors: how an idle engine that sleeps in the kernel learns that a frame came.
//
// A source costs nothing while it is disarmed but a glance of the kernel's at each frame. One
// thread, the engine's, calls all of it; the descriptor may be watched by any.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace sluice::dpdk {

class WakeSource {
 public:
  virtual ~WakeSource() = default;
  virtual int descriptor() const = 0;
  // Returns false, disarmed, if a frame waits already.
  virtual bool Arm() = 0;
  virtual void Disarm() = 0;
};

// Watches descriptors of a driver's that the kernel makes readable while frames wait. They stay
// the driver's. Null if `descriptors` is empty or cannot be watched.
std::unique_ptr<WakeSource> WatchDescriptors(const std::vector<int>& descriptors);

// The receive interrupt of a queue of an ethdev that was started with interrupts. Null if the
// device has none.
std::unique_ptr<WakeSource> ReceiveInterrupt(uint16_t port_id, uint16_t queue);

}  // namespace sluice::dpdk
