#include "base/lifo_pool_ops.h"

#include <rte_mempool.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/plain_pool.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace sluice {
namespace {

constexpr char kName[] = "sluice_lifo";

// Kept at rte_mempool::pool_data; the array of pointers follows it.
struct Stack {
  unsigned capacity;
  unsigned count;
  void* objects[];
};

Stack* StackOf(const rte_mempool* pool) { return static_cast<Stack*>(pool->pool_data); }

// A free object of a plain pool is poison, so that whoever touches a freed packet is caught as if
// the packet had come from malloc. Objects in DPDK's own memory are left alone: DPDK initialises
// them after it has put them into the pool.
#ifdef __SANITIZE_ADDRESS__
void Poison(const rte_mempool* pool, void* object) {
  if (pool->pool_config == &kPlainPoolMark) __asan_poison_memory_region(object, pool->elt_size);
}
void Unpoison(const rte_mempool* pool, void* object) {
  if (pool->pool_config == &kPlainPoolMark) __asan_unpoison_memory_region(object, pool->elt_size);
}
#else
void Poison(const rte_mempool*, void*) {}
void Unpoison(const rte_mempool*, void*) {}
#endif

int Alloc(rte_mempool* pool) {
  auto* stack = static_cast<Stack*>(std::malloc(sizeof(Stack) + pool->size * sizeof(void*)));
  if (stack == nullptr) return -ENOMEM;
  stack->capacity = pool->size;
  stack->count = 0;
  pool->pool_data = stack;
  return 0;
}

void Free(rte_mempool* pool) {
  std::free(pool->pool_data);
  pool->pool_data = nullptr;
}

int Enqueue(rte_mempool* pool, void* const* objects, unsigned n) {
  Stack* stack = StackOf(pool);
  if (n > stack->capacity - stack->count) return -ENOBUFS;
  for (unsigned i = 0; i < n; ++i) Poison(pool, objects[i]);
  std::memcpy(stack->objects + stack->count, objects, n * sizeof(void*));
  stack->count += n;
  return 0;
}

int Dequeue(rte_mempool* pool, void** objects, unsigned n) {
  Stack* stack = StackOf(pool);
  if (n > stack->count) return -ENOBUFS;
  for (unsigned i = 0; i < n; ++i) {
    objects[i] = stack->objects[--stack->count];
    Unpoison(pool, objects[i]);
  }
  return 0;
}

unsigned GetCount(const rte_mempool* pool) { return StackOf(pool)->count; }

const char* Register() {
  rte_mempool_ops ops = {};
  std::memcpy(ops.name, kName, sizeof(kName));
  ops.alloc = Alloc;
  ops.free = Free;
  ops.enqueue = Enqueue;
  ops.dequeue = Dequeue;
  ops.get_count = GetCount;
  return rte_mempool_register_ops(&ops) >= 0 ? kName : "";
}

}  // namespace

const char* LifoPoolOpsName() {
  static const char* const name = Register();
  return name;
}

}  // namespace sluice
