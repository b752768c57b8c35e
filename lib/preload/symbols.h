// The means by which the preload library stands in for libc's symbols.
//
//   SLUICE_SYMBOL(int, listen, (int fd, int backlog)) {
//     static constinit Libc<int(int, int)> libc("listen");
//     if (!IsOurs(fd)) return libc(fd, backlog);
//     return calls()->listen(fd, backlog);
//   }
//
// The stand-ins have names of their own and take libc's only as their symbol, so that libc's
// headers may declare those names as they like (noexcept, redirected, fortified).
//
// Thread: any. Everything here works before constructors have run, and in a signal handler once the
// symbol was used before.
#pragma once

#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <type_traits>

#include "preload/gate.h"

#define SLUICE_SYMBOL(type, name, parameters)             \
  extern "C" __attribute__((visibility("default"), used)) \
  type SluiceSymbol_##name parameters __asm__(#name);     \
  type SluiceSymbol_##name parameters

namespace sluice::preload {

// libc's own function of a name, looked up when first called.
template <typename Signature>
class Libc;

template <typename R, typename... Arguments>
class Libc<R(Arguments...)> {
 public:
  using Function = R (*)(Arguments...);

  explicit constexpr Libc(const char* name) : name_(name) {}

  Function get() {
    Function function = function_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name_));
      function_.store(function, std::memory_order_relaxed);
    }
    return function;
  }
  R operator()(Arguments... arguments) {
    Function function = get();
    if (function == nullptr) {  // a libc older than the call
      errno = ENOSYS;
      if constexpr (std::is_pointer_v<R>)
        return nullptr;
      else if constexpr (!std::is_void_v<R>)
        return R(-1);
      else
        return;
    }
    return function(arguments...);
  }

 private:
  const char* name_;
  std::atomic<Function> function_{nullptr};
};

}  // namespace sluice::preload
