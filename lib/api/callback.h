// Callbacks: what sluice_set_callback registers and RunCallbacks (context.h) runs.
#pragma once

#include <cstdint>

#include "table/handle.h"

namespace sluice::api {

using CallbackFunction = void (*)(int fd, uint32_t events, void* argument);

// Edge-triggered: `function` is called once for each new event of `events` (EPOLL*), and at first
// if the socket is ready already. nullptr removes it. -1 and errno on failure.
int SetCallback(int fd, uint32_t events, CallbackFunction function, void* argument);

// A socket ends.
void ForgetCallback(table::Handle target);
// All sockets have ended.
void ForgetCallbackSet();

}  // namespace sluice::api
