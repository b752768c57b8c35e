// The measured programs: servers with an epoll loop on Sluice's calls, as small as real ones are.
//
//   StreamServer server(StreamServer::Kind::kEcho, "", 64 << 10);
//   for (;;) { sluice_poll(); server.Serve(); }
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::perf {

class Server {
 public:
  virtual ~Server() = default;
  // Does all that is to do now, without waiting.
  virtual void Serve() = 0;
};

// One listener and an epoll set of connections; one recv for each event.
class StreamServer : public Server {
 public:
  enum class Kind : uint8_t {
    kEcho,
    kAnswer,          // `answer` to each request, which ends with an empty line
    kAnswerAndClose,  // and then closes
    kSink,
    kSource,  // sends pieces of `buffer_bytes` as long as they go
  };

  StreamServer(Kind kind, const std::string& answer, size_t buffer_bytes);
  void Serve() override;

 private:
  void Accept();
  void Receive(int fd);
  void Send(int fd, const char* bytes, size_t count);

  const Kind kind_;
  const std::string answer_;
  std::vector<char> buffer_;
  int listener_;
  int epoll_;
};

// One socket, read until nothing is left.
class DatagramServer : public Server {
 public:
  enum class Kind : uint8_t {
    kSink,            // recvfrom
    kEcho,            // recvfrom and sendto
    kEchoInBatches,   // recvmmsg and sendmmsg
    kEchoWithoutCopy  // sluice_zc_recv_datagrams and sluice_zc_settle
  };

  explicit DatagramServer(Kind kind);
  void Serve() override;

 private:
  // They return false when nothing is left.
  bool ServeOne();
  bool ServeBatch();
  bool ServeWithoutCopy();

  const Kind kind_;
  int fd_;
  int epoll_;
};

}  // namespace sluice::perf
