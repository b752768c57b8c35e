#include "runtime/internal_descriptors.h"

#include <dirent.h>
#include <stdlib.h>

#include <atomic>
#include <cstdint>
#include <new>

namespace sluice::runtime {
namespace {

constexpr int kDescriptorsMax = 1 << 16;
constexpr int kWords = kDescriptorsMax / 64;
std::atomic<uint64_t> internal_bits[kWords];

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
    internal_bits[fd / 64].fetch_or(bit);
  } else {
    internal_bits[fd / 64].fetch_and(~bit);
  }
}

bool IsInternal(int fd) {
  if (fd < 0 || fd >= kDescriptorsMax) return false;
  return (internal_bits[fd / 64].load(std::memory_order_relaxed) >> fd % 64 & 1) != 0;
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
