// Asking an engine for what is not data: a command, and its answer.
//
//   Reply answer;
//   Result result = Ask(socket, {.operation = Operation::kBind, .local = endpoint}, &answer);
//
// Ask runs or awaits the engine until it has answered; signals do not interrupt it. The caller may
// hold send_lock or receive_lock of the socket concerned: no engine waits for them.
#pragma once

#include "api/descriptors.h"
#include "table/command.h"

namespace sluice::api {

struct Answer {
  uint64_t value = 0;
  uint32_t length = 0;
  uint8_t payload[sizeof(table::Reply::payload)];
};

// kNoBuffers: the command queue stayed full.
table::Result Ask(uint8_t lane, table::Command command, Answer* answer = nullptr);
// To the lane and for the handle of a socket.
table::Result Ask(const OpenSocket& socket, table::Command command, Answer* answer = nullptr);
// Sends a command without waiting for anything but room in the queue.
void Tell(uint8_t lane, table::Command command);

// Signals those whose answers have come. The caller holds the lane's lock (state.h).
void SignalAnswered(uint32_t lane);

}  // namespace sluice::api
