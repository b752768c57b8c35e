// sluice_set_callback: an epoll set of the process's own, collected by RunCallbacks.
#include "api/callback.h"

#include <new>

#include "api/epoll_set.h"
#include "api/errors.h"
#include "api/wait.h"

namespace sluice::api {

struct Callback {
  CallbackFunction function;
  void* argument;
  int fd;
  table::Handle target;
};

namespace {

using table::Handle;

constexpr int kMostAtOnce = 64;
// Items of the set stand under one number: they are told apart by what they watch.
constexpr int kNumber = 0;

table::Cell<uint32_t> lock;  // guards the set's handle, and the callbacks that sockets name
Handle set_handle;

// The set, made when the first callback is. The lock is held.
EpollSet* TheSet(bool make) {
  if (set_handle.is_none() && make) set_handle = EpollSet::Open();
  return set_handle.is_none() ? nullptr : EpollSet::Find(set_handle);
}

// The lock is held.
void Forget(Handle target) {
  RareSide& side = state.rare_sides[target.index];
  Callback* callback = side.callback.load();
  if (callback == nullptr || callback->target != target) return;
  side.callback.store(nullptr);
  state.sides[target.index].has_callback.store(false);
  delete callback;
}

// The callback of a socket, unless it was removed or the socket closed meanwhile.
bool Find(Handle target, Callback& found) {
  LockHolder holder(lock);
  const Callback* callback = state.rare_sides[target.index].callback.load();
  if (callback == nullptr || callback->target != target) return false;
  found = *callback;
  return true;
}

}  // namespace

int SetCallback(int fd, uint32_t events, CallbackFunction function, void* argument) {
  OpenSocket socket;
  if (!FindSocket(fd, socket)) return -1;
  LockHolder holder(lock);
  EpollSet* set = TheSet(function != nullptr);
  if (set == nullptr) return function == nullptr ? 0 : Fail(ENOMEM);
  set->Remove(set_handle, -1, kNumber, socket.handle);
  Forget(socket.handle);
  if (function == nullptr) return 0;
  Callback* callback = new (std::nothrow) Callback{function, argument, fd, socket.handle};
  if (callback == nullptr) return Fail(ENOMEM);
  state.rare_sides[socket.handle.index].callback.store(callback);
  socket.side->has_callback.store(true);
  const epoll_event event{events | EPOLLET, {.u64 = socket.handle.bits()}};
  const int error = set->Add(set_handle, -1, kNumber, socket.handle, event);
  if (error == 0) return 0;
  Forget(socket.handle);
  return Fail(error);
}

int RunCallbacks() {
  DispatchEvents();
  EpollSet* set;
  Handle handle;
  {
    LockHolder holder(lock);
    set = TheSet(false);
    handle = set_handle;
  }
  if (set == nullptr) return 0;
  epoll_event events[kMostAtOnce];
  const int count = set->Collect(handle, events, kMostAtOnce);
  int ran = 0;
  for (int i = 0; i < count; ++i) {
    Callback callback;
    // An earlier callback of this round may have removed it, or closed its socket.
    if (!Find(Handle::FromBits(events[i].data.u64), callback)) continue;
    callback.function(callback.fd, events[i].events, callback.argument);
    ++ran;
  }
  return ran;
}

void ForgetCallback(Handle target) {
  LockHolder holder(lock);
  Forget(target);
}

void ForgetCallbackSet() {
  LockHolder holder(lock);
  if (!set_handle.is_none()) EpollSet::DropReference(set_handle);
  set_handle = {};
}

}  // namespace sluice::api
