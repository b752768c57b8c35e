// An engine that does as it is told: it plays the engine's side of the socket table, and is the
// home in which the calls under test wait. Time is virtual.
//
//   FakeEngine engine;                       // installs the context; the destructor uninstalls
//   int fd = engine.ConnectedStream();
//   engine.Deliver(fd, "hello");             // bytes from the peer
//   CHECK(engine.TakeSent(fd) == "...");     // bytes to the peer
//   engine.when_idle = [&] { engine.Deliver(fd, "late"); };   // while a call waits
//
// With one thread, a call that waits runs the engine, then `when_idle` once for each time it finds
// nothing to do, then goes to its deadline; a wait for ever with nothing to come fails the test.
// Start() gives the engine a thread of its own: waiting threads then yield until something happens.
//
// With several lanes it plays an engine on each, all by one thread.
#pragma once

#include <netinet/in.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "api/context.h"
#include "api/home.h"
#include "base/plain_pool.h"
#include "table/command.h"
#include "table/socket_table.h"

namespace sluice::api {

class FakeEngine : public Home {
 public:
  explicit FakeEngine(const table::RegionLimits& limits = DefaultLimits(),
                      std::vector<wire::Prefix> kernel_prefixes = {}, bool own_numbers = false);
  ~FakeEngine() override;

  static table::RegionLimits DefaultLimits() {
    return {.sockets = 64, .buffers = 512, .buffer_bytes = 2048, .blocks = 1024, .lanes = 1};
  }

  Instant Now() override { return Instant::FromNanoseconds(now_ns_.load()); }
  void Turn() override;
  WaitOutcome Wait(Waiter& waiter, const WaitRequest& request) override;
  void Signal(Waiter& waiter) override { waiter.signaled.Exchange(1); }
  void WakeEngine(uint8_t) override { ++wakes; }

  // Sockets in a state, as descriptors.
  int ConnectedStream(int family = AF_INET);
  int Listener();
  int BoundDatagram(int family = AF_INET);
  // What a peer does.
  void Deliver(int fd, std::string_view bytes);
  void DeliverDatagram(int fd, std::string_view bytes, const table::DatagramHeader& header,
                       int lane = -1);
  void DeliverError(int fd, std::string_view bytes, const table::DatagramHeader& header);
  void EndStream(int fd);  // its FIN
  void Reset(int fd, table::Result error = table::Result::kReset);
  void Establish(int fd);  // answers a connect
  void Refuse(int fd);
  // A connection to be accepted, at the engine of a lane; -1: the socket's own.
  table::Handle Arrive(int listener, int lane = -1);
  void SetUrgent(int fd, uint32_t position);
  // Takes what was sent, and acknowledges it.
  std::string TakeSent(int fd);
  struct SentDatagram {
    table::DatagramHeader header;
    std::string bytes;
  };
  std::vector<SentDatagram> TakeSentDatagrams(int fd);

  table::Socket At(int fd);
  // The socket itself or its twin at the engine of this lane; false: there is none.
  table::Socket At(int fd, int lane);
  uint32_t open_sockets() const;
  table::Entry& EntryOf(int fd);
  void Advance(Duration time) { now_ns_ += time.nanoseconds(); }

  // A thread of the engine's own.
  void Start();
  void Stop();
  // Runs `f` between the engine's turns.
  void Do(const std::function<void()>& f) {
    std::lock_guard guard(mutex_);
    f();
  }

  std::function<void()> when_idle;   // see above
  int idle_runs = 1;                 // how often it may run
  bool interrupt_next_wait = false;  // the next wait that finds nothing ends by a signal
  bool accept_connects = true;       // a stream's connect stays under way otherwise
  int flows_lane = -1;  // a stream that is bound may connect at this one's engine only; -1: any
  int port_taken_lane = -1;  // the engine that finds the next port chosen by another in use
  std::vector<table::Operation> operations;  // commands that came
  std::vector<table::Command> commands;
  std::atomic<int> turns{0};
  std::atomic<int> waits{0};
  std::atomic<int> wakes{0};
  table::TcpInformation information;
  std::vector<table::InterfaceRecord> interfaces;

 private:
  void Obey(uint32_t lane, const table::Command& command);
  table::Result Perform(uint32_t lane, const table::Command& command, table::Reply* reply);
  table::Result PerformBind(uint32_t lane, const table::Command& command, table::Socket socket);
  table::Result PerformConnect(uint32_t lane, const table::Command& command, table::Socket socket,
                               table::Reply* reply);
  table::Result Shut(table::Socket socket, uint32_t how);
  rte_mbuf* Packet(std::string_view bytes);
  void RunOnce();

  std::unique_ptr<void, decltype(&std::free)> memory_;
  PlainPool pool_;
  table::Region region_;
  std::vector<std::unique_ptr<table::SocketTable>> tables_;  // by lane
  std::mutex mutex_;
  std::thread thread_;
  std::atomic<bool> is_threaded_{false};
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> now_ns_{1'000'000'000};
  uint16_t next_port_ = 40000;
};

// Addresses of tests: documentation prefixes (RFC 5737, RFC 3849).
sockaddr_in V4(const char* address, uint16_t port);
sockaddr_in6 V6(const char* address, uint16_t port);
template <typename T>
const sockaddr* Generic(const T& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace sluice::api
