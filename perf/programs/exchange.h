// What is said on a connection: the bytes of requests, and the check of the answers.
//
//   auto exchange = MakeExchange(settings);
//   exchange->Reserve(connections);
//   const char* bytes = exchange->Request(7, sent_so_far, &available);
//   int answers = exchange->Answers(7, received);     // -1: not what was expected
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "load.h"

namespace sluice::perf {

class Exchange {
 public:
  virtual ~Exchange() = default;
  // Prepares for connections 0 to `connections` - 1.
  virtual void Reserve(uint32_t connections) = 0;
  virtual uint64_t request_bytes() const = 0;
  // The bytes that stand at `offset` in the endless row of connection `index`'s requests, and how
  // many of them lie in one piece.
  virtual const char* Request(uint32_t index, uint64_t offset, size_t* available) const = 0;
  // Checks the next bytes received on connection `index` and returns how many answers they
  // complete; -1 if they are not what they should be.
  virtual int Answers(uint32_t index, std::string_view bytes) = 0;
};

// TCP echo; with settings.http GET /size, keep-alive.
std::unique_ptr<Exchange> MakeExchange(const LoadSettings& settings);

// The HTTP request of these settings.
std::string HttpRequest(uint64_t size, bool keep_alive);

}  // namespace sluice::perf
