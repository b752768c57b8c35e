// Closing connections, from either side and for any reason (RFC 9293 sections 3.6 and 3.10.4).
#pragma once

#include "table/result.h"
#include "table/socket_table.h"

namespace sluice::tcp {

struct Connection;
struct Core;

// --- What the application asks for ---
void CloseConnection(Core& core, Connection& c);
void ShutdownSend(Core& core, Connection& c);

// --- What the peer does ---
// Its FIN is next in order: takes it.
void ReceiveFin(Core& core, Connection& c);
// Our FIN is acknowledged, the peer's is not here yet.
void StartFinWait2(Core& core, Connection& c);

// --- Ends. The connection is gone afterwards. ---
// Both FINs are acknowledged: leaves a TIME-WAIT record.
void FinishToTimeWait(Core& core, Connection& c);
// Without a word to the peer. kOk: an orderly end.
void EndConnection(Core& core, Connection& c, table::Result error);
// With a reset.
void AbortConnection(Core& core, Connection& c, table::Result error);

// Gives up what the socket holds of a local port.
void ReleaseBinding(Core& core, uint32_t binding, bool owns);

}  // namespace sluice::tcp
