#include "preload/gate.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::preload {

namespace gate {
std::atomic<const Calls*> calls{nullptr};
thread_local int inside __attribute__((tls_model("initial-exec"))) = 0;
int owner_pid = 0;
char owner_setting[32] = "";
}  // namespace gate

namespace {

enum class Decision { kUndecided, kSluice, kKernel };

std::atomic<Decision> decision{Decision::kUndecided};
pthread_mutex_t decision_mutex = PTHREAD_MUTEX_INITIALIZER;

// getpid without libc, which a vfork child could find stale.
int ProcessId() { return static_cast<int>(syscall(SYS_getpid)); }

[[noreturn]] void Fail(const char* message) {
  char line[600];
  int length = snprintf(line, sizeof line, "sluice: %s\n", message);
  if (length >= static_cast<int>(sizeof line)) length = sizeof line - 1;
  [[maybe_unused]] ssize_t written = syscall(SYS_write, STDERR_FILENO, line, length);
  syscall(SYS_exit_group, 2);
  __builtin_unreachable();
}

bool HasConfiguration() {
  return getenv("SLUICE_CONFIG_INLINE") != nullptr || getenv("SLUICE_CONFIG") != nullptr;
}

// Whether another process that still lives owns the configuration.
bool IsOwnedByAnother() {
  const char* owner = getenv(kOwnerVariable);
  if (owner == nullptr) return false;
  int pid = atoi(owner);
  return pid > 0 && pid != ProcessId() && (kill(pid, 0) == 0 || errno == EPERM);
}

// libsluice.so lies beside this library when installed, and in lib/sluice of a build tree.
void* OpenLibrary() {
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&OpenLibrary), &self) != 0) {
    const char* slash = strrchr(self.dli_fname, '/');
    int directory = slash == nullptr ? 0 : static_cast<int>(slash - self.dli_fname);
    for (const char* place : {"", "/../sluice"}) {
      char path[4096];
      snprintf(path, sizeof path, "%.*s%s/%s", directory, self.dli_fname, place, "libsluice.so.0");
      if (access(path, R_OK) != 0) continue;
      if (void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL)) return library;
      return nullptr;  // dlerror says what is wrong with it
    }
  }
  return dlopen("libsluice.so.0", RTLD_NOW | RTLD_LOCAL);
}

void AfterForkInChild() {
  gate::owner_pid = ProcessId();  // of this copy of the memory
  if (const Calls* table = calls()) table->after_fork_in_child();
}

void Start() {
  char error[512];
  void* library = OpenLibrary();
  if (library == nullptr) {
    snprintf(error, sizeof error, "cannot load libsluice.so.0: %s", dlerror());
    Fail(error);
  }
  auto table_of = reinterpret_cast<decltype(&sluice_preload_calls)>(dlsym(library, Calls::kSymbol));
  const Calls* table = table_of != nullptr ? table_of() : nullptr;
  if (table == nullptr || table->version != Calls::kVersion) {
    Fail("libsluice.so.0 and libsluice-preload.so are of different versions; install both again");
  }
  if (!table->start(error, sizeof error)) Fail(error);
  gate::owner_pid = ProcessId();
  snprintf(gate::owner_setting, sizeof gate::owner_setting, "%s=%d", kOwnerVariable,
           gate::owner_pid);
  setenv(kOwnerVariable, strchr(gate::owner_setting, '=') + 1, 1);
  pthread_atfork(nullptr, nullptr, AfterForkInChild);
  // Registered after libsluice.so was loaded, so it runs before that library's own destructors.
  atexit(Finish);
  gate::calls.store(table, std::memory_order_release);  // pairs with calls()
}

}  // namespace

const Calls* Enter() {
  if (decision.load(std::memory_order_acquire) == Decision::kUndecided) {
    Inside inside;
    pthread_mutex_lock(&decision_mutex);
    if (decision.load() == Decision::kUndecided) {
      bool ours = HasConfiguration() && !IsOwnedByAnother();
      if (ours) Start();
      decision.store(ours ? Decision::kSluice : Decision::kKernel, std::memory_order_release);
    }
    pthread_mutex_unlock(&decision_mutex);
  }
  return calls();
}

bool IsOwner() { return gate::owner_pid == ProcessId(); }

void Finish() {
  const Calls* table = calls();
  if (table != nullptr && IsOwner()) table->finish();
}

}  // namespace sluice::preload
