#include "exchange.h"

#include <vector>

#include "http_parser.h"
#include "pattern.h"

namespace sluice::perf {
namespace {

class EchoExchange : public Exchange {
 public:
  explicit EchoExchange(uint64_t size) : size_(size) {}

  void Reserve(uint32_t connections) override { received_.resize(connections, 0); }
  uint64_t request_bytes() const override { return size_; }

  const char* Request(uint32_t index, uint64_t offset, size_t* available) const override {
    *available = Pattern::kContiguous;
    return ThePattern().At(index, offset);
  }

  int Answers(uint32_t index, std::string_view bytes) override {
    const uint64_t before = received_[index];
    if (!ThePattern().Matches(bytes.data(), bytes.size(), index, before)) return -1;
    received_[index] = before + bytes.size();
    return static_cast<int>((before + bytes.size()) / size_ - before / size_);
  }

 private:
  const uint64_t size_;
  std::vector<uint64_t> received_;  // bytes, by connection
};

class HttpExchange : public Exchange {
 public:
  explicit HttpExchange(uint64_t size) : size_(size), request_(HttpRequest(size, true)) {
    for (int i = 0; i < kRequestsInARow; ++i) row_ += request_;
  }

  void Reserve(uint32_t connections) override { answers_.resize(connections); }
  uint64_t request_bytes() const override { return request_.size(); }

  const char* Request(uint32_t, uint64_t offset, size_t* available) const override {
    const size_t at = static_cast<size_t>(offset % request_.size());
    *available = row_.size() - at;
    return row_.data() + at;
  }

  int Answers(uint32_t index, std::string_view bytes) override {
    Answer& answer = answers_[index];
    int complete = 0;
    while (true) {
      switch (answer.parser.Feed(bytes)) {
        case HttpParser::Found::kMore:
          return complete;
        case HttpParser::Found::kInvalid:
          return -1;
        case HttpParser::Found::kBody: {
          const std::string_view body = answer.parser.body();
          if (!ThePattern().Matches(body.data(), body.size(), 0, answer.body_bytes)) return -1;
          answer.body_bytes += body.size();
          break;
        }
        case HttpParser::Found::kMessage:
          if (answer.parser.status() != 200 || answer.body_bytes != size_) return -1;
          answer.body_bytes = 0;
          ++complete;
          break;
      }
    }
  }

 private:
  static constexpr int kRequestsInARow = 64;
  struct Answer {
    HttpParser parser{HttpParser::Kind::kResponse};
    uint64_t body_bytes = 0;
  };

  const uint64_t size_;
  const std::string request_;
  std::string row_;
  std::vector<Answer> answers_;
};

}  // namespace

std::string HttpRequest(uint64_t size, bool keep_alive) {
  return "GET /" + std::to_string(size) + " HTTP/1.1\r\nHost: sluice-perf\r\n" +
         (keep_alive ? "" : "Connection: close\r\n") + "\r\n";
}

std::unique_ptr<Exchange> MakeExchange(const LoadSettings& settings) {
  if (settings.http) return std::make_unique<HttpExchange>(settings.size);
  return std::make_unique<EchoExchange>(settings.size);
}

}  // namespace sluice::perf
