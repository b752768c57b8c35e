#include "stack_script.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "api/context.h"
#include "api/socket_calls.h"
#include "api/zero_copy.h"
#include "fuzz.h"

namespace sluice::fuzz {
namespace {

constexpr int kStepsMax = 120;

// What the next descriptor of the process would be.
int LowestFree() {
  const int fd = fcntl(STDERR_FILENO, F_DUPFD, 0);
  close(fd);
  return fd;
}

}  // namespace

// Scripts begin with those that make sockets, since short ones should do something.
const Script::Operation Script::kOperations[] = {
    &Script::OpenSocket,       &Script::BindSocket,     &Script::ListenSocket,
    &Script::ConnectSocket,    &Script::AcceptSocket,   &Script::CloseSlot,
    &Script::ShutdownSocket,   &Script::Duplicate,      &Script::AskNames,
    &Script::PollSockets,      &Script::SelectSockets,  &Script::OpenEpoll,
    &Script::ControlEpoll,     &Script::WaitEpoll,      &Script::SetCallback,
    &Script::RunCallbacks,     &Script::SendBytes,      &Script::SendDatagram,
    &Script::SendMessage,      &Script::SendMessages,   &Script::SendFromFile,
    &Script::ReceiveBytes,     &Script::ReceiveMessage, &Script::ReceiveMessages,
    &Script::AllocateZeroCopy, &Script::SendZeroCopy,   &Script::ReceiveZeroCopy,
    &Script::SetOption,        &Script::GetOption,      &Script::ControlFile,
    &Script::ControlDevice,    &Script::ArriveRaw,      &Script::ArriveRepaired,
    &Script::ArriveDatagram,   &Script::ArriveSyn,      &Script::ArriveSegment,
    &Script::ArriveAnswer,     &Script::ArriveError,    &Script::ArriveEcho,
    &Script::ChangePeer,       &Script::ChangeNetwork,  &Script::Elapse,
    &Script::ElapseLong,       &Script::Settle,
};

Script::Script(wire::ConstBytes input)
    : reader_(input),
      file_(PatternFile()),
      lowest_free_(LowestFree()),
      world_(WorldConfig::From(reader_.Number16())) {
  fds_.fill(-1);
}

Script::~Script() = default;

void Script::Run() {
  for (int i = 0; i < kStepsMax && !reader_.empty(); ++i) Step();
  for (sluice_zc_buffer& buffer : lent_) api::ZeroCopyFree(&buffer);
  world_.Finish();
  Check(LowestFree() == lowest_free_, "every descriptor is back");
}

void Script::Step() {
  world_.BeginStep();
  (this->*kOperations[Byte() % std::size(kOperations)])();
}

void Script::CheckResult(long result, long most) {
  Check(result >= -1 && result <= most, "the result is in its range");
  Check(result != -1 || (errno > 0 && errno < 200), "a failure has its errno");
}

// One of ours, or one that is none.
int Script::Descriptor() {
  const uint8_t number = Byte();
  if (number >= 0xfe) return number == 0xff ? -1 : STDERR_FILENO;
  return fds_[number % kSlots];
}

// In the first slot that is free; or in place of another one.
void Script::Keep(int fd) {
  if (fd < 0) return;
  for (int& slot : fds_) {
    if (slot >= 0) continue;
    slot = fd;
    return;
  }
  int& slot = fds_[Slot()];
  api::Close(slot);
  slot = fd;
}

size_t Script::Size() {
  static constexpr uint32_t kSizes[] = {1,    0,    2,    100,  536,   1000,  1448,  1460,
                                        1472, 1473, 2048, 4096, 16384, 65507, 65508, 100000};
  const uint8_t number = Byte();
  return number < 128 ? kSizes[number % std::size(kSizes)] : number & 0x7fu;
}

int Script::Interesting() {
  static constexpr int kNumbers[] = {1,   0,   2,      -1,      3,         7,        64,
                                     255, 256, 1000,   1460,    4096,      65535,    65536,
                                     88,  40,  100000, 1 << 24, INT32_MAX, INT32_MIN};
  const uint8_t number = Byte();
  return number < 128 ? kNumbers[number % std::size(kNumbers)] : number & 0x7f;
}

uint16_t Script::Port() {
  static constexpr uint16_t kPorts[] = {80, 53, 0, 8080, 32768, 65535};
  return kPorts[Byte() % std::size(kPorts)];
}

wire::Endpoint Script::PeerEndpoint(bool v4) {
  const uint8_t number = Byte();
  return {AddressNamed(v4 ? 4 : 5), static_cast<uint16_t>(1000 + number % 16), 0};
}

Script::Name Script::Address() {
  Name name;
  const uint8_t form = Byte();
  wire::IpAddress address = AddressNamed(Byte());
  uint16_t port = Port();
  // One of the engine's own sockets, or where the peer's connections end.
  if ((form & 0x40) != 0) {
    if (const auto live = LiveSocket((form & 0x80) != 0)) {
      if (!live->address.is_unspecified()) address = live->address;
      port = live->port;
    }
  } else if ((form & 0x80) != 0) {
    port = static_cast<uint16_t>(1000 + port % 16);
  }
  if (address.is_v4() && (form & 8) == 0) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(name.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.v4_bytes(), 4);
    name.length = sizeof(v4);
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(name.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
    v6.sin6_scope_id = (form & 16) != 0 ? 2 : 0;
    name.length = sizeof(v6);
  }
  if ((form & 7) == 7) {
    const uint8_t odd = Byte();
    if ((odd & 1) != 0) name.storage.ss_family = AF_UNSPEC;
    if ((odd & 2) != 0) name.length = odd >> 2;
  }
  return name;
}

}  // namespace sluice::fuzz
