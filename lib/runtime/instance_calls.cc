// The C functions of <sluice/instance.h>.

#include <errno.h>
#include <sluice/instance.h>
#include <string.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "api/context.h"
#include "callback/port.h"
#include "runtime/process.h"

namespace sluice::runtime {
namespace {

int ErrnoOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kAlreadyExists:
      return EBUSY;
    case absl::StatusCode::kNotFound:
      return ENODEV;
    case absl::StatusCode::kPermissionDenied:
      return EACCES;
    case absl::StatusCode::kResourceExhausted:
      return ENOMEM;
    case absl::StatusCode::kUnavailable:
      return EBUSY;
    default:
      return EINVAL;
  }
}

int Fail(int error) {
  errno = error;
  return -1;
}

absl::StatusOr<Configuration> ConfigurationOf(const sluice_settings& settings) {
  absl::StatusOr<Configuration> configuration =
      settings.yaml != nullptr   ? ParseConfiguration(settings.yaml, "configuration")
      : settings.file != nullptr ? LoadConfiguration(settings.file)
                                 : ConfigurationFromEnvironment();
  if (!configuration.ok()) return configuration.status();
  absl::Status status = FinishConfiguration(&*configuration);
  if (!status.ok()) return status;
  return configuration;
}

absl::Status Start(const sluice_settings& given) {
  // A program that was built with an older header knows fewer members.
  sluice_settings settings = SLUICE_SETTINGS_INITIALIZER;
  if (given.size < sizeof(size_t) || given.size > 4096) {
    return absl::InvalidArgumentError("settings.size is not sizeof(struct sluice_settings)");
  }
  memcpy(&settings, &given, std::min(given.size, sizeof settings));
  absl::StatusOr<Configuration> configuration = ConfigurationOf(settings);
  if (!configuration.ok()) return configuration.status();
  InstanceSettings instance;
  instance.configuration = *std::move(configuration);
  for (size_t i = 0; i < settings.port_count; ++i) {
    const sluice_callback_port& port = settings.ports[i];
    if (port.interface == nullptr) {
      return absl::InvalidArgumentError("a port of the program's names no interface");
    }
    instance.callback_ports.push_back({port.interface, port.config});
  }
  instance.clock = settings.clock;
  instance.clock_argument = settings.clock_argument;
  instance.seed = settings.seed;
  return StartInstance(std::move(instance));
}

callback::CallbackPort* PortOf(unsigned port) {
  Instance* instance = CurrentInstance();
  return instance != nullptr ? instance->callback_port(port) : nullptr;
}

}  // namespace
}  // namespace sluice::runtime

using sluice::Instant;
using sluice::Nanoseconds;
using sluice::runtime::CurrentInstance;
using sluice::runtime::Fail;
using sluice::runtime::Instance;
using sluice::runtime::PortOf;

extern "C" {

int sluice_init_settings(const sluice_settings* settings, char* error, size_t error_size) {
  absl::Status status = sluice::runtime::Start(*settings);
  if (status.ok()) return 0;
  sluice::runtime::CopyError(status, error, error_size);
  return Fail(sluice::runtime::ErrnoOf(status));
}

int sluice_init(const char* yaml, char* error, size_t error_size) {
  sluice_settings settings = SLUICE_SETTINGS_INITIALIZER;
  settings.yaml = yaml;
  return sluice_init_settings(&settings, error, error_size);
}

void sluice_finish() { sluice::runtime::FinishInstance(); }

int sluice_is_running() { return CurrentInstance() != nullptr ? 1 : 0; }

int sluice_poll() {
  Instance* instance = CurrentInstance();
  if (instance == nullptr) return 0;
  bool worked = instance->Poll();
  return sluice::api::RunCallbacks() > 0 || worked ? 1 : 0;
}

int64_t sluice_next_deadline_ns() {
  Instance* instance = CurrentInstance();
  return instance != nullptr ? instance->NextDeadline().nanoseconds()
                             : std::numeric_limits<int64_t>::max();
}

int64_t sluice_now_ns() {
  Instance* instance = CurrentInstance();
  return instance != nullptr ? instance->Now().nanoseconds() : 0;
}

int sluice_advance_to(int64_t now_ns) {
  Instance* instance = CurrentInstance();
  if (instance == nullptr || !instance->AdvanceTo(Instant::FromNanoseconds(now_ns))) {
    return Fail(EINVAL);
  }
  return 0;
}

int sluice_wait(int64_t timeout_ns) {
  Instance* instance = CurrentInstance();
  if (instance == nullptr) return Fail(ENOTSUP);
  Instant deadline = timeout_ns < 0 ? Instant::Never() : instance->Now() + Nanoseconds(timeout_ns);
  switch (instance->Wait(deadline)) {
    case sluice::api::WaitOutcome::kInterrupted:
      return Fail(EINTR);
    case sluice::api::WaitOutcome::kDeadline:
      return 0;
    default:
      return 1;
  }
}

int sluice_port_input(unsigned port, const void* frame, size_t frame_bytes) {
  using sluice::callback::PushResult;
  sluice::callback::CallbackPort* callback = PortOf(port);
  if (callback == nullptr) return Fail(EINVAL);
  switch (callback->Push({static_cast<const uint8_t*>(frame), frame_bytes})) {
    case PushResult::kTaken:
      return 0;
    case PushResult::kFull:
      return Fail(EAGAIN);
    default:
      return Fail(EMSGSIZE);
  }
}

ssize_t sluice_port_output(unsigned port, void* frame, size_t room) {
  sluice::callback::CallbackPort* callback = PortOf(port);
  if (callback == nullptr) return Fail(EINVAL);
  return static_cast<ssize_t>(callback->Pop({static_cast<uint8_t*>(frame), room}));
}

int sluice_port_set_link(unsigned port, int up) {
  sluice::callback::CallbackPort* callback = PortOf(port);
  if (callback == nullptr) return Fail(EINVAL);
  callback->set_link_up(up != 0);
  return 0;
}

const char* sluice_version() { return SLUICE_VERSION; }

}  // extern "C"
