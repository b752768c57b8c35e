// An incremental parser of HTTP/1.x messages (RFC 9112), for requests and for responses.
//
// It takes bytes in pieces of any size and says what it found. Lines that lie whole in one piece
// are parsed where they lie; only a line that is cut is kept, and only up to a limit.
//
//   HttpParser parser(HttpParser::Kind::kRequest);
//   while (!bytes.empty()) {
//     switch (parser.Feed(bytes)) {            // takes what it consumes off `bytes`
//       case HttpParser::Found::kBody: Use(parser.body()); break;
//       case HttpParser::Found::kMessage: Answer(parser.target(), parser.keeps_alive()); break;
//       case HttpParser::Found::kMore: return;
//       case HttpParser::Found::kInvalid: Close(); return;
//     }
//   }
//
// Bodies have a Content-Length; a transfer coding is refused, as is a response without a length
// (unless its status allows no body). One thread; views are valid until the next Feed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::perf {

class HttpParser {
 public:
  enum class Kind : uint8_t { kRequest, kResponse };
  enum class Found : uint8_t { kMore, kBody, kMessage, kInvalid };

  static constexpr size_t kLineMax = 8192;  // RFC 9112 section 3: at least 8000 octets
  static constexpr int kHeaderLinesMax = 100;

  explicit HttpParser(Kind kind) : kind_(kind) {}

  // Consumes from the front of `bytes`. kBody: a piece of the body, in body(). kMessage: a message
  // is complete; the next call begins the next one. kInvalid is final.
  Found Feed(std::string_view& bytes);

  const std::string& method() const { return method_; }  // of a request
  const std::string& target() const { return target_; }  // of a request
  int status() const { return status_; }                 // of a response
  bool keeps_alive() const { return keeps_alive_; }      // whether the connection persists
  uint64_t content_length() const { return content_length_; }
  std::string_view body() const { return body_; }
  // Whether nothing of a next message has come yet: here a connection may end.
  bool between_messages() const { return step_ == Step::kStartLine && held_.empty(); }

 private:
  enum class Step : uint8_t { kStartLine, kHeaders, kBody, kInvalid };

  bool TakeLine(std::string_view& bytes, std::string_view& line, bool& too_long);
  bool ParseStartLine(std::string_view line);
  bool ParseRequestLine(std::string_view line);
  bool ParseStatusLine(std::string_view line);
  bool ParseHeader(std::string_view line);
  bool ParseContentLength(std::string_view value);
  bool EndHeaders();
  Found Fail();

  Kind kind_;
  Step step_ = Step::kStartLine;
  bool keeps_alive_ = true;
  bool has_length_ = false;
  int16_t status_ = 0;
  uint8_t header_lines_ = 0;
  uint64_t content_length_ = 0;
  uint64_t body_left_ = 0;
  std::string method_;
  std::string target_;
  std::string held_;  // the beginning of a line that was cut
  std::string_view body_;
};

}  // namespace sluice::perf
