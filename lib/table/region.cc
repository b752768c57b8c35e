#include "table/region.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdlib>
#include <new>

namespace sluice::table {
namespace {

constexpr size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

}  // namespace

// Where the parts stand, as offsets from the start. Computed from the limits alone, on both sides.
struct Region::Geometry {
  size_t lanes, queues, doorbells, events, replies, queue_stride;
  size_t entries, blocks, buffers, buffer_stride, total;

  explicit Geometry(const RegionLimits& l) {
    lanes = RoundUp(sizeof(RegionHeader), 128);
    queues = RoundUp(lanes + sizeof(Lane) * l.lanes, 128);
    // One lane's queues, from the start of the lane's share.
    doorbells = RoundUp(BoundedQueue<Command>::BytesNeeded(kCommandSlots), 64);
    events = doorbells + RoundUp(BoundedQueue<uint32_t>::BytesNeeded(l.sockets), 64);
    replies = events + RoundUp(BoundedQueue<uint32_t>::BytesNeeded(l.sockets), 64);
    queue_stride = replies + sizeof(Reply) * kReplySlots;
    entries = RoundUp(queues + queue_stride * l.lanes, 128);
    blocks = RoundUp(entries + sizeof(Entry) * size_t{l.sockets}, 128);
    buffers = blocks + sizeof(RingBlock) * size_t{l.blocks};
    buffer_stride = RoundUp(sizeof(BufferHeader) + kHeadroom + l.buffer_bytes, 64);
    total = buffers + buffer_stride * size_t{l.buffers};
  }
};

Region::Region(void* memory, const RegionLimits& limits)
    : base_(static_cast<uint8_t*>(memory)), limits_(limits) {
  Geometry g(limits);
  lanes_ = reinterpret_cast<Lane*>(base_ + g.lanes);
  entries_ = reinterpret_cast<Entry*>(base_ + g.entries);
  blocks_ = reinterpret_cast<RingBlock*>(base_ + g.blocks);
  buffers_ = base_ + g.buffers;
  buffer_stride_ = g.buffer_stride;
  total_bytes_ = g.total;
  queues_offset_ = g.queues;
  queue_stride_ = g.queue_stride;
  doorbells_offset_ = g.doorbells;
  events_offset_ = g.events;
  replies_offset_ = g.replies;
  slot_queue_mask_ = std::bit_ceil(limits.sockets) - 1;
}

size_t Region::BytesNeeded(const RegionLimits& limits) { return Geometry(limits).total; }

Region Region::Format(void* memory, const RegionLimits& limits) {
  assert(limits.blocks <= kBlocksMax);
  Geometry g(limits);
  Region region(memory, limits);
  RegionHeader* header = new (memory) RegionHeader();
  header->limits = limits;
  header->total_bytes = g.total;
  header->buffers.capacity = limits.buffers;
  header->blocks.capacity = limits.blocks;
  for (uint32_t i = 0; i < limits.lanes; ++i) {
    new (&region.lanes_[i]) Lane();
    region.commands(i).Format(kCommandSlots);
    region.doorbells(i).Format(limits.sockets);
    region.events(i).Format(limits.sockets);
  }
  header->layout_version = RegionHeader::kLayoutVersion;
  header->magic = RegionHeader::kMagic;
  return region;
}

std::optional<Region> Region::Attach(void* memory, size_t bytes) {
  if (bytes < sizeof(RegionHeader)) return std::nullopt;
  const RegionHeader& header = *static_cast<const RegionHeader*>(memory);
  RegionLimits limits = header.limits;
  if (header.magic != RegionHeader::kMagic ||
      header.layout_version != RegionHeader::kLayoutVersion || limits.sockets == 0 ||
      limits.lanes == 0 || limits.lanes > 256 || limits.sockets > kMbufBit ||
      limits.buffers >= kMbufBit || limits.blocks > kBlocksMax || BytesNeeded(limits) > bytes) {
    return std::nullopt;
  }
  return Region(memory, limits);
}

uint32_t Region::TakeBlock() const {
  const auto link = [this](uint32_t i) -> FreeLink& { return BlockLink(i); };
  const uint32_t index =
      cache_ != nullptr ? cache_->blocks.Take(header().blocks, link) : header().blocks.Take(link);
  if (index != kNone) block(index).link.next.store(kNone);
  return index;
}

void Region::ReturnBlock(uint32_t index) const {
  const auto link = [this](uint32_t i) -> FreeLink& { return BlockLink(i); };
  if (cache_ != nullptr) return cache_->blocks.Return(index, header().blocks, link);
  header().blocks.Return(index, link);
}

uint32_t Region::TakeBuffer() const {
  const auto link = [this](uint32_t i) -> FreeLink& { return BufferLink(i); };
  const uint32_t index = cache_ != nullptr ? cache_->buffers.Take(header().buffers, link)
                                           : header().buffers.Take(link);
  if (index != kNone) buffer_header(index).references.store(1);
  return index;
}

uint32_t Region::TakeBuffers(std::span<uint32_t> out) const {
  const auto link = [this](uint32_t i) -> FreeLink& { return BufferLink(i); };
  uint32_t count = 0;
  const auto wanted = static_cast<uint32_t>(out.size());
  if (cache_ != nullptr) {
    for (; count < wanted; ++count) {
      out[count] = cache_->buffers.Take(header().buffers, link);
      if (out[count] == kNone) break;
    }
  } else {
    count = header().buffers.TakeChain(out.data(), wanted, link);
  }
  for (uint32_t i = 0; i < count; ++i) buffer_header(out[i]).references.store(1);
  return count;
}

void Region::ReleaseStorage() const {
  if (cache_ == nullptr) return;
  cache_->blocks.Flush(header().blocks, [this](uint32_t i) -> FreeLink& { return BlockLink(i); });
  cache_->buffers.Flush(header().buffers,
                        [this](uint32_t i) -> FreeLink& { return BufferLink(i); });
}

uint32_t Region::blocks_used() const {
  const uint32_t used =
      header().blocks.Used([this](uint32_t i) -> FreeLink& { return BlockLink(i); });
  return used - (cache_ != nullptr ? std::min(cache_->blocks.size(), used) : 0);
}

uint32_t Region::buffers_used() const {
  const uint32_t used =
      header().buffers.Used([this](uint32_t i) -> FreeLink& { return BufferLink(i); });
  return used - (cache_ != nullptr ? std::min(cache_->buffers.size(), used) : 0);
}

void Region::ShareMbufs(const void* anchor) {
  constexpr uintptr_t kReach = uintptr_t{64} << 30;
  uintptr_t address = reinterpret_cast<uintptr_t>(anchor) & ~uintptr_t{63};
  mbuf_base_ = address > kReach ? address - kReach : 64;
}

}  // namespace sluice::table
