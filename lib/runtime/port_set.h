// The ports of an instance: one for each device of the configuration, however many interfaces
// (VLANs) run over it.
#pragma once

#include <sluice/callback.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/port.h"
#include "runtime/configuration.h"

namespace sluice::callback {
class CallbackPort;
}

namespace sluice::runtime {

// A port of the embedding program's own, for the interface of this name.
struct CallbackPortSettings {
  std::string interface;
  sluice_callback_config config;
};

class PortSet {
 public:
  PortSet();
  ~PortSet();  // closes them; no engine may use them any more
  PortSet(PortSet&&) noexcept;
  PortSet& operator=(PortSet&&) noexcept;

  // Opens every port. DPDK's environment is started if there is a device for it, and not else.
  static absl::Status Open(const Configuration& configuration,
                           const std::vector<CallbackPortSettings>& callback_ports, PortSet* ports);

  bool empty() const { return ports_.empty(); }
  engine::Port* first() const { return ports_.front().get(); }
  // The port under an interface, by its place in the configuration.
  engine::Port* under(size_t interface) const { return under_[interface]; }
  // A port of the program's, by its place in what Open was given; nullptr: there is none.
  callback::CallbackPort* callback(size_t index) const {
    return index < callback_.size() ? callback_[index] : nullptr;
  }

 private:
  absl::Status OpenCallbackPorts(const Configuration& configuration,
                                 const std::vector<CallbackPortSettings>& settings);
  absl::Status OpenDevices(const Configuration& configuration);

  std::vector<std::unique_ptr<engine::Port>> ports_;
  std::vector<engine::Port*> under_;
  std::vector<callback::CallbackPort*> callback_;
};

}  // namespace sluice::runtime
