// capture_file: what an instance writes of the frames that pass.

#include <time.h>

#include "absl/strings/str_cat.h"
#include "observe/capture.h"
#include "runtime/instance.h"

namespace sluice::runtime {
namespace {

// A capture that nobody watches must not fill the disk.
constexpr uint64_t kCaptureBytesMax = uint64_t{4} << 30;

}  // namespace

// One file for each engine, since each writes by itself: the first has the name as given.
absl::Status Instance::StartCaptures() {
  const Configuration& configuration = settings_.configuration;
  if (configuration.capture_file.empty()) return absl::OkStatus();
  // A program that keeps the time itself gets its own time in the file.
  int64_t offset_ns = 0;
  if (program_clock_ == nullptr) {
    timespec today;
    clock_gettime(CLOCK_REALTIME, &today);
    offset_ns = today.tv_sec * int64_t{1'000'000'000} + today.tv_nsec - clock_->Now().nanoseconds();
  }
  for (const auto& engine : engines_) {
    const std::string path = engine->lane() == 0
                                 ? configuration.capture_file
                                 : absl::StrCat(configuration.capture_file, ".", engine->lane());
    auto capture = observe::Capture::Create(path, kCaptureBytesMax, offset_ns);
    if (!capture.ok()) return capture.status();
    for (uint16_t i = 1; i <= engine->ip().interface_count(); ++i) {
      const ip::InterfaceView view = engine->ip().DescribeInterface(i);
      (*capture)->AddInterface(i, view.name,
                               view.link == ip::LinkLayer::kEthernet ? engine::LinkType::kEthernet
                                                                     : engine::LinkType::kIp);
    }
    engine->SetTap(capture->get());
    captures_.push_back(*std::move(capture));
  }
  return absl::OkStatus();
}

}  // namespace sluice::runtime
