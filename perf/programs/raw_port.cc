#include "raw_port.h"

#include <rte_cycles.h>
#include <rte_debug.h>

#include <cstdio>
#include <cstdlib>

namespace sluice::perf {
namespace {

constexpr unsigned kPoolFrames = 8191;
constexpr unsigned kPoolCache = 250;
constexpr uint16_t kDescriptors = 1024;
constexpr int kLinkWaitMs = 20000;

[[noreturn]] void Give(const char* what) { rte_exit(EXIT_FAILURE, "%s\n", what); }

void WaitForLink() {
  for (int i = 0; i < kLinkWaitMs; ++i) {
    rte_eth_link link = {};
    if (rte_eth_link_get_nowait(0, &link) == 0 && link.link_status == RTE_ETH_LINK_UP) return;
    rte_delay_us_sleep(1000);
  }
  Give("the link does not come up");
}

}  // namespace

RawPort::RawPort() {
  if (rte_eth_dev_count_avail() == 0) Give("there is no port; name one with --vdev or -a");
  pool_ = rte_pktmbuf_pool_create("raw", kPoolFrames, kPoolCache, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                  SOCKET_ID_ANY);
  if (pool_ == nullptr) Give("no memory for frames");
  rte_eth_conf configuration = {};
  uint16_t rx = kDescriptors, tx = kDescriptors;
  if (rte_eth_dev_configure(0, 1, 1, &configuration) != 0 ||
      rte_eth_dev_adjust_nb_rx_tx_desc(0, &rx, &tx) != 0 ||
      rte_eth_rx_queue_setup(0, 0, rx, SOCKET_ID_ANY, nullptr, pool_) != 0 ||
      rte_eth_tx_queue_setup(0, 0, tx, SOCKET_ID_ANY, nullptr) != 0 || rte_eth_dev_start(0) != 0 ||
      rte_eth_macaddr_get(0, &address_) != 0) {
    Give("the port cannot be started");
  }
  fputs("port started\n", stderr);
  WaitForLink();
}

RawPort::~RawPort() {
  rte_eth_dev_stop(0);
  rte_eth_dev_close(0);
}

uint16_t RawPort::Send(rte_mbuf** frames, uint16_t count) {
  const uint16_t sent = rte_eth_tx_burst(0, 0, frames, count);
  if (sent < count) rte_pktmbuf_free_bulk(frames + sent, count - sent);
  return sent;
}

rte_mbuf* RawPort::NewFrame(uint16_t bytes) {
  rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
  if (frame == nullptr || rte_pktmbuf_append(frame, bytes) == nullptr) Give("no frame");
  return frame;
}

}  // namespace sluice::perf
