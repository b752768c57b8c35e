#include "dpdk/memif_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice::dpdk {
namespace {

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
  return address;
}

// Whether a socket is bound to `path`. Connecting with the wrong type fails in a way that tells
// (EPROTOTYPE if there is one, ECONNREFUSED if not) and that its owner does not notice. To be
// connected and left at once is what a memif server of DPDK 22.11 does not survive.
bool IsBound(const std::string& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return true;
  const sockaddr_un address = AddressOf(path);
  const int result =
      ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const bool is_free = result != 0 && errno == ECONNREFUSED;
  ::close(descriptor);
  return !is_free;
}

}  // namespace

absl::Status ClearServerSocket(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("memif socket path '", path, "' is too long"));
  }
  struct stat status;
  const std::string directory = path.substr(0, std::max<size_t>(path.rfind('/'), 1));
  if (::stat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    return absl::NotFoundError(absl::StrCat("memif socket directory '", directory,
                                            "' does not exist; run: mkdir -p ", directory));
  }
  if (::lstat(path.c_str(), &status) != 0) return absl::OkStatus();
  if (!S_ISSOCK(status.st_mode)) {
    return absl::AlreadyExistsError(
        absl::StrCat("memif socket '", path, "' exists and is not a socket; choose another path"));
  }
  if (!IsBound(path) && ::unlink(path.c_str()) == 0) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(
      "memif socket '", path,
      "' is in use by another process; stop it, or choose another path or role=client"));
}

bool IsConnected(int descriptor, const std::string& path) {
  sockaddr_un peer{};
  socklen_t size = sizeof(peer);
  if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return false;
  if (peer.sun_family != AF_UNIX || size <= sizeof(peer.sun_family)) return false;
  const bool is_abstract = peer.sun_path[0] == '\0';
  if (path.compare(is_abstract ? peer.sun_path + 1 : peer.sun_path) != 0) return false;
  // The peer's name stays after the peer has gone.
  pollfd state = {descriptor, POLLRDHUP, 0};
  return ::poll(&state, 1, 0) == 0;
}

}  // namespace sluice::dpdk
