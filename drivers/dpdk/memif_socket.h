// The UNIX sockets over which the two ends of a memif agree: their names, and their messages with
// the descriptors that go along.
//
//   absl::StatusOr<Descriptor> listener = ListenAt({"/run/memif.sock", false});
//   Descriptor peer = AcceptFrom(listener->number());  // never waits
//   MemifMessage message;
//   Descriptor attached;
//   if (TakeMessage(peer.number(), &message, &attached) == Took::kMessage) ...
//
// Nothing here waits for long. In a preloaded program libc's names for socket calls are Sluice's
// own, so what an engine does goes by syscall(2).
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice::dpdk {

struct MemifAddress {
  std::string name;
  bool is_abstract = false;  // else a file
};

// An open descriptor, or none. Closes it in the end.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { Close(); }
  void Close();

  int number() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

// The protocol's messages (memif version 2.0) have one size. Only the type matters here.
enum class MemifType : uint16_t {
  kAck = 1,
  kHello = 2,
  kInit = 3,
  kAddRegion = 4,
  kAddRing = 5,
  kConnect = 6,
  kConnected = 7,
  kDisconnect = 8,
};
struct MemifMessage {
  MemifType type{};
  uint8_t rest[126] = {};
};
static_assert(sizeof(MemifMessage) == 128);

// Whether the name is short enough.
absl::Status CheckAddress(const MemifAddress& address);

// Readies `path` for a memif server: removes a socket that a server which died left there. An error
// if a server answers there, if something that is no socket has the name, or if the directory is
// missing.
absl::Status ClearServerSocket(const std::string& path);

// A listening socket of that name.
absl::StatusOr<Descriptor> ListenAt(const MemifAddress& address);
// The next connection that waits there, or none.
Descriptor AcceptFrom(int listener);
// A connection to who listens there; none if nobody does, or if too many wait there already
// (`*is_busy`).
Descriptor ConnectTo(const MemifAddress& address, bool* is_busy);

enum class Took : uint8_t {
  kMessage,
  kNothing,   // nothing has come yet
  kNonsense,  // something of a wrong size, or with several descriptors
  kEnd,       // the other end is closed, and everything that it said was taken
};
// Takes the next message and the descriptor that came with it, if one did.
Took TakeMessage(int socket, MemifMessage* message, Descriptor* attached);
// False if the other end is gone, or has left so much unread that nothing more fits.
bool SendMessage(int socket, const MemifMessage& message, const Descriptor& attached);

// Nothing will pass any more in either direction, whoever else may have the descriptor.
void Disconnect(int socket);
// No more messages will be sent; the other end learns it once it has taken those that were.
void EndMessages(int socket);
// Whether the other end has taken every message that was sent to it.
bool AllTaken(int socket);
// Whether something has come, an end among it. Waits for it up to `milliseconds`.
bool HasCome(int first_socket, int second_socket, int milliseconds);

// Whether the descriptor is the end of a connection to `path` that was accepted there, or the
// other.
bool IsAcceptedAt(int descriptor, const std::string& path);
bool IsConnectedTo(int descriptor, const std::string& path);
// What tells one socket from the next of the same number; 0 if none has the number.
uint64_t IdentityOf(int descriptor);

}  // namespace sluice::dpdk
