// Where `sluice ss` asks: a UNIX stream socket <run_directory>/<pid>.sock, served by a small thread
// of its own. A request is one line; "ss" is answered with the process's document, and the
// connection is closed.
//
//   absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(
//       {.run_directory = "/run/sluice"}, [&] { return SnapshotText(...); });
//
// The thread blocks all signals and touches nothing but its own descriptors and what `document`
// does. Sockets that dead processes left behind in the directory are removed at start, one's own at
// the end.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice::observe {

struct ServerConfig {
  std::string run_directory = "/run/sluice";
  int pid = 0;             // 0: this process
  int patience_ms = 5000;  // for a client that does not read
};

class Server {
 public:
  // `document` is called on the server's thread, once a request.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerConfig& config,
                                                       std::function<std::string()> document);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::string& path() const { return path_; }
  // What a program that closes every descriptor must not close.
  std::array<int, 2> descriptors() const { return {listener_, stop_}; }

 private:
  Server(const ServerConfig& config, std::function<std::string()> document)
      : config_(config), document_(std::move(document)) {}

  absl::Status Listen();
  void Run();
  void Serve(int client);

  ServerConfig config_;
  std::function<std::string()> document_;
  std::string path_;
  int listener_ = -1;
  int stop_ = -1;  // an eventfd
  std::thread thread_;
};

}  // namespace sluice::observe
