// What the fuzzers share. Each is one source with LLVMFuzzerTestOneInput: libFuzzer calls it
// (-Dfuzzers=true, clang), and replay.cc calls it as a test in every build.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

#include "wire/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace sluice::fuzz {

inline void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: does not hold: %s\n", what);
  std::abort();
}

// What a value emits, which must not depend on what stood in the buffer.
template <typename Value>
std::vector<uint8_t> Emitted(const Value& value) {
  std::vector<uint8_t> zeros(value.size(), 0), ones(value.size(), 0xff);
  value.Emit(zeros);
  value.Emit(ones);
  Check(zeros == ones, "every byte is written");
  return zeros;
}

// What parses is emitted, parsed again, and must be the same value and the same bytes.
template <typename Value, typename Parse>
void RoundTripWith(wire::ConstBytes input, Parse&& parse) {
  const std::optional<Value> value = parse(input);
  if (!value) return;
  const std::vector<uint8_t> bytes = Emitted(*value);
  const std::optional<Value> again = parse(wire::ConstBytes(bytes));
  Check(again.has_value(), "what was emitted parses");
  Check(Emitted(*again) == bytes, "what was emitted twice is the same");
  Check(*value == *again, "the values are the same");
}

template <typename Value>
void RoundTrip(wire::ConstBytes input) {
  RoundTripWith<Value>(input, [](wire::ConstBytes bytes) { return Value::Parse(bytes); });
}

}  // namespace sluice::fuzz
