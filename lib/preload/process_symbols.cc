// Stand-ins for the calls by which a process ends, starts threads or becomes another program.

#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/symbols.h"

namespace sluice::preload {

// libc's _exit does not run what was registered with atexit.
SLUICE_SYMBOL(void, _exit, (int status)) {
  static constinit Libc<void(int)> libc("_exit");
  Finish();
  libc(status);
  __builtin_unreachable();
}
SLUICE_SYMBOL(void, _Exit, (int status)) {
  static constinit Libc<void(int)> libc("_Exit");
  Finish();
  libc(status);
  __builtin_unreachable();
}
SLUICE_SYMBOL(void, quick_exit, (int status)) {
  static constinit Libc<void(int)> libc("quick_exit");
  Finish();
  libc(status);
  __builtin_unreachable();
}

// Threads that Sluice and DPDK start are inside, as the thread that starts them is.
namespace {

struct ThreadStart {
  void* (*function)(void*);
  void* argument;
};

void* RunInside(void* argument) {
  ThreadStart start = *static_cast<ThreadStart*>(argument);
  free(argument);
  Inside inside;
  return start.function(start.argument);
}

}  // namespace

SLUICE_SYMBOL(int, pthread_create,
              (pthread_t * thread, const pthread_attr_t* attributes, void* (*function)(void*),
               void* argument)) {
  static constinit Libc<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)> libc(
      "pthread_create");
  if (!IsInside()) return libc(thread, attributes, function, argument);
  auto* start = static_cast<ThreadStart*>(malloc(sizeof(ThreadStart)));
  if (start == nullptr) return EAGAIN;
  *start = {function, argument};
  int error = libc(thread, attributes, RunInside, start);
  if (error != 0) free(start);
  return error;
}

// A program may give a child an environment that it copied before Sluice started, in which the
// child would not find that this process owns the configuration. It is added there.
namespace {

bool IsVariable(const char* setting, const char* name) {
  size_t length = strlen(name);
  return strncmp(setting, name, length) == 0 && setting[length] == '=';
}

// Entries that a copy of the environment needs beside its own: 0, the copy is good as it is.
size_t MissingEntries(char* const* environment, size_t* entries) {
  *entries = 0;
  if (calls() == nullptr || environment == nullptr || environment == environ) return 0;
  bool has_configuration = false, has_owner = false;
  for (; environment[*entries] != nullptr; ++*entries) {
    const char* setting = environment[*entries];
    has_configuration = has_configuration || IsVariable(setting, "SLUICE_CONFIG_INLINE") ||
                        IsVariable(setting, "SLUICE_CONFIG");
    has_owner = has_owner || IsVariable(setting, kOwnerVariable);
  }
  return has_configuration && !has_owner ? 1 : 0;
}

// On the caller's stack: this may be a child of vfork, which must not allocate.
#define SLUICE_WITH_OWNER(environment)                                          \
  size_t entries;                                                               \
  if (MissingEntries(environment, &entries) != 0) {                             \
    char** longer = static_cast<char**>(alloca((entries + 2) * sizeof(char*))); \
    memcpy(longer, environment, entries * sizeof(char*));                       \
    longer[entries] = gate::owner_setting;                                      \
    longer[entries + 1] = nullptr;                                              \
    environment = longer;                                                       \
  }

}  // namespace

SLUICE_SYMBOL(int, execve, (const char* path, char* const* arguments, char* const* environment)) {
  static constinit Libc<int(const char*, char* const*, char* const*)> libc("execve");
  SLUICE_WITH_OWNER(environment)
  return libc(path, arguments, environment);
}
SLUICE_SYMBOL(int, execvpe, (const char* file, char* const* arguments, char* const* environment)) {
  static constinit Libc<int(const char*, char* const*, char* const*)> libc("execvpe");
  SLUICE_WITH_OWNER(environment)
  return libc(file, arguments, environment);
}
SLUICE_SYMBOL(int, fexecve, (int fd, char* const* arguments, char* const* environment)) {
  static constinit Libc<int(int, char* const*, char* const*)> libc("fexecve");
  SLUICE_WITH_OWNER(environment)
  return libc(fd, arguments, environment);
}
SLUICE_SYMBOL(int, posix_spawn,
              (pid_t * pid, const char* path, const posix_spawn_file_actions_t* actions,
               const posix_spawnattr_t* attributes, char* const* arguments,
               char* const* environment)) {
  static constinit Libc<int(pid_t*, const char*, const posix_spawn_file_actions_t*,
                            const posix_spawnattr_t*, char* const*, char* const*)>
      libc("posix_spawn");
  SLUICE_WITH_OWNER(environment)
  return libc(pid, path, actions, attributes, arguments, environment);
}
SLUICE_SYMBOL(int, posix_spawnp,
              (pid_t * pid, const char* file, const posix_spawn_file_actions_t* actions,
               const posix_spawnattr_t* attributes, char* const* arguments,
               char* const* environment)) {
  static constinit Libc<int(pid_t*, const char*, const posix_spawn_file_actions_t*,
                            const posix_spawnattr_t*, char* const*, char* const*)>
      libc("posix_spawnp");
  SLUICE_WITH_OWNER(environment)
  return libc(pid, file, actions, attributes, arguments, environment);
}

}  // namespace sluice::preload
