#include "observe/server.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace sluice::observe {
namespace {

namespace fs = std::filesystem;

struct Directory {
  Directory() {
    char name[] = "/tmp/sluice-observe-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
  }
  ~Directory() { fs::remove_all(path); }
  std::string path;
};

int ConnectTo(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return text;
}

std::string AskServer(const std::string& path, const std::string& request) {
  const int fd = ConnectTo(path);
  if (fd < 0) return "no connection";
  if (write(fd, request.data(), request.size()) < 0) return "no request";
  return ReadAll(fd);
}

// A socket file behind which nobody listens any more.
void LeaveBehind(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  close(fd);
  REQUIRE(fs::exists(path));
}

TEST_CASE("the server answers requests and goes away with its socket", "[observe]") {
  Directory directory;
  const std::string large(3 << 20, 'x');
  auto server = Server::Start({.run_directory = directory.path + "/run", .pid = 77},
                              [&] { return "{\"a\": \"" + large + "\"}\n"; });
  REQUIRE(server.ok());
  const std::string path = (*server)->path();
  REQUIRE(path == directory.path + "/run/77.sock");
  for (int i = 0; i < 3; ++i) REQUIRE(AskServer(path, "ss\n").size() == large.size() + 10);
  REQUIRE(AskServer(path, "nonsense\n") == "unknown request\n");
  REQUIRE(AskServer(path, std::string(100, 'y')) == "unknown request\n");
  for (int fd : (*server)->descriptors()) REQUIRE(fd >= 0);
  server->reset();
  REQUIRE_FALSE(fs::exists(path));
}

TEST_CASE("sockets of dead processes are removed, those of living ones left", "[observe]") {
  Directory directory;
  LeaveBehind(directory.path + "/1000001.sock");
  LeaveBehind(directory.path + "/78.sock");
  LeaveBehind(directory.path + "/other.sock");
  std::ofstream(directory.path + "/notes.txt") << "mine";
  auto living = Server::Start({.run_directory = directory.path, .pid = 79}, [] { return "79\n"; });
  REQUIRE(living.ok());
  REQUIRE_FALSE(fs::exists(directory.path + "/1000001.sock"));
  auto server = Server::Start({.run_directory = directory.path, .pid = 78}, [] { return "78\n"; });
  REQUIRE(server.ok());
  REQUIRE(AskServer((*living)->path(), "ss\n") == "79\n");
  REQUIRE(AskServer((*server)->path(), "ss\n") == "78\n");
  REQUIRE(fs::exists(directory.path + "/other.sock"));
  REQUIRE(fs::exists(directory.path + "/notes.txt"));
}

TEST_CASE("a place where no socket can be is one clear error", "[observe]") {
  Directory directory;
  std::ofstream(directory.path + "/file") << "";
  auto inside_file = Server::Start({.run_directory = directory.path + "/file"}, [] { return ""; });
  REQUIRE_FALSE(inside_file.ok());
  REQUIRE(std::string(inside_file.status().message()).find("cannot listen at") == 0);
  auto too_long = Server::Start({.run_directory = directory.path + "/" + std::string(200, 'd')},
                                [] { return ""; });
  REQUIRE_FALSE(too_long.ok());
}

}  // namespace
}  // namespace sluice::observe
