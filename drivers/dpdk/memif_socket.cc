#include "dpdk/memif_socket.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace sluice::dpdk {
namespace {

constexpr size_t kNameBytesMax = sizeof(sockaddr_un{}.sun_path) - 1;
constexpr int kBacklog = 16;
// Where that is possible our descriptors are numbered from here on: a program that is running
// expects the low numbers for its own.
constexpr int kDescriptorLeast = 768;

struct Address {
  explicit Address(const MemifAddress& from) {
    name.sun_family = AF_UNIX;
    const size_t count = std::min(from.name.size(), kNameBytesMax);
    std::memcpy(name.sun_path + (from.is_abstract ? 1 : 0), from.name.data(), count);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + count);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }

  sockaddr_un name{};
  socklen_t size = 0;
};

Descriptor MoveUp(long number) {
  Descriptor low(static_cast<int>(number));
  if (!low) return low;
  Descriptor high(
      static_cast<int>(syscall(SYS_fcntl, low.number(), F_DUPFD_CLOEXEC, kDescriptorLeast)));
  return high ? std::move(high) : std::move(low);
}

Descriptor NewSocket() {
  return MoveUp(syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// Whether a socket is bound to `path`. Connecting with the wrong type fails in a way that tells
// (EPROTOTYPE if there is one, ECONNREFUSED if not) and that its owner does not notice. To be
// connected and left at once is what a memif server of DPDK 22.11 does not survive.
bool IsBound(const std::string& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return true;
  const Address address({path, false});
  const int result = ::connect(descriptor, address.get(), address.size);
  const bool is_free = result != 0 && errno == ECONNREFUSED;
  ::close(descriptor);
  return !is_free;
}

absl::Status InUse(std::string_view name) {
  return absl::AlreadyExistsError(absl::StrCat(
      "memif socket '", absl::string_view(name.data(), name.size()),
      "' is in use by another process or device; stop it, or choose another path or role=client"));
}

// `call` is that for the name of the socket or of its peer.
bool HasName(long call, int descriptor, const std::string& path) {
  sockaddr_un name{};
  socklen_t size = sizeof(name) - 1;
  return syscall(call, descriptor, &name, &size) == 0 && name.sun_family == AF_UNIX &&
         path == name.sun_path;
}

// Takes the descriptors that came with a message; says whether there was at most one.
bool TakeDescriptor(msghdr* header, Descriptor* attached) {
  bool is_single = (header->msg_flags & MSG_CTRUNC) == 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(header); c != nullptr; c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int number;
      std::memcpy(&number, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      Descriptor taken(number);
      if (*attached) is_single = false;
      if (!*attached) *attached = std::move(taken);
    }
  }
  return is_single;
}

}  // namespace

void Descriptor::Close() {
  if (number_ >= 0) syscall(SYS_close, number_);
  number_ = -1;
}

absl::Status CheckAddress(const MemifAddress& address) {
  if (address.name.size() <= kNameBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("memif socket path '", address.name, "' is too long"));
}

absl::Status ClearServerSocket(const std::string& path) {
  if (absl::Status status = CheckAddress({path, false}); !status.ok()) return status;
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
  return InUse(path);
}

absl::StatusOr<Descriptor> ListenAt(const MemifAddress& address) {
  Descriptor listener = NewSocket();
  const Address name(address);
  if (listener && syscall(SYS_bind, listener.number(), name.get(), name.size) == 0 &&
      syscall(SYS_listen, listener.number(), kBacklog) == 0) {
    return listener;
  }
  if (errno == EADDRINUSE) return InUse(address.name);
  return absl::FailedPreconditionError(
      absl::StrCat("cannot listen on memif socket '", address.name, "': ", std::strerror(errno)));
}

Descriptor AcceptFrom(int listener) {
  return MoveUp(syscall(SYS_accept4, listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

Descriptor ConnectTo(const MemifAddress& address, bool* is_busy) {
  Descriptor connection = NewSocket();
  const Address name(address);
  *is_busy = false;
  if (connection && syscall(SYS_connect, connection.number(), name.get(), name.size) == 0) {
    return connection;
  }
  *is_busy = errno == EAGAIN;
  return Descriptor();
}

Took TakeMessage(int socket, MemifMessage* message, Descriptor* attached) {
  attached->Close();
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
  iovec part = {message, sizeof(*message)};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const long size = syscall(SYS_recvmsg, socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size == 0 || (size < 0 && errno == ECONNRESET)) return Took::kEnd;
  if (size < 0) return Took::kNothing;
  const bool is_single = TakeDescriptor(&header, attached);
  const bool is_whole = size == sizeof(*message) && (header.msg_flags & MSG_TRUNC) == 0;
  return is_whole && is_single ? Took::kMessage : Took::kNonsense;
}

bool SendMessage(int socket, const MemifMessage& message, const Descriptor& attached) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part = {const_cast<MemifMessage*>(&message), sizeof(message)};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (attached) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = attached.number();
    std::memcpy(CMSG_DATA(rights), &number, sizeof(number));
  }
  return syscall(SYS_sendmsg, socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(message);
}

void Disconnect(int socket) { syscall(SYS_shutdown, socket, SHUT_RDWR); }

void EndMessages(int socket) { syscall(SYS_shutdown, socket, SHUT_WR); }

bool AllTaken(int socket) {
  int bytes = 0;
  return syscall(SYS_ioctl, socket, SIOCOUTQ, &bytes) == 0 && bytes == 0;
}

bool HasCome(int first_socket, int second_socket, int milliseconds) {
  pollfd sockets[] = {{first_socket, POLLIN | POLLRDHUP, 0},
                      {second_socket, POLLIN | POLLRDHUP, 0}};
  const timespec limit = {milliseconds / 1000, milliseconds % 1000 * 1'000'000L};
  return syscall(SYS_ppoll, sockets, 2, &limit, nullptr, 0) > 0;
}

bool IsAcceptedAt(int descriptor, const std::string& path) {
  int is_listening = 1;
  socklen_t size = sizeof(is_listening);
  return HasName(SYS_getsockname, descriptor, path) &&
         syscall(SYS_getsockopt, descriptor, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) ==
             0 &&
         is_listening == 0;
}

bool IsConnectedTo(int descriptor, const std::string& path) {
  return HasName(SYS_getpeername, descriptor, path);
}

uint64_t IdentityOf(int descriptor) {
  struct stat status;
  return syscall(SYS_fstat, descriptor, &status) == 0 ? status.st_ino : 0;
}

}  // namespace sluice::dpdk
