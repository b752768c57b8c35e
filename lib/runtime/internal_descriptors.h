// Which kernel descriptors are Sluice's own: event descriptors, packet sockets, DPDK's. A program
// that closes every descriptor it finds does not know of them; the preload library keeps them open.
#pragma once

namespace sluice::runtime {

// Any thread. Numbers beyond 65,535 are not kept track of.
void MarkInternal(int fd, bool internal);
// Not so if the number stands for something else than when it was marked.
bool IsInternal(int fd);
// Forgets all of them.
void ClearInternal();

// Marks what is opened while it lives: what this process has open at its end and had not at its
// beginning.
class InternalDescriptorsSince {
 public:
  InternalDescriptorsSince();
  ~InternalDescriptorsSince();
  InternalDescriptorsSince(const InternalDescriptorsSince&) = delete;
  InternalDescriptorsSince& operator=(const InternalDescriptorsSince&) = delete;

 private:
  unsigned char* before_;  // 1 for each that was open
};

}  // namespace sluice::runtime
