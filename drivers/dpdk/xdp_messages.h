// libxdp and libbpf, which af_xdp's driver loads, print to stderr what mostly is no error. This
// sends it to the MessageLog instead. Does nothing where they are not loaded. Set-up only.
#pragma once

namespace sluice::dpdk {

void RedirectXdpMessages();

}  // namespace sluice::dpdk
