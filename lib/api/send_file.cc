// sendfile: from a kernel descriptor straight into buffers of the region.
#include <algorithm>

#include "api/errors.h"
#include "api/kernel.h"
#include "api/socket_calls.h"
#include "api/socket_error.h"
#include "api/stream.h"
#include "api/wait.h"

namespace sluice::api {
namespace {

// Where the file's bytes come from: pread leaves the file's own position alone.
class Source {
 public:
  Source(int fd, off_t* offset) : fd_(fd), offset_(offset) {}

  // Bytes read, 0 at the end, or minus an errno.
  ssize_t Read(uint8_t* into, size_t count) {
    const ssize_t result = offset_ != nullptr ? kernel::Pread(fd_, into, count, *offset_ + done_)
                                              : kernel::Read(fd_, into, count);
    if (result < 0) return -errno;
    done_ += result;
    return result;
  }
  // What was read last and not sent goes back; false if it cannot.
  bool GiveBack(ssize_t count) {
    done_ -= count;
    return offset_ != nullptr || kernel::Seek(fd_, -count, SEEK_CUR) >= 0;
  }
  void Finish() {
    if (offset_ != nullptr) *offset_ += done_;
  }

 private:
  int fd_;
  off_t* offset_;
  off_t done_ = 0;
};

struct Step {
  size_t bytes = 0;
  int error = 0;  // EAGAIN: no room
  bool at_end = false;
};

// Fills buffers while there is room. The descriptor of each names what was read into it. Reading a
// file may take its time; the lock held meanwhile is this socket's send_lock alone.
Step Fill(const OpenSocket& socket, Source& source, size_t left) {
  table::Entry& entry = *socket.entry;
  Step step;
  {
    LockHolder holder(entry.send_lock);
    if (!socket.IsOpen()) return {.error = EBADF};
    if (int error = CanSend(socket, true)) return {.error = error};
    table::SendWriter writer(state.region, entry);
    while (step.bytes < left) {
      const size_t wanted =
          std::min<size_t>({left - step.bytes, writer.Room(), state.region.limits().buffer_bytes});
      const uint32_t buffer = wanted == 0 ? table::kNone : state.region.TakeBuffer();
      if (buffer == table::kNone) {
        const bool starved = wanted != 0 && table::SendQueueBytes(entry) == 0;
        step.error = starved ? ENOBUFS : EAGAIN;
        if (!starved) entry.application_flags.SetBits(table::kSendBlocked);
        break;
      }
      const ssize_t count = source.Read(state.region.storage(buffer) + table::kHeadroom, wanted);
      if (count > 0 && writer.WriteBuffer(buffer, table::kHeadroom, static_cast<uint32_t>(count))) {
        step.bytes += static_cast<size_t>(count);
        continue;
      }
      state.region.DropReference(buffer);
      if (count > 0) {
        step.error = source.GiveBack(count) ? EAGAIN : ENOBUFS;
      } else {
        step.at_end = count == 0;
        step.error = static_cast<int>(-count);
      }
      break;
    }
  }
  if (step.bytes != 0) RingEngine(socket);
  return step;
}

ssize_t SendAll(const OpenSocket& socket, Source& source, size_t count) {
  BlockingWait wait(socket, table::kEventOut, socket.entry->options.send_timeout_ns.load());
  size_t done = 0;
  for (bool turned = false; done < count;) {
    const Step step = Fill(socket, source, count - done);
    done += step.bytes;
    if (done == count || step.at_end) break;
    if (step.error != EAGAIN) {
      if (done != 0) break;
      return step.error == EPIPE ? -BrokenPipe(0) : -step.error;
    }
    if (socket.is_nonblocking()) {
      if (turned || done != 0) return done != 0 ? static_cast<ssize_t>(done) : -EAGAIN;
      TurnSometimes();
      turned = true;
    } else if (int woken = wait.Sleep()) {
      return done != 0 ? static_cast<ssize_t>(done) : -woken;
    }
  }
  return static_cast<ssize_t>(done);
}

}  // namespace

ssize_t SendFile(int out, int in, off_t* offset, size_t count) {
  if (IsOurs(in)) return Fail(EINVAL);
  OpenSocket socket;
  if (!FindSocket(out, socket)) return -1;
  if (!socket.is_stream()) return Fail(EINVAL);
  if (offset != nullptr && *offset < 0) return Fail(EINVAL);
  constexpr size_t kMostBytes = 0x7ffff000;  // as Linux transfers at most in one call
  Source source(in, offset);
  const ssize_t result = SendAll(socket, source, std::min(count, kMostBytes));
  source.Finish();
  return result >= 0 ? result : Fail(static_cast<int>(-result));
}

}  // namespace sluice::api
