// The parser on whole messages, on every way to cut them, and on what it must refuse.
#include "http_parser.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace sluice::perf {
namespace {

using Kind = HttpParser::Kind;
using Found = HttpParser::Found;

struct Message {
  std::string target;
  int status;
  bool keeps_alive;
  std::string body;
  bool operator==(const Message&) const = default;
};

struct Outcome {
  std::vector<Message> messages;
  bool invalid = false;
  bool between = false;
};

// Feeds the text in pieces of `piece` bytes.
Outcome Parse(Kind kind, const std::string& text, size_t piece = std::string::npos) {
  HttpParser parser(kind);
  Outcome outcome;
  std::string body;
  for (size_t at = 0; at < text.size(); at += std::min(piece, text.size() - at)) {
    // A copy of exactly these bytes, so that a sanitizer sees a read behind them.
    const std::string cut = text.substr(at, piece);
    std::string_view bytes = cut;
    Found found = Found::kMore;
    while ((found = parser.Feed(bytes)) != Found::kMore) {
      if (found == Found::kInvalid) {
        outcome.invalid = true;
        return outcome;
      }
      if (found == Found::kBody) body += parser.body();
      if (found == Found::kMessage) {
        outcome.messages.push_back({parser.target(), parser.status(), parser.keeps_alive(), body});
        body.clear();
      }
    }
    CHECK(bytes.empty());
  }
  outcome.between = parser.between_messages();
  return outcome;
}

const std::string kRequests =
    "GET /64 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    "POST /x?y=1 HTTP/1.1\r\nhost: b\r\ncontent-LENGTH:  5 \r\n\r\nhello"
    "\r\nGET / HTTP/1.0\nConnection: Keep-Alive\n\n"
    "GET /end HTTP/1.1\r\nConnection: foo, Close\r\n\r\n";

TEST_CASE("requests, however they are cut") {
  const std::vector<Message> expected = {{"/64", 0, true, ""},
                                         {"/x?y=1", 0, true, "hello"},
                                         {"/", 0, true, ""},
                                         {"/end", 0, false, ""}};
  for (size_t piece = 1; piece <= kRequests.size(); ++piece) {
    CAPTURE(piece);
    const Outcome outcome = Parse(Kind::kRequest, kRequests, piece);
    CHECK_FALSE(outcome.invalid);
    CHECK(outcome.between);
    CHECK(outcome.messages == expected);
  }
}

TEST_CASE("responses, however they are cut") {
  const std::string text =
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
      "HTTP/1.1 204 No Content\r\n\r\n"
      "HTTP/1.1 404\r\nContent-Length: 1\r\nConnection: close\r\n\r\nz";
  const std::vector<Message> expected = {
      {"", 200, true, "abc"}, {"", 204, true, ""}, {"", 404, false, "z"}};
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    CAPTURE(piece);
    const Outcome outcome = Parse(Kind::kResponse, text, piece);
    CHECK_FALSE(outcome.invalid);
    CHECK(outcome.messages == expected);
  }
}

TEST_CASE("a message that is not complete is not reported") {
  for (size_t length = 1; length < 30; ++length) {
    const Outcome outcome = Parse(Kind::kRequest, kRequests.substr(0, length));
    CHECK(outcome.messages.empty());
    CHECK_FALSE(outcome.invalid);
    CHECK_FALSE(outcome.between);
  }
}

TEST_CASE("what is no HTTP/1.x request is refused") {
  const std::string text = GENERATE(
      "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "G(T / HTTP/1.1\r\n\r\n",
      "GET  HTTP/1.1\r\n\r\n", "GET / a HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\nSpace : x\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  CAPTURE(text);
  CHECK(Parse(Kind::kRequest, text).invalid);
  CHECK(Parse(Kind::kRequest, text, 1).invalid);
}

TEST_CASE("what is no HTTP/1.x response is refused") {
  const std::string text =
      GENERATE("HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n",
               "HTTP/3.0 200 OK\r\n\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n");
  CAPTURE(text);
  CHECK(Parse(Kind::kResponse, text).invalid);
}

TEST_CASE("lines and their number are limited") {
  const std::string start = "GET / HTTP/1.1\r\n";
  CHECK(Parse(Kind::kRequest, start + "A: " + std::string(9000, 'x'), 7).invalid);
  std::string many = start;
  for (int i = 0; i <= HttpParser::kHeaderLinesMax; ++i) many += "A: b\r\n";
  CHECK(Parse(Kind::kRequest, many + "\r\n").invalid);
}

TEST_CASE("after an error the parser stays refused") {
  HttpParser parser(Kind::kRequest);
  std::string_view bad = "nonsense\r\n";
  CHECK(parser.Feed(bad) == Found::kInvalid);
  std::string_view good = kRequests;
  CHECK(parser.Feed(good) == Found::kInvalid);
}

}  // namespace
}  // namespace sluice::perf
