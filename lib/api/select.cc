// select and pselect, by way of poll.
#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <vector>

#include "api/errors.h"
#include "api/poll_set.h"
#include "api/socket_calls.h"
#include "api/time_out.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

// What Linux reports in each of the three sets (select(2)).
constexpr short kReadable = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
constexpr short kWritable = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;
constexpr short kExceptional = POLLPRI;

constexpr int kWordBits = sizeof(unsigned long) * CHAR_BIT;

// A set of any size: programs pass longer ones than fd_set.
bool Has(const fd_set* set, int fd) {
  if (set == nullptr) return false;
  const unsigned long* words = reinterpret_cast<const unsigned long*>(set);
  return (words[fd / kWordBits] >> (fd % kWordBits) & 1) != 0;
}

void Put(fd_set* set, int fd) {
  unsigned long* words = reinterpret_cast<unsigned long*>(set);
  words[fd / kWordBits] |= 1ul << (fd % kWordBits);
}

void Clear(fd_set* set, int count) {
  if (set == nullptr) return;
  std::memset(set, 0, static_cast<size_t>((count + kWordBits - 1) / kWordBits) * sizeof(long));
}

std::vector<pollfd> Gather(int count, const fd_set* read, const fd_set* write,
                           const fd_set* except) {
  std::vector<pollfd> descriptors;
  for (int fd = 0; fd < count; ++fd) {
    short events = 0;
    if (Has(read, fd)) events |= POLLIN | POLLRDNORM | POLLRDBAND;
    if (Has(write, fd)) events |= POLLOUT | POLLWRNORM | POLLWRBAND;
    if (Has(except, fd)) events |= POLLPRI;
    if (events != 0) descriptors.push_back({fd, events, 0});
  }
  return descriptors;
}

// Turns what poll found into the three sets. Returns how many bits are set.
int Scatter(const std::vector<pollfd>& descriptors, int count, fd_set* read, fd_set* write,
            fd_set* except) {
  // Which set a descriptor was in is told by the events asked for.
  for (fd_set* set : {read, write, except}) Clear(set, count);
  int bits = 0;
  for (const pollfd& d : descriptors) {
    if ((d.events & POLLIN) != 0 && (d.revents & kReadable) != 0) {
      Put(read, d.fd);
      ++bits;
    }
    if ((d.events & POLLOUT) != 0 && (d.revents & kWritable) != 0) {
      Put(write, d.fd);
      ++bits;
    }
    if ((d.events & POLLPRI) != 0 && (d.revents & kExceptional) != 0) {
      Put(except, d.fd);
      ++bits;
    }
  }
  return bits;
}

int SelectFor(int count, fd_set* read, fd_set* write, fd_set* except, TimeOut time_out,
              const sigset_t* mask) {
  if (count < 0) return Fail(EINVAL);
  std::vector<pollfd> descriptors = Gather(std::min(count, kMaxDescriptors), read, write, except);
  const Instant deadline = time_out.Deadline();
  for (;;) {
    PollSet set(descriptors.data(), descriptors.size());
    if (WaitForAny(set, time_out, mask) < 0) return -1;
    bool any = false;
    for (const pollfd& d : descriptors) {
      if ((d.revents & POLLNVAL) != 0) return Fail(EBADF);
      any |= d.revents != 0;
    }
    const int bits = Scatter(descriptors, count, read, write, except);
    if (bits != 0 || !any) return bits;
    // Poll tells of hang-ups that nobody asked about here; select goes on waiting.
    const int64_t left_ns = (deadline - state.home->Now()).nanoseconds();
    if (!deadline.is_never() && left_ns <= 0) return 0;
    for (pollfd& d : descriptors) {
      if (d.revents != 0) d.fd = -1;
    }
    if (!deadline.is_never()) time_out.ns = left_ns;
  }
}

}  // namespace

int Select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
  if (!IsInstalled()) return Fail(ENOTSUP);
  TimeOut time_out;
  if (timeout != nullptr) {
    if (timeout->tv_sec < 0 || timeout->tv_usec < 0) return Fail(EINVAL);
    const timespec time{.tv_sec = timeout->tv_sec + timeout->tv_usec / 1'000'000,
                        .tv_nsec = timeout->tv_usec % 1'000'000 * 1000};
    time_out = TimeOut::From(&time);
  }
  const Instant deadline = time_out.Deadline();
  const int result = SelectFor(count, read, write, except, time_out, nullptr);
  if (timeout != nullptr) {
    // As Linux: what is left of the time.
    const int64_t left_ns = std::max<int64_t>(0, (deadline - state.home->Now()).nanoseconds());
    *timeout = {.tv_sec = left_ns / kNsPerSecond, .tv_usec = left_ns % kNsPerSecond / 1000};
  }
  return result;
}

int PSelect(int count, fd_set* read, fd_set* write, fd_set* except, const timespec* timeout,
            const sigset_t* mask) {
  if (!IsInstalled()) return Fail(ENOTSUP);
  if (!IsValid(timeout)) return Fail(EINVAL);
  return SelectFor(count, read, write, except, TimeOut::From(timeout), mask);
}

}  // namespace sluice::api
