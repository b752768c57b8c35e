#include "wire/ipv4.h"

namespace sluice::wire {
namespace {

constexpr uint8_t kEnd = 0;
constexpr uint8_t kNoOperation = 1;
constexpr uint8_t kLooseSourceRoute = 0x83;
constexpr uint8_t kStrictSourceRoute = 0x89;
constexpr uint8_t kRouterAlert = 0x94;
constexpr uint8_t kCopiedFlag = 0x80;

// Length of the option at the front, no-operations included; 0 if it does not fit.
size_t OptionBytes(ConstBytes options) {
  if (options[0] == kNoOperation) return 1;
  if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) return 0;
  return options[1];
}

}  // namespace

std::optional<Ipv4Options> ParseIpv4Options(ConstBytes options, uint8_t* error_offset) {
  Ipv4Options result;
  const size_t all = options.size();
  while (!options.empty() && options[0] != kEnd) {
    const size_t bytes = OptionBytes(options);
    if (bytes == 0) {
      if (error_offset != nullptr) {
        *error_offset = static_cast<uint8_t>(kIpv4HeaderBytesMin + all - options.size());
      }
      return std::nullopt;
    }
    // RFC 1122 section 3.2.1.8: options that are not understood are ignored.
    if (options[0] == kLooseSourceRoute || options[0] == kStrictSourceRoute) {
      result.source_route = true;
    } else if (options[0] == kRouterAlert && bytes == 4 && Load16(options.data() + 2) == 0) {
      result.router_alert = true;
    }
    options = options.subspan(bytes);
  }
  return result;
}

size_t CopyFragmentOptions(ConstBytes options, Bytes out) {
  size_t written = 0;
  while (!options.empty() && options[0] != kEnd) {
    const size_t bytes = OptionBytes(options);
    if (bytes == 0) break;
    if ((options[0] & kCopiedFlag) != 0) {
      std::memcpy(out.subspan(written, bytes).data(), options.data(), bytes);
      written += bytes;
    }
    options = options.subspan(bytes);
  }
  // The sum of the copied options is at most options.size(), a multiple of 4, so the padding fits.
  while (written % 4 != 0) out[written++] = kEnd;
  return written;
}

}  // namespace sluice::wire
