// Descriptor numbers and what they name.
//
// Each number is reserved in the kernel, unless the context says otherwise: a socket's is a
// duplicate of one shared descriptor that is never readable (it costs a slot of the kernel's table
// and nothing else), an epoll set's is a kernel epoll that holds the kernel descriptors of the set.
// So numbers never collide with files, limits are the kernel's, and FD_CLOEXEC is kept there.
//
// With ContextConfig::own_numbers, sockets take theirs from a range above all that the kernel may
// give out (state.own_numbers): no system call is needed to open and close one, and no limit of the
// kernel's bounds them. The kernel knows nothing of them: exec closes them, they cannot be passed
// to another process, put into a kernel epoll or moved to the kernel. dup2 may give such a socket a
// number of the kernel's.
//
// A word for each number says what it names: the handle of a socket or of an epoll set, with the
// generation that makes stale ones errors. Reading it takes one load and no lock. Sockets and sets
// are the open file descriptions: they count their descriptors and end with the last one.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>

#include "api/errors.h"
#include "api/state.h"
#include "table/handle.h"

namespace sluice::api {

// Numbers of the kernel's above are refused with EMFILE; our own begin here or higher.
inline constexpr int kMaxDescriptors = 1 << 20;

// Indices with this bit name an epoll set.
inline constexpr uint32_t kEpollBit = 0x80000000;
// What a forked child finds in place of its parent's sockets and sets.
inline constexpr table::Handle kInherited{0x7fffffff, 1};

namespace internal {
// Zero: not ours. Generations of what is in use are odd, so no handle is zero. Plain words, so that
// they are zero without anybody's doing before the first constructor runs.
extern uint64_t descriptor_words[kMaxDescriptors];

inline std::atomic_ref<uint64_t> DescriptorWord(int fd) {
  return std::atomic_ref<uint64_t>(fd < kMaxDescriptors ? descriptor_words[fd]
                                                        : state.own_numbers.word(fd));
}
}  // namespace internal

// Whether the number lies in the range that the kernel knows nothing of.
inline bool IsOwnNumber(int fd) { return state.own_numbers.Has(fd); }

inline uint64_t DescriptorBits(int fd) {
  if (static_cast<unsigned>(fd) >= static_cast<unsigned>(kMaxDescriptors) &&
      !state.own_numbers.Has(fd)) {
    return 0;
  }
  // Pairs with the release in Assign: what the word names is set up.
  return internal::DescriptorWord(fd).load(std::memory_order_acquire);
}
inline table::Handle DescriptorHandle(int fd) {
  return table::Handle::FromBits(DescriptorBits(fd));
}
constexpr bool NamesEpoll(table::Handle handle) {
  return handle.generation != 0 && (handle.index & kEpollBit) != 0;
}

// A socket as a call sees it. The entry may move on to another socket at any time unless one of
// its locks is held and IsOpen() was true under it.
struct OpenSocket {
  table::Handle handle;
  table::Entry* entry = nullptr;
  SocketSide* side = nullptr;

  // Call with send_lock or receive_lock held: Close takes both before the socket goes.
  bool IsOpen() const {
    return entry->generation.Acquire() == handle.generation &&
           (entry->application_flags.load() & table::kClosed) == 0;
  }
  bool is_stream() const { return entry->type.load() == table::Type::kStream; }
  bool is_v6() const { return entry->family.load() == AF_INET6; }
  bool is_nonblocking() const {
    return (entry->application_flags.load() & table::kNonBlocking) != 0;
  }
};

// The socket that a handle of a valid slot names, open or not.
inline OpenSocket SocketNamed(table::Handle handle) {
  return {handle, &state.region.entry(handle.index), &state.sides[handle.index]};
}

// The errno of a descriptor that names no socket: EBADF, ENOTSOCK (a set), or, after saying so once
// on standard error, EOPNOTSUPP (inherited through fork).
int WhyNoSocket(table::Handle handle);

// False: no socket; errno is set.
inline bool FindSocket(int fd, OpenSocket& socket) {
  socket.handle = DescriptorHandle(fd);
  if (socket.handle.generation == 0 || !state.region.HasSlot(socket.handle.index)) {
    errno = WhyNoSocket(socket.handle);
    return false;
  }
  socket.entry = &state.region.entry(socket.handle.index);
  socket.side = &state.sides[socket.handle.index];
  return true;
}

// Reserves a number for a socket, as the kernel would choose it: the lowest free one from `lowest`
// on, of the kernel's or of our own. -1 and errno (EMFILE) if there is none. Names nothing yet.
int ReserveNumber(bool close_on_exec, int lowest);
// Lets the number name something.
void Assign(int fd, table::Handle handle);
// Gives up a number that names nothing (yet, or any more).
void ReleaseNumber(int fd);

// One more number, from `lowest` on, for what `fd` names (F_DUPFD).
int DupFrom(int fd, int lowest, bool close_on_exec);

// Closes every number that names something.
void CloseAll();

// Puts duplicates of a kernel descriptor in the place of every number that names `handle`, which
// thereby ends. Epoll sets that held it hold the kernel's descriptor with the same events.
bool ReplaceByKernel(table::Handle handle, int kernel_fd);

// Lets every number that names the socket `from`, which thereby ends, name `to`. Epoll sets that
// held it hold `to` with the same events.
void Rename(table::Handle from, table::Handle to);

// A forked child: all words name kInherited from now on, and where `keep` answers false, nothing.
void DisinheritAll(bool (*keep)(table::Handle));

}  // namespace sluice::api
