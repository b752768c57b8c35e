// What the calls work on: the region, the engines' lanes, and how to wait. One per process.
//
//   api::Install({.region = region, .home = &home});
//   ... api::Socket(...) ...
//   api::Uninstall();
//
// The installer (lib/runtime) keeps `home` and the region's memory alive until Uninstall.
#pragma once

#include <cstdint>
#include <vector>

#include "api/home.h"
#include "table/region.h"
#include "wire/address.h"

namespace sluice::api {

struct ContextConfig {
  table::Region region;
  Home* home = nullptr;
  // Addresses that stay with the kernel: see IsKernelAddress in socket_calls.h. Empty: none.
  std::vector<wire::Prefix> kernel_prefixes;
  // The program has promised that this thread, which calls Install, makes all calls and runs all
  // engines until Uninstall: see table/cell.h. Any other that does is ended.
  bool one_caller = false;
  // Sockets take their numbers above those of the kernel (descriptors.h) and reserve none there.
  bool own_numbers = false;
};

// Makes the calls usable. False: memory for the private halves, or the descriptor that reserves
// numbers, could not be had (errno). Thread: no other call may be under way.
bool Install(const ContextConfig& config);
bool IsInstalled();
// Closes every Sluice descriptor that is still open. Thread: no other call may be under way.
void Uninstall();

// Takes what the engines have announced: wakes waiting threads, fills epoll sets. Every waiting
// call does so by itself; an idle loop of the program's own need not.
void DispatchEvents();
// DispatchEvents, then runs the functions of sluice_set_callback whose sockets are ready, on this
// thread. For sluice_poll. Returns how many ran.
int RunCallbacks();

// Call in the child right after fork(), before any other call. The parent's sockets are not
// touched: inherited descriptors can be closed and passed through exec; any other use fails with
// EOPNOTSUPP and says so once on standard error. Afterwards no context is installed.
void AfterForkInChild();

}  // namespace sluice::api
