// The instance of this process: started by the C functions of <sluice/instance.h> or by the preload
// library, and what happens to it when the process forks or ends.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "runtime/instance.h"

namespace sluice::runtime {

// nullptr: none runs. Any thread.
Instance* CurrentInstance();

// Not beside any other call, as sluice_init and sluice_finish.
absl::Status StartInstance(InstanceSettings settings);
void FinishInstance();

// What the environment says: SLUICE_CONFIG, SLUICE_CONFIG_INLINE, SLUICE_LIMITS_SOCKETS ...
absl::StatusOr<Configuration> ConfigurationFromEnvironment();

// For the preload library (see preload/calls.h).
bool StartFromEnvironment(char* error, size_t error_bytes);
void FinishProcess();
void AfterForkInChild();
bool IsInternalDescriptor(int fd);
void ForgetInternalDescriptor(int fd);

// One line without the name of the program in front; cut where there is no room.
void CopyError(const absl::Status& status, char* error, size_t error_bytes);

}  // namespace sluice::runtime
