#include "wire/tcp_options.h"

#include <algorithm>
#include <cassert>

#include "wire/tcp.h"

namespace sluice::wire {
namespace {

constexpr uint8_t kEnd = 0;
constexpr uint8_t kNoOperation = 1;
constexpr uint8_t kMss = 2;
constexpr uint8_t kWindowScale = 3;
constexpr uint8_t kSackPermitted = 4;
constexpr uint8_t kSack = 5;
constexpr uint8_t kTimestamps = 8;

constexpr size_t kSackBlockBytes = 8;

// One option whose length fits the header. False if that is not a length of its kind.
bool ParseOne(ConstBytes option, TcpOptions& options) {
  const uint8_t* value = option.data() + 2;
  const size_t bytes = option.size();
  switch (option[0]) {
    case kMss:
      if (bytes != 4) return false;
      options.has_mss = true;
      options.mss = Load16(value);
      return true;
    case kWindowScale:
      if (bytes != 3) return false;
      options.has_window_scale = true;
      // RFC 7323 section 2.3: a larger shift is used as 14.
      options.window_scale = std::min(*value, TcpOptions::kWindowScaleMax);
      return true;
    case kSackPermitted:
      if (bytes != 2) return false;
      options.sack_permitted = true;
      return true;
    case kTimestamps:
      if (bytes != 10) return false;
      options.has_timestamps = true;
      options.timestamps = {Load32(value), Load32(value + 4)};
      return true;
    case kSack:
      if (bytes < 2 + kSackBlockBytes || (bytes - 2) % kSackBlockBytes != 0) return false;
      options.sack_count = static_cast<uint8_t>((bytes - 2) / kSackBlockBytes);
      for (int i = 0; i < options.sack_count; ++i, value += kSackBlockBytes) {
        options.sack[i] = {Sequence(Load32(value)), Sequence(Load32(value + 4))};
      }
      return true;
    default:
      return true;  // RFC 9293 section 3.1 (MUST-6): not implemented, so ignored
  }
}

}  // namespace

TcpOptions TcpOptions::ParseAny(ConstBytes bytes) {
  TcpOptions options;
  // More do not fit a header, so that four SACK blocks are all there can be.
  bytes = bytes.first(std::min(bytes.size(), kTcpOptionsBytesMax));
  while (!bytes.empty() && bytes[0] != kEnd) {
    if (bytes[0] == kNoOperation) {
      bytes = bytes.subspan(1);
      continue;
    }
    // RFC 9293 section 3.1 (MUST-7).
    if (bytes.size() < 2 || bytes[1] < 2 || bytes[1] > bytes.size() ||
        !ParseOne(bytes.first(bytes[1]), options)) {
      options.malformed = true;
      break;
    }
    bytes = bytes.subspan(bytes[1]);
  }
  return options;
}

size_t TcpOptions::size() const {
  size_t bytes = 0;
  if (has_mss) bytes += 4;
  if (has_timestamps) {
    bytes += 12;
  } else if (sack_permitted) {
    bytes += 4;
  }
  if (has_window_scale) bytes += 4;
  if (sack_count > 0) bytes += 4 + sack_count * kSackBlockBytes;
  return bytes;
}

void TcpOptions::Emit(Bytes out) const {
  assert(size() <= kTcpOptionsBytesMax);
  uint8_t* p = out.first(size()).data();
  auto put = [&p](uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    p[0] = a, p[1] = b, p[2] = c, p[3] = d;
    p += 4;
  };
  if (has_mss) put(kMss, 4, static_cast<uint8_t>(mss >> 8), static_cast<uint8_t>(mss));
  if (has_timestamps) {
    // The two bytes of SACK-permitted align the timestamps just as two no-operations do.
    if (sack_permitted) {
      put(kSackPermitted, 2, kTimestamps, 10);
    } else {
      put(kNoOperation, kNoOperation, kTimestamps, 10);
    }
    Store32(p, timestamps.value);
    Store32(p + 4, timestamps.echo_reply);
    p += 8;
  } else if (sack_permitted) {
    put(kNoOperation, kNoOperation, kSackPermitted, 2);
  }
  if (has_window_scale) put(kNoOperation, kWindowScale, 3, window_scale);
  if (sack_count > 0) {
    put(kNoOperation, kNoOperation, kSack, static_cast<uint8_t>(2 + sack_count * kSackBlockBytes));
    for (int i = 0; i < sack_count; ++i, p += kSackBlockBytes) {
      Store32(p, sack[i].begin.value());
      Store32(p + 4, sack[i].end.value());
    }
  }
}

}  // namespace sluice::wire
