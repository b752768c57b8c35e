#include "dpdk/xdp_messages.h"

#include <dlfcn.h>

#include <cstdarg>
#include <cstdio>

#include "dpdk/message_log.h"

namespace sluice::dpdk {
namespace {

// libxdp_print_fn_t and libbpf_print_fn_t: the level is an enumeration of theirs.
using Print = int (*)(int level, const char* format, va_list arguments);
using SetPrint = Print (*)(Print);

int PrintToLog(int /*level*/, const char* format, va_list arguments) {
  return MessageLog::stream() != nullptr ? vfprintf(MessageLog::stream(), format, arguments) : 0;
}

void Redirect(const char* library, const char* function) {
  void* handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return;
  if (void* symbol = dlsym(handle, function); symbol != nullptr) {
    reinterpret_cast<SetPrint>(symbol)(PrintToLog);
  }
  dlclose(handle);
}

}  // namespace

void RedirectXdpMessages() {
  Redirect("libbpf.so.1", "libbpf_set_print");
  Redirect("libxdp.so.1", "libxdp_set_print");
}

}  // namespace sluice::dpdk
