// What happens when a connection's time has come (RFC 9293 section 3.10.8, RFC 6298 section 5, RFC
// 1122 sections 4.2.3.5 and 4.2.3.6, RFC 5482).
#pragma once

namespace sluice::tcp {

struct Connection;
struct Core;

// At least one of the connection's deadlines is due. It may be gone afterwards.
void ConnectionTimeout(Core& core, Connection& c);

// Starts or stops keepalive as SO_KEEPALIVE says.
void ArmKeepAlive(Core& core, Connection& c);

}  // namespace sluice::tcp
