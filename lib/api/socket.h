// Sockets as open file descriptions: how they begin and end. See socket_calls.h for the calls.
#pragma once

#include "api/descriptors.h"
#include "table/command.h"

namespace sluice::api {

// Prepares the private half of a slot for a new socket with one descriptor.
void StartSocket(table::Handle handle, int fd, bool nonblocking);
// One descriptor more; false if the socket has just ended.
bool AddReference(table::Handle handle);
// One descriptor less; the last one closes the socket, which wakes those that wait on it.
void DropReference(table::Handle handle);

// Moves a socket to the kernel: every descriptor that names it names a new kernel socket with the
// same options afterwards. False and errno: the kernel refused.
bool MoveToKernel(const OpenSocket& socket);

}  // namespace sluice::api
