// A mempool back end for pools that one thread owns: a last-in, first-out array of free objects.
//
// The packet that was freed last is handed out first, while its bytes are still in the cache. There
// is no lock and no atomic operation: a pool with these ops belongs to one engine, and only that
// engine's thread may take from it or give back to it. cache_size is 0, so no lcore is needed.
//
//   rte_pktmbuf_pool_create_by_ops(name, count, 0, 0, room, socket, LifoPoolOpsName());
#pragma once

namespace sluice {

// Registers the ops with DPDK on the first call, and returns their name, "sluice_lifo". Any thread.
const char* LifoPoolOpsName();

}  // namespace sluice
