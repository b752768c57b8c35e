#include "dpdk/memif_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace sluice::dpdk {
namespace {

// What connecting a memif client to `path` answers: 0 or an errno.
int TryConnect(const std::string& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int result =
      ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = result == 0 ? 0 : errno;
  ::close(descriptor);
  return error;
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
  const int error = TryConnect(path);
  if (error == ECONNREFUSED || error == EPROTOTYPE) {
    // Refused: nobody listens, so its owner is gone.
    if (error == ECONNREFUSED && ::unlink(path.c_str()) == 0) return absl::OkStatus();
  }
  return absl::AlreadyExistsError(
      absl::StrCat("memif socket '", path,
                   "' is in use by another process; stop it, or choose another path or role=client"));
}

}  // namespace sluice::dpdk
