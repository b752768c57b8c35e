// Storage for recvmmsg and sendmmsg: a row of datagrams with their peers' addresses.
//
//   DatagramBatch batch(32);
//   int count = batch.Receive(fd);
//   batch.SendBack(fd, count);
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <vector>

#include "calls.h"

namespace sluice::perf {

class DatagramBatch {
 public:
  static constexpr size_t kBytesMax = 2048;

  explicit DatagramBatch(unsigned count)
      : bytes_(count * kBytesMax), pieces_(count), peers_(count), messages_(count) {
    for (unsigned i = 0; i < count; ++i) {
      pieces_[i] = {bytes_.data() + i * kBytesMax, kBytesMax};
      messages_[i] = {};
      messages_[i].msg_hdr.msg_iov = &pieces_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  DatagramBatch(const DatagramBatch&) = delete;
  DatagramBatch& operator=(const DatagramBatch&) = delete;

  char* bytes(int i) { return bytes_.data() + static_cast<size_t>(i) * kBytesMax; }
  size_t length(int i) const { return messages_[static_cast<size_t>(i)].msg_len; }
  int size() const { return static_cast<int>(messages_.size()); }

  // What recvmmsg returns; takes what is there and does not wait.
  int Receive(int fd) {
    for (size_t i = 0; i < messages_.size(); ++i) {
      pieces_[i].iov_len = kBytesMax;
      messages_[i].msg_hdr.msg_name = &peers_[i];
      messages_[i].msg_hdr.msg_namelen = sizeof peers_[i];
    }
    return net.recvmmsg(fd, messages_.data(), static_cast<unsigned>(size()), MSG_DONTWAIT, nullptr);
  }

  // Sends the first `count` received datagrams back to where they came from.
  int SendBack(int fd, int count) {
    for (int i = 0; i < count; ++i) pieces_[static_cast<size_t>(i)].iov_len = length(i);
    return net.sendmmsg(fd, messages_.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
  }

  // Sends the first `count` datagrams of `bytes_each` on a connected socket.
  int SendConnected(int fd, int count, size_t bytes_each) {
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      pieces_[i].iov_len = bytes_each;
      messages_[i].msg_hdr.msg_name = nullptr;
      messages_[i].msg_hdr.msg_namelen = 0;
    }
    return net.sendmmsg(fd, messages_.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
  }

 private:
  std::vector<char> bytes_;
  std::vector<iovec> pieces_;
  std::vector<sockaddr_storage> peers_;
  std::vector<mmsghdr> messages_;
};

}  // namespace sluice::perf
