// A region in plain memory with a socket table on it, for tests of both sides.
#pragma once

#include <netinet/in.h>

#include <cstdlib>
#include <memory>

#include "table/application_queues.h"
#include "table/socket_table.h"

namespace sluice::table {

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

class Fixture {
 public:
  explicit Fixture(const RegionLimits& limits = {.sockets = 64, .buffers = 256, .blocks = 512})
      : memory_(Allocate(Region::BytesNeeded(limits))),
        region(Region::Format(memory_.get(), limits)),
        table(region, 0) {}

  Socket OpenStream(Status status = Status::kConnected) {
    return table.Find(table.Open(Type::kStream, IPPROTO_TCP, AF_INET, status));
  }
  Socket OpenDatagram() {
    return table.Find(table.Open(Type::kDatagram, IPPROTO_UDP, AF_INET, Status::kUnconnected));
  }
  void ShareMbufs(const void* anchor) {
    region.ShareMbufs(anchor);
    table.ShareMbufs(anchor);
  }
  uint32_t buffers_used() const { return region.buffers_used(); }
  uint32_t blocks_used() const { return region.blocks_used(); }

 private:
  static void* Allocate(size_t bytes) {
    void* memory = std::aligned_alloc(128, (bytes + 127) / 128 * 128);
    std::memset(memory, 0, bytes);
    return memory;
  }
  std::unique_ptr<void, FreeMemory> memory_;

 public:
  Region region;
  SocketTable table;
};

}  // namespace sluice::table
