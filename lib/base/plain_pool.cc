#include "base/plain_pool.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/lifo_pool_ops.h"

namespace sluice {

const char kPlainPoolMark = 'p';

namespace {

constexpr size_t RoundUp(size_t n) {
  return (n + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE;
}

// One block holds it all: the pool's header, its private area, then the objects one after another.
constexpr size_t kHeaderBytes =
    RoundUp(sizeof(rte_mempool)) + RoundUp(sizeof(rte_pktmbuf_pool_private));
constexpr size_t kObjectHeaderBytes = RoundUp(sizeof(rte_mempool_objhdr));
constexpr std::align_val_t kAlignment{RTE_CACHE_LINE_SIZE};

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "plain pool: %s\n", what);
  std::abort();
}

}  // namespace

PlainPool::PlainPool(unsigned count, uint16_t data_room) {
  const size_t element = RoundUp(sizeof(rte_mbuf) + data_room);
  const size_t stride = kObjectHeaderBytes + element;
  const size_t bytes = kHeaderBytes + stride * count;
  char* memory = static_cast<char*>(::operator new(bytes, kAlignment));
  // The packets' bytes are left as they come, so that a sanitizer sees whoever reads them
  // unwritten.
  std::memset(memory, 0, kHeaderBytes);

  pool_ = new (memory) rte_mempool{};
  std::snprintf(pool_->name, sizeof(pool_->name), "plain");
  pool_->pool_config = const_cast<char*>(&kPlainPoolMark);
  pool_->socket_id = SOCKET_ID_ANY;
  pool_->flags = RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET;
  pool_->size = count;
  pool_->populated_size = count;
  pool_->elt_size = static_cast<uint32_t>(element);
  pool_->header_size = kObjectHeaderBytes;
  pool_->private_data_size = sizeof(rte_pktmbuf_pool_private);
  STAILQ_INIT(&pool_->elt_list);
  STAILQ_INIT(&pool_->mem_list);
  if (rte_mempool_set_ops_byname(pool_, LifoPoolOpsName(), pool_->pool_config) != 0) {
    Die("the ops are not registered");
  }
  if (rte_mempool_get_ops(pool_->ops_index)->alloc(pool_) != 0) Die("out of memory");
  pool_->flags |= RTE_MEMPOOL_F_POOL_CREATED;

  rte_pktmbuf_pool_private area = {};
  area.mbuf_data_room_size = data_room;
  rte_pktmbuf_pool_init(pool_, &area);

  // Last first: the first packet handed out is the first in memory.
  for (unsigned i = count; i-- > 0;) {
    char* at = memory + kHeaderBytes + i * stride;
    auto* header = new (at) rte_mempool_objhdr{};
    header->mp = pool_;
    void* object = at + kObjectHeaderBytes;
    header->iova = reinterpret_cast<uintptr_t>(object);
    STAILQ_INSERT_TAIL(&pool_->elt_list, header, next);
    rte_pktmbuf_init(pool_, nullptr, object, i);
    rte_mempool_ops_enqueue_bulk(pool_, &object, 1);
  }
}

PlainPool::~PlainPool() {
  if (available() != count()) Die("destroyed while packets are out");
  rte_mempool_get_ops(pool_->ops_index)->free(pool_);
  ::operator delete(static_cast<void*>(pool_), kAlignment);
}

}  // namespace sluice
