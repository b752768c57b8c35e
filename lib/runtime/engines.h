// What a home needs of the engines it runs, and of the application's side that listens to them.
// Instance has the implementation over lib/engine; tests have one of their own.
#pragma once

#include <cstdint>
#include <span>

#include "base/time.h"

namespace sluice::runtime {

class Engines {
 public:
  virtual ~Engines() = default;

  // Runs every engine once. True: there was work. One thread at a time.
  virtual bool Poll(Instant now) = 0;
  // The earliest timer of any engine. Same thread as Poll.
  virtual Instant NextDeadline() = 0;
  // Announces that the engines will sleep: from now on senders wake them, and frames make a wake
  // descriptor readable. False: work waits already; poll instead. Same thread as Poll.
  virtual bool PrepareToSleep() = 0;
  // Takes the announcement back. Called after every sleep, also after PrepareToSleep said false.
  virtual void WakeUp() = 0;
  // Descriptors of the ports that become readable when a frame comes.
  virtual std::span<const int> wake_descriptors() const = 0;
  // Whether a frame may come without any of them telling.
  virtual bool must_nap() const = 0;

  // Counts what was announced to the application (lane.notices). Any thread.
  virtual uint32_t notices() const = 0;
  // Takes the announcements and signals the waiters concerned. Any thread.
  virtual void Dispatch() = 0;
};

}  // namespace sluice::runtime
