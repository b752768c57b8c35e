#include "ip/path_mtu.h"

#include <algorithm>

#include "ip/output.h"

namespace sluice::ip {

uint32_t PlausiblePathMtuV4(uint32_t reported, uint32_t quoted_bytes) {
  if (reported != 0) {
    // The packet was too big: its size cannot have been within the MTU.
    if (reported >= quoted_bytes && quoted_bytes != 0) return 0;
    return std::max(reported, kPathMtuMinV4);
  }
  // RFC 1191 table 7-1
  for (const uint32_t plateau : {32000u, 17914u, 8166u, 4352u, 2002u, 1492u, 1006u}) {
    if (plateau < quoted_bytes) return plateau;
  }
  return kPathMtuMinV4;
}

void UpdatePathMtu(Core& core, Instant now, const wire::IpAddress& destination, uint32_t mtu) {
  mtu = std::max(mtu, destination.is_v4() ? kPathMtuMinV4 : kPathMtuMinV6);
  Path path;
  if (FindPath(core, destination, wire::IpAddress(), 0, &path) == PathStatus::kOk) {
    // RFC 8201 section 4: a report never raises the MTU.
    if (path.mtu <= mtu || path.interface == kLoopbackInterface) return;
  }
  if (core.destinations.SetMtu(destination, mtu, now + core.config.path_mtu_age)) {
    ++core.counters.DestinationTableFull;
  }
  core.TablesChanged();
}

}  // namespace sluice::ip
