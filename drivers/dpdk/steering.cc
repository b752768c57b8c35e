#include "dpdk/steering.h"

#include <rte_ethdev.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "wire/flow_hash.h"

namespace sluice::dpdk {
namespace {

constexpr uint64_t kHashedFlows = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;

// Where the API wants to be able to write, though it only reads.
std::array<uint8_t, wire::kFlowHashKeyBytes> key = wire::kFlowHashKey;

bool HasOurKey(uint16_t port_id, const rte_eth_dev_info& info) {
  std::array<uint8_t, wire::kFlowHashKeyBytes> found{};
  rte_eth_rss_conf conf{};
  conf.rss_key = found.data();
  conf.rss_key_len = info.hash_key_size;
  return info.hash_key_size != 0 && info.hash_key_size <= found.size() &&
         rte_eth_dev_rss_hash_conf_get(port_id, &conf) == 0 &&
         std::memcmp(found.data(), key.data(), info.hash_key_size) == 0;
}

}  // namespace

void AskForFlowHash(const rte_eth_dev_info& info, rte_eth_conf* wanted) {
  rte_eth_rss_conf& rss = wanted->rx_adv_conf.rss_conf;
  rss.rss_hf = info.flow_type_rss_offloads & kHashedFlows;
  if (rss.rss_hf == 0) return;
  wanted->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
  if (info.hash_key_size == 0 || info.hash_key_size > key.size()) return;
  rss.rss_key = key.data();
  rss.rss_key_len = info.hash_key_size;
}

bool ForgoFlowHashKey(rte_eth_conf* wanted) {
  rte_eth_rss_conf& rss = wanted->rx_adv_conf.rss_conf;
  if (rss.rss_key == nullptr) return false;
  rss.rss_key = nullptr;
  rss.rss_key_len = 0;
  return true;
}

bool DealFlows(uint16_t port_id, const rte_eth_dev_info& info, uint16_t queues, uint16_t engines) {
  const wire::FlowOwners owners(engines);
  if (info.reta_size < wire::FlowOwners::kBuckets || info.reta_size > RTE_ETH_RSS_RETA_SIZE_512) {
    return false;
  }
  std::vector<rte_eth_rss_reta_entry64> table(info.reta_size / RTE_ETH_RETA_GROUP_SIZE);
  for (rte_eth_rss_reta_entry64& group : table) {
    group.mask = UINT64_MAX;
    for (unsigned i = 0; i < RTE_ETH_RETA_GROUP_SIZE; ++i) {
      // Of an engine without a queue another one receives (Engine::AddPort).
      group.reta[i] = static_cast<uint16_t>(owners.Of(i) % queues);
    }
  }
  return rte_eth_dev_rss_reta_update(port_id, table.data(), info.reta_size) == 0 &&
         HasOurKey(port_id, info);
}

}  // namespace sluice::dpdk
