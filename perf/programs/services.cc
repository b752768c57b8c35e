// The kinds of TCP server.
#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "http_parser.h"
#include "pattern.h"
#include "stream_server.h"

namespace sluice::perf {
namespace {

// Bytes that could not be sent at once.
struct Unsent : Connection::State {
  std::string bytes;
};

// Sends the bytes, keeps what does not go, and reads no more until it has gone.
bool SendOrKeep(StreamServer& server, Connection& connection, const char* bytes, size_t count) {
  const ssize_t sent = server.Send(connection, bytes, count);
  if (sent < 0) return false;
  if (static_cast<size_t>(sent) == count) return true;
  auto unsent = std::make_unique<Unsent>();
  unsent->bytes.assign(bytes + sent, count - static_cast<size_t>(sent));
  connection.state = std::move(unsent);
  server.WaitFor(connection, EPOLLOUT);
  return true;
}

// Sends what was kept; *done says whether all of it is gone.
bool SendKept(StreamServer& server, Connection& connection, bool* done) {
  auto& unsent = static_cast<Unsent&>(*connection.state);
  const ssize_t sent = server.Send(connection, unsent.bytes.data(), unsent.bytes.size());
  if (sent < 0) return false;
  unsent.bytes.erase(0, static_cast<size_t>(sent));
  *done = unsent.bytes.empty();
  if (*done) {
    connection.state.reset();
    server.WaitFor(connection, EPOLLIN);
  }
  return true;
}

class EchoService : public StreamService {
 public:
  bool Received(StreamServer& server, Connection& connection, char* bytes, size_t count) override {
    if (count == 0) return false;
    ++server.counts.messages;
    return SendOrKeep(server, connection, bytes, count);
  }
  bool Writable(StreamServer& server, Connection& connection) override {
    bool done = false;
    return connection.state == nullptr || SendKept(server, connection, &done);
  }
};

class AnswerOnceService : public StreamService {
 public:
  explicit AnswerOnceService(uint64_t request_bytes) : request_bytes_(request_bytes) {}

  bool Received(StreamServer& server, Connection& connection, char* bytes, size_t count) override {
    if (count == 0) {
      ++server.counts.errors;  // the request was not complete
      return false;
    }
    if (!SendOrKeep(server, connection, bytes, count)) return false;
    if (connection.received + count < request_bytes_) return true;
    ++server.counts.messages;
    return connection.state != nullptr;  // stays only for what is left to send
  }
  bool Writable(StreamServer& server, Connection& connection) override {
    bool done = false;
    if (connection.state == nullptr) return true;
    if (!SendKept(server, connection, &done)) return false;
    return !done || connection.received < request_bytes_;
  }

 private:
  const uint64_t request_bytes_;
};

// Responses up to this size are kept ready whole; larger bodies are sent from the pattern.
constexpr uint64_t kReadyBytesMax = 16384;

struct HttpState : Connection::State {
  HttpParser parser{HttpParser::Kind::kRequest};
  std::string out;         // heads and small responses that wait to be sent
  size_t out_at = 0;       // of which so many are gone
  uint64_t body_left = 0;  // of a large body that follows `out`
  uint64_t body_at = 0;
  std::string held;  // requests behind the one that is being answered
  bool closing = false;
};

class HttpService : public StreamService {
 public:
  bool Opened(StreamServer&, Connection& connection) override {
    connection.state = std::make_unique<HttpState>();
    return true;
  }

  bool Received(StreamServer& server, Connection& connection, char* bytes, size_t count) override {
    if (count == 0) return false;
    return Answer(server, connection, std::string_view(bytes, count));
  }

  bool Writable(StreamServer& server, Connection& connection) override {
    auto& http = static_cast<HttpState&>(*connection.state);
    if (!Flush(server, connection, http)) return false;
    if (http.out_at < http.out.size() || http.body_left > 0) return true;
    server.WaitFor(connection, EPOLLIN);
    const std::string held = std::move(http.held);
    http.held.clear();
    return held.empty() || Answer(server, connection, held);
  }

 private:
  bool Answer(StreamServer& server, Connection& connection, std::string_view bytes) {
    auto& http = static_cast<HttpState&>(*connection.state);
    while (!bytes.empty()) {
      const HttpParser::Found found = http.parser.Feed(bytes);
      if (found == HttpParser::Found::kInvalid) {
        ++server.counts.errors;
        return false;
      }
      if (found != HttpParser::Found::kMessage) continue;
      ++server.counts.messages;
      Respond(http);
      if (http.closing) break;
      if (http.body_left == 0) continue;
      if (!Flush(server, connection, http)) return false;
      if (http.body_left > 0) {
        http.held.assign(bytes);
        break;
      }
    }
    if (!Flush(server, connection, http)) return false;
    const bool waits = http.out_at < http.out.size() || http.body_left > 0;
    if (waits) server.WaitFor(connection, EPOLLOUT);
    return waits || !http.closing;
  }

  // Puts the response behind what waits already.
  void Respond(HttpState& http) {
    uint64_t size = 0;
    const std::string& target = http.parser.target();
    const auto [end, error] =
        std::from_chars(target.data() + 1, target.data() + target.size(), size);
    const bool known = error == std::errc() && end == target.data() + target.size();
    http.closing = !http.parser.keeps_alive();
    if (!known || http.parser.method() != "GET") {
      http.out += "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
      return;
    }
    if (size != ready_size_ || http.closing != ready_closing_) MakeReady(size, http.closing);
    http.out += ready_;
    if (size > kReadyBytesMax) {
      http.body_left = size;
      http.body_at = 0;
    }
  }

  void MakeReady(uint64_t size, bool closing) {
    ready_size_ = size;
    ready_closing_ = closing;
    ready_ = "HTTP/1.1 200 OK\r\nServer: sluice-perf\r\nContent-Type: text/plain\r\n";
    ready_ += "Content-Length: " + std::to_string(size) + "\r\n";
    if (closing) ready_ += "Connection: close\r\n";
    ready_ += "\r\n";
    if (size <= kReadyBytesMax) ready_.append(ThePattern().At(0, 0), static_cast<size_t>(size));
  }

  // Sends what goes. False: the connection is broken, or all is sent and it is to be closed.
  bool Flush(StreamServer& server, Connection& connection, HttpState& http) {
    while (http.out_at < http.out.size()) {
      const ssize_t sent =
          server.Send(connection, http.out.data() + http.out_at, http.out.size() - http.out_at);
      if (sent <= 0) return sent == 0;
      http.out_at += static_cast<size_t>(sent);
    }
    http.out.clear();
    http.out_at = 0;
    while (http.body_left > 0) {
      const size_t piece =
          static_cast<size_t>(std::min<uint64_t>(http.body_left, Pattern::kContiguous));
      const ssize_t sent = server.Send(connection, ThePattern().At(0, http.body_at), piece);
      if (sent <= 0) return sent == 0;
      http.body_at += static_cast<uint64_t>(sent);
      http.body_left -= static_cast<uint64_t>(sent);
    }
    return !http.closing;
  }

  std::string ready_;  // the last response's head, with the body if that is small
  uint64_t ready_size_ = UINT64_MAX;
  bool ready_closing_ = false;
};

class BulkService : public StreamService {
 public:
  BulkService(bool takes, bool sends) : takes_(takes), sends_(sends) {}

  bool Opened(StreamServer& server, Connection& connection) override {
    if (sends_) server.WaitFor(connection, EPOLLIN | EPOLLOUT);
    return true;
  }
  bool Received(StreamServer& server, Connection& connection, char* bytes, size_t count) override {
    if (count == 0) return false;
    ++server.counts.messages;
    if (takes_ && ThePattern().Matches(bytes, count, 0, connection.received)) return true;
    ++server.counts.errors;
    return false;
  }
  bool Writable(StreamServer& server, Connection& connection) override {
    for (int i = 0; i < kSendsATurn; ++i) {
      const ssize_t sent =
          server.Send(connection, ThePattern().At(0, connection.sent), Pattern::kContiguous);
      if (sent < 0) return false;
      if (static_cast<size_t>(sent) < Pattern::kContiguous) break;
    }
    return true;
  }

 private:
  static constexpr int kSendsATurn = 8;
  const bool takes_;
  const bool sends_;
};

}  // namespace

std::unique_ptr<StreamService> MakeEchoService() { return std::make_unique<EchoService>(); }

std::unique_ptr<StreamService> MakeAnswerOnceService(uint64_t request_bytes) {
  return std::make_unique<AnswerOnceService>(request_bytes);
}

std::unique_ptr<StreamService> MakeHttpService() { return std::make_unique<HttpService>(); }

std::unique_ptr<StreamService> MakeBulkService(bool takes, bool sends) {
  return std::make_unique<BulkService>(takes, sends);
}

}  // namespace sluice::perf
