#include "snapshot_client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace sluice::apps {
namespace {

constexpr timeval kPatience = {.tv_sec = 5, .tv_usec = 0};
constexpr size_t kAnswerBytesMax = size_t{1} << 30;  // a million sockets and then some

std::string SocketPath(const std::string& run_directory, int pid) {
  return absl::StrCat(run_directory, "/", pid, ".sock");
}

absl::StatusOr<std::string> ReadAll(int descriptor) {
  std::string text;
  char buffer[1 << 16];
  while (text.size() < kAnswerBytesMax) {
    ssize_t got = recv(descriptor, buffer, sizeof(buffer), 0);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::UnavailableError(strerror(errno));
    text.append(buffer, got);
  }
  return absl::ResourceExhaustedError("the answer is too long");
}

}  // namespace

std::vector<int> RunningPids(const std::string& run_directory) {
  std::vector<int> pids;
  std::error_code error;
  for (const auto& item : std::filesystem::directory_iterator(run_directory, error)) {
    if (item.path().extension() != ".sock") continue;
    std::string stem = item.path().stem();
    int pid = 0;
    auto [end, parse_error] = std::from_chars(stem.data(), stem.data() + stem.size(), pid);
    if (parse_error == std::errc() && end == stem.data() + stem.size()) pids.push_back(pid);
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

absl::StatusOr<nlohmann::json> FetchSnapshot(const std::string& run_directory, int pid) {
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  std::string path = SocketPath(run_directory, pid);
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("the path ", path, " is too long for a socket"));
  }
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return absl::InternalError(absl::StrCat("socket: ", strerror(errno)));
  absl::Cleanup close_descriptor = [descriptor] { close(descriptor); };
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));

  if (connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    // A process that was killed leaves its socket file behind; nobody listens there.
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return absl::NotFoundError(
          absl::StrCat("no process ", pid, " runs under Sluice; sluice ss lists those that do"));
    }
    return absl::UnavailableError(absl::StrCat("cannot ask process ", pid, " at ", path, ": ",
                                               strerror(errno),
                                               errno == EACCES ? "; run as the same user" : ""));
  }
  constexpr char kRequest[] = "ss\n";
  if (send(descriptor, kRequest, sizeof(kRequest) - 1, MSG_NOSIGNAL) < 0) {
    return absl::UnavailableError(absl::StrCat("process ", pid, ": ", strerror(errno)));
  }
  absl::StatusOr<std::string> text = ReadAll(descriptor);
  if (!text.ok()) {
    return absl::UnavailableError(
        absl::StrCat("process ", pid, " does not answer: ", text.status().message()));
  }
  nlohmann::json document = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) {
    return absl::DataLossError(absl::StrCat("process ", pid, " gave an answer that is no JSON"));
  }
  return document;
}

}  // namespace sluice::apps
