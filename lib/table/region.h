// A region: all that an application and its engines share, in one piece of memory.
//
//   header | lanes | their queues | entries | ring blocks | buffers
//
// References inside are indices and offsets. `Region` is one process's view of it: the view keeps
// its own copy of the geometry and checks every index that it takes from shared memory, so nothing
// that the other side writes there can lead it outside.
//
//   RegionLimits limits{.sockets = 1024};
//   void* memory = mmap(nullptr, Region::BytesNeeded(limits), ...);   // zeroed
//   Region region = Region::Format(memory, limits);
//
// Formatting touches only the header and the lanes: storage costs memory once it is used.
#pragma once

#include <rte_mbuf_core.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "table/descriptor.h"
#include "table/entry.h"
#include "table/index_pool.h"
#include "table/lane.h"

namespace sluice::table {

struct RegionLimits {
  uint32_t sockets = 4096;       // slots of the table
  uint32_t buffers = 16384;      // payload buffers
  uint32_t buffer_bytes = 2048;  // payload each holds, beside its headroom
  uint32_t blocks = 65536;       // ring blocks of RingBlock::kSlots descriptors
  uint32_t lanes = 1;            // engines
};

// In front of every buffer's storage.
struct alignas(64) BufferHeader {
  FreeLink link;
  Cell<uint32_t> references;  // descriptors that point here, and the sender's open_buffer
};

struct RegionHeader {
  static constexpr uint64_t kMagic = 0x534c554943452d31;  // "SLUICE-1"
  static constexpr uint32_t kLayoutVersion = 2;

  uint64_t magic;
  uint32_t layout_version;
  RegionLimits limits;
  uint64_t total_bytes;
  IndexPool buffers;
  IndexPool blocks;
};

// What an engine keeps at hand of a region's storage, for its view alone.
struct StorageCache {
  explicit StorageCache(const RegionLimits& limits)
      : blocks(limits.blocks), buffers(limits.buffers) {}
  IndexCache blocks;
  IndexCache buffers;
};

class Region {
 public:
  // So many that a cursor's word names each of their descriptors, and one more.
  static constexpr uint32_t kBlocksMax = (1u << 29) - 1;

  Region() = default;

  static size_t BytesNeeded(const RegionLimits& limits);
  // Formats zeroed memory, aligned to 128 bytes.
  static Region Format(void* memory, const RegionLimits& limits);
  // A second view of a formatted region; nothing if magic, version or geometry do not fit `bytes`.
  static std::optional<Region> Attach(void* memory, size_t bytes);

  const RegionLimits& limits() const { return limits_; }
  size_t total_bytes() const { return total_bytes_; }
  RegionHeader& header() const { return *reinterpret_cast<RegionHeader*>(base_); }
  bool is_formatted() const { return base_ != nullptr; }

  bool HasSlot(uint32_t index) const { return index < limits_.sockets; }
  Entry& entry(uint32_t index) const { return entries_[index]; }

  Lane& lane(uint32_t engine) const { return lanes_[engine]; }
  BoundedQueue<Command>& commands(uint32_t engine) const {
    return *InLane<BoundedQueue<Command>>(engine, 0);
  }
  BoundedQueue<uint32_t>& doorbells(uint32_t engine) const {
    return *InLane<BoundedQueue<uint32_t>>(engine, doorbells_offset_);
  }
  BoundedQueue<uint32_t>& events(uint32_t engine) const {
    return *InLane<BoundedQueue<uint32_t>>(engine, events_offset_);
  }
  std::span<Reply, kReplySlots> replies(uint32_t engine) const {
    return std::span<Reply, kReplySlots>(InLane<Reply>(engine, replies_offset_), kReplySlots);
  }
  uint32_t slot_queue_mask() const { return slot_queue_mask_; }
  static constexpr uint32_t kCommandMask = kCommandSlots - 1;

  // From now on this view, and copies of it, take and return by way of `cache`, which belongs to
  // one thread at a time and outlives their use. ReleaseStorage gives back what is in it.
  void UseCache(StorageCache* cache) { cache_ = cache; }
  void ReleaseStorage() const;

  // Ring blocks. Take returns kNone at the limit.
  uint32_t TakeBlock() const;
  void ReturnBlock(uint32_t block) const;
  bool HasBlock(uint32_t block) const { return block < limits_.blocks; }
  RingBlock& block(uint32_t index) const { return blocks_[index]; }
  // One of all blocks' descriptors, by a cursor's place.
  Descriptor& descriptor(uint32_t place) const {
    return reinterpret_cast<Descriptor*>(blocks_)[place];
  }
  // How many are handed out; those in a cache are not, if this view uses it.
  uint32_t blocks_used() const;
  uint32_t buffers_used() const;

  // Payload buffers. Take returns one with a single reference, or kNone at the limit.
  uint32_t TakeBuffer() const;
  // Several for the price of one: as many as there are, up to out.size(). Returns how many.
  uint32_t TakeBuffers(std::span<uint32_t> out) const;
  void AddReference(uint32_t buffer) const { buffer_header(buffer).references.Add(1); }
  // Gives a reference up; the last one returns the buffer.
  void DropReference(uint32_t buffer) const {
    Cell<uint32_t>& references = buffer_header(buffer).references;
    // The only holder need not pay for an atomic read-modify-write.
    if (references.Acquire() != 1 && references.Subtract(1) != 1) return;
    references.store(0);
    const auto link = [this](uint32_t i) -> FreeLink& { return BufferLink(i); };
    if (cache_ != nullptr) return cache_->buffers.Return(buffer, header().buffers, link);
    header().buffers.Return(buffer, link);
  }
  bool HasBuffer(uint32_t buffer) const { return buffer < limits_.buffers; }
  uint8_t* storage(uint32_t buffer) const {
    return buffers_ + size_t{buffer} * buffer_stride_ + sizeof(BufferHeader);
  }
  uint32_t storage_bytes() const { return kHeadroom + limits_.buffer_bytes; }
  BufferHeader& buffer_header(uint32_t buffer) const {
    return *reinterpret_cast<BufferHeader*>(buffers_ + size_t{buffer} * buffer_stride_);
  }

  // References to mbufs, where application and engine share an address space. Mbufs up to 64 GiB to
  // either side of `anchor`, an address among them, can be named; others are copied.
  void ShareMbufs(const void* anchor);
  static constexpr uint32_t kMbufBit = 0x80000000;
  static bool IsMbuf(uint32_t reference) { return (reference & kMbufBit) != 0; }
  // kNone: out of reach, or not shared.
  uint32_t MbufReference(const rte_mbuf* packet) const {
    if (mbuf_base_ == 0) return kNone;
    const auto address = reinterpret_cast<uintptr_t>(packet);
    const uintptr_t distance = (address - mbuf_base_) / 64;
    // The greatest reference would read as kNone.
    if (address < mbuf_base_ || (address & 63) != 0 || distance >= kMbufBit - 1) return kNone;
    return kMbufBit | static_cast<uint32_t>(distance);
  }
  rte_mbuf* MbufAt(uint32_t reference) const {
    return reinterpret_cast<rte_mbuf*>(mbuf_base_ + uintptr_t{reference & ~kMbufBit} * 64);
  }

  // The payload that a descriptor names, or an empty span if it names nothing that exists.
  std::span<uint8_t> Payload(const Descriptor& descriptor) const {
    uint8_t* const start = Storage(descriptor);
    if (start == nullptr) return {};
    const size_t room = StorageBytes(descriptor);
    if (descriptor.offset > room || descriptor.length > room - descriptor.offset) return {};
    return {start + descriptor.offset, descriptor.length};
  }
  // The start of its buffer's storage (where a DatagramHeader stands), or nullptr.
  uint8_t* Storage(const Descriptor& descriptor) const {
    if (IsMbuf(descriptor.buffer)) {
      if (mbuf_base_ == 0 || descriptor.buffer == kNone) return nullptr;
      return static_cast<uint8_t*>(MbufAt(descriptor.buffer)->buf_addr);
    }
    return HasBuffer(descriptor.buffer) ? storage(descriptor.buffer) : nullptr;
  }
  // How many bytes that storage has; only where Storage finds one.
  size_t StorageBytes(const Descriptor& descriptor) const {
    return IsMbuf(descriptor.buffer) ? MbufAt(descriptor.buffer)->buf_len : storage_bytes();
  }

 private:
  struct Geometry;
  FreeLink& BlockLink(uint32_t index) const { return blocks_[index].link; }
  FreeLink& BufferLink(uint32_t index) const { return buffer_header(index).link; }
  Region(void* memory, const RegionLimits& limits);
  template <typename T>
  T* InLane(uint32_t engine, size_t offset) const {
    return reinterpret_cast<T*>(base_ + queues_offset_ + engine * queue_stride_ + offset);
  }

  uint8_t* base_ = nullptr;
  Lane* lanes_ = nullptr;
  Entry* entries_ = nullptr;
  RingBlock* blocks_ = nullptr;
  uint8_t* buffers_ = nullptr;
  size_t buffer_stride_ = 0;
  size_t total_bytes_ = 0;
  size_t queues_offset_ = 0, queue_stride_ = 0;                           // the lanes' shares
  size_t doorbells_offset_ = 0, events_offset_ = 0, replies_offset_ = 0;  // within a share
  uintptr_t mbuf_base_ = 0;
  uint32_t slot_queue_mask_ = 0;
  StorageCache* cache_ = nullptr;
  RegionLimits limits_;
};

}  // namespace sluice::table
