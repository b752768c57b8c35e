#include "runtime/process.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string_view>
#include <utility>

#include "api/context.h"
#include "runtime/internal_descriptors.h"

namespace sluice::runtime {
namespace {

std::atomic<Instance*> current{nullptr};

// A child of fork has the parent's memory, but neither its threads nor its ports.
void ForgetInChild() {
  if (current.exchange(nullptr) == nullptr) return;  // left as it is: it is the parent's
  ClearInternal();
  api::AfterForkInChild();
}

void WatchForks() {
  static std::atomic<bool> watching{false};
  if (!watching.exchange(true)) pthread_atfork(nullptr, nullptr, ForgetInChild);
}

}  // namespace

Instance* CurrentInstance() { return current.load(std::memory_order_acquire); }

absl::Status StartInstance(InstanceSettings settings) {
  InternalDescriptorsSince since;
  absl::StatusOr<std::unique_ptr<Instance>> instance = Instance::Start(std::move(settings));
  if (!instance.ok()) return instance.status();
  WatchForks();
  current.store(instance->release(), std::memory_order_release);
  return absl::OkStatus();
}

void FinishInstance() {
  delete current.exchange(nullptr);
  ClearInternal();
}

absl::StatusOr<Configuration> ConfigurationFromEnvironment() {
  Configuration configuration;
  absl::Status status = ApplyEnvironment(environ, &configuration);
  if (!status.ok()) return status;
  return configuration;
}

bool StartFromEnvironment(char* error, size_t error_bytes) {
  absl::StatusOr<Configuration> configuration = ConfigurationFromEnvironment();
  absl::Status status = configuration.status();
  if (status.ok()) status = FinishConfiguration(&*configuration);
  if (status.ok()) {
    InstanceSettings settings;
    settings.configuration = *std::move(configuration);
    // The program takes its sockets for the kernel's: their numbers must be, too.
    settings.configuration.descriptors = Descriptors::kKernel;
    status = StartInstance(std::move(settings));
  }
  if (!status.ok()) CopyError(status, error, error_bytes);
  return status.ok();
}

void FinishProcess() {
  // Neither freed nor taken apart: other threads may be in the middle of a call.
  if (Instance* instance = current.exchange(nullptr)) instance->EndWithProcess();
}

void AfterForkInChild() { ForgetInChild(); }

bool IsInternalDescriptor(int fd) { return IsInternal(fd); }
void ForgetInternalDescriptor(int fd) { MarkInternal(fd, false); }

void CopyError(const absl::Status& status, char* error, size_t error_bytes) {
  if (error == nullptr || error_bytes == 0) return;
  absl::string_view message = status.message();
  constexpr absl::string_view kPrefix = "sluice: ";
  if (message.substr(0, kPrefix.size()) == kPrefix) message.remove_prefix(kPrefix.size());
  size_t length = std::min(message.size(), error_bytes - 1);
  memcpy(error, message.data(), length);
  error[length] = '\0';
}

}  // namespace sluice::runtime
