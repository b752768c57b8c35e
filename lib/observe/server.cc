#include "observe/server.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "observe/raw_socket.h"

namespace sluice::observe {
namespace {

constexpr size_t kRequestBytesMax = 64;

bool MakeAddress(const std::string& path, sockaddr_un* address) {
  *address = {};
  address->sun_family = AF_UNIX;
  if (path.size() >= sizeof(address->sun_path)) return false;
  std::memcpy(address->sun_path, path.c_str(), path.size() + 1);
  return true;
}

// Whether somebody listens behind a socket file.
bool Answers(const std::string& path) {
  sockaddr_un address;
  if (!MakeAddress(path, &address)) return true;
  const int fd = raw::Socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;
  const bool refused =
      raw::Connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 &&
      errno == ECONNREFUSED;
  raw::Close(fd);
  return !refused;
}

bool IsSocketOfProcess(const std::filesystem::path& path) {
  if (path.extension() != ".sock") return false;
  const std::string stem = path.stem();
  int pid = 0;
  const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), pid);
  return error == std::errc() && end == stem.data() + stem.size();
}

void RemoveStale(const std::string& directory) {
  std::error_code error;
  for (const auto& item : std::filesystem::directory_iterator(directory, error)) {
    if (IsSocketOfProcess(item.path()) && !Answers(item.path())) {
      std::filesystem::remove(item.path(), error);
    }
  }
}

bool WaitFor(int fd, short events, int milliseconds) {
  pollfd one{fd, events, 0};
  return raw::Poll(&one, 1, milliseconds) > 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerConfig& config,
                                                      std::function<std::string()> document) {
  std::unique_ptr<Server> server(new Server(config, std::move(document)));
  absl::Status status = server->Listen();
  if (!status.ok()) return status;
  // The program's signals are for the program's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  try {
    server->thread_ = std::thread([raw = server.get()] { raw->Run(); });
  } catch (const std::system_error& error) {
    status = absl::ResourceExhaustedError(absl::StrCat("cannot start a thread: ", error.what()));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!status.ok()) return status;
  return server;
}

absl::Status Server::Listen() {
  const int pid = config_.pid != 0 ? config_.pid : static_cast<int>(getpid());
  std::error_code error;
  std::filesystem::create_directories(config_.run_directory, error);
  RemoveStale(config_.run_directory);
  const std::string path = absl::StrCat(config_.run_directory, "/", pid, ".sock");
  sockaddr_un address;
  if (!MakeAddress(path, &address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the path ", path, " is too long for a socket; choose another run_directory"));
  }
  listener_ = raw::MoveUp(raw::Socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                          kDescriptorLeast);
  stop_ = raw::MoveUp(raw::EventFd(), kDescriptorLeast);
  if (listener_ < 0 || stop_ < 0) {
    return absl::ResourceExhaustedError(absl::StrCat("no descriptor: ", strerror(errno)));
  }
  // An earlier process of this number may have left a file that still answers: nobody's.
  std::filesystem::remove(path, error);
  if (raw::Bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      raw::Listen(listener_, 8) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen at ", path, ": ", strerror(errno)));
  }
  path_ = path;
  chmod(path_.c_str(), 0600);
  return absl::OkStatus();
}

Server::~Server() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    raw::Write(stop_, &one, sizeof(one));
    thread_.join();
  }
  if (!path_.empty()) unlink(path_.c_str());
  if (listener_ >= 0) raw::Close(listener_);
  if (stop_ >= 0) raw::Close(stop_);
}

void Server::Run() {
  for (;;) {
    pollfd fds[2] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (raw::Poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    // The program has closed what it does not know.
    if ((fds[0].revents & POLLNVAL) != 0) return;
    if (fds[0].revents == 0) continue;
    const int client =
        raw::MoveUp(raw::Accept(listener_, SOCK_CLOEXEC | SOCK_NONBLOCK), kDescriptorLeast);
    if (client < 0) continue;
    Serve(client);
    raw::Close(client);
  }
}

void Server::Serve(int client) {
  char request[kRequestBytesMax];
  size_t length = 0;
  while (length < sizeof(request)) {
    if (!WaitFor(client, POLLIN, config_.patience_ms)) return;
    const ssize_t got = raw::Receive(client, request + length, sizeof(request) - length, 0);
    if (got <= 0) return;
    length += static_cast<size_t>(got);
    if (std::memchr(request, '\n', length) != nullptr) break;
  }
  const std::string_view line =
      std::string_view(request, length).substr(0, std::string_view(request, length).find('\n'));
  const std::string text = line == "ss" ? document_() : std::string("unknown request\n");
  for (size_t sent = 0; sent < text.size();) {
    if (!WaitFor(client, POLLOUT, config_.patience_ms)) return;
    const ssize_t count = raw::Send(client, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return;
    if (count > 0) sent += static_cast<size_t>(count);
  }
}

}  // namespace sluice::observe
