#include "http_parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

namespace sluice::perf {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// Field names and connection options are compared without regard to case.
bool SameText(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(),
                                                   [](char a, char b) { return Lower(a) == b; });
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// RFC 9110 section 5.6.2.
constexpr std::array<bool, 256> kTokenCharacters = [] {
  std::array<bool, 256> is{};
  for (int c = '0'; c <= '9'; ++c) is[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) is[c] = is[c - 'a' + 'A'] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) is[static_cast<uint8_t>(c)] = true;
  return is;
}();

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return kTokenCharacters[static_cast<uint8_t>(c)];
  });
}

// Whether the list of connection options names this one (RFC 9110 section 7.6.1).
bool ListHas(std::string_view list, std::string_view lower) {
  while (true) {
    const size_t comma = list.find(',');
    if (SameText(Trimmed(list.substr(0, comma)), lower)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

HttpParser::Found HttpParser::Fail() {
  step_ = Step::kInvalid;
  return Found::kInvalid;
}

HttpParser::Found HttpParser::Feed(std::string_view& bytes) {
  if (step_ == Step::kInvalid) return Found::kInvalid;
  while (step_ == Step::kStartLine || step_ == Step::kHeaders) {
    std::string_view line;
    bool too_long = false;
    if (!TakeLine(bytes, line, too_long)) return too_long ? Fail() : Found::kMore;
    bool valid = true;
    if (step_ == Step::kStartLine) {
      // RFC 9112 section 2.2: a server ignores an empty line before the request line.
      if (!line.empty() || kind_ == Kind::kResponse) valid = ParseStartLine(line);
    } else if (line.empty()) {
      valid = EndHeaders();
    } else {
      valid = ++header_lines_ <= kHeaderLinesMax && ParseHeader(line);
    }
    held_.clear();
    if (!valid) return Fail();
  }
  if (body_left_ == 0) {
    step_ = Step::kStartLine;
    return Found::kMessage;
  }
  if (bytes.empty()) return Found::kMore;
  body_ = bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(bytes.size(), body_left_)));
  bytes.remove_prefix(body_.size());
  body_left_ -= body_.size();
  return Found::kBody;
}

// A line without its end. Lines end with CRLF; a lone LF is accepted (RFC 9112 section 2.2).
bool HttpParser::TakeLine(std::string_view& bytes, std::string_view& line, bool& too_long) {
  if (bytes.empty()) return false;
  const auto* end = static_cast<const char*>(memchr(bytes.data(), '\n', bytes.size()));
  const size_t taken = end == nullptr ? bytes.size() : static_cast<size_t>(end - bytes.data()) + 1;
  if (held_.size() + taken > kLineMax) {
    too_long = true;
    return false;
  }
  if (end == nullptr || !held_.empty()) {
    held_.append(bytes.data(), taken);
    line = held_;
  } else {
    line = bytes.substr(0, taken);
  }
  bytes.remove_prefix(taken);
  if (end == nullptr) return false;
  line.remove_suffix(1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return true;
}

bool HttpParser::ParseStartLine(std::string_view line) {
  has_length_ = false;
  content_length_ = 0;
  body_left_ = 0;
  header_lines_ = 0;
  const bool valid = kind_ == Kind::kRequest ? ParseRequestLine(line) : ParseStatusLine(line);
  step_ = Step::kHeaders;
  return valid;
}

bool HttpParser::ParseRequestLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last == first) return false;
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (target.empty() || target.find(' ') != std::string_view::npos) return false;
  if (!IsToken(line.substr(0, first)) || (version != "HTTP/1.1" && version != "HTTP/1.0")) {
    return false;
  }
  method_.assign(line.data(), first);
  target_.assign(target.data(), target.size());
  keeps_alive_ = version == "HTTP/1.1";
  return true;
}

bool HttpParser::ParseStatusLine(std::string_view line) {
  const std::string_view version = line.substr(0, std::min<size_t>(8, line.size()));
  if ((version != "HTTP/1.1" && version != "HTTP/1.0") || line.size() < 12 || line[8] != ' ') {
    return false;
  }
  int status = 0;
  const auto [end, error] = std::from_chars(line.data() + 9, line.data() + 12, status);
  if (error != std::errc() || end != line.data() + 12 || status < 100) return false;
  if (line.size() > 12 && line[12] != ' ') return false;
  status_ = static_cast<int16_t>(status);
  keeps_alive_ = version == "HTTP/1.1";
  return true;
}

bool HttpParser::ParseHeader(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view name = line.substr(0, colon);
  if (!IsToken(name)) return false;  // and so no space before the colon, and no folded lines
  const std::string_view value = Trimmed(line.substr(colon + 1));
  if (SameText(name, "content-length")) return ParseContentLength(value);
  if (SameText(name, "connection")) {
    if (ListHas(value, "close")) {
      keeps_alive_ = false;
    } else if (ListHas(value, "keep-alive")) {
      keeps_alive_ = true;
    }
  }
  return !SameText(name, "transfer-encoding");
}

bool HttpParser::ParseContentLength(std::string_view value) {
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (error != std::errc() || end != value.data() + value.size()) return false;
  // RFC 9112 section 6.3: differing lengths are an error that cannot be recovered from.
  if (has_length_ && length != content_length_) return false;
  has_length_ = true;
  content_length_ = length;
  return true;
}

bool HttpParser::EndHeaders() {
  step_ = Step::kBody;
  if (kind_ == Kind::kResponse) {
    if (status_ < 200 || status_ == 204 || status_ == 304) {
      content_length_ = 0;
    } else if (!has_length_) {
      return false;
    }
  }
  body_left_ = content_length_;
  return true;
}

}  // namespace sluice::perf
