// One call's set of descriptors, Sluice's and the kernel's: behind poll and select.
//
// Looking costs one system call if there are kernel descriptors, none otherwise. Sleeping watches
// the Sluice ones (watch.h) and, where there are several kernel ones, gathers them in a kernel
// epoll for the time of the call. Small sets need no memory beside the object itself.
#pragma once

#include <poll.h>

#include <cstddef>
#include <memory>

#include "api/descriptors.h"
#include "api/home.h"
#include "api/time_out.h"
#include "api/watch.h"

namespace sluice::api {

class PollSet {
 public:
  PollSet(pollfd* descriptors, size_t count);
  ~PollSet();
  PollSet(const PollSet&) = delete;
  PollSet& operator=(const PollSet&) = delete;

  // In this order. False: no memory, or no descriptor.
  bool Allocate();
  int Look();  // fills revents; how many are ready, or -1 and errno
  bool Link();
  bool OpenKernelSet();
  void Describe(WaitRequest& request) const;
  // What the descriptors signal from Link on. It lives as long as they are linked.
  Waiter& waiter() { return waiter_; }

 private:
  static constexpr size_t kInlineCount = 16;
  struct Watch {
    ThreadWatcher watcher;
    table::Handle handle;
  };
  void Unlink();

  Waiter waiter_;
  pollfd* descriptors_;
  size_t count_;
  size_t kernel_count_ = 0;  // in kernel_: those that the kernel is asked about
  size_t sluice_count_ = 0;
  size_t linked_ = 0;
  int kernel_set_ = -1;
  pollfd* kernel_ = kernel_inline_;
  Watch* watches_ = watch_inline_;
  std::unique_ptr<pollfd[]> kernel_heap_;
  std::unique_ptr<Watch[]> watch_heap_;
  pollfd kernel_inline_[kInlineCount];
  Watch watch_inline_[kInlineCount];
};

// The whole of poll, but for the form of its arguments.
int WaitForAny(PollSet& set, TimeOut time_out, const sigset_t* mask);

}  // namespace sluice::api
