// What ICMP says about segments of ours (RFC 1122 section 4.2.3.9, RFC 5461, RFC 5927).
#pragma once

#include "ip/packet.h"

namespace sluice::tcp {

struct Core;

void IcmpReport(Core& core, const ip::IcmpError& error);

}  // namespace sluice::tcp
