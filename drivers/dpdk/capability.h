// What the calling thread may do: root in a container often lacks some of it.
#pragma once

namespace sluice::dpdk {

// Numbers of capabilities(7).
enum class Capability : int { kNetAdmin = 12, kNetRaw = 13, kIpcLock = 14, kSysAdmin = 21 };

// Whether it is in the effective set. False also where the kernel does not tell.
bool HasCapability(Capability capability);

}  // namespace sluice::dpdk
