// Making a device deal received flows to the queues of the engines that own them
// (wire/flow_hash.h), by its receive-side scaling: our key, and a redirection table like ours. What
// a device cannot do, or does otherwise, the engines mend by passing packets on.
#pragma once

#include <cstdint>

struct rte_eth_conf;
struct rte_eth_dev_info;

namespace sluice::dpdk {

// Asks for hashing over addresses and ports, as far as the device has it.
void AskForFlowHash(const rte_eth_dev_info& info, rte_eth_conf* wanted);
// The device refused: leaves the key to it. False: it was left to it already.
bool ForgoFlowHashKey(rte_eth_conf* wanted);

// Of a started device: fills its redirection table. True: it deals as the engines would.
bool DealFlows(uint16_t port_id, const rte_eth_dev_info& info, uint16_t queues, uint16_t engines);

}  // namespace sluice::dpdk
