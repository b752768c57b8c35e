// The stack fuzzer's calls that move data. What streams send is PatternByte of its position.
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "api/descriptors.h"
#include "api/socket_calls.h"
#include "api/zero_copy.h"
#include "fuzz.h"
#include "stack_script.h"

namespace sluice::fuzz {
namespace {

constexpr uint32_t kPatternPeriod = 251;
constexpr size_t kPatternBytes = 128 * 1024;

// `count` bytes of the pattern from a position on. They may be read only.
const uint8_t* Pattern(uint32_t position, size_t count) {
  static const std::vector<uint8_t> bytes = [] {
    std::vector<uint8_t> made(kPatternBytes + kPatternPeriod);
    for (size_t i = 0; i < made.size(); ++i) made[i] = PatternByte(static_cast<uint32_t>(i));
    return made;
  }();
  Check(count <= kPatternBytes, "the pattern is long enough");
  return bytes.data() + position % kPatternPeriod;
}

}  // namespace

int Script::PatternFile() {
  static const int file = [] {
    const int fd = memfd_create("pattern", MFD_CLOEXEC);
    const uint8_t* const bytes = Pattern(0, kPatternBytes);
    Check(write(fd, bytes, kPatternBytes) == static_cast<ssize_t>(kPatternBytes), "a file");
    return fd;
  }();
  return file;
}

uint32_t Script::SentBefore(int fd) {
  const table::Handle handle = api::DescriptorHandle(fd);
  if (handle.generation == 0 || !world_.region().HasSlot(handle.index)) return 0;
  return world_.region().entry(handle.index).send_producer.bytes.load();
}

std::optional<uint32_t> Script::ReceivedBefore(int fd) {
  const table::Handle handle = api::DescriptorHandle(fd);
  if (handle.generation == 0 || !world_.region().HasSlot(handle.index)) return std::nullopt;
  const table::Entry& entry = world_.region().entry(handle.index);
  if (entry.type.load() != table::Type::kStream) return std::nullopt;
  return entry.receive_consumer.bytes.load();
}

int Script::SendFlags() {
  static constexpr int kFlags[] = {MSG_DONTWAIT,
                                   MSG_DONTWAIT | MSG_MORE,
                                   MSG_DONTWAIT | MSG_OOB,
                                   MSG_NOSIGNAL,
                                   MSG_DONTWAIT | MSG_DONTROUTE,
                                   MSG_DONTWAIT | MSG_EOR,
                                   MSG_DONTWAIT | MSG_CONFIRM,
                                   MSG_DONTWAIT | MSG_FASTOPEN,
                                   MSG_DONTWAIT | MSG_ZEROCOPY,
                                   -1};
  const int flags = kFlags[Byte() % std::size(kFlags)];
  spoiled_ = spoiled_ || (flags & MSG_OOB) != 0;
  return flags;
}

int Script::ReceiveFlags() {
  static constexpr int kFlags[] = {MSG_DONTWAIT,
                                   MSG_DONTWAIT | MSG_PEEK,
                                   MSG_DONTWAIT | MSG_TRUNC,
                                   MSG_DONTWAIT | MSG_OOB,
                                   MSG_DONTWAIT | MSG_ERRQUEUE,
                                   MSG_WAITALL,
                                   0,
                                   MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC,
                                   MSG_DONTWAIT | MSG_OOB | MSG_PEEK,
                                   MSG_DONTWAIT | MSG_ERRQUEUE | MSG_PEEK};
  return kFlags[Byte() % std::size(kFlags)];
}

void Script::SendBytes() {
  const int fd = Descriptor();
  const size_t count = Size();
  const int flags = SendFlags();
  const uint8_t* const bytes = Pattern(SentBefore(fd), count);
  CheckResult((flags & MSG_MORE) != 0 && count == 1 ? api::Write(fd, bytes, count)
                                                    : api::Send(fd, bytes, count, flags),
              static_cast<long>(count));
}

void Script::SendDatagram() {
  const int fd = Descriptor();
  const Name name = Address();
  const size_t count = Size();
  CheckResult(
      api::SendTo(fd, Pattern(SentBefore(fd), count), count, SendFlags(), name.get(), name.length),
      static_cast<long>(count));
}

// Pieces of the pattern, one behind the other.
void Script::FillPieces(Message& message, int fd) {
  uint32_t position = SentBefore(fd);
  for (unsigned left = Byte() % 5; left > 0; --left) {
    const size_t count = Size();
    message.pieces.push_back({const_cast<uint8_t*>(Pattern(position, count)), count});
    position += static_cast<uint32_t>(count);
  }
}

// Control messages that are mostly well formed.
void Script::MakeControl(Message& message) {
  static constexpr int kKinds[][3] = {
      {IPPROTO_IP, IP_PKTINFO, sizeof(in_pktinfo)},
      {IPPROTO_IP, IP_TTL, sizeof(int)},
      {IPPROTO_IP, IP_TOS, sizeof(int)},
      {IPPROTO_IPV6, IPV6_PKTINFO, sizeof(in6_pktinfo)},
      {IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof(int)},
      {IPPROTO_IPV6, IPV6_TCLASS, sizeof(int)},
      {IPPROTO_IPV6, IPV6_DONTFRAG, sizeof(int)},
      {IPPROTO_UDP, UDP_SEGMENT, sizeof(uint16_t)},
      {SOL_SOCKET, SCM_RIGHTS, sizeof(int)},
      {SOL_SOCKET, 0, 0},
  };
  for (unsigned left = Byte() % 4; left > 0; --left) {
    const uint8_t what = Byte();
    const auto& kind = kKinds[what % std::size(kKinds)];
    const size_t data_bytes = what < 0xe0 ? static_cast<size_t>(kind[2]) : Byte() % 40u;
    cmsghdr header{};
    header.cmsg_level = kind[0];
    header.cmsg_type = kind[1];
    header.cmsg_len = what < 0xf8 ? CMSG_LEN(data_bytes) : reader_.Number16();
    const size_t at = message.control.size();
    message.control.resize(at + CMSG_SPACE(data_bytes));
    std::memcpy(&message.control[at], &header, sizeof(header));
    const wire::ConstBytes data = reader_.Bytes(data_bytes);
    if (!data.empty()) std::memcpy(&message.control[at + CMSG_LEN(0)], data.data(), data.size());
  }
  message.header.msg_control = message.control.data();
  message.header.msg_controllen = message.control.size();
}

void Script::MakeOutgoing(Message& message, int fd) {
  const uint8_t what = Byte();
  if ((what & 1) != 0) {
    const Name name = Address();
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&name.storage);
    message.name.assign(bytes, bytes + std::min<size_t>(name.length, sizeof(name.storage)));
    message.header.msg_name = message.name.data();
    message.header.msg_namelen = static_cast<socklen_t>(message.name.size());
  }
  if ((what & 2) != 0) MakeControl(message);
  FillPieces(message, fd);
  message.header.msg_iov = message.pieces.data();
  message.header.msg_iovlen = message.pieces.size();
}

void Script::SendMessage() {
  const int fd = Descriptor();
  Message message;
  MakeOutgoing(message, fd);
  size_t count = 0;
  for (const iovec& piece : message.pieces) count += piece.iov_len;
  const int flags = SendFlags();
  CheckResult(flags == -1
                  ? api::Writev(fd, message.pieces.data(), static_cast<int>(message.pieces.size()))
                  : api::SendMsg(fd, &message.header, flags),
              static_cast<long>(count));
}

// Only datagrams: the pattern of what follows a stream's message is not known before.
void Script::SendMessages() {
  const int fd = Descriptor();
  std::vector<Message> messages(Byte() % 4);
  std::vector<mmsghdr> headers(messages.size());
  for (size_t i = 0; i < messages.size(); ++i) {
    MakeOutgoing(messages[i], fd);
    headers[i].msg_hdr = messages[i].header;
  }
  const table::Handle handle = api::DescriptorHandle(fd);
  if (headers.size() > 1 && world_.region().HasSlot(handle.index) &&
      world_.region().entry(handle.index).type.load() == table::Type::kStream) {
    return;
  }
  CheckResult(api::SendMmsg(fd, headers.data(), static_cast<unsigned>(headers.size()), SendFlags()),
              static_cast<long>(headers.size()));
}

void Script::SendFromFile() {
  const int fd = Descriptor();
  const size_t count = Size();
  off_t offset = SentBefore(fd) % kPatternPeriod;
  // A call that blocks would go on for ever where the peer takes all.
  CheckResult(api::SendFile(fd, file_, &offset, count), static_cast<long>(count));
}

void Script::ReceiveBytes() {
  const int fd = Descriptor();
  std::vector<uint8_t> bytes(Size());
  const int flags = ReceiveFlags();
  std::optional<uint32_t> position = ReceivedBefore(fd);
  const ssize_t count = flags == 0 ? api::Read(fd, bytes.data(), bytes.size())
                                   : api::Recv(fd, bytes.data(), bytes.size(), flags);
  CheckResult(count, (flags & MSG_TRUNC) != 0 ? 65535 : static_cast<long>(bytes.size()));
  if (spoiled_ || !position || (flags & (MSG_TRUNC | MSG_ERRQUEUE)) != 0) return;
  for (ssize_t i = 0; i < count; ++i) {
    Check(bytes[static_cast<size_t>(i)] == PatternByte((*position)++), "what arrives was sent");
  }
}

void Script::MakeIncoming(Message& message) {
  const uint8_t what = Byte();
  message.name.resize(what & 31);
  message.control.resize((what & 32) != 0 ? Byte() : 0);
  for (unsigned left = (what >> 6) + (what & 1); left > 0; --left) {
    std::vector<uint8_t>& block = message.blocks.emplace_back(Size());
    message.pieces.push_back({block.data(), block.size()});
  }
  message.header.msg_name = message.name.data();
  message.header.msg_namelen = static_cast<socklen_t>(message.name.size());
  message.header.msg_control = message.control.data();
  message.header.msg_controllen = message.control.size();
  message.header.msg_iov = message.pieces.data();
  message.header.msg_iovlen = message.pieces.size();
}

void Script::ReceiveMessage() {
  const int fd = Descriptor();
  Message message;
  MakeIncoming(message);
  const ssize_t count = api::RecvMsg(fd, &message.header, ReceiveFlags());
  CheckResult(count, 1 << 20);
  if (count < 0) return;
  Check(message.header.msg_controllen <= message.control.size(), "control messages fit");
  for (cmsghdr* one = CMSG_FIRSTHDR(&message.header); one != nullptr;
       one = CMSG_NXTHDR(&message.header, one)) {
    Check(one->cmsg_len >= CMSG_LEN(0), "a control message");
  }
}

void Script::ReceiveMessages() {
  const int fd = Descriptor();
  std::vector<Message> messages(Byte() % 4);
  std::vector<mmsghdr> headers(messages.size());
  for (size_t i = 0; i < messages.size(); ++i) {
    MakeIncoming(messages[i]);
    headers[i].msg_hdr = messages[i].header;
  }
  timespec timeout{Byte() % 2, 1000};
  CheckResult(api::RecvMmsg(fd, headers.data(), static_cast<unsigned>(headers.size()),
                            ReceiveFlags(), Coin() ? &timeout : nullptr),
              static_cast<long>(headers.size()));
}

void Script::AllocateZeroCopy() {
  sluice_zc_buffer buffer;
  if (lent_.size() < 16 && api::ZeroCopyAllocate(&buffer) == 0) lent_.push_back(buffer);
}

void Script::SendZeroCopy() {
  const int fd = Descriptor();
  const uint8_t what = Byte();
  const size_t offset = Byte(), length = Size();
  if (lent_.empty()) return;
  sluice_zc_buffer buffer = lent_.back();
  lent_.pop_back();
  if ((what & 0xf0) == 0xf0) return api::ZeroCopyFree(&buffer);
  const uint8_t* const bytes = Pattern(SentBefore(fd), length);
  if (offset + length <= buffer.capacity) {
    std::memcpy(static_cast<uint8_t*>(buffer.data) + offset, bytes, length);
  }
  const ssize_t sent = api::ZeroCopySend(fd, &buffer, offset, length, SendFlags());
  CheckResult(sent, static_cast<long>(length));
  if (sent < 0) lent_.push_back(buffer);
}

void Script::ReceiveZeroCopy() {
  const int fd = Descriptor();
  const uint8_t what = Byte();
  std::vector<iovec> pieces(what & 7);
  int used = 0;
  const ssize_t count = api::ZeroCopyReceive(fd, pieces.data(), static_cast<int>(pieces.size()),
                                             &used, (what & 8) != 0 ? 0 : MSG_DONTWAIT);
  CheckResult(count, 1 << 20);
  if (count < 0) return;
  ssize_t sum = 0;
  unsigned touched = 0;
  for (int i = 0; i < used; ++i) {
    sum += static_cast<ssize_t>(pieces[i].iov_len);
    touched += *static_cast<const uint8_t*>(pieces[i].iov_base);
  }
  Check(sum == count && touched <= 255u * 8, "the pieces add up");
  const size_t back = static_cast<size_t>(count) * (what >> 4) / 15;
  CheckResult(api::ZeroCopyRelease(fd, back), 0);
}

}  // namespace sluice::fuzz
