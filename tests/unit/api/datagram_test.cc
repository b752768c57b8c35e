// Datagrams: addresses, sizes, ancillary data, the error queue.
#include <time.h>
// After time.h: it uses timespec without saying so.
#include <linux/errqueue.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <map>

#include "api/socket_calls.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

using table::DatagramHeader;
using wire::IpAddress;

const wire::Endpoint kPeer{IpAddress::V4(192, 0, 2, 9), 5000, 0};

DatagramHeader From(const wire::Endpoint& peer) {
  DatagramHeader header;
  header.peer = peer;
  header.local = {IpAddress::V4(192, 0, 2, 1), 53, 3};
  header.ttl = 61;
  header.traffic_class = 0x28;
  return header;
}

void Switch(int fd, int level, int name, int value = 1) {
  REQUIRE(SetSockOpt(fd, level, name, &value, sizeof(value)) == 0);
}

// The ancillary data of a message, by level and type.
using ControlMap = std::map<std::pair<int, int>, std::vector<uint8_t>>;
ControlMap ReadControl(msghdr& message) {
  ControlMap found;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const uint8_t* data = CMSG_DATA(c);
    found[{c->cmsg_level, c->cmsg_type}].assign(data, data + c->cmsg_len - CMSG_LEN(0));
  }
  return found;
}

struct Message {
  char bytes[64];
  uint8_t control[512];
  sockaddr_storage name;
  iovec piece{bytes, sizeof(bytes)};
  msghdr header{};
  Message() {
    header.msg_name = &name;
    header.msg_namelen = sizeof(name);
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
  }
};

TEST_CASE("recvfrom gives the sender and cuts what does not fit") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  engine.DeliverDatagram(fd, "hello", From(kPeer));
  engine.DeliverDatagram(fd, "", From(kPeer));
  engine.DeliverDatagram(fd, "third", From(kPeer));
  sockaddr_in peer{};
  socklen_t length = sizeof(peer);
  char bytes[4];
  int count = 0;
  CHECK(Ioctl(fd, FIONREAD, &count) == 0);
  CHECK(count == 5);
  CHECK(RecvFrom(fd, bytes, 4, MSG_PEEK | MSG_TRUNC, nullptr, nullptr) == 5);
  CHECK(RecvFrom(fd, bytes, 4, 0, reinterpret_cast<sockaddr*>(&peer), &length) == 4);
  CHECK(std::string(bytes, 4) == "hell");
  CHECK(peer.sin_port == htons(5000));
  CHECK(peer.sin_addr.s_addr == V4("192.0.2.9", 0).sin_addr.s_addr);
  CHECK(Recv(fd, bytes, 4, 0) == 0);
  Message message;
  message.piece.iov_len = 2;
  CHECK(RecvMsg(fd, &message.header, MSG_TRUNC) == 5);
  CHECK((message.header.msg_flags & MSG_TRUNC) != 0);
  CHECK_ERROR(Recv(fd, bytes, 4, MSG_DONTWAIT), EAGAIN);
}

TEST_CASE("an error that waits comes before data, once") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  engine.DeliverDatagram(fd, "x", From(kPeer));
  engine.At(fd).SetError(table::Result::kRefused);
  char byte;
  CHECK_ERROR(Recv(fd, &byte, 1, 0), ECONNREFUSED);
  CHECK(Recv(fd, &byte, 1, 0) == 1);
}

TEST_CASE("sendto needs a destination that makes sense") {
  FakeEngine engine;
  const int fd = Socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in peer = V4("192.0.2.9", 5000);
  CHECK_ERROR(Send(fd, "x", 1, 0), EDESTADDRREQ);
  const sockaddr_in nowhere = V4("192.0.2.9", 0);
  CHECK_ERROR(SendTo(fd, "x", 1, 0, Generic(nowhere), sizeof(nowhere)), EINVAL);
  const sockaddr_in all = V4("255.255.255.255", 9);
  CHECK_ERROR(SendTo(fd, "x", 1, 0, Generic(all), sizeof(all)), EACCES);
  Switch(fd, SOL_SOCKET, SO_BROADCAST);
  CHECK(SendTo(fd, "x", 1, 0, Generic(all), sizeof(all)) == 1);
  const std::string large(65508, 'l');
  CHECK_ERROR(SendTo(fd, large.data(), large.size(), 0, Generic(peer), sizeof(peer)), EMSGSIZE);
  CHECK(SendTo(fd, large.data(), 65507, 0, Generic(peer), sizeof(peer)) == 65507);

  // The first send has chosen a port.
  sockaddr_in name{};
  socklen_t length = sizeof(name);
  CHECK(GetSockName(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0);
  CHECK(name.sin_port != 0);

  CHECK(Connect(fd, Generic(peer), sizeof(peer)) == 0);
  CHECK(Send(fd, "abc", 3, 0) == 3);
  auto sent = engine.TakeSentDatagrams(fd);
  REQUIRE(sent.size() == 3);
  CHECK(sent[1].bytes.size() == 65507);
  CHECK(sent[2].bytes == "abc");
  CHECK(sent[2].header.peer == kPeer);
}

TEST_CASE("an IPv6 socket sends to mapped and to plain IPv4 addresses") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram(AF_INET6);
  const sockaddr_in plain = V4("192.0.2.9", 5000);
  const sockaddr_in6 mapped = V6("::ffff:192.0.2.9", 5000);
  CHECK(SendTo(fd, "a", 1, 0, Generic(plain), sizeof(plain)) == 1);
  CHECK(SendTo(fd, "b", 1, 0, Generic(mapped), sizeof(mapped)) == 1);
  for (const auto& datagram : engine.TakeSentDatagrams(fd)) CHECK(datagram.header.peer == kPeer);
  const int only = Socket(AF_INET6, SOCK_DGRAM, 0);
  Switch(only, IPPROTO_IPV6, IPV6_V6ONLY);
  CHECK_ERROR(SendTo(only, "b", 1, 0, Generic(mapped), sizeof(mapped)), ENETUNREACH);
}

TEST_CASE("a full send buffer: wait or EAGAIN") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  const sockaddr_in peer = V4("192.0.2.9", 5000);
  CHECK(Connect(fd, Generic(peer), sizeof(peer)) == 0);
  Switch(fd, SOL_SOCKET, SO_SNDBUF, 4096);
  const std::string bytes(3000, 'x');
  CHECK(Send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT) == 3000);
  CHECK(Send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT) == 3000);
  CHECK_ERROR(Send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT), EAGAIN);
  size_t taken = 0;
  engine.when_idle = [&] { taken += engine.TakeSentDatagrams(fd).size(); };
  CHECK(Send(fd, bytes.data(), bytes.size(), 0) == 3000);
  CHECK(taken == 2);
}

TEST_CASE("shutdown of a datagram socket") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  CHECK_ERROR(Shutdown(fd, SHUT_RD), ENOTCONN);
  char byte;
  CHECK(Recv(fd, &byte, 1, 0) == 0);
  CHECK_ERROR(Listen(fd, 1), EOPNOTSUPP);
}

TEST_CASE("ancillary data that options ask for") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  Switch(fd, IPPROTO_IP, IP_PKTINFO);
  Switch(fd, IPPROTO_IP, IP_RECVTTL);
  Switch(fd, IPPROTO_IP, IP_RECVTOS);
  Switch(fd, SOL_SOCKET, SO_TIMESTAMP);
  DatagramHeader header = From(kPeer);
  header.timestamp_ns = engine.Now().nanoseconds();
  engine.DeliverDatagram(fd, "x", header);
  Message message;
  CHECK(RecvMsg(fd, &message.header, 0) == 1);
  CHECK(message.header.msg_flags == 0);
  ControlMap control = ReadControl(message.header);
  REQUIRE(control.size() == 4);
  in_pktinfo info;
  std::memcpy(&info, control[{IPPROTO_IP, IP_PKTINFO}].data(), sizeof(info));
  CHECK(info.ipi_ifindex == 3);
  CHECK(info.ipi_addr.s_addr == V4("192.0.2.1", 0).sin_addr.s_addr);
  CHECK(info.ipi_spec_dst.s_addr == info.ipi_addr.s_addr);
  CHECK(control[{IPPROTO_IP, IP_TTL}][0] == 61);
  CHECK(control[{IPPROTO_IP, IP_TOS}] == std::vector<uint8_t>{0x28});
  timeval stamp;
  std::memcpy(&stamp, control[{SOL_SOCKET, SCM_TIMESTAMP}].data(), sizeof(stamp));
  CHECK(std::abs(stamp.tv_sec - time(nullptr)) <= 2);

  engine.DeliverDatagram(fd, "y", header);
  Message small;
  small.header.msg_controllen = CMSG_SPACE(sizeof(timeval)) + 4;
  CHECK(RecvMsg(fd, &small.header, 0) == 1);
  CHECK((small.header.msg_flags & MSG_CTRUNC) != 0);
}

TEST_CASE("ancillary data on IPv6") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram(AF_INET6);
  Switch(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
  Switch(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
  Switch(fd, IPPROTO_IPV6, IPV6_RECVTCLASS);
  const auto address = [](const char* text) {
    const sockaddr_in6 in = V6(text, 0);
    return IpAddress::FromV6Bytes(&in.sin6_addr);
  };
  DatagramHeader header = From({address("fe80::9"), 5000, 4});
  header.local = {address("2001:db8::1"), 53, 4};
  engine.DeliverDatagram(fd, "x", header);
  Message message;
  CHECK(RecvMsg(fd, &message.header, 0) == 1);
  const auto& peer = reinterpret_cast<const sockaddr_in6&>(message.name);
  CHECK(peer.sin6_scope_id == 4);
  ControlMap control = ReadControl(message.header);
  REQUIRE(control.size() == 3);
  in6_pktinfo info;
  std::memcpy(&info, control[{IPPROTO_IPV6, IPV6_PKTINFO}].data(), sizeof(info));
  CHECK(info.ipi6_ifindex == 4);
  int hops;
  std::memcpy(&hops, control[{IPPROTO_IPV6, IPV6_HOPLIMIT}].data(), sizeof(hops));
  CHECK(hops == 61);
}

TEST_CASE("ancillary data that a sender gives") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  const sockaddr_in peer = V4("192.0.2.9", 5000);
  Message message;
  std::memcpy(&message.name, &peer, sizeof(peer));
  message.header.msg_namelen = sizeof(peer);
  std::memset(message.control, 0, sizeof(message.control));
  message.header.msg_controllen = 0;
  size_t used = 0;
  const auto put = [&](int level, int type, const void* value, size_t bytes) {
    cmsghdr header{.cmsg_len = CMSG_LEN(bytes), .cmsg_level = level, .cmsg_type = type};
    std::memcpy(message.control + used, &header, sizeof(header));
    std::memcpy(message.control + used + CMSG_LEN(0), value, bytes);
    used += CMSG_SPACE(bytes);
    message.header.msg_controllen = used;
  };
  in_pktinfo info{};
  info.ipi_spec_dst = V4("192.0.2.7", 0).sin_addr;
  const int ttl = 5;
  const uint8_t tos = 16;
  const uint16_t segment = 20;
  put(IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
  put(IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
  put(IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
  put(IPPROTO_UDP, 103, &segment, sizeof(segment));
  CHECK(SendMsg(fd, &message.header, 0) == sizeof(message.bytes));
  const auto sent = engine.TakeSentDatagrams(fd);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].header.local.address == IpAddress::V4(192, 0, 2, 7));
  CHECK(sent[0].header.ttl == 5);
  CHECK(sent[0].header.traffic_class == 16);
  CHECK(sent[0].header.segment_bytes == 20);
  put(IPPROTO_IP, 99, &ttl, sizeof(ttl));
  CHECK_ERROR(SendMsg(fd, &message.header, 0), EINVAL);
}

TEST_CASE("the error queue tells who complained about what") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  Switch(fd, IPPROTO_IP, IP_RECVERR);
  Message message;
  CHECK_ERROR(RecvMsg(fd, &message.header, MSG_ERRQUEUE), EAGAIN);
  DatagramHeader header = From(kPeer);
  header.error_origin = SO_EE_ORIGIN_ICMP;
  header.error_type = 3;
  header.error_code = 4;
  header.error = static_cast<uint8_t>(table::Result::kMessageTooBig);
  header.error_info = 1300;
  header.offender = IpAddress::V4(192, 0, 2, 254);
  engine.DeliverError(fd, "sent", header);
  pollfd descriptor{fd, 0, 0};
  CHECK(Poll(&descriptor, 1, 0) == 1);
  CHECK(descriptor.revents == POLLERR);
  CHECK(RecvMsg(fd, &message.header, MSG_ERRQUEUE) == 4);
  CHECK(message.header.msg_flags == MSG_ERRQUEUE);
  ControlMap control = ReadControl(message.header);
  const auto& report = control[{IPPROTO_IP, IP_RECVERR}];
  REQUIRE(report.size() == sizeof(sock_extended_err) + sizeof(sockaddr_in));
  sock_extended_err error;
  std::memcpy(&error, report.data(), sizeof(error));
  CHECK(error.ee_errno == EMSGSIZE);
  CHECK(error.ee_info == 1300);
  sockaddr_in offender;
  std::memcpy(&offender, report.data() + sizeof(error), sizeof(offender));
  CHECK(offender.sin_addr.s_addr == V4("192.0.2.254", 0).sin_addr.s_addr);
  CHECK(Poll(&descriptor, 1, 0) == 0);
}

TEST_CASE("many messages at once") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  engine.DeliverDatagram(fd, "one", From(kPeer));
  engine.DeliverDatagram(fd, "two!", From(kPeer));
  char bytes[3][16];
  iovec pieces[3];
  mmsghdr messages[3] = {};
  for (int i = 0; i < 3; ++i) {
    pieces[i] = {bytes[i], sizeof(bytes[i])};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  CHECK(RecvMmsg(fd, messages, 3, MSG_WAITFORONE, nullptr) == 2);
  CHECK(messages[0].msg_len == 3);
  CHECK(messages[1].msg_len == 4);
  CHECK_ERROR(RecvMmsg(fd, messages, 3, MSG_DONTWAIT, nullptr), EAGAIN);
  sockaddr_in peer = V4("192.0.2.9", 5000);
  for (int i = 0; i < 2; ++i) {
    messages[i].msg_hdr.msg_name = &peer;
    messages[i].msg_hdr.msg_namelen = sizeof(peer);
  }
  CHECK(SendMmsg(fd, messages, 3, 0) == 2);  // the third has no destination
  CHECK(messages[0].msg_len == 16);
  CHECK(engine.TakeSentDatagrams(fd).size() == 2);
}

}  // namespace
}  // namespace sluice::api
