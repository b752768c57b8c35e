// Datagrams in batches and on loan, through the C names.
#include <sluice/sluice.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>

#include "api/socket_calls.h"
#include "api/state.h"
#include "check_error.h"
#include "fake_engine.h"

namespace sluice::api {
namespace {

using wire::IpAddress;

table::DatagramHeader From(uint16_t port) {
  table::DatagramHeader header;
  header.peer = {IpAddress::V4(192, 0, 2, 9), port, 0};
  header.local = {IpAddress::V4(192, 0, 2, 1), 53, 1};
  return header;
}

std::string Text(const sluice_zc_datagram& datagram) {
  return {static_cast<const char*>(datagram.data), datagram.length};
}

struct Batch {
  std::array<std::array<char, 8>, 4> bytes{};
  std::array<sockaddr_in, 4> names{};
  std::array<iovec, 4> pieces{};
  std::array<mmsghdr, 4> messages{};
  Batch() {
    for (size_t i = 0; i < 4; ++i) {
      pieces[i] = {bytes[i].data(), bytes[i].size()};
      messages[i].msg_hdr.msg_name = &names[i];
      messages[i].msg_hdr.msg_namelen = sizeof(names[i]);
      messages[i].msg_hdr.msg_iov = &pieces[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

TEST_CASE("recvmmsg and sendmmsg move a batch, and say what was cut") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  engine.DeliverDatagram(fd, "one", From(5001));
  engine.DeliverDatagram(fd, "longer than eight", From(5002));
  engine.DeliverDatagram(fd, "", From(5003));
  Batch batch;
  REQUIRE(sluice_recvmmsg(fd, batch.messages.data(), 4, MSG_DONTWAIT, nullptr) == 3);
  CHECK(batch.messages[0].msg_len == 3);
  CHECK(batch.messages[0].msg_hdr.msg_flags == 0);
  CHECK(batch.messages[1].msg_len == 8);
  CHECK(batch.messages[1].msg_hdr.msg_flags == MSG_TRUNC);
  CHECK(batch.messages[2].msg_len == 0);
  CHECK(ntohs(batch.names[1].sin_port) == 5002);
  CHECK_ERROR(sluice_recvmmsg(fd, batch.messages.data(), 4, MSG_DONTWAIT, nullptr), EAGAIN);
  for (size_t i = 0; i < 3; ++i) batch.pieces[i].iov_len = batch.messages[i].msg_len;
  REQUIRE(sluice_sendmmsg(fd, batch.messages.data(), 3, 0) == 3);
  const auto sent = engine.TakeSentDatagrams(fd);
  REQUIRE(sent.size() == 3);
  CHECK(sent[0].bytes == "one");
  CHECK(sent[1].bytes == "longer t");
  CHECK(sent[2].header.peer.port == 5003);
}

TEST_CASE("a batch stops at what is wrong, and the next call says so") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  Batch batch;
  for (sockaddr_in& name : batch.names) name = V4("192.0.2.9", 5000);
  batch.names[2].sin_port = 0;
  CHECK(sluice_sendmmsg(fd, batch.messages.data(), 4, 0) == 2);
  CHECK_ERROR(sluice_sendmmsg(fd, batch.messages.data() + 2, 2, 0), EINVAL);
  CHECK(engine.TakeSentDatagrams(fd).size() == 2);
}

TEST_CASE("datagrams are lent with their peers, and settled in order") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  sluice_zc_datagram lent[4];
  CHECK_ERROR(sluice_zc_recv_datagrams(fd, lent, 4, MSG_DONTWAIT), EAGAIN);
  engine.DeliverDatagram(fd, "first", From(5001));
  engine.DeliverDatagram(fd, "second", From(5002));
  engine.DeliverDatagram(fd, "third", From(5003));
  REQUIRE(sluice_zc_recv_datagrams(fd, lent, 2, 0) == 2);
  CHECK(Text(lent[0]) == "first");
  CHECK(Text(lent[1]) == "second");
  CHECK(lent[1].peer.v4.sin_family == AF_INET);
  CHECK(ntohs(lent[1].peer.v4.sin_port) == 5002);
  CHECK(lent[0].send_back == 0);
  CHECK(lent[0].capacity >= 5);
  char byte;
  CHECK_ERROR(sluice_recv(fd, &byte, 1, 0), EBUSY);
  REQUIRE(sluice_zc_recv_datagrams(fd, lent + 2, 2, 0) == 1);
  CHECK(Text(lent[2]) == "third");
  CHECK_ERROR(sluice_zc_recv_datagrams(fd, lent, 1, MSG_DONTWAIT), EAGAIN);
  CHECK_ERROR(sluice_zc_settle(fd, lent, 4, 0), EINVAL);
  CHECK(sluice_zc_settle(fd, lent, 1, 0) == 0);
  CHECK(table::ReceiveQueueBytes(engine.EntryOf(fd)) == 11);
  CHECK(sluice_zc_settle(fd, lent + 1, 2, 0) == 0);
  CHECK(table::ReceiveQueueBytes(engine.EntryOf(fd)) == 0);
  CHECK(sluice_zc_settle(fd, lent, 0, 0) == 0);
  engine.DeliverDatagram(fd, "x", From(5004));
  CHECK(sluice_recv(fd, &byte, 1, 0) == 1);
}

TEST_CASE("what is to be sent back is marked for the engine") {
  FakeEngine engine;
  const int fd = engine.BoundDatagram();
  engine.DeliverDatagram(fd, "keep", From(5001));
  engine.DeliverDatagram(fd, "answer", From(5002));
  sluice_zc_datagram lent[2];
  REQUIRE(sluice_zc_recv_datagrams(fd, lent, 2, 0) == 2);
  lent[1].send_back = 1;
  const size_t length = lent[1].length;
  lent[1].length = lent[1].capacity + 1;
  CHECK_ERROR(sluice_zc_settle(fd, lent, 2, 0), EMSGSIZE);
  std::memcpy(lent[1].data, "ANSWER!", 7);
  lent[1].length = length + 1;
  CHECK(sluice_zc_settle(fd, lent, 2, 0) == 0);
  table::ReceiveQueue queue = engine.At(fd).receive_queue();
  table::ReceiveQueue::Reply reply;
  REQUIRE(queue.ReadReply(reply));
  CHECK(std::string(reply.payload.begin(), reply.payload.end()) == "ANSWER!");
  CHECK(reply.header.peer.port == 5002);
  queue.DropReply(false);
  CHECK_FALSE(queue.ReadReply(reply));
}

TEST_CASE("loans on streams, and after shutdown") {
  FakeEngine engine;
  sluice_zc_datagram lent[2];
  const int stream = engine.ConnectedStream();
  CHECK_ERROR(sluice_zc_recv_datagrams(stream, lent, 2, 0), EOPNOTSUPP);
  CHECK_ERROR(sluice_zc_settle(stream, lent, 1, 0), EOPNOTSUPP);
  const int fd = engine.BoundDatagram();
  CHECK_ERROR(sluice_zc_recv_datagrams(fd, lent, 0, 0), EINVAL);
  CHECK_ERROR(sluice_zc_recv_datagrams(fd, nullptr, 1, 0), EFAULT);
  engine.DeliverDatagram(fd, "late", From(5001));
  engine.EntryOf(fd).application_flags.SetBits(table::kShutdownSend | table::kShutdownReceive);
  REQUIRE(sluice_zc_recv_datagrams(fd, lent, 2, 0) == 1);
  lent[0].send_back = 1;
  CHECK_ERROR(sluice_zc_settle(fd, lent, 1, MSG_NOSIGNAL), EPIPE);
  lent[0].send_back = 0;
  CHECK(sluice_zc_settle(fd, lent, 1, 0) == 0);
  CHECK(sluice_zc_recv_datagrams(fd, lent, 2, 0) == 0);
}

}  // namespace
}  // namespace sluice::api
