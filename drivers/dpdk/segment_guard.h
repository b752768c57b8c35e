// A veth hands over what the sender's kernel gives it, and that kernel leaves cutting large
// segments to whatever comes after: frames of up to 64 KiB arrive, whatever the MTU. A kernel
// copes; a ring of frame-sized slots cannot, and the connection crawls from one lost segment to the
// next.
//
// A veth that has an XDP program makes the kernel at its other end, wherever that is, cut segments
// before it sends them. So this attaches one that passes everything. It is only done once a frame
// was too large, and undone by the kernel when the process ends, however it ends.
#pragma once

#include "absl/status/status.h"

namespace sluice::dpdk {

class SegmentGuard {
 public:
  SegmentGuard() = default;
  ~SegmentGuard();
  SegmentGuard(const SegmentGuard&) = delete;
  SegmentGuard& operator=(const SegmentGuard&) = delete;

  // Needs CAP_BPF and CAP_NET_ADMIN, and that the interface has no XDP program. Tries once.
  absl::Status Engage(int interface_index);
  bool engaged() const { return link_ >= 0; }

 private:
  bool tried_ = false;
  int link_ = -1;
};

}  // namespace sluice::dpdk
