// What all TCP servers here share: accepting, the event loop, and the table of connections.
//
//   auto service = MakeEchoService();
//   StreamServer server(ParseEndpoint("0.0.0.0", 7), 1, *service, Waiting::kSleep);
//   server.Run();                                  // until SIGTERM
//
// One thread. As most programs do it, with level-triggered epoll and one receive for each event; or
// run to completion, with callbacks from sluice_poll.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "calls.h"
#include "report.h"

namespace sluice::perf {

struct Connection {
  // What a service keeps for a connection, if anything.
  struct State {
    virtual ~State() = default;
  };

  int fd = -1;
  uint32_t interest = 0;  // epoll events that are waited for
  uint64_t received = 0;  // bytes
  uint64_t sent = 0;      // bytes
  std::unique_ptr<State> state;
};

struct ServerCounts {
  uint64_t accepted = 0;
  uint64_t open = 0;
  uint64_t errors = 0;    // connections that ended otherwise than by the peer's orderly close
  uint64_t messages = 0;  // as the service counts them
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
};

class StreamServer;

enum class Waiting { kSleep, kSpin, kCallbacks };

// One kind of server. Functions return false if the connection is to be closed.
class StreamService {
 public:
  virtual ~StreamService() = default;
  virtual bool Opened(StreamServer&, Connection&) { return true; }
  // Bytes arrived (count > 0), or the peer has finished (count == 0).
  virtual bool Received(StreamServer& server, Connection& connection, char* bytes,
                        size_t count) = 0;
  // There is room to send again.
  virtual bool Writable(StreamServer&, Connection&) { return true; }
};

class StreamServer {
 public:
  // Listens on `ports` port numbers from the one of `local` on.
  StreamServer(const Endpoint& local, uint32_t ports, StreamService& service, Waiting waiting);
  void Run();

  // Sends from the front of `bytes` what goes now; returns how much that is, -1 on an error.
  ssize_t Send(Connection& connection, const char* bytes, size_t count);
  // What to wait for from now on: EPOLLIN, EPOLLOUT or both.
  void WaitFor(Connection& connection, uint32_t interest);

  ServerCounts counts;

 private:
  // How events of sluice_poll arrive; `server` is the StreamServer.
  static void OnEvent(int fd, uint32_t events, void* server);
  void RunCallbacks();
  bool Watch(int operation, int fd, uint32_t index, uint32_t interest);
  void Accept(int listener);
  bool Serve(Connection& connection, uint32_t events);
  void Close(uint32_t index);

  StreamService& service_;
  const Waiting waiting_;
  int epoll_;
  std::vector<int> listeners_;
  std::vector<Connection> connections_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> index_of_;  // callbacks: what a descriptor is, as epoll's data says it
  std::vector<char> buffer_;
};

std::unique_ptr<StreamService> MakeEchoService();
// Answers each `request_bytes` with as many and closes.
std::unique_ptr<StreamService> MakeAnswerOnceService(uint64_t request_bytes);
// GET /N is answered with N bytes.
std::unique_ptr<StreamService> MakeHttpService();
// Takes bytes and checks them, sends bytes as fast as they go, or both.
std::unique_ptr<StreamService> MakeBulkService(bool takes, bool sends);

// UDP, until SIGTERM: echoes if `echo`, else counts. `batch` datagrams a call.
void RunDatagramServer(const Endpoint& local, bool echo, unsigned batch, bool spin, Report& report);
// Echoes datagrams from where they lie; on Sluice only.
void RunZeroCopyDatagramServer(const Endpoint& local, unsigned batch, bool spin, Report& report);

}  // namespace sluice::perf
