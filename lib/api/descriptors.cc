#include "api/descriptors.h"

#include <atomic>
#include <vector>

#include "api/epoll_set.h"
#include "api/kernel.h"
#include "api/socket.h"
#include "api/socket_calls.h"

namespace sluice::api {

namespace internal {
constinit uint64_t descriptor_words[kMaxDescriptors] = {};
}  // namespace internal

namespace {

using table::Handle;

// One above the highest number that was ever assigned: where walks may stop.
std::atomic<int> numbers_used{0};

void Drop(Handle handle) {
  if (handle == kInherited || handle.generation == 0) return;
  if (NamesEpoll(handle)) {
    EpollSet::DropReference(handle);
  } else {
    DropReference(handle);
  }
}

bool Add(Handle handle) {
  if (handle == kInherited) return true;
  return NamesEpoll(handle) ? EpollSet::AddReference(handle) : AddReference(handle);
}

// Makes `fd`, just reserved, one more name of what `handle` names.
int AssignDuplicate(int fd, Handle handle) {
  if (fd < 0) return -1;
  if (fd >= kMaxDescriptors && !IsOwnNumber(fd)) {
    kernel::Close(fd);
    return Fail(EMFILE);
  }
  if (!Add(handle)) {
    ReleaseNumber(fd);
    return Fail(EBADF);
  }
  Assign(fd, handle);
  return fd;
}

// Calls visit(fd) for each number that names something.
template <typename Visit>
void ForEachNumber(Visit&& visit) {
  for (int fd = 0; fd < numbers_used.load(); ++fd) {
    if (DescriptorBits(fd) != 0) visit(fd);
  }
  for (int fd = state.own_numbers.first(); fd < state.own_numbers.end(); ++fd) {
    if (DescriptorBits(fd) != 0) visit(fd);
  }
}

// A number of the kernel's that names `handle`, or -1.
int FindNumber(Handle handle) {
  for (int fd = 0; fd < numbers_used.load(); ++fd) {
    if (DescriptorBits(fd) == handle.bits()) return fd;
  }
  return -1;
}

// What a duplicate of the number is one of in the kernel: a number of our own is reserved nowhere.
int NumberForKernel(int fd) {
  return IsOwnNumber(fd) && DescriptorBits(fd) != 0 ? state.base_descriptor : fd;
}

// dup2 to a number that the kernel knows nothing of: only what is ours can have it.
int DupToOwn(Handle handle, int to) {
  const bool ours = handle.generation != 0 && handle != kInherited && !NamesEpoll(handle);
  if (!ours || !Add(handle)) return Fail(EBADF);
  state.own_numbers.Claim(to);
  Assign(to, handle);
  return to;
}

void SayInherited() {
  static std::atomic<bool> said{false};
  if (said.exchange(true)) return;
  static constexpr char kLine[] =
      "sluice: a process that was forked uses a Sluice socket of its parent. Sockets do not "
      "survive fork without the Sluice service: let the process that opens them use them (no "
      "daemon mode, no worker processes), or let the child exec.\n";
  kernel::Write(2, kLine, sizeof(kLine) - 1);
}

}  // namespace

int WhyNoSocket(Handle handle) {
  if (handle == kInherited) {
    SayInherited();
    return EOPNOTSUPP;
  }
  return NamesEpoll(handle) ? ENOTSOCK : EBADF;
}

int ReserveNumber(bool close_on_exec, int lowest) {
  if (state.own_numbers.count() != 0) {
    const int own = state.own_numbers.Take(lowest);
    return own < 0 ? Fail(EMFILE) : own;
  }
  int fd = kernel::Fcntl(state.base_descriptor, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, lowest);
  if (fd >= kMaxDescriptors) {
    kernel::Close(fd);
    return Fail(EMFILE);
  }
  return fd;
}

void Assign(int fd, Handle handle) {
  int used = numbers_used.load(std::memory_order_relaxed);
  while (used <= fd && fd < kMaxDescriptors && !numbers_used.compare_exchange_weak(used, fd + 1)) {
  }
  // Pairs with DescriptorBits. A number that was closed behind our back may still name something.
  Drop(Handle::FromBits(internal::DescriptorWord(fd).exchange(handle.bits())));
}

void ReleaseNumber(int fd) {
  if (IsOwnNumber(fd)) {
    state.own_numbers.Return(fd);
  } else {
    kernel::Close(fd);
  }
}

void DisinheritAll(bool (*keep)(Handle)) {
  ForEachNumber([keep](int fd) {
    const bool kept = keep(DescriptorHandle(fd));
    internal::DescriptorWord(fd).store(kept ? kInherited.bits() : 0);
  });
}

bool ReplaceByKernel(Handle handle, int kernel_fd) {
  if (state.own_numbers.count() != 0) {
    errno = EADDRNOTAVAIL;  // the kernel cannot take the number over
    return false;
  }
  // Sets watch descriptors: what they had is added again once the numbers are the kernel's.
  std::vector<EpollSet::Membership> memberships =
      EpollSet::TakeMemberships(handle, state.sides[handle.index].watch);
  for (int fd = 0; fd < numbers_used.load(); ++fd) {
    if (DescriptorBits(fd) != handle.bits()) continue;
    const bool close_on_exec = (kernel::Fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) != 0;
    if (kernel::Dup3(kernel_fd, fd, close_on_exec ? O_CLOEXEC : 0) < 0) return false;
    internal::DescriptorWord(fd).store(0);
    DropReference(handle);
  }
  for (EpollSet::Membership& m : memberships) {
    epoll_event event = m.event;
    const int set_number = FindNumber(m.set);
    if (set_number >= 0) EpollCtl(set_number, EPOLL_CTL_ADD, m.fd, &event);
  }
  return true;
}

void Rename(Handle from, Handle to) {
  std::vector<EpollSet::Membership> memberships =
      EpollSet::TakeMemberships(from, state.sides[from.index].watch);
  ForEachNumber([from, to](int fd) {
    uint64_t expected = from.bits();
    if (DescriptorBits(fd) != expected || !AddReference(to)) return;
    if (internal::DescriptorWord(fd).compare_exchange_strong(expected, to.bits())) {
      DropReference(from);
    } else {
      DropReference(to);
    }
  });
  for (EpollSet::Membership& m : memberships) {
    epoll_event event = m.event;
    const int set_number = FindNumber(m.set);
    if (set_number >= 0) EpollCtl(set_number, EPOLL_CTL_ADD, m.fd, &event);
  }
}

bool IsOurs(int fd) { return DescriptorBits(fd) != 0; }
bool IsOurEpoll(int fd) { return NamesEpoll(DescriptorHandle(fd)); }

int Dup(int fd) { return DupFrom(fd, 0, false); }

int DupFrom(int fd, int lowest, bool close_on_exec) {
  const Handle handle = DescriptorHandle(fd);
  if (handle.generation == 0) return Fail(EBADF);
  if (lowest < 0) return Fail(EINVAL);
  if (IsOwnNumber(fd)) {
    if (lowest >= state.own_numbers.first() && !IsOwnNumber(lowest)) return Fail(EINVAL);
    return AssignDuplicate(ReserveNumber(close_on_exec, lowest), handle);
  }
  return AssignDuplicate(kernel::Fcntl(fd, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, lowest),
                         handle);
}

int Dup3(int from, int to, int flags) {
  if (from == to || (flags & ~O_CLOEXEC) != 0) return Fail(EINVAL);
  const Handle handle = DescriptorHandle(from);
  if (IsOwnNumber(to)) return DupToOwn(handle, to);
  if (handle.generation != 0 && to >= kMaxDescriptors) return Fail(EBADF);
  if (handle.generation != 0 && !Add(handle)) return Fail(EBADF);
  const int fd = kernel::Dup3(NumberForKernel(from), to, flags);
  if (fd < 0) {
    Drop(handle);
    return -1;
  }
  if (handle.generation != 0) {
    Assign(fd, handle);
  } else if (DescriptorBits(fd) != 0) {
    Drop(Handle::FromBits(internal::DescriptorWord(fd).exchange(0)));
  }
  return fd;
}

int Dup2(int from, int to) {
  if (from != to) return Dup3(from, to, 0);
  if (IsOwnNumber(from)) return DescriptorBits(from) != 0 ? to : Fail(EBADF);
  return kernel::Fcntl(from, F_GETFD, 0) < 0 ? -1 : to;
}

int Close(int fd) {
  if (DescriptorBits(fd) == 0) return Fail(EBADF);
  // Of two threads that close the same number, one finds something.
  const Handle handle = Handle::FromBits(internal::DescriptorWord(fd).exchange(0));
  if (handle.generation == 0) return Fail(EBADF);
  Drop(handle);
  // Last, so that nobody else gets the number before it is ours no more.
  if (!IsOwnNumber(fd)) return kernel::Close(fd);
  state.own_numbers.Return(fd);
  return 0;
}

void CloseAll() { ForEachNumber(Close); }

int CloseRange(unsigned first, unsigned last, int flags) {
  if (first > last) return Fail(EINVAL);
  constexpr unsigned kOnlyCloseOnExec = 4;  // CLOSE_RANGE_CLOEXEC
  if ((static_cast<unsigned>(flags) & kOnlyCloseOnExec) == 0) {
    ForEachNumber([first, last](int fd) {
      if (static_cast<unsigned>(fd) >= first && static_cast<unsigned>(fd) <= last) Close(fd);
    });
  }
  // The descriptor that numbers are duplicates of, if it lies in the range, must stay.
  const unsigned base = static_cast<unsigned>(state.base_descriptor);
  if (state.base_descriptor < 0 || base < first || base > last) {
    return kernel::CloseRange(first, last, flags);
  }
  if (base > first && kernel::CloseRange(first, base - 1, flags) != 0) return -1;
  return base == last ? 0 : kernel::CloseRange(base + 1, last, flags);
}

}  // namespace sluice::api
