// Takes a fuzzer's input apart. At its end every number is zero and every piece empty.
#pragma once

#include <algorithm>
#include <cstdint>

#include "wire/bytes.h"

namespace sluice::fuzz {

class Reader {
 public:
  explicit Reader(wire::ConstBytes input) : rest_(input) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Number8() {
    const wire::ConstBytes bytes = Bytes(1);
    return bytes.empty() ? uint8_t{0} : bytes[0];
  }
  uint16_t Number16() {
    const uint8_t high = Number8();
    return static_cast<uint16_t>(high << 8 | Number8());
  }
  // At most n bytes.
  wire::ConstBytes Bytes(size_t n) {
    n = std::min(n, rest_.size());
    const wire::ConstBytes bytes = rest_.first(n);
    rest_ = rest_.subspan(n);
    return bytes;
  }

 private:
  wire::ConstBytes rest_;
};

}  // namespace sluice::fuzz
