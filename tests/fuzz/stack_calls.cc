// The stack fuzzer's calls that make, join, watch and end sockets.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>

#include "api/callback.h"
#include "api/context.h"
#include "api/descriptors.h"
#include "api/socket_calls.h"
#include "fuzz.h"
#include "stack_script.h"

namespace sluice::fuzz {
namespace {

constexpr int kTimeouts_ms[] = {0, 1, 1000, -1, 100000};

// What a callback does: `argument` is nullptr where it is to close its socket.
void OnReady(int fd, uint32_t, void* argument) {
  if (argument == nullptr) {
    api::Shutdown(fd, SHUT_WR);
    return;
  }
  char bytes[256];
  for (int i = 0; i < 4; ++i) {
    if (api::Recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0) break;
  }
}

}  // namespace

void Script::OpenSocket() {
  const uint8_t kind = Byte();
  const int family = (kind & 1) != 0 ? AF_INET6 : AF_INET;
  int type = (kind & 2) != 0 ? SOCK_DGRAM : SOCK_STREAM;
  if ((kind & 4) != 0) type |= SOCK_NONBLOCK;
  const int protocol = (kind & 0xe0) == 0xe0 ? kind >> 3 & 3 : 0;
  if (api::ShouldUseKernel(family, type, protocol)) return;
  const int fd = api::Socket(family, type, protocol);
  CheckResult(fd, api::kMaxDescriptors);
  Keep(fd);
}

void Script::BindSocket() {
  const int fd = Descriptor();
  const Name name = Address();
  CheckResult(api::Bind(fd, name.get(), name.length), 0);
}

void Script::ListenSocket() {
  const int fd = Descriptor();
  CheckResult(api::Listen(fd, Byte() % 16), 0);
}

void Script::ConnectSocket() {
  const int fd = Descriptor();
  const Name name = Address();
  CheckResult(api::Connect(fd, name.get(), name.length), 0);
}

void Script::AcceptSocket() {
  const int fd = Descriptor();
  const uint8_t how = Byte();
  // One that blocks with nobody to connect would only wait to be interrupted.
  if ((how & 1) == 0) api::Fcntl(fd, F_SETFL, O_NONBLOCK);
  sockaddr_storage address;
  socklen_t length = how >> 1 & 0x1f;
  const int made = api::Accept4(fd, reinterpret_cast<sockaddr*>(&address), &length,
                                (how & 0x40) != 0 ? SOCK_NONBLOCK : 0);
  CheckResult(made, api::kMaxDescriptors);
  Keep(made);
}

void Script::CloseSlot() {
  int& fd = fds_[Slot()];
  if (fd < 0) return;
  // A duplicate may have had the same number; then it is closed already.
  CheckResult(api::Close(fd), 0);
  fd = -1;
}

void Script::ShutdownSocket() {
  const int fd = Descriptor();
  CheckResult(api::Shutdown(fd, Byte() % 4), 0);
}

void Script::Duplicate() {
  const int fd = Descriptor();
  const uint8_t how = Byte();
  const int to = fds_[how % kSlots];
  if ((how & 0x80) == 0 || to < 0 || !api::IsOurs(fd)) {
    Keep(api::Dup(fd));
    return;
  }
  CheckResult(api::Dup3(fd, to, (how & 0x40) != 0 ? O_CLOEXEC : 0), to);
}

void Script::AskNames() {
  const int fd = Descriptor();
  const uint8_t how = Byte();
  std::vector<uint8_t> name(how & 0x3f);
  socklen_t length = static_cast<socklen_t>(name.size());
  sockaddr* const address = reinterpret_cast<sockaddr*>(name.data());
  CheckResult((how & 0x40) != 0 ? api::GetPeerName(fd, address, &length)
                                : api::GetSockName(fd, address, &length),
              0);
  Check(length <= sizeof(sockaddr_storage), "the length of a name");
  struct stat status;
  CheckResult(api::IsOurs(fd) ? api::Fstat(fd, &status) : 0, 0);
}

void Script::PollSockets() {
  const uint8_t how = Byte();
  std::vector<pollfd> set(how % 10);
  for (pollfd& one : set) {
    one.fd = Descriptor();
    one.events = static_cast<short>(reader_.Number16());
    one.revents = -1;
  }
  CheckResult(api::Poll(set.data(), set.size(), kTimeouts_ms[(how >> 4) % std::size(kTimeouts_ms)]),
              static_cast<long>(set.size()));
}

void Script::SelectSockets() {
  const uint8_t how = Byte();
  fd_set sets[3];
  int count = 0;
  for (fd_set& set : sets) {
    FD_ZERO(&set);
    const uint8_t members = Byte();
    for (unsigned i = 0; i < kSlots; ++i) {
      if ((members >> i & 1) == 0 || fds_[i] < 0 || fds_[i] >= FD_SETSIZE) continue;
      FD_SET(fds_[i], &set);
      count = std::max(count, fds_[i] + 1);
    }
  }
  timeval timeout{how & 3, how >> 2};
  CheckResult(api::Select(count, &sets[0], (how & 0x40) != 0 ? nullptr : &sets[1], &sets[2],
                          (how & 0x80) != 0 ? nullptr : &timeout),
              3 * static_cast<long>(kSlots));
}

void Script::OpenEpoll() {
  const int fd = api::EpollCreate1(Coin() ? EPOLL_CLOEXEC : 0);
  CheckResult(fd, api::kMaxDescriptors);
  Keep(fd);
}

void Script::ControlEpoll() {
  static constexpr int kOperations[] = {EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, 0};
  static constexpr uint32_t kHow[] = {
      0, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLET | EPOLLONESHOT, EPOLLWAKEUP};
  const int epoll = Descriptor(), fd = Descriptor();
  const uint8_t what = Byte();
  epoll_event event{};
  event.events = reader_.Number16() | kHow[(what >> 2) % std::size(kHow)];
  event.data.u64 = what;
  CheckResult(api::EpollCtl(epoll, kOperations[what % 4], fd, &event), 0);
}

void Script::WaitEpoll() {
  const int epoll = Descriptor();
  const uint8_t how = Byte();
  std::vector<epoll_event> events(how % 12);
  CheckResult(api::EpollWait(epoll, events.data(), static_cast<int>(events.size()),
                             kTimeouts_ms[(how >> 4) % std::size(kTimeouts_ms)]),
              static_cast<long>(events.size()));
}

void Script::SetCallback() {
  const int fd = Descriptor();
  const uint8_t how = Byte();
  CheckResult(api::SetCallback(fd, reader_.Number16(), (how & 1) != 0 ? nullptr : &OnReady,
                               (how & 2) != 0 ? nullptr : this),
              0);
}

void Script::RunCallbacks() {
  world_.Turn();
  Check(api::RunCallbacks() >= 0, "callbacks run");
}

}  // namespace sluice::fuzz
