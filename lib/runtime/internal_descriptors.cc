#include "runtime/internal_descriptors.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>

namespace sluice::runtime {
namespace {

constexpr int kDescriptorsMax = 1 << 16;
constexpr int kWords = kDescriptorsMax / 64;
std::atomic<uint64_t> internal_bits[kWords];
std::atomic<uint64_t> internal_inodes[kDescriptorsMax];

// What the number stands for now; 0: nothing. Event descriptors share one inode.
uint64_t InodeOf(int fd) {
  struct stat status;
  // By number: in a preloaded program libc's name is not libc's.
  return syscall(SYS_fstat, fd, &status) == 0 ? status.st_ino : 0;
}

template <typename Visitor>
void ForEachOpen(Visitor&& visit) {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return;  // without /proc none is known
  while (dirent* entry = readdir(directory)) {
    char* end = nullptr;
    long fd = strtol(entry->d_name, &end, 10);
    if (end == entry->d_name || *end != '\0' || fd == dirfd(directory)) continue;
    if (fd >= 0 && fd < kDescriptorsMax) visit(static_cast<int>(fd));
  }
  closedir(directory);
}

}  // namespace

void MarkInternal(int fd, bool internal) {
  if (fd < 0 || fd >= kDescriptorsMax) return;
  uint64_t bit = uint64_t{1} << fd % 64;
  if (internal) {
    internal_inodes[fd].store(InodeOf(fd), std::memory_order_relaxed);
    internal_bits[fd / 64].fetch_or(bit);
  } else {
    internal_bits[fd / 64].fetch_and(~bit);
  }
}

bool IsInternal(int fd) {
  if (fd < 0 || fd >= kDescriptorsMax) return false;
  if ((internal_bits[fd / 64].load(std::memory_order_acquire) >> fd % 64 & 1) == 0) return false;
  if (internal_inodes[fd].load(std::memory_order_relaxed) == InodeOf(fd)) return true;
  MarkInternal(fd, false);  // closed by a driver; whose it is now, is not known here
  return false;
}

void ClearInternal() {
  for (auto& word : internal_bits) word.store(0);
}

InternalDescriptorsSince::InternalDescriptorsSince()
    : before_(new (std::nothrow) unsigned char[kDescriptorsMax]()) {
  if (before_ != nullptr) ForEachOpen([this](int fd) { before_[fd] = 1; });
}

InternalDescriptorsSince::~InternalDescriptorsSince() {
  if (before_ == nullptr) return;
  ForEachOpen([this](int fd) {
    if (before_[fd] == 0) MarkInternal(fd, true);
  });
  delete[] before_;
}

}  // namespace sluice::runtime
